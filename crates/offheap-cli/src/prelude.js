// What `nativeModule` is in script, on any engine. The value is a function that an engine's glue calls before any other
// script, with its primitives: functions that it defines, which see the object `internals` below as `this`. An object of
// script knows native memory by a number that only this file and the glue see. It returns what `inspect.js` needs.
(primitives, maps, args) => {
  "use strict";
  const { defineProperty, defineProperties, freeze } = Object;
  const secret = Symbol("offheap");

  class NativeMemoryError extends Error {
    constructor(message, code) {
      super(message);
      defineProperty(this, "code", { value: code, enumerable: true });
    }
  }
  defineProperty(NativeMemoryError.prototype, "name", { value: "NativeMemoryError", configurable: true });

  const classes = { __proto__: null, Error, TypeError, RangeError, NativeMemoryError };
  // The frames of this file are nobody's business.
  const frames = (stack) => String(stack).split("\n").filter((line) => line && !/(\(|at )offheap:/.test(line));

  const internals = {
    __proto__: null,
    fail(name, message, code) {
      const error = new classes[name](message, code);
      Error.captureStackTrace?.(error, internals.fail);
      const own = frames(error.stack).join("\n");
      return defineProperty(error, "stack", { value: own, writable: true, configurable: true });
    },
    memory: (described) => new NativeMemory(secret, described),
    external: (described) => new ExternalizedBuffer(secret, described),
    idOf: (value) => NativeMemory.idOf(value),
  };
  const native = { __proto__: null };
  for (const name of Object.keys(primitives)) {
    const bound = primitives[name].bind(internals);
    native[name] = defineProperty(bound, "name", { value: name });
  }
  // A wrapper that is gone needs no entry in the table of memory any more; its memory stays what it was.
  const wrappers = new FinalizationRegistry(native.forget);

  const construct = (token) => {
    if (token !== secret) throw new TypeError("Illegal constructor; use nativeModule.allocateMemory(byteLength)");
  };

  // A length that changes is asked for each time; what was freed or released keeps its last one.
  const define = (object, { id, byteLength, maxByteLength, shared, address }) => {
    const present = () => byteLength = native.byteLength(id) ?? byteLength;
    defineProperties(object, {
      byteLength: { ...maxByteLength === undefined ? { value: byteLength } : { get: present }, enumerable: true },
      maxByteLength: { value: maxByteLength ?? byteLength, enumerable: true },
      shared: { value: shared, enumerable: true },
      address: { value: address, enumerable: true },
    });
  };

  class NativeMemory {
    #id;
    constructor(token, described) {
      construct(token);
      this.#id = described.id;
      define(this, described);
      wrappers.register(this, described.id);
    }
    static idOf(value) {
      return typeof value === "object" && value !== null && #id in value ? value.#id : undefined;
    }
    get freed() {
      return native.freed(this.#id);
    }
    // `new ArrayBuffer(memory, 0, 1024)` asks for a number here, and would make an empty buffer of NaN.
    [Symbol.toPrimitive]() {
      throw internals.fail(
        "TypeError",
        "native memory is not a number, and `new ArrayBuffer` makes new memory of a length; " +
          "for a buffer over this memory call nativeModule.arrayBuffer(memory, 0, 1024)",
      );
    }
  }

  class ExternalizedBuffer {
    #id;
    constructor(token, described) {
      construct(token);
      this.#id = described.id;
      define(this, described);
    }
    static isOne(object) {
      return #id in object;
    }
    read(from, to) {
      return native.read(this.#id, from, to);
    }
    write(from, bytes) {
      const source = bytesOf(bytes);
      native.checkWrite(this.#id, from, source.length);
      // Words, since they cross to native code one by one.
      for (let at = 0; at < source.length; at += 65536) {
        const part = source.subarray(at, at + 65536);
        const words = new Uint32Array(Math.ceil(part.length / 4));
        new Uint8Array(words.buffer).set(part);
        native.write(this.#id, from + at, words, part.length);
      }
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
  }
  for (const { prototype } of [NativeMemory, ExternalizedBuffer]) {
    defineProperty(prototype, Symbol.toStringTag, { value: prototype.constructor.name, configurable: true });
  }

  const bytesOf = (value) => {
    if (value instanceof Uint8Array) return value;
    if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return new Uint8Array(value);
    throw internals.fail("TypeError", "the bytes to write are no typed array, DataView or ArrayBuffer; pass one");
  };

  const mapped = { __proto__: null };
  for (const map of maps) defineProperty(mapped, map.name, { value: internals.memory(map), enumerable: true });

  const { allocateMemory, arrayBuffer, externalizeBuffer, free, detach, gc, stats } = native;
  const nativeModule = freeze({
    mapped: freeze(mapped), args: freeze(args),
    allocateMemory, arrayBuffer, externalizeBuffer, free, detach, gc, stats, NativeMemoryError,
  });

  defineProperty(globalThis, "nativeModule", { value: nativeModule, writable: true, configurable: true });

  // What `console` says of an object that only this file knows: its class and what it shows; `undefined` of any other.
  const describe = (object) => {
    const isMemory = NativeMemory.idOf(object) !== undefined;
    if (!isMemory && !ExternalizedBuffer.isOne(object)) return undefined;
    const { byteLength, maxByteLength, shared, address } = object;
    const shown = { __proto__: null, name: "ExternalizedBuffer", byteLength, maxByteLength, shared, address };
    return isMemory ? { ...shown, __proto__: null, name: "NativeMemory", freed: object.freed } : shown;
  };
  return { __proto__: null, print: native.print, describe };
};
