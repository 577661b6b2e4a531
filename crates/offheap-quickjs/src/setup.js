// Runs in an isolate's context before any user code. Everything it uses later is taken now, so that nothing that script
// replaces afterwards is called from here. Its value is what native code needs of it.
(natives) => {
  "use strict";
  const [seeView, seeGrowth, growStore] = natives;
  const { apply, defineProperty, getOwnPropertyDescriptor } = Reflect;
  const { get, set, has, delete: remove } = WeakMap.prototype;
  const { deref } = WeakRef.prototype;
  const { trunc } = Math;
  const NewTypeError = TypeError;
  const NewWeakRef = WeakRef;
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

  // The Atomics that write do not look at `immutable`. All that use memory see that it grew.
  for (const name of ["add", "and", "compareExchange", "exchange", "or", "store", "sub", "xor"]) {
    const original = Atomics[name];
    replace(Atomics, name, {
      [name](array) {
        if (seeView(array)) throw new NewTypeError(`Atomics.${name}: the ArrayBuffer is immutable`);
        return apply(original, this, arguments);
      },
    }[name]);
  }

  for (const name of ["load", "notify", "wait"]) {
    const original = Atomics[name];
    replace(Atomics, name, {
      [name](array) {
        seeView(array);
        return apply(original, this, arguments);
      },
    }[name]);
  }

  // A growable SharedArrayBuffer has a length of its own, which follows that of its store. Its `grow` asks nobody.
  const shared = SharedArrayBuffer.prototype;
  const { grow } = shared;
  const isGrowable = getOwnPropertyDescriptor(shared, "growable").get;
  replace(shared, "grow", {
    grow(length) {
      if (!apply(isGrowable, this, [])) {
        throw new NewTypeError("SharedArrayBuffer.prototype.grow: the SharedArrayBuffer is not growable");
      }
      // User code may run here, and only here.
      const byteLength = trunc(+length) || 0;
      if (growStore(this, byteLength)) seeAllGrowth();
      else apply(grow, this, [byteLength]);
    },
  }.grow);
  const byteLength = getOwnPropertyDescriptor(shared, "byteLength");
  const lengthOf = byteLength.get;
  const { get: byteLengthOf } = getOwnPropertyDescriptor({
    get byteLength() {
      seeGrowth(this);
      return apply(lengthOf, this, []);
    },
  }, "byteLength");
  defineProperty(shared, "byteLength", { ...byteLength, get: byteLengthOf });

  // Those over growable stores, in a list that nothing of script's is in the way of. What died is taken out on the way.
  const first = { next: undefined };
  let count = 0;
  let limit = 16;
  const seeAllGrowth = () => {
    count = 0;
    for (let at = first; at.next; ) {
      const buffer = apply(deref, at.next.buffer, []);
      if (buffer === undefined) {
        at.next = at.next.next;
      } else {
        seeGrowth(buffer);
        at = at.next;
        count++;
      }
    }
    limit = 2 * count + 16;
  };
  const keepUp = (buffer) => {
    if (count++ === limit) seeAllGrowth();
    first.next = { buffer: new NewWeakRef(buffer), next: first.next };
  };

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
  // 0 where there is no key, 1 where it is this one, 2 where it is another.
  const checkKey = (buffer, key) => {
    const expected = apply(get, keys, [buffer]);
    return expected === undefined ? 0 : expected === key ? 1 : 2;
  };
  const { transfer } = buffers;
  return [setKey, checkKey, (buffer, ...length) => apply(transfer, buffer, length), keepUp, seeAllGrowth];
};
