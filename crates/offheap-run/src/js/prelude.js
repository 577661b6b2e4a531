// What `nativeModule` is in script, on any engine. The value is a function that an engine's glue calls before any other
// script, with its primitives: functions that it defines, which see the object `internals` below as `this`. An object of
// script knows native memory by a number that only this file and the glue see. It returns what `inspect.js` needs.
//
// Script may replace everything that is not defined in here, and that the objects in here inherit. So nothing in a
// function below is looked up in a global or called as a method, except of an object without a prototype; there is no
// `instanceof`, no spread, no destructuring of a list; and what describes a property inherits nothing.
(primitives, maps, args) => {
  "use strict";
  const { apply, construct, defineProperty } = Reflect;
  const { freeze } = Object;
  const { captureStackTrace } = Error;
  const PlainError = Error, Bytes = Uint8Array, NotConstructed = TypeError;
  const secret = Symbol("offheap");
  const show = (object, name, value) => defineProperty(object, name, { __proto__: null, value, enumerable: true });

  class NativeMemoryError extends Error {
    constructor(message, code) {
      super(message);
      show(this, "code", code);
    }
  }
  defineProperty(NativeMemoryError.prototype, "name", { value: "NativeMemoryError", configurable: true });

  const classes = { __proto__: null, Error, TypeError, RangeError };

  const internals = {
    __proto__: null,
    fail(name, message, code) {
      // Not `new NativeMemoryError`: that asks the prototype of the class, which script may change, to make the error.
      const error = construct(classes[name] ?? PlainError, [message], classes[name] ?? NativeMemoryError);
      if (code !== undefined) show(error, "code", code);
      // V8 looks for the class on the stack, to leave out what made the error, and there it is not.
      if (captureStackTrace) apply(captureStackTrace, PlainError, [error, internals.fail]);
      return error;
    },
    memory: (id, byteLength, maxByteLength, shared, address) =>
      new NativeMemory(secret, id, byteLength, maxByteLength, shared, address),
    external: (id, byteLength, maxByteLength, shared, address) =>
      new ExternalizedBuffer(secret, id, byteLength, maxByteLength, shared, address),
    view: (buffer) => new Bytes(buffer),
    idOf: (value) => idOf(value),
    isExternal: (value) => isExternal(value),
    keepFreed: (memory, store, byteLength, address, allocated, freed) =>
      keepFreed(memory, [store, byteLength, address, allocated, freed]),
    freedAt: (memory, index) => freedOf(memory)?.[index],
  };
  const native = { __proto__: null };
  for (const name of Object.keys(primitives)) {
    const bound = primitives[name].bind(internals);
    native[name] = defineProperty(bound, "name", { value: name }) && bound;
  }

  const check = (token) => {
    if (token !== secret) throw new NotConstructed("Illegal constructor; use nativeModule.allocateMemory(byteLength)");
  };

  // A length that changes is asked for each time; what was freed or released keeps its last one.
  const define = (object, id, byteLength, maxByteLength, shared, address) => {
    if (maxByteLength === undefined) {
      show(object, "byteLength", byteLength);
    } else {
      const get = () => byteLength = native.byteLength(id) ?? byteLength;
      defineProperty(object, "byteLength", { __proto__: null, get, enumerable: true });
    }
    show(object, "maxByteLength", maxByteLength ?? byteLength);
    show(object, "shared", shared);
    show(object, "address", address);
  };

  // What would look for a number, or for elements, and take what it does not find for 0: `new ArrayBuffer(memory)`,
  // `new Uint8Array(memory)`, `bytes.set(memory)`.
  const failed = (message) => internals.fail("TypeError", message);
  const notANumber = (what, instead) =>
    failed(what + " is not a number, and `new ArrayBuffer` makes new memory of a length; for a buffer over " + instead);
  const memoryHasNoElements = () =>
    failed("native memory has no elements; make a view: new Uint8Array(nativeModule.arrayBuffer(memory))");
  const referenceHasNoElements = () =>
    failed("a reference has no elements; call its read(), or make a view: new Uint8Array of its arrayBuffer()");

  // Not static methods: script gets at the class, by the constructor of an object.
  let idOf, keepFreed, freedOf, isExternal;
  class NativeMemory {
    #id;
    // What the next use is told, once it was freed: five numbers, for native code only.
    #freed;
    constructor(token, id, byteLength, maxByteLength, shared, address) {
      check(token);
      this.#id = id;
      define(this, id, byteLength, maxByteLength, shared, address);
    }
    static {
      idOf = (value) => typeof value === "object" && value !== null && #id in value ? value.#id : undefined;
      keepFreed = (memory, numbers) => void (memory.#freed = numbers);
      freedOf = (memory) => memory.#freed;
    }
    get freed() {
      return native.freed(this.#id);
    }
    [Symbol.toPrimitive](hint) {
      if (hint === "number") throw notANumber("native memory", "this memory call nativeModule.arrayBuffer(memory)");
      throw hint === "string" ? failed("native memory is not a string; print memory.address or memory.byteLength")
        : failed("native memory is neither a string nor a number; use memory.address or memory.byteLength");
    }
    get [Symbol.iterator]() {
      throw memoryHasNoElements();
    }
    get length() {
      throw memoryHasNoElements();
    }
  }

  class ExternalizedBuffer {
    #id;
    constructor(token, id, byteLength, maxByteLength, shared, address) {
      check(token);
      this.#id = id;
      define(this, id, byteLength, maxByteLength, shared, address);
    }
    static {
      isExternal = (value) => typeof value === "object" && value !== null && #id in value;
    }
    read(from, to) {
      return native.read(this.#id, from, to);
    }
    write(from, bytes) {
      native.write(this.#id, from, bytes);
    }
    fill(value, from, to) {
      native.fill(this.#id, value, from, to);
    }
    arrayBuffer() {
      return native.externalArrayBuffer(this.#id);
    }
    release() {
      native.release(this.#id);
    }
    [Symbol.toPrimitive](hint) {
      if (hint === "number") throw notANumber("a reference", "its memory call its arrayBuffer()");
      throw hint === "string" ? failed("a reference is not a string; print its address or its byteLength")
        : failed("a reference is neither a string nor a number; use its address or its byteLength");
    }
    get [Symbol.iterator]() {
      throw referenceHasNoElements();
    }
    get length() {
      throw referenceHasNoElements();
    }
  }
  for (const { prototype } of [NativeMemory, ExternalizedBuffer]) {
    defineProperty(prototype, Symbol.toStringTag, { value: prototype.constructor.name, configurable: true });
  }

  const mapped = { __proto__: null };
  for (let index = 0; index < maps.length; index++) show(mapped, maps[index], native.map(index));

  const { allocateMemory, arrayBuffer, externalizeBuffer, free, detach, gc, stats } = native;
  const nativeModule = freeze({
    mapped: freeze(mapped), args: freeze(args),
    allocateMemory, arrayBuffer, externalizeBuffer, free, detach, gc, stats, NativeMemoryError,
  });

  defineProperty(globalThis, "nativeModule", { value: nativeModule, writable: true, configurable: true });

  // What `console` says of an object that only this file knows: its class and what it shows; `undefined` of any other.
  const describe = (object) => {
    const id = idOf(object);
    if (id === undefined && !isExternal(object)) return undefined;
    const { byteLength, maxByteLength, shared, address } = object;
    return id === undefined
      ? { __proto__: null, name: "ExternalizedBuffer", byteLength, maxByteLength, shared, address }
      : { __proto__: null, name: "NativeMemory", byteLength, maxByteLength, shared, address, freed: native.freed(id) };
  };
  return { __proto__: null, print: native.print, describe };
};
