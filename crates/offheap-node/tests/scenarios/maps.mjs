// Mapped files, which others may write.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { addon, equal, host, message, mode, start, throws } from '../harness.mjs';

const BYTES = 1 << 18;

/** Calls `use` with the path of a file of zeros. */
async function withFile(use) {
  const folder = mkdtempSync(join(tmpdir(), 'offheap-'));
  const path = join(folder, 'file');
  try {
    writeFileSync(path, Buffer.alloc(BYTES));
    return await use(path);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const newNode = ['n22', 'n24', 'n26']; // a host that transfers

export const scenarios = {
  /** A file is a SharedArrayBuffer, or an ArrayBuffer on Deno, or nothing. It is never copied. */
  file: {
    without: { plain: 'it maps no files', auto: 'it is for the hosts that are known' },
    run: () => withFile(path => {
      const refuses = mode === 'copy' || (mode === 'external' && host.startsWith('n20'));
      if (refuses) {
        equal(throws(() => addon().mapFile(path), 'mapFile').code, 'UNSUPPORTED', 'the code');
        return;
      }
      const buffer = addon().mapFile(path);
      equal(Object.prototype.toString.call(buffer), `[object ${host === 'deno' ? 'ArrayBuffer' : 'SharedArrayBuffer'}]`, 'the buffer');
      new Uint8Array(buffer)[5] = 55;
      equal(readFileSync(path)[5], 55, 'a byte of the file');
    }),
  },
  /** A thread sorts the bytes, and another one writes them. The control has them as an ArrayBuffer in both. */
  sort: {
    on: { hosts: newNode, modes: ['plain', 'stores'] },
    run: () => withFile(async path => {
      const [here, there] = mode === 'plain' ? addon().exposePointerTwice(1, BYTES, 0) : [addon().mapFile(path), addon().mapFile(path)];
      const worker = start('writes');
      await message(worker);
      if (mode === 'plain') {
        const moved = there.transfer();
        worker.postMessage(moved, [moved]);
      } else {
        worker.postMessage(there);
      }
      const numbers = new Int32Array(here);
      for (const until = Date.now() + 5000; Date.now() < until;) numbers.sort();
      await worker.terminate();
    }),
  },
};

export const workers = {
  writes() {
    parentPort.once('message', buffer => {
      const numbers = new Int32Array(buffer);
      for (let x = 1; ;) {
        for (let i = 0; i < numbers.length; i++) numbers[i] = x = Math.imul(x, 1103515245) + 12345;
      }
    });
    parentPort.postMessage('up');
  },
};
