// The verbs that a worker serves to the runner of the conformance suite. What they need of the global object is taken
// here, before any case runs script in the worker.
import { types } from 'node:util';
import { runInThisContext } from 'node:vm';

const { ArrayBuffer, SharedArrayBuffer, Uint8Array, DataView, WebAssembly, Error, JSON, Map, Number, String } = globalThis;
const { call } = Function.prototype;
const bound = (method) => method && call.bind(method);
const getter = (type, name) => bound(Object.getOwnPropertyDescriptor(type.prototype, name)?.get);

const TypedArray = Object.getPrototypeOf(Uint8Array);
const of = (type) => ({
  byteLength: getter(type, 'byteLength'),
  maxByteLength: getter(type, 'maxByteLength'),
  resizable: getter(type, 'resizable') ?? getter(type, 'growable'),
});
const unshared = of(ArrayBuffer);
const shared = of(SharedArrayBuffer);
const isDetached = getter(ArrayBuffer, 'detached');
const isImmutable = getter(ArrayBuffer, 'immutable');
const transfer = bound(ArrayBuffer.prototype.transfer);
const resize = bound(ArrayBuffer.prototype.resize);
const grow = bound(SharedArrayBuffer.prototype.grow);
const array = {
  buffer: getter(TypedArray, 'buffer'),
  byteOffset: getter(TypedArray, 'byteOffset'),
  byteLength: getter(TypedArray, 'byteLength'),
  name: getter(TypedArray, Symbol.toStringTag),
};
const view = {
  buffer: getter(DataView, 'buffer'),
  byteOffset: getter(DataView, 'byteOffset'),
  byteLength: getter(DataView, 'byteLength'),
};
const arrays = Object.fromEntries(
  ['Int8', 'Uint8', 'Uint8Clamped', 'Int16', 'Uint16', 'Int32', 'Uint32', 'Float16', 'Float32', 'Float64', 'BigInt64',
    'BigUint64'].map((name) => [`${name}Array`, globalThis[`${name}Array`]]),
);
const { isAnyArrayBuffer, isSharedArrayBuffer, isArrayBufferView, isTypedArray } = types;

const bun = globalThis.Bun;
const gc = bun ? () => bun.gc(true) : globalThis.gc;
const turn = () => new Promise((resolve) => setImmediate(resolve));
const wait = (time) => new Promise((resolve) => setTimeout(resolve, time));

// The objects that handles of the runner keep.
const table = new Map();
let last = 0;
const keep = (value) => {
  last += 1;
  table.set(last, value);
  return last;
};
const bufferOf = (object) => {
  if (!isArrayBufferView(object)) return object;
  return isTypedArray(object) ? array.buffer(object) : view.buffer(object);
};
const get = (root) => bufferOf(table.get(root));

class NotBuffer {
  constructor(value) {
    this.found = value === null ? 'null' : `a value of the type ${typeof value}`;
  }
}

const encode = (value) => {
  switch (typeof value) {
    case 'undefined': return 'undefined';
    case 'boolean': return { boolean: value };
    case 'number': return { number: Object.is(value, -0) ? '-0' : String(value) };
    case 'bigint': return { bigInt: String(value) };
    case 'string': return { string: value.toWellFormed ? value.toWellFormed() : value };
    case 'symbol': return { other: 'symbol' };
    default:
  }
  if (value === null) return 'null';
  const sort = isAnyArrayBuffer(value) ? 'buffer' : isArrayBufferView(value) ? 'view' : typeof value === 'function' ? 'function' : 'other';
  return { object: [sort, keep(value)] };
};
const decode = (wire) => {
  if (typeof wire === 'string') return wire === 'null' ? null : undefined;
  if ('object' in wire) return table.get(wire.object);
  if ('number' in wire) return Number(wire.number);
  if ('bigInt' in wire) return BigInt(wire.bigInt);
  return wire.boolean ?? wire.string;
};

const state = (buffer) => {
  if (isSharedArrayBuffer(buffer)) {
    const byteLength = shared.byteLength(buffer);
    const maxByteLength = shared.maxByteLength?.(buffer) ?? byteLength;
    return { byteLength, maxByteLength, detached: false, resizable: shared.resizable?.(buffer) ?? false, immutable: false, shared: true };
  }
  const byteLength = unshared.byteLength(buffer);
  const detached = isDetached ? isDetached(buffer) : isDetachedWithoutGetter(buffer);
  return {
    byteLength,
    maxByteLength: detached ? 0 : unshared.maxByteLength?.(buffer) ?? byteLength,
    detached,
    resizable: unshared.resizable?.(buffer) ?? false,
    immutable: isImmutable?.(buffer) ?? false,
    shared: false,
  };
};
const isDetachedWithoutGetter = (buffer) => {
  try {
    new Uint8Array(buffer);
    return false;
  } catch {
    return true;
  }
};

