// Memory that moves between workers, and outlives them. Buffers that must be collected are in arrays that let go of them:
// JavaScriptCore also looks for pointers on the stack.
import { parentPort } from 'node:worker_threads';
import { addon, again, BYTE, collect, collectAndReuse, copied, ended, equal, expose, freedOnce, inWorker, intact, intactHeld, message, ofScript, start, stillThere } from '../harness.mjs';

const MiB = 1 << 20;
const post = buffer => parentPort.postMessage(buffer, [buffer]);
const transferred = buffer => buffer.transfer ? buffer.transfer() : buffer;

/** Main gets a buffer of a worker that ends: it reads it, drops it, and the memory of id 1 is freed. */
async function outlivesItsWorker(buffer) {
  addon(); // Node would unload an addon that only the worker has, and its counters
  const has = [await buffer()];
  await collect();
  intact(has[0], 'the buffer of a worker that has ended');
  stillThere(1);
  has.length = 0;
  await freedOnce(1);
}

export const scenarios = {
  /** A worker makes a buffer, transfers it, posts it and ends. Main still reads it. */
  exit: () => outlivesItsWorker(() => inWorker('makesAndTransfers', 1)),
  /** A worker posts a buffer without a transfer() before. */
  postAndExit: () => outlivesItsWorker(() => inWorker('makes', 1)),
  /** A SharedArrayBuffer of a worker that has ended. */
  sharedAndExit: () => outlivesItsWorker(() => inWorker('makesShared', 1)),

  /** Only a worker loads the addon. Node unloads it when the worker ends, unless it stays mapped. */
  async onlyTheWorkerLoads() {
    const has = [await inWorker('makesAndTransfers', 1)];
    await collect();
    intact(has[0], 'the buffer of a worker that has ended');
    has.length = 0;
    await collect(); // whatever frees the memory has to be there still
    await freedOnce(1);
  },

  /** A worker sends a buffer and is terminated. (Deno's Worker object keeps the last message, so nobody keeps that object.) */
  terminate: () => outlivesItsWorker(async () => {
    const worker = start('postsAndWaits', 1);
    const buffer = await message(worker);
    await worker.terminate();
    return buffer;
  }),

  /** A worker ends while its script has a buffer. */
  async exitWithLiveBuffer() {
    addon();
    await inWorker('keeps', 1);
    await freedOnce(1);
  },

  /** A worker is terminated while its script has a buffer. */
  async terminateWithLiveBuffer() {
    addon();
    const worker = start('keepsAndWaits', 1);
    await message(worker);
    await worker.terminate();
    await freedOnce(1);
  },

  /** Main posts a buffer to a worker, which writes into it and posts it back. */
  async thereAndBack() {
    const has = [expose(1)];
    await postedThereAndBack(has);
    equal(new Uint8Array(has[0])[7], 7, 'what the worker wrote');
    new Uint8Array(has[0])[7] = BYTE;
    await collect();
    intact(has[0], 'the buffer that came back');
    stillThere(1);
    has.length = 0;
    await freedOnce(1);
  },

  /** Native code holds the memory while a worker has the buffer. */
  async thereAndBackHeld() {
    const has = [expose(1)];
    const held = addon().hold(has[0]);
    await postedThereAndBack(has);
    if (!copied(1)) equal(addon().read(held, 7), 7, 'what the worker wrote');
    has.length = 0;
    await collect();
    if (!copied(1)) stillThere(1);
    equal(addon().read(held, 8), BYTE, 'held memory');
    addon().release(held);
    await freedOnce(1);
  },

  /** Native code holds the memory of a worker's script after the worker has ended, and gives it to main. */
  async heldAfterExit() {
    addon();
    const held = await inWorker('holdsItsOwn');
    await collectAndReuse(8 * MiB);
    intactHeld(held, 'held memory of a worker that has ended', 8 * MiB);
    intact(await again(held), 'the buffer in main', 8 * MiB);
    addon().release(held);
  },

  /** A SharedArrayBuffer, to a worker and back. */
  async shared() {
    const has = [addon().exposeShared(1, 4096, BYTE)];
    intact(has[0], 'the shared buffer');
    const worker = start('writesShared');
    const end = ended(worker);
    worker.postMessage(has[0]);
    await end;
    equal(new Uint8Array(has[0])[7], 7, 'what the worker wrote');
    await collect();
    stillThere(1);
    has.length = 0;
    await freedOnce(1);
  },
};

/** Posts a buffer to a worker, and waits for it to come back with a 7 at index 7. */
async function postedThereAndBack(has) {
  const worker = start('writesAndPostsBack');
  const back = message(worker);
  const end = ended(worker);
  worker.postMessage(has[0], [has[0]]);
  equal(has[0].byteLength, 0, 'the length of the posted buffer');
  has[0] = await back;
  await end;
}

let kept;
export const workers = {
  makes(id) { post(expose(id)); },
  makesAndTransfers(id) { post(transferred(expose(id))); },
  makesShared(id) { parentPort.postMessage(addon().exposeShared(id, 4096, BYTE)); },
  postsAndWaits(id) {
    parentPort.on('message', () => {});
    post(transferred(expose(id)));
  },
  keeps(id) { kept = expose(id); },
  keepsAndWaits(id) {
    kept = expose(id);
    parentPort.on('message', () => {});
    parentPort.postMessage('made');
  },
  writesAndPostsBack() {
    parentPort.once('message', buffer => {
      new Uint8Array(buffer)[7] = 7;
      post(buffer);
    });
  },
  writesShared() {
    parentPort.once('message', buffer => { new Uint8Array(buffer)[7] = 7; });
  },
  holdsItsOwn() { parentPort.postMessage(addon().hold(ofScript(8 * MiB))); },
};
