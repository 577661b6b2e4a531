// Defines `nativeModule`, on any engine. The value of this script is a function. An engine's glue calls it before any other
// script, with native functions, the primitives, which get the object `internals` below as `this`. Objects of script name
// native memory by a number that only this file and the glue see. The function returns what `inspect.js` needs.
//
// Script may replace everything that is not defined here, and everything that the objects here inherit. So no function below
// looks up a global or calls a method, except of an object without a prototype; there is no `instanceof`, no spread, and no
// destructuring of a list; and property descriptors inherit nothing.
(primitives, maps, args) => {
  "use strict";
  const { apply, construct, defineProperty } = Reflect;
  const { freeze } = Object;
  const { captureStackTrace } = Error;
  const PlainError = Error, NotConstructed = TypeError;
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
      // Not `new NativeMemoryError`, which calls the prototype of the class, and script may change that.
      const error = construct(classes[name] ?? PlainError, [message], classes[name] ?? NativeMemoryError);
      if (code !== undefined) show(error, "code", code);
      // V8 leaves out the frames above the class, but the class is not on the stack; so the frames of this file are left out
      // here.
      if (captureStackTrace) apply(captureStackTrace, PlainError, [error, internals.fail]);
      return error;
    },
    memory: (id, byteLength, maxByteLength, shared, address) =>
      new NativeMemory(secret, id, byteLength, maxByteLength, shared, address),
    external: (id, byteLength, maxByteLength, shared, address) =>
      new ExternalizedBuffer(secret, id, byteLength, maxByteLength, shared, address),
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

  // A length that can change is asked for each time. Memory that was freed, and a released reference, keep the last one.
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

  // Errors for calls that look for a number or for elements and would take a missing one for 0: `new ArrayBuffer(memory)`,
  // `new Uint8Array(memory)`, `bytes.set(memory)`.
  const failed = (message) => internals.fail("TypeError", message);
  const notANumber = (what, instead) =>
    failed(what + " is not a number, and `new ArrayBuffer` makes new memory of a length; for a buffer over " + instead);
  const memoryHasNoElements = () =>
    failed("native memory has no elements; make a view: new Uint8Array(nativeModule.arrayBuffer(memory))");
  const referenceHasNoElements = () =>
    failed("a reference has no elements; call its read(), or make a view: new Uint8Array of its arrayBuffer()");

  // These are not static methods, because script can reach the class through `constructor`.
  let idOf, keepFreed, freedOf, isExternal;
  class NativeMemory {
    #id;
    // The record of the free, for the errors of later uses: five numbers, which only native code reads.
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

  // The class and the visible properties of native memory or a reference, for `console`; `undefined` of any other object.
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
