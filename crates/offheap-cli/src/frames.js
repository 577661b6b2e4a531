// The stacks of errors, made of the engine's call sites and not of its text, so that no name of a function or a file passes
// for a frame. The value is a function that an engine's glue calls before any other script; it returns what `inspect.js`
// asks of an engine. `format` is called by the engine for each stack: by QuickJS when an error is made, through `trace`,
// which needs no room on the stack that QuickJS counts, so that the call sites stay as they are where `format` has none;
// by V8 when a stack is asked for. As in `inspect.js`, nothing that script can replace is called.
(host) => {
  "use strict";
  const { isProxy, columnOf, trace } = host;
  const isQuickJs = trace !== undefined;
  const { apply, getOwnPropertyDescriptor, getPrototypeOf } = Reflect;
  const { defineProperty, is: isSame } = Object;
  const { isArray } = Array;
  const OwnError = Error;
  const { isError } = Error;
  const { charCodeAt, endsWith, includes, padStart, slice, startsWith } = String.prototype;
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
  // A name that could be read as a place stands in quotes.
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

  const quickJsFrame = (site, isUnparsed) => {
    const name = nameOf(apply(getFunctionName, site, []) || "<anonymous>");
    if (apply(isNative, site, [])) return name + " (native)";
    const file = apply(getFileName, site, []) ?? "", line = apply(getLineNumber, site, []);
    if (apply(startsWith, file, ["offheap:"])) return undefined;
    const column = columnOf(file, line, apply(getColumnNumber, site, []), isUnparsed);
    const place = visible(file) + ":" + line + ":" + column;
    return isUnparsed ? place : name + " (" + place + ")";
  };
  // V8 says more of a function than its name: `new`, `async`, whose method it is.
  const v8Frame = (site) => {
    const file = apply(getScriptNameOrSourceURL, site, []) ?? "", text = apply(siteToString, site, []);
    if (apply(startsWith, file, ["offheap:"])) return undefined;
    const place = " (" + file + ":" + apply(getLineNumber, site, []) + ":" + apply(getColumnNumber, site, []) + ")";
    if (!apply(endsWith, text, [place])) return visible(text);
    return nameOf(apply(slice, text, [0, -place.length])) + visible(place);
  };
  const frame = isQuickJs ? quickJsFrame : v8Frame;
  const isOfEngine = (site) => isQuickJs ? apply(isNative, site, []) : !apply(getScriptNameOrSourceURL, site, []);
  // What does not parse has a place, and no function; QuickJS says of it only that.
  const isUnparsed = (error, sites) => isQuickJs && sites.length === 1 && isError(error) &&
    getPrototypeOf(error) === SyntaxErrorPrototype && apply(getFunctionName, sites[0], []) === null;
  // Without the frames of the command, and of functions of the engine that those called.
  const textOf = (error, sites) => {
    let text = "", ofEngine = "";
    for (let at = 0; at < sites.length; at++) {
      const shown = frame(sites[at], isUnparsed(error, sites));
      if (shown === undefined) {
        ofEngine = "";
        continue;
      }
      const line = "    at " + shown + "\n";
      if (isOfEngine(sites[at])) {
        ofEngine += line;
      } else {
        text += ofEngine + line;
        ofEngine = "";
      }
    }
    return apply(slice, text + ofEngine, [0, -1]);
  };

  // The frames of what `framesOf` and `placeOf` cannot ask the engine for: of objects that are no errors, of errors whose
  // stack script made itself, and on V8 of every error; and of the primitive value that was thrown last.
  const places = new WeakMap();
  const NONE = {};
  let thrown = NONE, thrownAt = "";
  // What script set to make stacks, which is not called where only the command asks for one.
  let custom, isAsking = false;
  const engine = { isProxy };
  const format = (error, sites) => {
    const text = textOf(error, sites);
    const isObject = typeof error === "object" && error !== null || typeof error === "function";
    thrown = isObject ? NONE : error;
    thrownAt = isObject ? "" : text;
    if (isObject && !(isQuickJs && custom === undefined && isError(error))) apply(remember, places, [error, text]);
    if (custom !== undefined && !isAsking) return apply(custom, OwnError, [error, sites]);
    // As each engine has it.
    if (isQuickJs) return text === "" ? "" : text + "\n";
    const header = engine.headerOf(error);
    return text === "" ? header : header + "\n" + text;
  };

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
      const stack = apply(getStack, this, []);
      return isArray(stack) && apply(recall, places, [this]) === undefined ? textOf(this, stack) + "\n" : stack;
    };
    defineProperty(Error.prototype, "stack", { get, set: setStack });
  }

  engine.format = format;
  engine.placeOf = (value) => isSame(thrown, value) ? thrownAt : apply(recall, places, [value]) ?? "";
  const ask = (error) => {
    isAsking = true;
    try {
      return apply(getStack, error, []);
    } finally {
      isAsking = false;
    }
  };
  engine.framesOf = (error) => {
    const known = apply(recall, places, [error]);
    if (known !== undefined) return known;
    const stack = ask(error);
    if (!isQuickJs) return apply(recall, places, [error]) ?? "";
    return typeof stack === "string" ? apply(slice, stack, [0, -1]) : isArray(stack) ? textOf(error, stack) : "";
  };
  return engine;
};
