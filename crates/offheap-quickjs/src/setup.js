// Runs in an isolate's context before any user code. It saves every function that it uses later, so it never calls
// a function that script replaced afterwards. Its value is the array of functions that native code needs.
(natives) => {
  "use strict";
  const [seeView, seeGrowth, growStore, seeLength, transfer] = natives;
  const { apply, defineProperty, getOwnPropertyDescriptor } = Reflect;
  const { get, set, has, delete: remove } = WeakMap.prototype;
  const { trunc, min, max } = Math;
  const { MAX_SAFE_INTEGER } = Number;
  const { species } = Symbol;
  const NewTypeError = TypeError;
  const NewRangeError = RangeError;
  const NewUint8Array = Uint8Array;
  const NewSharedArrayBuffer = SharedArrayBuffer;
  const { set: copyFrom } = Object.getPrototypeOf(Uint8Array.prototype);
  const keys = new WeakMap();
  // Texts are joined with `+`: QuickJS implements a template with a call of `String.prototype.concat`, which script
  // may replace.

  const replace = (target, name, method) => {
    const original = target[name];
    defineProperty(method, "length", { value: original.length, configurable: true });
    defineProperty(target, name, { value: method, writable: true, enumerable: false, configurable: true });
    return method;
  };

  // A stack frame would reveal the function that is running, and so the originals that are replaced below. (V8 does
  // not reveal functions of strict code either.)
  const { prepareStackTrace } = Error;
  Error.prepareStackTrace = (error, frames) => frames;
  const frame = Object.getPrototypeOf(new Error().stack[0]);
  Error.prepareStackTrace = prepareStackTrace;
  replace(frame, "getFunction", { getFunction() {} }.getFunction);

  // QuickJS calls such a `next` from another one without a look at its stack, which a long chain of iterators overflows.
  const helper = Object.getPrototypeOf([].values().map(() => {}));
  const wrapper = Object.getPrototypeOf(Iterator.from({ __proto__: null, next() {} }));
  for (const prototype of [helper, wrapper]) {
    const { next } = prototype;
    replace(prototype, "next", {
      next() {
        return apply(next, this, []);
      },
    }.next);
  }

  // The Atomics that write ignore `immutable`. All that use memory must see that it grew.
  for (const name of ["add", "and", "compareExchange", "exchange", "or", "store", "sub", "xor"]) {
    const original = Atomics[name];
    replace(Atomics, name, {
      [name](array) {
        if (seeView(array)) throw new NewTypeError("Atomics." + name + ": the ArrayBuffer is immutable");
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

  // A growable SharedArrayBuffer has a separate length, which must follow its store. QuickJS's `grow` does not ask
  // the store.
  const shared = SharedArrayBuffer.prototype;
  const { grow } = shared;
  const isGrowable = getOwnPropertyDescriptor(shared, "growable").get;
  replace(shared, "grow", {
    grow(length) {
      if (!apply(isGrowable, this, [])) {
        throw new NewTypeError("SharedArrayBuffer.prototype.grow: the SharedArrayBuffer is not growable");
      }
      // User code may run here, and nowhere else in this function.
      const byteLength = trunc(+length) || 0;
      if (byteLength < 0 || byteLength > MAX_SAFE_INTEGER)
        throw new NewRangeError("SharedArrayBuffer.prototype.grow: the length is below 0 or above 2 ** 53 - 1");
      if (!growStore(this, byteLength)) apply(grow, this, [byteLength]);
    },
  }.grow);
  const byteLength = getOwnPropertyDescriptor(shared, "byteLength");
  const lengthOf = byteLength.get;
  const { get: sharedLengthOf } = getOwnPropertyDescriptor({
    get byteLength() {
      seeGrowth(this);
      return apply(lengthOf, this, []);
    },
  }, "byteLength");
  defineProperty(shared, "byteLength", { ...byteLength, get: sharedLengthOf });

  const buffers = ArrayBuffer.prototype;
  const getter = (name) => getOwnPropertyDescriptor(buffers, name).get;
  const unsharedLengthOf = getter("byteLength");
  const isDetached = getter("detached");
  const isImmutable = getter("immutable");
  const isResizable = getter("resizable");
  const maximumOf = getter("maxByteLength");

  // QuickJS has no detach keys, so the functions here refuse to transfer a buffer that has one. QuickJS's own
  // functions also lose the memory of the buffer if there is no memory for the new one.
  const sorts = ["transfer", "transferToFixedLength", "transferToImmutable"];
  const originals = sorts.map((name) => buffers[name]);
  // `transfer` returns undefined if native code does not know QuickJS's layout of buffers.
  const move = (buffer, length, sort) =>
    transfer(buffer, length, sort) ?? apply(originals[sort], buffer, length < 0 ? [] : [length]);
  for (let sort = 0; sort < sorts.length; sort++) {
    const name = sorts[sort];
    replace(buffers, name, {
      [name](newLength) {
        apply(isDetached, this, []);
        let length = -1;
        if (newLength !== undefined) {
          // User code may run here, and nowhere else in this function.
          length = trunc(+newLength) || 0;
          if (length < 0 || length > MAX_SAFE_INTEGER)
            throw new NewRangeError("ArrayBuffer.prototype." + name + ": the length is below 0 or above 2 ** 53 - 1");
        }
        if (apply(has, keys, [this]))
          throw new NewTypeError("ArrayBuffer.prototype." + name + ": the ArrayBuffer has a detach key");
        return move(this, length, sort);
      },
    }[name]);
  }

  // A callback that is asked for memory cannot tell a length of 0 from a length of 1. If the maximum is 0, it is
  // not asked.
  const { resize } = buffers;
  replace(buffers, "resize", {
    resize(newLength) {
      let length = newLength;
      if (apply(maximumOf, this, []) === 0) {
        length = trunc(+newLength) || 0;
        if (length === 0 && apply(isResizable, this, []) && !apply(isDetached, this, [])) return;
      }
      apply(resize, this, [length]);
      seeLength(this);
    },
  }.resize);

  // QuickJS's own functions copy with `memcpy`, even if a species constructor returns a buffer over the same
  // memory, and they refuse to read immutable buffers. ECMAScript 25.1.6.7 and 25.2.5.6.
  const bound = (value, length) => {
    // User code may run here.
    const relative = trunc(+value) || 0;
    return relative < 0 ? max(length + relative, 0) : min(relative, length);
  };
  const range = (start, end, length) => {
    const first = bound(start, length);
    const final = end === undefined ? length : bound(end, length);
    return { first, final, count: max(final - first, 0) };
  };
  const copy = (to, from, first, count) => {
    apply(copyFrom, new NewUint8Array(to, 0, count), [new NewUint8Array(from, first, count)]);
  };
  const newBySpecies = (buffer, Default, name, byteLength) => {
    const { constructor } = buffer;
    if (constructor === undefined) return new Default(byteLength);
    if (constructor === null || (typeof constructor !== "object" && typeof constructor !== "function"))
      throw new NewTypeError(name + ": the constructor of the buffer is not an object");
    const Species = constructor[species] ?? Default;
    return new Species(byteLength);
  };
  const replaceSlice = (prototype, Default, lengthOf, check) => {
    const name = Default.name + ".prototype.slice";
    replace(prototype, "slice", {
      slice(start, end) {
        const length = apply(lengthOf, this, []);
        check(this, name);
        const { first, count } = range(start, end, length);
        const made = newBySpecies(this, Default, name, count);
        const madeLength = apply(lengthOf, made, []);
        check(made, name);
        if (Default === NewArrayBuffer && apply(isImmutable, made, []))
          throw new NewTypeError(name + ": the species constructor gave an immutable buffer");
        if (made === this) throw new NewTypeError(name + ": the species constructor gave the same buffer");
        if (madeLength < count) throw new NewTypeError(name + ": the species constructor gave a buffer that is too short");
        check(this, name);
        const left = apply(lengthOf, this, []) - first;
        if (left > 0) copy(made, this, first, min(count, left));
        return made;
      },
    }.slice);
  };
  const checkAttached = (buffer, name) => {
    if (apply(isDetached, buffer, [])) throw new NewTypeError(name + ": the ArrayBuffer is detached");
  };
  const NewArrayBuffer = ArrayBuffer;
  replaceSlice(buffers, NewArrayBuffer, unsharedLengthOf, checkAttached);
  replaceSlice(shared, SharedArrayBuffer, sharedLengthOf, () => {});

  replace(buffers, "sliceToImmutable", {
    sliceToImmutable(start, end) {
      const name = "ArrayBuffer.prototype.sliceToImmutable";
      const length = apply(unsharedLengthOf, this, []);
      checkAttached(this, name);
      const { first, final, count } = range(start, end, length);
      checkAttached(this, name);
      if (apply(unsharedLengthOf, this, []) < final)
        throw new NewRangeError(name + ": the ArrayBuffer was made shorter than the end of the slice");
      const made = new NewArrayBuffer(count);
      copy(made, this, first, count);
      return move(made, -1, 2);
    },
  }.sliceToImmutable);

  const setKey = (buffer, key) => {
    if (key === undefined || key === null) apply(remove, keys, [buffer]);
    else apply(set, keys, [buffer, key]);
  };
  // 0 if the buffer has no key, 1 if its key is `key`, 2 if it is another.
  const checkKey = (buffer, key) => {
    const expected = apply(get, keys, [buffer]);
    return expected === undefined ? 0 : expected === key ? 1 : 2;
  };
  // `new ArrayBuffer` and `new SharedArrayBuffer`, even if script has replaced these names.
  const allocate = (isShared, byteLength, maxByteLength) => {
    const New = isShared ? NewSharedArrayBuffer : NewArrayBuffer;
    return maxByteLength < 0 ? new New(byteLength) : new New(byteLength, { maxByteLength });
  };
  const read = (buffer, index) => new NewUint8Array(buffer)[index];
  const write = (buffer, index, value) => {
    new NewUint8Array(buffer)[index] = value;
  };
  return [setKey, checkKey, allocate, read, write];
};
