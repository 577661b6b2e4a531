// What cases are written with.
import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

export { assert };
export const folder = process.env.OFFHEAP_TEST_FOLDER;
export const host = process.env.OFFHEAP_TEST_HOST;
export const isNode = host.startsWith('n');
/** The package, as it is installed in an empty folder. */
export const offheap = createRequire(join(folder, 'user.cjs'))('offheap');

let files = 0;
/** The path of a new file with this content. */
export function file(content = 'some bytes of a file') {
  const path = join(folder, `${process.pid}-${files++}`);
  writeFileSync(path, content);
  return path;
}
/** The path of a new file of this length, of which the system stores nothing. */
export function sparse(byteLength) {
  const path = file('');
  const opened = openSync(path, 'r+');
  ftruncateSync(opened, byteLength);
  closeSync(opened);
  return path;
}
export const text = buffer => Buffer.from(new Uint8Array(buffer)).toString();

/** Checks that an action throws an error of this class and code. */
export function throws(Class, code, action) {
  try {
    action();
  } catch (error) {
    assert.equal(error.code, code, `${error.stack}`);
    assert(error instanceof Class, `${error.stack} is no ${Class.name}`);
    assert(error.message.length > 20, error.message);
    return error;
  }
  return assert.fail(`nothing was thrown, and not ${code}`);
}

export const tick = (milliseconds = 5) => new Promise(resolve => { setTimeout(resolve, milliseconds); });
/** Collects a number of times, with turns of the event loop, in which finalizers run. */
export async function collect(rounds = 4) {
  for (let round = 0; round < rounds; round++) {
    globalThis.Bun ? Bun.gc(true) : globalThis.gc();
    await tick();
  }
}
/** Collects until so many stores live. */
export async function live(stores) {
  for (let round = 0; round < 40 && offheap.stats().liveStores > stores; round++) await collect(1);
  assert.equal(offheap.stats().liveStores, stores, 'stores that live');
}

/** Starts a worker with a function of `workers` in the module of the case. */
export function start(worker, data, transfer = []) {
  return new Worker(fileURLToPath(new URL('process.mjs', import.meta.url)), { workerData: { case: process.argv[2], worker, data }, transferList: transfer });
}
export const message = worker => new Promise((resolve, reject) => {
  worker.once('message', resolve);
  worker.once('error', reject);
});
export const ended = worker => new Promise((resolve, reject) => {
  worker.once('exit', resolve);
  worker.once('error', reject);
});
