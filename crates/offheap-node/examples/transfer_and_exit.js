// A worker makes a buffer over native memory, transfers it, posts it to the main thread, and is gone. The main thread reads it.
//
//     node examples/transfer_and_exit.js           with offheap: the memory stays as long as somebody has it
//     node examples/transfer_and_exit.js --plain   with plain Node-API: freed with the worker, and the main thread reads dd
//
// `npm run build` builds the two addons. Node 22 or later: before, posting copies the memory.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

const isPlain = isMainThread ? process.argv.includes('--plain') : workerData.isPlain;

if (isMainThread) {
  let buffer;
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { isPlain } });
  worker.on('message', message => { buffer = message; });
  worker.on('exit', () => console.log(`the worker is gone, main reads ${new Uint8Array(buffer)[100].toString(16)}`));
} else {
  const addon = createRequire(import.meta.url)(`../target/${isPlain ? 'plain' : 'ours'}.node`);
  const made = addon.expose(1, 4096, 0x5a); // <- reported with --plain: its memory is freed with the worker
  const moved = made.transfer ? made.transfer() : made;
  parentPort.postMessage(moved, [moved]);
}
