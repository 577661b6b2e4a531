// Processes that end while buffers live. Nobody has to free memory then; nothing may be freed that is still used.
import { parentPort } from 'node:worker_threads';
import { addon, ended, expose, intact, message, ofScript, start } from '../harness.mjs';

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
