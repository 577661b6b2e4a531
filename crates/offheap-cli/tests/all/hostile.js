// Runs `work` while everything that is reachable from the global object is hostile: each function and accessor of every
// object there is replaced, and `Object.prototype` has accessors that an object could inherit by mistake. `work` may use
// what it took before, operators, and `const`s, nothing else. Returns the names of what was called.
globalThis.withEverythingHostile = (() => {
  "use strict";
  const { defineProperty, deleteProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
  const isFunction = (value) => typeof value === "function";
  const isObject = (value) => isFunction(value) || typeof value === "object" && value !== null;

  const names = new Map();
  const find = (value, name) => {
    if (!isObject(value) || names.has(value) || value === nativeModule) return;
    names.set(value, name);
    find(getPrototypeOf(value), `${name}.__proto__`);
    for (const key of ownKeys(value)) {
      const { value: own, get, set } = getOwnPropertyDescriptor(value, key);
      const path = `${name}.${String(key)}`;
      find(own, path);
      find(get, path);
      find(set, path);
    }
  };
  const everything = () => {
    names.clear();
    find(globalThis, "globalThis");
    // What no global has as a property.
    for (const hidden of [
      [][Symbol.iterator](), new Map()[Symbol.iterator](), new Set()[Symbol.iterator](), ""[Symbol.iterator](),
      "".matchAll(/./g), (function* () {})(), (async () => {})(), (async function* () {})(), new Proxy({}, {}),
    ]) find(hidden, `hidden ${String(hidden)}`);
    find(nativeModule.NativeMemoryError, "NativeMemoryError");
    return [...names];
  };
  // What a descriptor, an options object or a list could inherit.
  const inherited = [
    "get", "set", "value", "writable", "enumerable", "configurable", "id", "byteLength", "maxByteLength", "address", "freed",
    "name", "code", "then", "idOf", "fail", "memory", "external", "view", "keepFreed", "freedAt", "0", "1", "2", "length",
  ];

  return (work) => {
    const objects = everything(), called = [], changes = [];
    // A new element of a list asks the prototypes for a setter first.
    Object.setPrototypeOf(called, null);
    let isHostile = false;
    const hostile = (path) => function replaced() {
      if (!isHostile) return undefined;
      called[called.length] = path;
      throw path;
    };
    // First all that is to be changed, and then the changes, which take away what makes a list of them.
    const change = (object, key, after) => {
      const before = getOwnPropertyDescriptor(object, key);
      if (before && !before.configurable && !before.writable) return;
      if (before) Object.setPrototypeOf(before, null);
      changes.push({ object, key, before, after: { __proto__: null, ...after } });
    };
    for (const [object, name] of objects) {
      for (const key of ownKeys(object)) {
        const path = `${name}.${String(key)}`, { value, get, set } = getOwnPropertyDescriptor(object, key);
        if (path === "globalThis.console" || path === "globalThis.nativeModule") continue;
        if (get || set) change(object, key, { get: hostile(`get ${path}`), set: hostile(`set ${path}`) });
        else if (isObject(value)) change(object, key, { value: hostile(path) });
      }
      if (isFunction(object) && object !== Function.prototype) {
        change(object, Symbol.hasInstance, { value: hostile(`instanceof ${name}`), configurable: true });
      }
    }
    for (const key of inherited) {
      const [get, set] = [hostile(`get inherited ${key}`), hostile(`set inherited ${key}`)];
      if (!getOwnPropertyDescriptor(Object.prototype, key)) change(Object.prototype, key, { get, set, configurable: true });
    }
    for (const symbol of [Symbol.split, Symbol.replace, Symbol.match, Symbol.species]) {
      change(String.prototype, symbol, { value: hostile(`String.prototype[${String(symbol)}]`), configurable: true });
    }
    for (let at = 0; at < changes.length; at++) defineProperty(changes[at].object, changes[at].key, changes[at].after);
    isHostile = true;
    try {
      work();
    } finally {
      isHostile = false;
      for (let at = changes.length - 1; at >= 0; at--) {
        const { object, key, before } = changes[at];
        if (before) defineProperty(object, key, before);
        else deleteProperty(object, key);
      }
    }
    return Object.setPrototypeOf(called, Array.prototype);
  };
})();
