// Defines `console`, and describes values that nobody caught, on any engine. The value of this script is a function. An
// engine's glue calls it before any other script, with what `prelude.js` and `frames.js` returned. It returns the function
// that describes a thrown value.
//
// Nothing here runs code of script: no getter, no trap of a Proxy, no method that script may have replaced. So nothing
// here iterates, calls a method of a value, assigns to an index, or has a template literal, for which QuickJS looks up
// `String.prototype.concat`. `apply` calls functions that were taken from the realm before script ran in it.
(given, engine) => {
  "use strict";
  const { print: printLine, describe } = given;
  const { isProxy, framesOf } = engine;
  const { apply, ownKeys, getOwnPropertyDescriptor, getPrototypeOf } = Reflect;
  const { defineProperty, hasOwn, is: isSame } = Object;
  const { isArray } = Array;
  const { isError } = Error;
  const { stringify } = JSON;
  const String = globalThis.String;
  const ErrorPrototype = Error.prototype, ObjectPrototype = Object.prototype;
  const { charCodeAt, slice, startsWith, toWellFormed, padStart } = String.prototype;
  const numberToString = Number.prototype.toString, functionToString = Function.prototype.toString;
  const dateToString = Date.prototype.toString;
  const mapEntries = Map.prototype.entries, setValues = Set.prototype.values;
  const nextOfMap = getPrototypeOf(new Map().entries()).next, nextOfSet = getPrototypeOf(new Set().values()).next;
  const getter = (prototype, name) => getOwnPropertyDescriptor(prototype, name)?.get;
  const TypedArrayPrototype = getPrototypeOf(Uint8Array.prototype);
  const nameOfTypedArray = getter(TypedArrayPrototype, Symbol.toStringTag);
  const lengthOfTypedArray = getter(TypedArrayPrototype, "length");
  const bufferOfDataView = getter(DataView.prototype, "buffer"), lengthOfDataView = getter(DataView.prototype, "byteLength");
  const sizeOfMap = getter(Map.prototype, "size"), sizeOfSet = getter(Set.prototype, "size");
  // Only QuickJS has these. Their getters are the engine's own.
  const ExceptionPrototype = globalThis.DOMException?.prototype ?? {};
  const nameOfException = getter(ExceptionPrototype, "name"), messageOfException = getter(ExceptionPrototype, "message");
  const sourceOfRegExp = getter(RegExp.prototype, "source");
  const sort = (name, { prototype }, marks) => {
    const known = { __proto__: null, name, byteLength: getter(prototype, "byteLength"), markCount: marks.length };
    for (let at = 0; at < marks.length; at++) known[at] = { mark: marks[at], get: getter(prototype, marks[at]) };
    return known;
  };
  const PLAIN = sort("ArrayBuffer", ArrayBuffer, ["immutable", "resizable", "detached"]);
  const SHARED = sort("SharedArrayBuffer", SharedArrayBuffer, ["growable"]);
  const FLAGS = "dgimsuvy";
  const flagGetters = { __proto__: null };
  for (const [flag, name] of Object.entries({
    d: "hasIndices", g: "global", i: "ignoreCase", m: "multiline", s: "dotAll", u: "unicode", v: "unicodeSets", y: "sticky",
  })) flagGetters[flag] = getter(RegExp.prototype, name);

  // The limits of what is shown: items of an object, its bytes, values in one call, characters of a text inside of a value,
  // levels, and prototypes that are looked at.
  const MOST_ITEMS = 100, MOST_BYTES = 16, MOST_VALUES = 10000, MOST_CHARACTERS = 10000, DEEPEST = 4, MOST_PROTOTYPES = 100;
  const LARGEST_BITS = 2n ** 18n;
  // How many values the present call may still show, and whether it has shown the stack of the value itself.
  let valuesLeft = 0, framesShown = false;

  const hex = (number, digits) => apply(padStart, apply(numberToString, number, [16]), [digits, "0"]);
  const isControl = (code) =>
    code < 0x20 && code !== 0x09 || code >= 0x7f && code < 0xa0 || code >= 0x202a && code <= 0x202e ||
    code >= 0x2066 && code <= 0x2069 || code === 0x2028 || code === 0x2029;
  const escaped = (code) => code < 0x100 ? "\\x" + hex(code, 2) : "\\u" + hex(code, 4);

  // Escapes a text of script's, so that it moves no cursor and changes no colour, and cuts it off where it is too long.
  // `newLine` replaces the end of a line.
  const visible = (text, newLine = "\\n") => {
    let shown = "", from = 0;
    const length = text.length < MOST_CHARACTERS ? text.length : MOST_CHARACTERS;
    for (let at = 0; at < length; at++) {
      const code = apply(charCodeAt, text, [at]);
      if (!isControl(code)) continue;
      shown += apply(slice, text, [from, at]) + (code === 0x0a ? newLine : escaped(code));
      from = at + 1;
    }
    shown += apply(slice, text, [from, length]);
    return text.length > length ? shown + "... " + (text.length - length) + " more characters" : shown;
  };
  const message = (text) => visible(text, "\n    | ");
  const quoted = (text) => {
    if (text.length <= MOST_CHARACTERS) return visible(stringify(text));
    const rest = text.length - MOST_CHARACTERS;
    return visible(stringify(apply(slice, text, [0, MOST_CHARACTERS]))) + "... " + rest + " more characters";
  };

  // These stand for values that are missing, that only a call of script's code could give, or that do not exist yet.
  const NOTHING = { __proto__: null, text: "<empty>" }, GETTER = { __proto__: null, text: "[Getter]" };
  const UNREADY = { __proto__: null, text: "<uninitialized>" };

  const property = (object, key) => {
    try {
      const found = getOwnPropertyDescriptor(object, key);
      if (found === undefined) return { __proto__: null, value: NOTHING, isEnumerable: false };
      return { __proto__: null, value: hasOwn(found, "value") ? found.value : GETTER, isEnumerable: found.enumerable };
    } catch {
      // An export of a module that has not run yet.
      return { __proto__: null, value: UNREADY, isEnumerable: true };
    }
  };
  // Like `object[key]`, but runs no code of script.
  const lookup = (object, key) => {
    for (let left = MOST_PROTOTYPES; object !== null && left > 0 && !isProxy(object); left--) {
      const { value } = property(object, key);
      if (value !== NOTHING) return value;
      object = getPrototypeOf(object);
    }
    return NOTHING;
  };
  const inherits = (object, prototype) => {
    for (let left = MOST_PROTOTYPES; object !== null && left > 0 && !isProxy(object); left--) {
      if (object === prototype) return true;
      object = getPrototypeOf(object);
    }
    return false;
  };
  // The result of a getter or method of the engine; `undefined` where `object` is not of its class.
  const ask = (method, object) => {
    try {
      return method === undefined ? undefined : apply(method, object, []);
    } catch {
      return undefined;
    }
  };

  // Items between two brackets.
  const list = (open, close) => ({ __proto__: null, open, close, items: "" });
  const add = (list, item) => {
    list.items += list.items === "" ? item : ", " + item;
  };
  const addMore = (list, count) => {
    if (count > 0) add(list, "... " + count + " more");
  };
  const text = ({ open, close, items }) => items === "" ? open + close : open + " " + items + " " + close;

  const nameOf = (callable) => {
    const { value } = property(callable, "name");
    return typeof value === "string" && value !== "" ? visible(value) : "(anonymous)";
  };
  const className = (object) => {
    const made = lookup(object, "constructor");
    const name = typeof made === "function" && !isProxy(made) ? property(made, "name").value : NOTHING;
    return typeof name === "string" ? visible(name) : "";
  };

  const part = (value, fallback, asText) => {
    if (value === NOTHING || value === undefined) return fallback;
    if (value === GETTER || value === UNREADY) return value.text;
    if (typeof value === "object" && value !== null || typeof value === "function") return "[object]";
    return asText(String(value));
  };
  // Like `Error.prototype.toString`, but runs no code of script.
  const headerOf = (error, asText) => {
    let given = lookup(error, "name"), words = lookup(error, "message");
    if (given === GETTER) given = ask(nameOfException, error) ?? className(error);
    if (words === GETTER) words = ask(messageOfException, error) ?? GETTER;
    const name = part(given, "Error", asText);
    words = part(words, "", asText);
    return name && words ? name + ": " + words : name || words;
  };
  engine.headerOf = (error) => headerOf(error, (text) => text);
  const inspectError = (error, inside) => {
    const header = headerOf(error, message);
    if (inside.depth > DEEPEST) return header;
    const frames = ask(() => framesOf(error)) ?? "";
    if (inside.depth === 1) framesShown = frames !== "";
    const cause = property(error, "cause").value;
    const causes = cause === NOTHING ? "" : "\n  [cause]: " + inspect(cause, inside);
    return header + (frames === "" ? "" : "\n" + frames) + causes;
  };

  const inspectBuffer = (sort, object, byteLength) => {
    const shown = list(sort.name + " {", "}");
    add(shown, "byteLength: " + byteLength);
    for (let at = 0; at < sort.markCount; at++) if (ask(sort[at].get, object) === true) add(shown, sort[at].mark);
    return text(shown);
  };
  const inspectView = (name, view) => {
    const length = apply(lengthOfTypedArray, view, []);
    const shown = list(name + "(" + length + ") [", "]");
    for (let at = 0; at < length && at < MOST_BYTES; at++) add(shown, String(view[at]));
    addMore(shown, length - MOST_BYTES);
    return text(shown);
  };
  const inspectDataView = (view, buffer) => {
    const byteLength = ask(lengthOfDataView, view);
    if (byteLength !== undefined) return "DataView { byteLength: " + byteLength + " }";
    const isDetached = ask(PLAIN[2].get, buffer) === true;
    return "DataView { " + (isDetached ? "detached" : "out of bounds") + " }";
  };
  const inspectNative = ({ name, byteLength, maxByteLength, shared, address, freed }) => {
    const shown = list(name + " {", "}");
    add(shown, "byteLength: " + byteLength);
    if (maxByteLength !== byteLength) add(shown, "maxByteLength: " + maxByteLength);
    if (shared) add(shown, "shared");
    add(shown, "address: 0x" + hex(address, 0));
    if (freed !== undefined) add(shown, "freed: " + freed);
    return text(shown);
  };

  const inspectArray = (array, inside) => {
    const shown = list("[", "]");
    const length = property(array, "length").value;
    for (let at = 0; at < length && at < MOST_ITEMS; at++) add(shown, inspect(property(array, at).value, inside));
    addMore(shown, length - MOST_ITEMS);
    return text(shown);
  };
  const inspectMap = (map, size, inside) => {
    const shown = list("Map(" + size + ") {", "}");
    const entries = apply(mapEntries, map, []);
    for (let left = MOST_ITEMS; left > 0; left--) {
      const { done, value } = apply(nextOfMap, entries, []);
      if (done) break;
      add(shown, inspect(value[0], inside) + " => " + inspect(value[1], inside));
    }
    addMore(shown, size - MOST_ITEMS);
    return text(shown);
  };
  const inspectSet = (set, size, inside) => {
    const shown = list("Set(" + size + ") {", "}");
    const values = apply(setValues, set, []);
    for (let left = MOST_ITEMS; left > 0; left--) {
      const { done, value } = apply(nextOfSet, values, []);
      if (done) break;
      add(shown, inspect(value, inside));
    }
    addMore(shown, size - MOST_ITEMS);
    return text(shown);
  };
  const isIdentifier = (name) => {
    for (let at = 0; at < name.length; at++) {
      const code = apply(charCodeAt, name, [at]);
      const isDigit = code >= 0x30 && code <= 0x39;
      const isLetter = code >= 0x41 && code <= 0x5a || code >= 0x61 && code <= 0x7a || code === 0x5f || code === 0x24;
      if (!isLetter && !(isDigit && at > 0)) return false;
    }
    return name !== "";
  };
  const inspectProperties = (object, inside) => {
    const prototype = getPrototypeOf(object);
    const name = prototype === null || prototype === ObjectPrototype ? "" : className(prototype);
    const shown = list(name ? name + " {" : "{", "}");
    const keys = ownKeys(object);
    let count = 0;
    for (let at = 0; at < keys.length; at++) {
      const key = keys[at], { value, isEnumerable } = property(object, key);
      if (!isEnumerable || ++count > MOST_ITEMS) continue;
      const called = typeof key === "symbol" ? "[" + visible(String(key)) + "]" : isIdentifier(key) ? key : quoted(key);
      add(shown, called + ": " + inspect(value, inside));
    }
    addMore(shown, count - MOST_ITEMS);
    return text(shown);
  };

  // The description of an object that has internal slots, whatever its prototype is; `undefined` of any other object.
  const inspectBuiltIn = (object) => {
    let slot = ask(PLAIN.byteLength, object);
    if (slot !== undefined) return inspectBuffer(PLAIN, object, slot);
    slot = ask(SHARED.byteLength, object);
    if (slot !== undefined) return inspectBuffer(SHARED, object, slot);
    slot = apply(nameOfTypedArray, object, []);
    if (slot !== undefined) return inspectView(slot, object);
    slot = ask(bufferOfDataView, object);
    if (slot !== undefined) return inspectDataView(object, slot);
    slot = ask(dateToString, object);
    if (slot !== undefined) return slot;
    slot = ask(sourceOfRegExp, object);
    if (slot === undefined) return undefined;
    let flags = "";
    for (let at = 0; at < FLAGS.length; at++) if (ask(flagGetters[FLAGS[at]], object) === true) flags += FLAGS[at];
    return "/" + visible(slot) + "/" + flags;
  };
  const isWithin = (object, outside) => {
    for (; outside !== undefined; outside = outside.outside) if (outside.object === object) return true;
    return false;
  };
  const inspectObject = (object, outside) => {
    if (isProxy(object)) return "[Proxy]";
    if (isWithin(object, outside)) return "[Circular]";
    const inside = { __proto__: null, object, outside, depth: outside === undefined ? 1 : outside.depth + 1 };
    if (isError(object) || inherits(object, ErrorPrototype)) return inspectError(object, inside);
    if (isArray(object)) return inside.depth > DEEPEST ? "[Array]" : inspectArray(object, inside);
    const builtIn = inspectBuiltIn(object);
    if (builtIn !== undefined) return builtIn;
    const native = describe(object);
    if (native !== undefined) return inspectNative(native);
    if (inside.depth > DEEPEST) return "[Object]";
    const entryCount = ask(sizeOfMap, object), valueCount = ask(sizeOfSet, object);
    if (entryCount !== undefined) return inspectMap(object, entryCount, inside);
    if (valueCount !== undefined) return inspectSet(object, valueCount, inside);
    return inspectProperties(object, inside);
  };
  const inspectFunction = (value) => {
    if (isProxy(value)) return "[Proxy]";
    const source = apply(functionToString, value, []);
    const isClass = apply(startsWith, source, ["class"]) && !isIdentifier(apply(slice, source, [5, 6]));
    return isClass ? "[class " + nameOf(value) + "]" : "[Function: " + nameOf(value) + "]";
  };
  const inspectBigInt = (value) => {
    const beyond = value >> LARGEST_BITS;
    return beyond === 0n || beyond === -1n ? "" + value + "n" : "[BigInt of more than 262144 bits]";
  };
  // `outside` has the objects that the value is inside of, the innermost first.
  function inspect(value, outside) {
    if (--valuesLeft < 0) return "...";
    switch (typeof value) {
      case "string": return quoted(value);
      case "bigint": return inspectBigInt(value);
      case "number": return isSame(value, -0) ? "-0" : "" + value;
      case "function": return inspectFunction(value);
      case "object":
        if (value === NOTHING || value === GETTER || value === UNREADY) return value.text;
        return value === null ? "null" : inspectObject(value, outside);
      case "symbol": return visible(String(value));
      default: return "" + value;
    }
  }
  // `asText` describes a string.
  const inspectAll = (value) => inspect(value, undefined);
  const show = (value, asText) => {
    valuesLeft = MOST_VALUES;
    framesShown = false;
    try {
      if (typeof value === "string") return asText(value);
      return apply(toWellFormed, engine.withoutStacks(inspectAll, value), []);
    } catch {
      // There is no stack or no memory left.
      return "[" + typeof value + "]";
    }
  };
  const asItIs = (value) => apply(toWellFormed, value, []);
  const asMessage = (value) => apply(toWellFormed, message(value), []);

  const print = (isError) => (...values) => {
    let line = "";
    for (let at = 0; at < values.length; at++) line += (at === 0 ? "" : " ") + show(values[at], asItIs);
    printLine(isError, line);
  };
  const console = {};
  for (const name of ["log", "info", "debug", "warn", "error"]) {
    const method = print(name === "warn" || name === "error");
    console[name] = defineProperty(method, "name", { value: name });
  }
  defineProperty(globalThis, "console", { value: console, writable: true, configurable: true });
  // `thrownAt` is a place that the glue knows, or `true` if the engine can be asked for it. It is `undefined` if the value was
  // not thrown just now. The stack of an error says more than the place.
  return (value, thrownAt) => {
    const shown = show(value, asMessage);
    if (thrownAt === undefined || framesShown) return shown;
    const place = typeof thrownAt === "string" ? thrownAt : engine.placeOf(value);
    return place === "" ? shown : shown + "\n" + place;
  };
};
