// Makes the stacks of errors from the engine's call sites, not from the engine's text, in which the name of a function or a
// file could look like a frame. The value of this script is a function. An engine's glue calls it before any other script,
// with an object of functions: `isProxy`, and on QuickJS also `columnOf`, `trace` and `beQuiet`. It returns what `inspect.js`
// asks an engine.
//
// The engine calls `format` for each stack. V8 calls it when a stack is asked for. QuickJS calls `trace` when an error is made,
// and `trace` calls `format`. `trace` is native and takes no room on the stack that QuickJS counts; where there is no room for
// `format`, it leaves the call sites as they are. As in `inspect.js`, no function is called that script can replace.
(host) => {
  "use strict";
  const { isProxy, columnOf, trace, beQuiet } = host;
  const isQuickJs = trace !== undefined;
  const { apply, getOwnPropertyDescriptor, getPrototypeOf } = Reflect;
  const { defineProperty, is: isSame } = Object;
  const { isArray } = Array;
  const OwnError = Error;
  const { isError } = Error;
  const { charCodeAt, endsWith, includes, indexOf, padStart, slice, startsWith } = String.prototype;
  const { get: recall, set: remember } = WeakMap.prototype;
  const SyntaxErrorPrototype = SyntaxError.prototype;
  const numberToString = Number.prototype.toString;
  const stackOwner = isQuickJs ? Error.prototype : new Error();
  const { get: getStack, set: setStack } = getOwnPropertyDescriptor(stackOwner, "stack");
  const setPrepare = getOwnPropertyDescriptor(Error, "prepareStackTrace")?.set;

  const isControl = (code) =>
    code < 0x20 || code >= 0x7f && code < 0xa0 || code >= 0x2028 && code <= 0x202e || code >= 0x2066 && code <= 0x2069;
  const hex = (code, digits) => apply(padStart, apply(numberToString, code, [16]), [digits, "0"]);
  const escaped = (code) => code === 0x0a ? "\\n" : code < 0x100 ? "\\x" + hex(code, 2) : "\\u" + hex(code, 4);
  // A name that looks like a place is quoted.
  const visible = (name) => {
    let shown = "";
    for (let at = 0; at < name.length && at < 1000; at++) {
      const code = apply(charCodeAt, name, [at]);
      shown += isControl(code) ? escaped(code) : name[at];
    }
    return shown;
  };
  const nameOf = (name) => {
    const shown = visible(name);
    return apply(includes, shown, ["("]) || apply(includes, shown, [" at "]) ? '"' + shown + '"' : shown;
  };

  const sample = (() => {
    let sites;
    const take = (_, found) => sites = found;
    if (isQuickJs) apply(setPrepare, Error, [take]);
    else Error.prepareStackTrace = take;
    new Error().stack;
    return sites[0];
  })();
  const ofSite = getPrototypeOf(sample);
  const { isNative, getFileName, getFunctionName, getLineNumber, getColumnNumber } = ofSite;
  const { getScriptNameOrSourceURL, toString: siteToString } = ofSite;

  // Call sites are kept as a text, which keeps no function alive and costs little until the frames are needed. It has for each
  // call site: whether it is the engine's own, line and column, the lengths of name and file, name and file.
  const NONE_GIVEN = [];
  const fieldsOf = (isEngines, line, column, name, file) =>
    (isEngines ? "n" : "s") + line + " " + column + " " + name.length + " " + file.length + " " + name + file;
  const quickJsFields = (site) => {
    const name = apply(getFunctionName, site, NONE_GIVEN) ?? "";
    if (apply(isNative, site, NONE_GIVEN)) return fieldsOf(true, 0, 0, name, "");
    const file = apply(getFileName, site, NONE_GIVEN) ?? "", line = apply(getLineNumber, site, NONE_GIVEN);
    return fieldsOf(false, line, apply(getColumnNumber, site, NONE_GIVEN), name, file);
  };
  // V8's text has more than the name of a function: `new`, `async`, the class of a method.
  const v8Fields = (site) => {
    const file = apply(getScriptNameOrSourceURL, site, NONE_GIVEN) ?? "", text = apply(siteToString, site, NONE_GIVEN);
    const line = apply(getLineNumber, site, NONE_GIVEN) ?? 0, column = apply(getColumnNumber, site, NONE_GIVEN) ?? 0;
    const place = file + ":" + line + ":" + column;
    const name = apply(endsWith, text, [" (" + place + ")"]) ? apply(slice, text, [0, -place.length - 3])
      : text === place ? "" : text;
    return fieldsOf(file === "", line, column, name, file);
  };
  const take = (sites) => {
    let taken = "";
    for (let at = 0; at < sites.length; at++) taken += isQuickJs ? quickJsFields(sites[at]) : v8Fields(sites[at]);
    return taken;
  };

  // An error in a text that does not parse has a place and no function. QuickJS has one call site for it.
  const isUnparsed = (error, name, isOnly) =>
    isQuickJs && isOnly && name === "" && isError(error) && getPrototypeOf(error) === SyntaxErrorPrototype;
  // The text of a stack. `taken` is a result of `take`, or call sites. Frames of this crate's own scripts are left out, with
  // those of engine functions that they called.
  const textOf = (error, taken) => {
    if (isArray(taken)) taken = take(taken);
    let text = "", ofEngine = "", at = 0;
    const number = () => {
      const end = apply(indexOf, taken, [" ", at]), digits = apply(slice, taken, [at, end]);
      at = end < 0 ? taken.length : end + 1;
      return +digits;
    };
    while (at < taken.length) {
      const isEngines = taken[at++] === "n", line = number(), column = number();
      const nameEnd = number(), fileEnd = number(), from = at;
      const name = apply(slice, taken, [from, from + nameEnd]);
      const file = apply(slice, taken, [from + nameEnd, at = from + nameEnd + fileEnd]);
      if (apply(startsWith, file, ["offheap:"])) {
        ofEngine = "";
      } else if (isEngines) {
        ofEngine += "    at " + (isQuickJs ? nameOf(name || "<anonymous>") + " (native)" : visible(name)) + "\n";
      } else {
        const unparsed = isUnparsed(error, name, text === "" && at === taken.length);
        const place = visible(file) + ":" + line + ":" + (isQuickJs ? columnOf(file, line, column, unparsed) : column);
        const called = name === "" && isQuickJs && !unparsed ? "<anonymous>" : name;
        text += ofEngine + "    at " + (called === "" ? place : nameOf(called) + " (" + place + ")") + "\n";
        ofEngine = "";
      }
    }
    return apply(slice, text + ofEngine, [0, -1]);
  };

  // The call sites of values that `framesOf` and `placeOf` cannot ask the engine about: objects that are not errors, errors
  // whose stack script made itself, and on V8 every error. `thrown` is the primitive value that was thrown last.
  const places = new WeakMap();
  const NONE = {};
  let thrown = NONE, thrownAt = "";
  // The function that script set as `Error.prepareStackTrace`. It is not called for a stack that only `inspect.js` asks for.
  let custom, isAsking = false;
  const engine = { isProxy };
  const format = (error, sites) => {
    const taken = take(sites);
    const isObject = typeof error === "object" && error !== null || typeof error === "function";
    thrown = isObject ? NONE : error;
    thrownAt = isObject ? "" : taken;
    if (!isObject) return "";
    if (isQuickJs && custom === undefined && isError(error)) {
      // An error has no stack while it is made. If it has one, this call is for `captureStackTrace`, which needs the text.
      return apply(getStack, error, NONE_GIVEN) === undefined ? taken : ended(textOf(error, taken));
    }
    apply(remember, places, [error, taken]);
    if (custom !== undefined && !isAsking) return apply(custom, OwnError, [error, sites]);
    // Each engine has its own form.
    const text = textOf(error, taken);
    if (isQuickJs) return ended(text);
    const header = engine.headerOf(error);
    return text === "" ? header : header + "\n" + text;
  };
  const ended = (text) => text === "" ? "" : text + "\n";

  if (isQuickJs) apply(setPrepare, Error, [trace]);
  defineProperty(Error, "prepareStackTrace", {
    get: () => format,
    set: (given) => {
      custom = typeof given === "function" && given !== format ? given : undefined;
    },
    configurable: false,
  });
  if (isQuickJs) {
    const get = function () {
      const stack = apply(getStack, this, NONE_GIVEN);
      const isTaken = (typeof stack === "string" || isArray(stack)) && apply(recall, places, [this]) === undefined;
      return isTaken ? ended(textOf(this, stack)) : stack;
    };
    defineProperty(Error.prototype, "stack", { get, set: setStack });
  }

  engine.format = format;
  engine.placeOf = (value) => textOf(value, isSame(thrown, value) ? thrownAt : apply(recall, places, [value]) ?? "");
  const ask = (error) => {
    isAsking = true;
    try {
      return apply(getStack, error, NONE_GIVEN);
    } finally {
      isAsking = false;
    }
  };
  engine.framesOf = (error) => {
    const known = apply(recall, places, [error]);
    if (known !== undefined) return textOf(error, known);
    const stack = ask(error), taken = isQuickJs ? stack : apply(recall, places, [error]);
    return typeof taken === "string" || isArray(taken) ? textOf(error, taken) : "";
  };
  // Calls `run` without making stacks for what it throws and catches, where a stack costs time. `beQuiet` is native and takes no
  // room on the stack that QuickJS counts.
  engine.withoutStacks = (run, value) => {
    if (!isQuickJs) return run(value);
    beQuiet(true);
    try {
      return run(value);
    } finally {
      beQuiet(false);
    }
  };
  return engine;
};
