// What scenarios are written with. Importing it does nothing, so that the runner can list the scenarios.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

const require = createRequire(import.meta.url);

/** The addon that the runner chose, loaded at the first call in this thread. */
export const addon = () => load(process.env.OFFHEAP_TEST_ADDON);
/** The same addon from another file, with a copy of everything. */
export const anotherAddon = () => load(process.env.OFFHEAP_TEST_ADDON_AGAIN);
/** An addon on plain Node-API. In the mode plain it is the one above. */
export const plainAddon = () => load(process.env.OFFHEAP_TEST_PLAIN_ADDON);
const loaded = new Set();
function load(path) {
  const exports = require(path);
  loaded.add(exports);
  return exports;
}
/** The mode and the host that the runner asked for. */
export const mode = process.env.OFFHEAP_TEST_MODE;
export const host = process.env.OFFHEAP_TEST_HOST;

/** What memory of scenarios is filled with, and what it is filled with when it is freed. */
export const BYTE = 0x5a;
export const POISON = 0xdd;

// --- How a scenario fails. The kind is what expectations.mjs names.

/**
 * Ends the scenario. The kinds: poison (used after free), twice (freed twice), early (freed while in use), leak, kept (too much at
 * a time), wrong, lacks (the host does not have it), refused (by a clone).
 */
export function fail(kind, text) {
  throw new Error(`${kind}: ${text}`);
}
export const kindOf = error => error?.name === 'DataCloneError' ? 'refused'
  : /^(?:Uncaught |Error: )*(poison|leak|twice|early|wrong|kept|lacks|refused): /
    .exec(error?.message ?? '')?.[1] ?? 'error';
export function equal(got, expected, what) {
  if (!Object.is(got, expected)) fail('wrong', `${what} is ${got}, and not ${expected}`);
}
/** Fails with `lacks` if the host does not have what the scenario is about. */
export function needs(there, what) {
  if (!there) fail('lacks', what);
}
export function throws(action, what) {
  let value;
  try {
    value = action();
  } catch (error) {
    return error;
  }
  return fail('wrong', `${what} returned ${value} and should throw`);
}

// --- Memory

/** A buffer over memory of its own, filled with BYTE. `freed` knows it by its id, a number that the scenario chooses. */
export function expose(id, byteLength = 4096) {
  const buffer = addon().expose(id, byteLength, BYTE);
  intact(buffer, `new buffer ${id}`, byteLength);
  return buffer;
}
/** A buffer that script makes, filled with BYTE. */
export function ofScript(byteLength = 4096) {
  const buffer = new ArrayBuffer(byteLength);
  new Uint8Array(buffer).fill(BYTE);
  return buffer;
}
/** Checks that a buffer has its length, and that all of its bytes are `byte`. */
export function intact(buffer, what, byteLength = 4096, byte = BYTE) {
  equal(buffer.byteLength, byteLength, `the length of ${what}`);
  const bytes = new Uint8Array(buffer);
  for (let i = 0; i < byteLength; i++) byteIs(bytes[i], byte, `byte ${i} of ${what}`);
}
/** Checks the length of held memory, and some of its bytes. */
export function intactHeld(held, what, byteLength = 4096, byte = BYTE) {
  equal(addon().byteLength(held), byteLength, `the length of ${what}`);
  intactBytes(held, what, byteLength, byte);
}
/** Checks bytes of held memory: the first, the last of a length, and some between. */
export function intactBytes(held, what, byteLength, byte = BYTE) {
  for (let i = 0; i < 64; i++) {
    const at = Math.floor((byteLength - 1) * i / 63);
    byteIs(addon().read(held, at), byte, `byte ${at} of ${what}`);
  }
}
/** Checks one byte. */
export function byteIs(got, expected, what) {
  if (got === POISON) fail('poison', `${what} was freed`);
  if (got !== expected) fail('wrong', `${what} is 0x${got.toString(16)}, and not 0x${expected.toString(16)}`);
}
/** Checks that nobody has freed the memory of these ids. Where script got a copy, there is none. */
export function stillThere(...ids) {
  for (const id of ids) if (addon().freed(id) !== 0 && !copied(id)) fail('early', `the memory of ${id} is freed`);
}
/** Whether the buffer of an id is a copy of the memory. */
export const copied = id => addon().exposed(id) !== 'memory';
/** Collects until the memory of these ids was freed, or is counted as leaked, and checks that none was freed twice. */
export async function freedOnce(...ids) {
  const alive = () => ids.filter(id => addon().freed(id) === 0);
  for (let round = 0; round < 40 && alive().length > addon().leakedStores(); round++) await collect(1);
  if (alive().length > addon().leakedStores()) fail('leak', `the memory of ${alive().join(', ')} is not freed`);
  await collect(2);
  const twice = ids.filter(id => addon().freed(id) > 1);
  if (twice.length) fail('twice', `the memory of ${twice.join(', ')} is freed ${addon().freed(twice[0])} times`);
}

// --- Time

export const tick = (milliseconds = 5) => new Promise(resolve => { setTimeout(resolve, milliseconds); });
/** Collects a number of times, with turns of the event loop, in which finalizers run. */
export async function collect(rounds = 4) {
  for (let round = 0; round < rounds; round++) {
    globalThis.Bun ? Bun.gc(true) : globalThis.gc();
    await tick();
    loaded.forEach(each => each.releaseCollected());
  }
}

/** A new buffer over what is held, once the first buffer is gone, which may take collections. */
export async function again(held) {
  for (let round = 0; ; round++) {
    try {
      return addon().again(held);
    } catch (error) {
      if (round === 40 || !error.message.includes('it has a live buffer')) throw error;
      await collect(1);
    }
  }
}

/** Collects, and makes other buffers of a length, so that memory that was freed is used again. */
export async function collectAndReuse(byteLength) {
  await collect();
  return Array.from({ length: 8 }, () => new Uint8Array(byteLength).fill(1)).length;
}

// --- Workers. A module of scenarios exports their functions as `workers`.

/** Starts a worker with a function of `workers` in the module of the running scenario. */
export function start(worker, data) {
  const scenario = process.argv[2];
  return new Worker(fileURLToPath(new URL('./process.mjs', import.meta.url)), { workerData: { scenario, worker, data } });
}
/** The next message of a worker. It is asked for before the worker can have sent it. */
export const message = worker => new Promise((resolve, reject) => {
  worker.once('message', resolve);
  worker.once('error', reject);
  worker.once('exit', code => reject(new Error(`the worker has ended with ${code} and sent nothing`)));
});
/** The end of a worker: its status. It is asked for before the worker can have ended. */
export const ended = worker => new Promise((resolve, reject) => {
  worker.once('exit', resolve);
  worker.once('error', reject);
});
/** Runs a worker to its end; returns its last message. */
export async function inWorker(name, data) {
  const worker = start(name, data);
  const got = [];
  worker.on('message', value => { got.push(value); });
  await ended(worker);
  return got.pop();
}
