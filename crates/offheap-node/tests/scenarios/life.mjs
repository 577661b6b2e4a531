// A buffer on one thread: made, used, held by native code, detached, collected.
import { addon, again, BYTE, collect, collectAndReuse, copied, equal, expose, fail, freedOnce, intact, intactHeld, ofScript, stillThere } from '../harness.mjs';

const MiB = 1 << 20;

export const scenarios = {
  /** Buffers of several lengths. What script writes is what native code reads. */
  allocate() {
    for (const [id, byteLength] of [[1, 1], [2, 64], [3, 4096], [4, 8 * MiB]]) {
      const buffer = expose(id, byteLength);
      stillThere(id);
      const held = addon().hold(buffer);
      equal(addon().byteLength(held), byteLength, 'the held length');
      if (!copied(id)) {
        new Uint8Array(buffer)[0] = 1;
        equal(addon().read(held, 0), 1, 'what native code reads');
      }
      addon().release(held);
    }
  },

  /** A hundred buffers that script drops. */
  async collect() {
    const ids = Array.from({ length: 100 }, (_, id) => id);
    for (const id of ids) expose(id);
    await freedOnce(...ids);
  },

  /** Script has the buffer, so a collection frees nothing. */
  async kept() {
    const buffer = expose(1);
    await collect();
    stillThere(1);
    intact(buffer, 'the kept buffer');
  },

  /** A detach by native code frees the memory, once. */
  async detach() {
    const buffer = expose(1);
    addon().detach(buffer);
    equal(buffer.byteLength, 0, 'the length of the detached buffer');
    await freedOnce(1);
  },

  /** Buffers without bytes are freed too. */
  async empty() {
    for (const id of [1, 2]) expose(id, 0);
    const held = addon().hold(expose(3, 0));
    equal(addon().byteLength(held), 0, 'the held length');
    addon().release(held);
    equal(addon().byteLength(addon().hold(new ArrayBuffer(0))), 0, 'the held length of a buffer of script');
    await freedOnce(1, 2, 3);
  },

  /** One store in two buffers. Two copies are not refused. */
  twice: () => refusedTwice(() => addon().exposeTwice(1, 4096, BYTE), /has a live buffer/),

  /** One pointer in two stores. */
  pointerTwice: () => refusedTwice(() => addon().exposePointerTwice(1, 4096, BYTE), /would free/),

  /** Native code holds a buffer of script through collections. */
  async held() {
    const held = addon().hold(ofScript(64 * 1024));
    await collect();
    intactHeld(held, 'held memory', 64 * 1024);
    addon().release(held);
  },

  /** Native code holds memory of its own that script drops, and exposes it again. */
  async heldAgain() {
    const held = addon().hold(expose(1));
    await collect();
    intactHeld(held, 'held memory');
    if (!copied(1)) stillThere(1);
    intact(await again(held), 'the new buffer');
    addon().release(held);
    await freedOnce(1);
  },

  /** Native code holds 8 MiB of script, which a clone takes from its buffer. */
  async heldOverDetach() {
    const buffer = ofScript(8 * MiB);
    const held = addon().hold(buffer);
    detachByClone(buffer);
    await collectAndReuse(8 * MiB);
    intactHeld(held, 'held memory of a detached buffer', 8 * MiB);
    addon().release(held);
  },

  /** Native code holds memory of its own, whose buffer native code detaches. */
  async heldOverNativeDetach() {
    const buffer = expose(1);
    const held = addon().hold(buffer);
    addon().detach(buffer);
    await collect();
    intactHeld(held, 'held memory of a detached buffer');
    addon().release(held);
    await freedOnce(1);
  },
};

function detachByClone(buffer) {
  structuredClone(buffer, { transfer: [buffer] });
  equal(buffer.byteLength, 0, 'the length of the buffer that was cloned');
}

/** Plain Node-API frees the memory twice. */
async function refusedTwice(action, says) {
  let message;
  try {
    action();
  } catch (error) {
    ({ message } = error);
  }
  await freedOnce(1);
  if (!copied(1) && !says.test(message)) fail('wrong', `the second buffer is not refused: ${message}`);
  return message;
}
