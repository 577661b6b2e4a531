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
   * leaked, and the process grows by no more than with buffers of script.
   */
  leakLoop: {
    without: { plain: 'it uses memory after the free, which may end anyhow' },
    seconds: 300,
    env: { MALLOC_ARENA_MAX: '2' },
    async run() {
      const seconds = Number(process.env.OFFHEAP_LEAK_SECONDS ?? 2);
      addon();
      await turns('ofScript', seconds);
      await turns('busy', seconds / 2);
      // A leak is there in each pair of batches. One pair without it will do, since malloc and collectors take memory at any time.
      let told;
      for (let pair = 1; pair <= 5; pair++) {
        const [script, ours] = [await turns('ofScript', seconds), await turns('busy', seconds)];
        told = `${ours.text}, and ${script.text} with buffers of script, in pair ${pair}`;
        if (ours.perTurn < Math.max(script.perTurn, 0) + 1) return told;
      }
      fail('leak', `${told}, and no better in those before`);
    },
  },
};

/**
 * Turns for a number of seconds, and by how many MiB the process has grown, without what is counted as leaked. A turn leaks over 8 MiB
 * if nothing is freed, and 2 MiB if only the copies of what was posted stay.
 */
async function turns(worker, seconds) {
  const before = { resident: process.memoryUsage.rss(), leaked: addon().leakedBytes() };
  let count = 0;
  for (const until = Date.now() + seconds * 1000; Date.now() < until; count++) {
    await turn(worker, count);
    addon().releaseAll();
  }
  await collect(6);
  const leaked = addon().leakedBytes();
  const kept = addon().kept() - leaked;
  if (kept > 0) fail('leak', `${kept} bytes are kept after ${count} turns`);
  const newlyLeaked = (leaked - before.leaked) / MiB;
  const perTurn = ((process.memoryUsage.rss() - before.resident) / MiB - newlyLeaked) / count;
  return { perTurn, text: `${perTurn.toFixed(1)} MiB a turn in ${count} turns` };
}

/** Two workers begin, make buffers, get one of each other, and end. */
async function turn(worker, count) {
  const workers = [start(worker), start(worker)];
  const buffers = await Promise.all(workers.map(message));
  workers.forEach(worker => worker.postMessage(buffers[0]));
  await tick(count % 3 * 5);
  if (count % 2) await Promise.all(workers.map(worker => worker.terminate()));
  else await Promise.all(workers.map(worker => (worker.postMessage('end'), ended(worker))));
}

export const workers = {
  thousand() { parentPort.postMessage(thousand()); },
  busy: () => serve(byteLength => addon().exposeHeap(byteLength), got => addon().hold(got)),
  ofScript: () => serve(byteLength => new ArrayBuffer(byteLength), got => got),
};

/** A worker makes buffers and sends one to main, keeps what it gets, and ends when it is told. */
function serve(make, hold) {
  const has = [];
  parentPort.on('message', got => {
    if (got === 'end') return parentPort.close ? parentPort.close() : process.exit();
    has.push(got, hold(got));
  });
  for (let i = 0; i < 50; i++) has.push(make(64 * 1024));
  const made = make(MiB);
  const buffer = made.transfer ? made.transfer() : made;
  parentPort.postMessage(buffer, [buffer]);
}
