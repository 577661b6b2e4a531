// Two addons in one process: each with its own copy of offheap, or one of them on plain Node-API.
import { parentPort } from 'node:worker_threads';
import { addon, anotherAddon, BYTE, byteIs, collect, equal, expose, freedOnce, inWorker, intact, intactHeld, plainAddon, stillThere } from '../harness.mjs';

export const scenarios = {
  /** One holds what the other has exposed, and the maker frees it once. */
  async holdEachOthers() {
    const has = [expose(1), anotherAddon().expose(2, 4096, BYTE)];
    const held = [anotherAddon().hold(has[0]), addon().hold(has[1])];
    equal(anotherAddon().freed(1), 0, 'a counter of the other addon');
    has.length = 0;
    await collect();
    intactIn(anotherAddon(), held[0]);
    intactHeld(held[1], 'memory of the other addon');
    anotherAddon().release(held[0]);
    addon().release(held[1]);
    await freedOnce(1);
    equal(anotherAddon().freed(2), 1, 'how often the other addon has freed its memory');
  },

  /** What one holds of the other outlives a transfer and a detach. */
  async overDetach() {
    const buffer = expose(1);
    const held = anotherAddon().hold(buffer);
    addon().detach(buffer);
    await collect();
    intactIn(anotherAddon(), held);
    anotherAddon().release(held);
    await freedOnce(1);
  },

  /** A worker that has both ends; main has what it posted. */
  async workerWithBoth() {
    addon();
    anotherAddon();
    const [has] = [await inWorker('exposesBoth')];
    await collect();
    has.forEach(buffer => intact(buffer, 'a buffer of a worker that has ended'));
    stillThere(1);
    has.length = 0;
    await freedOnce(1);
    equal(anotherAddon().freed(2) + anotherAddon().leakedStores(), 1, 'how often the other addon has freed its memory');
  },

  /** What one holds of memory that an addon on plain Node-API lent to the host, which has it freed when the worker ends. */
  async lentByAnother() {
    plainAddon();
    const held = await inWorker('holdsLent');
    await collect();
    for (const each of held) {
      intactHeld(each, 'lent memory');
      addon().release(each);
    }
  },
};

function intactIn(of, held) {
  equal(of.byteLength(held), 4096, 'the held length');
  byteIs(of.read(held, 100), BYTE, 'a held byte of the other addon');
}

export const workers = {
  holdsLent() {
    const buffer = plainAddon().expose(1, 4096, BYTE);
    parentPort.postMessage([buffer, new Uint8Array(buffer), Buffer.from(buffer)].map(value => addon().hold(value)));
  },

  exposesBoth() {
    const both = [expose(1), anotherAddon().expose(2, 4096, BYTE)].map(buffer => buffer.transfer ? buffer.transfer() : buffer);
    parentPort.postMessage(both, both);
  },
};
