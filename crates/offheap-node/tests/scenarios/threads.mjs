// Memory that other threads use: native threads, and those of the host's own input.
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, open, openSync, read, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parentPort } from 'node:worker_threads';
import { addon, BYTE, byteIs, collect, copied, expose, fail, freedOnce, intactHeld, inWorker, ofScript, stillThere, tick } from '../harness.mjs';

export const scenarios = {
  /** Native code on another thread drops memory of a worker's script after the worker has ended. */
  async droppedAfterItsWorker() {
    addon();
    const held = await inWorker('holdsItsOwn');
    await collect();
    addon().releaseOnThread(held);
  },

  /** Native code on another thread drops memory of its own after the worker that had its buffer has ended. */
  async oursDroppedAfterItsWorker() {
    addon();
    const held = await inWorker('holdsOurs', 1);
    await collect();
    if (!copied(1)) stillThere(1);
    intactHeld(held, 'held memory');
    addon().releaseOnThread(held);
    await freedOnce(1);
  },

  /** A pending read of a file writes after the buffer was detached: into memory that native code still has. */
  detachUnderRead: {
    without: { copy: "the memory is the host's own: the detach frees it, and the read may end the process" },
    run: detachUnderRead,
  },
};

async function detachUnderRead() {
  const buffer = expose(1);
  const held = addon().hold(buffer);
  let detached = true;
  await pendingRead(buffer, () => {
    try {
      addon().detach(buffer);
    } catch { // JavaScriptCore pins the buffer as long as the read is pending
      detached = false;
    }
  });
  if (addon().written(1)) fail('poison', `${addon().written(1)} bytes were written after the memory was freed`);
  byteIs(addon().read(held, 4095), BYTE, 'a byte that nothing wrote');
  const found = addon().read(held, 0);
  if (!detached) addon().detach(buffer);
  addon().release(held);
  await freedOnce(1);
  return `${detached ? 'detached' : 'not detached'} under the read, which has then written ${found}`;
}

/** Starts to read a pipe into a buffer, does something, and then lets the read end. */
async function pendingRead(buffer, action) {
  const folder = mkdtempSync(join(tmpdir(), 'offheap-'));
  const path = join(folder, 'pipe');
  execFileSync('mkfifo', [path]);
  try {
    const file = await new Promise((resolve, reject) => {
      open(path, 'r+', (error, opened) => error ? reject(error) : resolve(opened));
    });
    const ended = new Promise(resolve => { read(file, new Uint8Array(buffer), 0, 16, null, resolve); });
    await tick(50);
    action();
    await tick();
    const writer = openSync(path, 'w');
    writeSync(writer, new Uint8Array(16).fill(1));
    await ended;
    closeSync(writer);
    closeSync(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export const workers = {
  holdsItsOwn() { parentPort.postMessage(addon().hold(ofScript())); },
  holdsOurs(id) { parentPort.postMessage(addon().hold(expose(id))); },
};