// The offset and length of a view; undefined if it is out of bounds, or its buffer is detached.
const place = (object) => {
  if (!isTypedArray(object)) {
    try {
      return [view.byteOffset(object), view.byteLength(object)];
    } catch {
      return undefined;
    }
  }
  const buffer = array.buffer(object);
  if (state(buffer).detached) return undefined;
  const [byteOffset, byteLength] = [array.byteOffset(object), array.byteLength(object)];
  // An array that is out of bounds has the offset and the length 0. So has an empty one, for which iterating works.
  if (byteOffset === 0 && byteLength === 0) {
    try {
      object.entries();
    } catch {
      return undefined;
    }
  }
  return [byteOffset, byteLength];
};

const verbs = {
  nothing: () => null,
  abilities: () => ({
    version: process.versions.v8 ?? process.version,
    resizable: unshared.resizable !== undefined && transfer !== undefined,
    wasm: WebAssembly !== undefined,
    generations: !bun && !globalThis.Deno,
    maxByteLength: Number.MAX_SAFE_INTEGER,
  }),
  evaluate: (source, filename) => encode(runInThisContext(source, { filename })),
  evaluateBuffer(source, filename) {
    const value = runInThisContext(source, { filename });
    if (!isAnyArrayBuffer(value) && !isArrayBufferView(value)) throw new NotBuffer(value);
    return keep(bufferOf(value));
  },
  evaluateView(source, filename) {
    const value = runInThisContext(source, { filename });
    if (!isArrayBufferView(value)) throw new NotBuffer(value);
    const [byteOffset, byteLength] = place(value) ?? [0, 0];
    const contents = byteLength === 0 ? [] : Array.from(new Uint8Array(bufferOf(value), byteOffset, byteLength));
    return { byteOffset, byteLength, contents };
  },
  global: (name) => encode(globalThis[name]),
  call: (root, values) => encode(Reflect.apply(table.get(root), undefined, values.map(decode))),
  setGlobal(name, value) {
    globalThis[name] = decode(value);
    return null;
  },
  allocate(byteLength, maxByteLength, isShared) {
    const type = isShared ? SharedArrayBuffer : ArrayBuffer;
    return keep(maxByteLength === null ? new type(byteLength) : new type(byteLength, { maxByteLength }));
  },
  typed: (root, name, byteOffset, length) => keep(new arrays[name](get(root), byteOffset, length)),
  window(root) {
    const object = table.get(root);
    const buffer = bufferOf(object);
    if (!isSharedArrayBuffer(buffer) && state(buffer).detached) return 'detached';
    if (object === buffer) return 'buffer';
    const placed = place(object);
    if (placed === undefined) return 'outOfBounds';
    return { view: { element: isTypedArray(object) ? array.name(object) : '', byte_offset: placed[0], byte_length: placed[1] } };
  },
  state: (root) => state(get(root)),
  transfer: (root, byteLength) => keep(byteLength === null ? transfer(get(root)) : transfer(get(root), byteLength)),
  resize(root, byteLength) {
    const buffer = get(root);
    isSharedArrayBuffer(buffer) ? grow(buffer, byteLength) : resize(buffer, byteLength);
    return null;
  },
  read: (root, index) => new Uint8Array(get(root))[index] ?? null,
  write(root, index, value) {
    new Uint8Array(get(root))[index] = value;
    return null;
  },
  release(root) {
    table.delete(root);
    return null;
  },
};

/** What a worker gives to `serve`. It calls `turned` after work that takes turns of the event loop, and `end` to end itself. */
export function serving({ turned, end }) {
  // Finalizers run in later turns of the event loop; V8's run on other threads.
  verbs.collect = (number) => {
    (async () => {
      gc();
      await turn();
      gc();
      await turn();
      turned(number);
    })();
    return null;
  };
  verbs.drain = (number) => {
    (async () => {
      for (let round = 0; round < 3; round += 1) {
        gc();
        await wait(2);
      }
      await turn();
      turned(number);
    })();
    return null;
  };
  verbs.collectYoung = () => (gc({ type: 'minor' }), null);
  verbs.end = () => (setImmediate(end), null);

  const answer = (request) => {
    const [name, given] = JSON.parse(request);
    try {
      return JSON.stringify({ done: verbs[name](...given) });
    } catch (thrown) {
      if (thrown instanceof NotBuffer) return JSON.stringify({ notBuffer: thrown.found });
      let text = 'an exception that has no text';
      try {
        text = String(thrown);
      } catch { /* its conversion throws */ }
      const isError = thrown instanceof Error;
      return JSON.stringify({ threw: { name: isError ? thrown.name : '', message: text, stack: isError ? String(thrown.stack).slice(text.length + 1) : '' } });
    }
  };
  return { tick() {}, answer, keep, get };
}
