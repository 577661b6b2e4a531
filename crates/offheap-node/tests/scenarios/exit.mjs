// Processes that end while buffers live. Nobody has to free memory then; nothing may be freed that is still used.
import { parentPort } from 'node:worker_threads';
import { addon, collect, ended, expose, fail, intact, message, ofScript, start } from '../harness.mjs';

const inStores = { hosts: ['n20', 'n22', 'n24', 'n26'], modes: ['stores'] };
let live;
/** One live buffer, one that native code holds too, and a held one of script. */
function makeSome() {
  live = [expose(1), expose(2)];
  addon().hold(live[1]);
  addon().hold(ofScript());
}
function readAtExit() {
  process.on('exit', () => live.forEach(buffer => intact(buffer, 'a buffer at exit')));
}

export const scenarios = {
  /** Nothing is left to do. */
  end() {
    makeSome();
    readAtExit();
  },

  /** A thread of Rust drops script's memory while the process ends, also after V8's heap did. */
  dropsAfterTheHeap: {
    without: { plain: 'it holds no stores' },
    run() {
      for (let i = 0; i < 10_000; i++) addon().hold(ofScript(256));
      live = addon().releaseAfter();
    },
  },

  /** The same with memory of the main thread that a worker's call has kept. Only the worker uses the addon. */
  dropsInWorkerAfterTheHeap: {
    on: inStores,
    async run() {
      const worker = start('keeps');
      const made = Array.from({ length: 30_000 }, () => ofScript(256));
      worker.postMessage(made, made);
      live = await message(worker);
      await ended(worker);
    },
  },

  /** The same, and the main thread uses the addon too, but keeps only memory that the worker's call has kept before. */
  dropsSharedAfterTheHeap: {
    on: inStores,
    async run() {
      const made = Array.from({ length: 30_000 }, () => new SharedArrayBuffer(256));
      const worker = start('keepsShared');
      worker.postMessage(made);
      await message(worker);
      await ended(worker);
      for (const buffer of made) addon().hold(buffer);
      made.length = 0;
      live = addon().releaseAfter();
    },
  },

  /** What a thread of Rust drops waits for the next call in a worker, or for its end, as long as only workers use the addon. */
  waitsForAWorker: { on: inStores, async run() {
    for (const calls of [true, false]) {
      const worker = start('keepsLarge', calls);
      const made = Array.from({ length: 4 }, () => ofScript(40 << 20));
      worker.postMessage(made, made);
      const kept = await message(worker);
      worker.postMessage('go on');
      const freed = calls ? await message(worker) : (await ended(worker), process.memoryUsage().rss);
      if (freed > kept - (120 << 20)) fail('leak', `${kept} bytes of memory, and then ${freed}, with a call: ${calls}`);
    }
  } },

  /** process.exit in the middle of script. */
  processExit: {
    status: 3,
    run() {
      makeSome();
      readAtExit();
      setTimeout(() => process.exit(3));
    },
  },

  /** An exception that nobody catches. */
  uncaughtThrow: {
    status: 1,
    run() {
      makeSome();
      setTimeout(() => { throw new Error('meant: nobody catches this'); });
    },
  },

  /** process.exit in a worker ends the worker only. */
  async processExitInWorker() {
    makeSome();
    const worker = start('exits', 3);
    await ended(worker);
    live.forEach(buffer => intact(buffer, 'a buffer of main'));
  },

  /** An exception that nobody catches in a worker. */
  async uncaughtThrowInWorker() {
    makeSome();
    const worker = start('throws', 3);
    await new Promise(resolve => worker.once('error', resolve));
    live.forEach(buffer => intact(buffer, 'a buffer of main'));
  },

  /** process.exit while four workers make and drop buffers. */
  processExitWithBusyWorkers: {
    status: 3,
    async run() {
      makeSome();
      const workers = [10, 11, 12, 13].map(id => start('makesForever', id));
      await Promise.all(workers.map(message));
      readAtExit();
      setTimeout(() => process.exit(3), 50);
    },
  },
};

export const workers = {
  keeps() {
    parentPort.once('message', buffers => {
      for (const buffer of buffers) addon().hold(buffer);
      const last = addon().releaseAfter();
      parentPort.postMessage(last, [last]);
    });
  },
  async keepsLarge(calls) {
    const held = await new Promise(done => {
      parentPort.once('message', buffers => { done(buffers.map(each => addon().hold(each))); });
    });
    await collect();
    for (const each of held) addon().releaseOnThread(each);
    parentPort.postMessage(process.memoryUsage().rss);
    await new Promise(done => { parentPort.once('message', done); });
    if (!calls) return;
    addon().hold(ofScript());
    parentPort.postMessage(process.memoryUsage().rss);
  },
  keepsShared() {
    parentPort.once('message', buffers => {
      for (const buffer of buffers) addon().hold(buffer);
      parentPort.postMessage('kept');
    });
  },
  exits(id) {
    live = expose(id);
    setTimeout(() => process.exit(3));
  },
  throws(id) {
    live = expose(id);
    setTimeout(() => { throw new Error('meant: nobody catches this'); });
  },
  makesForever(id) {
    parentPort.postMessage('started');
    const turn = () => {
      for (let i = 0; i < 20; i++) live = addon().exposeHeap(64 * 1024);
      expose(id);
      setTimeout(turn);
    };
    turn();
  },
};
