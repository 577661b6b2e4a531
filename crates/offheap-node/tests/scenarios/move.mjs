// Memory that moves to another ArrayBuffer of the same thread: transfer() and structuredClone. Buffers that must be collected
// are in arrays that let go of them: JavaScriptCore also looks for pointers on the stack.
import { addon, collect, collectAndReuse, equal, expose, freedOnce, intact, intactHeld, needs, ofScript, POISON, stillThere } from '../harness.mjs';

const MiB = 1 << 20;
const hasTransfer = () => needs(ArrayBuffer.prototype.transfer, 'ArrayBuffer.prototype.transfer');

export const scenarios = {
  /** To the same length: the memory moves, and is freed with the new buffer. */
  async transferEqual() {
    hasTransfer();
    const has = [expose(1).transfer()];
    await collect();
    stillThere(1);
    intact(has[0], 'the new buffer');
    has.length = 0;
    await freedOnce(1);
  },

  /** To other lengths: a copy, and the old memory is freed. */
  async transferOther() {
    hasTransfer();
    const shorter = expose(1).transfer(100);
    const longer = expose(2).transfer(8192);
    await freedOnce(1, 2);
    intact(shorter, 'the shorter buffer', 100);
    intact(longer.slice(0, 4096), 'the longer buffer');
    equal(new Uint8Array(longer)[8191], 0, 'the last byte of the longer buffer');
  },

  /** To no bytes, and from no bytes. */
  async transferZero() {
    hasTransfer();
    equal(expose(1).transfer(0).byteLength, 0, 'the new length');
    equal(expose(2, 0).transfer().byteLength, 0, 'the new length');
    equal(expose(3, 0).transfer(16).byteLength, 16, 'the new length');
    await freedOnce(1, 2, 3);
  },

  async transferToFixedLength() {
    hasTransfer();
    const has = [expose(1).transferToFixedLength()];
    await collect();
    intact(has[0], 'the new buffer');
    has.length = 0;
    await freedOnce(1);
  },

  /** Native code holds 8 MiB of script over a transfer whose result is collected. */
  async transferHeld() {
    hasTransfer();
    const buffer = ofScript(8 * MiB);
    const held = addon().hold(buffer);
    buffer.transfer();
    await collectAndReuse(8 * MiB);
    intactHeld(held, 'held memory of a transferred buffer', 8 * MiB);
    addon().release(held);
  },

  /** Native code holds memory of its own over a transfer whose result is collected. */
  async transferHeldOurs() {
    hasTransfer();
    const buffer = expose(1);
    const held = addon().hold(buffer);
    buffer.transfer();
    await collect();
    intactHeld(held, 'held memory of a transferred buffer');
    addon().release(held);
    await freedOnce(1);
  },

  /** A clone that transfers moves the memory, and detaches the buffer. */
  async clone() {
    const buffer = expose(1);
    const has = [structuredClone(buffer, { transfer: [buffer] })];
    equal(buffer.byteLength, 0, 'the length of the old buffer');
    await collect();
    stillThere(1);
    intact(has[0], 'the clone');
    has.length = 0;
    await freedOnce(1);
  },

  /** A clone that does not transfer is a copy. */
  async cloneCopies() {
    const buffer = expose(1);
    const clone = structuredClone(buffer);
    new Uint8Array(clone).fill(POISON);
    intact(buffer, 'the old buffer');
  },
};
