'use strict';
// Memory outside of JavaScript's heap. README.md says how to use it.

const { fileURLToPath } = require('node:url');
const { isMainThread } = require('node:worker_threads');
const { load } = require('./load.js');
const { placeOfCaller } = require('./place.js');

const native = load(process.platform, process.arch);
native.ledgerFromEnv();
native.startCounting();
if (process.versions.bun && isMainThread) {
  // Bun ends the process without the functions that native code has registered for its end.
  process.on('exit', () => {
    try {
      if (native.ledgerLevel()) native.ledgerFinish();
    } catch {} // what went wrong was said on standard error
  });
}

// What script may replace later.
const { ArrayBuffer, DataView, Uint8Array, WeakRef } = globalThis;
const { isView } = ArrayBuffer;
const { isSafeInteger } = Number;
const { apply, getOwnPropertyDescriptor, getPrototypeOf } = Reflect;
const gettersOf = prototype => {
  const [buffer, byteLength, byteOffset] = ['buffer', 'byteLength', 'byteOffset'].map(name => getOwnPropertyDescriptor(prototype, name).get);
  return { buffer, byteLength, byteOffset };
};
const typedArray = getPrototypeOf(Uint8Array.prototype);
const getters = { typedArray: gettersOf(typedArray), dataView: gettersOf(DataView.prototype) };
const nameOfTypedArray = getOwnPropertyDescriptor(typedArray, Symbol.toStringTag).get;

/** A TypeError or RangeError with a code. */
const error = (Class, code, message) => Object.assign(new Class(message), { code });
const argument = message => error(TypeError, 'ARGUMENT', message);

/** Checks a number of bytes. */
function bytes(value, name) {
  if (typeof value !== 'number') throw argument(`${name} is a number, and not of the type ${typeof value}`);
  if (!isSafeInteger(value) || value < 0) throw error(RangeError, 'ARGUMENT', `${name} is a whole number of bytes, and not ${value}`);
  return value;
}
/** Checks an object of options, all of whose names are known. */
function options(value, ...names) {
  if (value === undefined) return {};
  if (typeof value !== 'object' || value === null) throw argument(`options are an object, and not ${value === null ? 'null' : `of the type ${typeof value}`}`);
  for (const name of Object.keys(value)) if (!names.includes(name)) throw argument(`there is no option ${name}; there are ${names.join(', ')}`);
  return value;
}
/** The place of the caller, if a ledger asks for it. */
const place = callee => (native.recordsPlaces() ? placeOfCaller(callee) : undefined);

function allocate(byteLength) {
  return native.allocate(bytes(byteLength, 'byteLength'), place(allocate));
}

function mapFile(path, mode = 'cow', range) {
  const name = path instanceof URL ? fileURLToPath(path) : path;
  if (typeof name !== 'string') throw argument(`the path is a string or a URL, and not of the type ${typeof path}`);
  if (mode === 'ro') {
    throw error(TypeError, 'UNSUPPORTED', "there is no mode 'ro': functions of the host write into every buffer, and a write to memory that is read-only would end the process; use 'cow', whose writes never reach the file");
  }
  if (mode !== 'cow' && mode !== 'rw') throw argument(`the mode is 'cow' or 'rw', and not ${typeof mode === 'string' ? `'${mode}'` : `of the type ${typeof mode}`}`);
  const { offset = 0, length } = options(range, 'offset', 'length');
  if (bytes(offset, 'offset') % 8 !== 0) throw error(RangeError, 'MISALIGNED', `offset is a multiple of 8, and not ${offset}; begin earlier, and make a view of the buffer`);
  if (length !== undefined) bytes(length, 'length');
  try {
    const buffer = native.mapFile(name, mode === 'rw', offset, length, place(mapFile));
    new Uint8Array(buffer); // Node 20 makes a longer buffer, and no view of it
    return buffer;
  } catch (cause) {
    if (cause.code && cause.code !== 'TOO_LARGE_FOR_ENGINE') throw cause;
    throw error(RangeError, 'TOO_LARGE_FOR_ENGINE', `cannot map so many bytes of ${name} at once: this host has views of at most 4 GiB; map a part of the file: mapFile(path, mode, { offset, length })`);
  }
}

