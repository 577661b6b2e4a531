// What `console` prints, on any engine. The value is a function that an engine's glue calls before any other script, with
// what `prelude.js` returned; it returns the function that describes a value.
(given) => {
  "use strict";
  const { print: printLine, describe } = given;
  const { defineProperty } = Object;
  const errorToString = Error.prototype.toString;
  // The frames of this file are nobody's business.
  const frames = (stack) => String(stack).split("\n").filter((line) => line && !/(\(|at )offheap:/.test(line));

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
  const inspectNative = ({ name, byteLength, maxByteLength, shared, address, freed }) => {
    const rest = freed === undefined ? [] : [`freed: ${freed}`];
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
    const native = describe(object);
    if (native !== undefined) return inspectNative(native);
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

  const print = (isError) => (...values) => printLine(isError, values.map(show).join(" ").toWellFormed());
  const console = {};
  for (const name of ["log", "info", "debug", "warn", "error"]) {
    const method = print(name === "warn" || name === "error");
    console[name] = defineProperty(method, "name", { value: name });
  }
  defineProperty(globalThis, "console", { value: console, writable: true, configurable: true });
  return (value) => show(value).toWellFormed();
};
