// What `nativeModule` and `console` are in script, on any engine. The value is a function that an engine's glue calls
// before any other script, with its primitives: functions that it defines, which see the object `internals` below as
// `this`. An object of script knows native memory by a number that only this file and the glue see.
(primitives, maps, args) => {
  "use strict";
  const { defineProperty, defineProperties, freeze } = Object;
  const errorToString = Error.prototype.toString;
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

  // What `console` prints of a value that is no string.

  const MOST_ITEMS = 100, MOST_BYTES = 16, DEEPEST = 4;
  const hex = (number) => "0x" + number.toString(16);
  const list = (open, items, close) => items.length ? `${open} ${items.join(", ")} ${close}` : open + close;
  const more = (count) => count > 0 ? [`... ${count} more`] : [];

  const inspectError = (error) => {
    const header = errorToString.call(error);
    let lines = frames(error.stack ?? "");
    // V8's stacks begin with the error's text.
    if (lines.length && header.startsWith(lines[0])) lines = lines.slice(header.split("\n").length);
    const cause = "cause" in error ? [`  [cause]: ${inspect(error.cause)}`] : [];
    return [header, ...lines, ...cause].join("\n");
  };
  const inspectBuffer = (buffer) => {
    const marks = ["immutable", "resizable", "growable", "detached"].filter((mark) => buffer[mark] === true);
    return `${buffer[Symbol.toStringTag]} { ${[`byteLength: ${buffer.byteLength}`, ...marks].join(", ")} }`;
  };
  const inspectNative = (name, native, rest) => {
    const { byteLength, maxByteLength, shared, address } = native;
    const marks = [...maxByteLength === byteLength ? [] : [`maxByteLength: ${maxByteLength}`], ...shared ? ["shared"] : []];
    return `${name} { ${[`byteLength: ${byteLength}`, ...marks, `address: ${hex(address)}`, ...rest].join(", ")} }`;
  };
  const inspectView = (view) => {
    const name = view[Symbol.toStringTag];
    if (view instanceof DataView) return `DataView { byteLength: ${view.byteLength} }`;
    const items = Array.from(view.subarray(0, MOST_BYTES), String);
    return list(`${name}(${view.length}) [`, [...items, ...more(view.length - MOST_BYTES)], "]");
  };
  const inspectProperties = (object, inside) => {
    const keys = Reflect.ownKeys(object).filter((key) => Object.prototype.propertyIsEnumerable.call(object, key));
    const items = keys.slice(0, MOST_ITEMS).map((key) => {
      const name = typeof key === "symbol" ? `[${String(key)}]` : /^[A-Za-z_$][\w$]*$/.test(key) ? key : JSON.stringify(key);
      const property = Object.getOwnPropertyDescriptor(object, key);
      return `${name}: ${"value" in property ? inspect(property.value, inside) : "[Getter]"}`;
    });
    return [...items, ...more(keys.length - MOST_ITEMS)];
  };
  const inspectObject = (object, outside) => {
    if (outside.includes(object)) return "[Circular]";
    const inside = [...outside, object];
    if (object instanceof Error) return inspectError(object);
    if (object instanceof ArrayBuffer || object instanceof SharedArrayBuffer) return inspectBuffer(object);
    if (ArrayBuffer.isView(object)) return inspectView(object);
    if (object instanceof Date || object instanceof RegExp) return String(object);
    if (NativeMemory.idOf(object) !== undefined) return inspectNative("NativeMemory", object, [`freed: ${object.freed}`]);
    if (object instanceof ExternalizedBuffer) return inspectNative("ExternalizedBuffer", object, []);
    if (inside.length > DEEPEST) return Array.isArray(object) ? "[Array]" : "[Object]";
    if (Array.isArray(object)) {
      const items = object.slice(0, MOST_ITEMS).map((item) => inspect(item, inside));
      return list("[", [...items, ...more(object.length - MOST_ITEMS)], "]");
    }
    if (object instanceof Map) {
      const items = [...object].map(([key, value]) => `${inspect(key, inside)} => ${inspect(value, inside)}`);
      return list(`Map(${object.size}) {`, items, "}");
    }
    if (object instanceof Set) {
      return list(`Set(${object.size}) {`, [...object].map((value) => inspect(value, inside)), "}");
    }
    const prototype = Object.getPrototypeOf(object);
    const name = prototype === null || prototype === Object.prototype ? "" : prototype.constructor?.name ?? "";
    return list(name ? `${name} {` : "{", inspectProperties(object, inside), "}");
  };
  function inspect(value, outside = []) {
    switch (typeof value) {
      case "string": return JSON.stringify(value);
      case "bigint": return `${value}n`;
      case "number": return Object.is(value, -0) ? "-0" : String(value);
      case "function": return /^class\b/.test(Function.prototype.toString.call(value))
        ? `[class ${value.name || "(anonymous)"}]` : `[Function: ${value.name || "(anonymous)"}]`;
      case "object": return value === null ? "null" : inspectObject(value, outside);
      default: return String(value);
    }
  }
  const show = (value) => typeof value === "string" ? value : inspect(value);

  const print = (isError) => (...values) => native.print(isError, values.map(show).join(" ").toWellFormed());
  const console = {};
  for (const name of ["log", "info", "debug", "warn", "error"]) {
    const method = print(name === "warn" || name === "error");
    console[name] = defineProperty(method, "name", { value: name });
  }
  for (const [name, value] of [["nativeModule", nativeModule], ["console", console]]) {
    defineProperty(globalThis, name, { value, writable: true, configurable: true });
  }
  return (value) => show(value).toWellFormed();
};