/** Whether this is a buffer that is detached. */
function isDetached(buffer) {
  try {
    new Uint8Array(buffer, 0, 0);
    return false;
  } catch {
    return true;
  }
}

// A function each, since functions that are made in one place keep the same variables.
const strongly = buffer => () => buffer;
const weakly = buffer => {
  const reference = new WeakRef(buffer);
  return () => reference.deref();
};

const secret = Symbol('made by externalize');

class Externalized {
  #kept;
  #how;
  #byteLength;
  #byteOffset;
  #bufferByteLength;
  #isReleased = false;
  /** Returns the buffer that came in, or the last one that went out over the memory. */
  #last;

  constructor(key, { kept, how, byteLength }, buffer, view) {
    if (key !== secret) throw argument('call externalize(buffer); script does not make these objects');
    this.#kept = kept;
    this.#how = how;
    this.#bufferByteLength = byteLength;
    this.#byteLength = view?.byteLength ?? byteLength;
    this.#byteOffset = view?.byteOffset ?? 0;
    // A weak reference keeps the buffer until script has returned, also in a loop that releases. So it is only for a copy, beside which
    // the memory of the buffer would have to stay.
    this.#last = how.copied ? weakly(buffer) : strongly(buffer);
  }

  get byteLength() { return this.#byteLength; }
  get byteOffset() { return this.#byteOffset; }
  get bufferByteLength() { return this.#bufferByteLength; }
  get copied() { return this.#how.copied; }
  get reason() { return this.#how.reason ?? null; }
  get message() { return this.#how.message ?? null; }
  get released() { return this.#isReleased; }

  expose() {
    const last = this.#last();
    if (last && !isDetached(last)) return { buffer: last, copied: false, reason: null, message: null };
    const { buffer, how } = native.again(this.#kept, place(this.expose));
    if (!how.copied) this.#last = strongly(buffer);
    return { buffer, copied: how.copied, reason: how.reason ?? null, message: how.message ?? null };
  }

  release() {
    this.#isReleased = true;
    this.#last = strongly(undefined);
    return native.release(this.#kept);
  }
}
if (Symbol.dispose) {
  Object.defineProperty(Externalized.prototype, Symbol.dispose, { value: Externalized.prototype.release, writable: true, configurable: true });
}

/** Where a view's bytes begin in its buffer, and how many there are. */
function shownBy(view, of) {
  try {
    return { byteLength: apply(of.byteLength, view, []), byteOffset: apply(of.byteOffset, view, []) };
  } catch {
    return { byteLength: 0, byteOffset: 0 }; // a DataView beyond its buffer; a typed array says so itself
  }
}

function externalize(buffer) {
  if (!isView(buffer)) return new Externalized(secret, native.keep(buffer, place(externalize)), buffer);
  const of = apply(nameOfTypedArray, buffer, []) ? getters.typedArray : getters.dataView;
  const whole = apply(of.buffer, buffer, []);
  return new Externalized(secret, native.keep(whole, place(externalize)), whole, shownBy(buffer, of));
}

function stats() {
  return native.stats();
}

const ledger = Object.freeze({
  get level() { return native.ledgerLevel() ?? null; },
  install(level = 'sites', settings) {
    if (typeof level !== 'string') throw argument(`the level is a string, and not of the type ${typeof level}`);
    const { file, sampleBytes, history } = options(settings, 'file', 'sampleBytes', 'history');
    const path = file instanceof URL ? fileURLToPath(file) : file;
    if (path !== undefined && typeof path !== 'string') throw argument(`file is a string or a URL, and not of the type ${typeof file}`);
    if (sampleBytes !== undefined) bytes(sampleBytes, 'sampleBytes');
    if (history !== undefined) bytes(history, 'history');
    native.ledgerInstall(level, path, sampleBytes, history);
  },
  report: () => native.ledgerReport(),
  snapshot: () => JSON.parse(native.ledgerSnapshot()),
  finish: () => native.ledgerFinish(),
});

module.exports = { allocate, mapFile, externalize, Externalized, stats, ledger };
