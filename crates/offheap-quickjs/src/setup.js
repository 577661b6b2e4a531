// Runs in an isolate's context before any user code. Everything it uses later is taken now, so that nothing that script
// replaces afterwards is called from here. Its value is what native code needs of it.
(isImmutableView) => {
  "use strict";
  const { apply, defineProperty } = Reflect;
  const { get, set, has, delete: remove } = WeakMap.prototype;
  const NewTypeError = TypeError;
  const keys = new WeakMap();

  const replace = (target, name, method) => {
    const original = target[name];
    defineProperty(method, "length", { value: original.length, configurable: true });
    defineProperty(target, name, { value: method, writable: true, enumerable: false, configurable: true });
    return method;
  };

  // A stack frame would give the function that is running, and with it what is replaced below (V8 gives none of strict
  // code either).
  const { prepareStackTrace } = Error;
  Error.prepareStackTrace = (error, frames) => frames;
  const frame = Object.getPrototypeOf(new Error().stack[0]);
  Error.prepareStackTrace = prepareStackTrace;
  replace(frame, "getFunction", { getFunction() {} }.getFunction);

  // The Atomics that write do not look at `immutable`.
  for (const name of ["add", "and", "compareExchange", "exchange", "or", "store", "sub", "xor"]) {
    const original = Atomics[name];
    replace(Atomics, name, {
      [name](array) {
        if (isImmutableView(array)) throw new NewTypeError(`Atomics.${name}: the ArrayBuffer is immutable`);
        return apply(original, this, arguments);
      },
    }[name]);
  }

  // There are no detach keys: transferring a buffer that has one is refused here.
  const buffers = ArrayBuffer.prototype;
  for (const name of ["transfer", "transferToFixedLength", "transferToImmutable"]) {
    const original = buffers[name];
    replace(buffers, name, {
      [name]() {
        if (apply(has, keys, [this])) {
          throw new NewTypeError(`ArrayBuffer.prototype.${name}: the ArrayBuffer has a detach key`);
        }
        return apply(original, this, arguments);
      },
    }[name]);
  }

  const setKey = (buffer, key) => {
    if (key === undefined || key === null) apply(remove, keys, [buffer]);
    else apply(set, keys, [buffer, key]);
  };
  const keyOf = (buffer) => apply(get, keys, [buffer]);
  const { transfer } = buffers;
  return [setKey, keyOf, (buffer, ...length) => apply(transfer, buffer, length)];
};
