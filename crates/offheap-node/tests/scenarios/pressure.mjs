// How much memory stays until it is freed.
import { parentPort } from 'node:worker_threads';
import { addon, collect, ended, fail, inWorker, message, start, tick } from '../harness.mjs';

const MiB = 1 << 20;
const limit = 256 * MiB;

/** A thousand buffers of a megabyte in one turn of the event loop; returns the most bytes that were there at a time. */
function thousand() {
  let most = 0;
  for (let i = 0; i < 1000; i++) {
    new Uint8Array(addon().exposeHeap(MiB))[0] = 1;
    most = Math.max(most, addon().kept());
  }
  return most;
}
function below(most) {
  if (most >= limit) fail('kept', `${Math.round(most / MiB)} MiB were there at a time`);
  return `${Math.round(most / MiB)} MiB at most`;
}

export const scenarios = {
  thousandInOneTurn: () => below(thousand()),
  thousandInOneTurnOfAWorker: async () => below(await inWorker('thousand')),

  /**
   * Workers come and go, with buffers in them and on their way; main passes buffers on. Nothing of ours stays but what is counted as
   * leaked. Memory is flat: what leaks grows in every batch of turns, and what malloc and the host keep stops growing.
   */
  leakLoop: {
    without: { plain: 'it uses memory after the free, which may end anyhow' },
    seconds: 300,
    env: { MALLOC_ARENA_MAX: '2' },
    async run() {
      const seconds = Number(process.env.OFFHEAP_LEAK_SECONDS ?? 3);
      addon();
      await turns(seconds / 3);
      let batch;
      for (let number = 0; number < 5; number++) {
        batch = await turns(seconds);
        if (batch.grown < mostGrown) return `${batch.text} in batch ${number + 1}`;
      }
      fail('leak', `the process has ${batch.text}, and grew by over ${mostGrown} MiB in each batch before`);
    },
  },
};

/** A turn leaks over 8 MiB if nothing is freed, so a batch of 20 turns leaks five times this. */
const mostGrown = 32;

/** Turns for a number of seconds, and by how many MiB the process has grown, without what is counted as leaked. */
async function turns(seconds) {
  const before = { resident: process.memoryUsage.rss(), leaked: addon().leakedBytes() };
  let count = 0;
  for (const until = Date.now() + seconds * 1000; Date.now() < until; count++) await turn(count);
  await collect(6);
  const leaked = addon().leakedBytes();
  const kept = addon().kept() - leaked;
  if (kept > 0) fail('leak', `${kept} bytes are kept after ${count} turns`);
  const newlyLeaked = Math.round((leaked - before.leaked) / MiB);
  const grown = Math.round((process.memoryUsage.rss() - before.resident) / MiB) - newlyLeaked;
  return { grown, text: `grown by ${grown} MiB in ${count} turns, and leaked and counted ${newlyLeaked} MiB` };
}

/** Two workers begin, make buffers, get one of each other, and end. */
async function turn(count) {
  const workers = [start('busy'), start('busy')];
  const buffers = await Promise.all(workers.map(message));
  workers.forEach(worker => worker.postMessage(buffers[0]));
  await tick(count % 3 * 5);
  if (count % 2) await Promise.all(workers.map(worker => worker.terminate()));
  else await Promise.all(workers.map(worker => (worker.postMessage('end'), ended(worker))));
}

export const workers = {
  thousand() { parentPort.postMessage(thousand()); },
  busy() {
    const has = [];
    parentPort.on('message', got => {
      if (got === 'end') return parentPort.close ? parentPort.close() : process.exit();
      has.push(got, addon().hold(got));
    });
    for (let i = 0; i < 50; i++) has.push(addon().exposeHeap(64 * 1024));
    const made = addon().exposeHeap(MiB);
    const buffer = made.transfer ? made.transfer() : made;
    parentPort.postMessage(buffer, [buffer]);
  },
};
