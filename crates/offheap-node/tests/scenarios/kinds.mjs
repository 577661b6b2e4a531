// Other memory than a plain ArrayBuffer's: views, resizable, growable, WebAssembly's.
import { addon, BYTE, collect, equal, expose, fail, freedOnce, host, intactBytes, intactHeld, needs, ofScript, throws } from '../harness.mjs';

const page = 65536;
const MiB = 1 << 20;

export const scenarios = {
  /** An observer runs script in the middle of a copy, which makes the buffer shorter, or detaches it. */
  changedByAnObserver: {
    on: { hosts: ['n20', 'n22', 'n24', 'n26'], modes: ['stores', 'external', 'copy'] },
    run() {
      const resizable = () => {
        const buffer = new ArrayBuffer(MiB, { maxByteLength: MiB });
        new Uint8Array(buffer).fill(BYTE);
        return buffer;
      };
      const [same, shorter, empty, detached] = [resizable(), resizable(), resizable(), resizable()];
      equal(addon().externalizeWhile(same, () => {}), BYTE, 'the first byte');
      equal(addon().externalizeWhile(shorter, () => { shorter.resize(8); }), BYTE, 'the first byte that is left');
      equal(addon().externalizeWhile(empty, () => { empty.resize(0); }), 0, 'a byte that is gone');
      throws(() => addon().externalizeWhile(detached, () => { structuredClone(detached, { transfer: [detached] }); }), 'a copy of a detached buffer');
    },
  },

  /** A view holds its part of the buffer. */
  async views() {
    const buffer = ofScript(64);
    new Uint8Array(buffer, 16, 32).fill(7);
    const views = [new Uint8Array(buffer, 16, 32), new DataView(buffer, 16, 32), new Int32Array(buffer, 16, 8), new Float64Array(buffer, 16, 4),
      new BigInt64Array(buffer, 16, 4), new Uint8ClampedArray(buffer, 16, 32), new Int16Array(buffer, 16, 16), Buffer.from(buffer, 16, 32)];
    const held = views.map(view => addon().hold(view));
    await collect();
    for (const each of held) {
      intactHeld(each, 'the view', 32, 7);
      addon().release(each);
    }
  },

  /** Buffers of one pool: each its own part. */
  async pooledBuffers() {
    const held = ['one', 'two', 'three'].map(text => addon().hold(Buffer.from(text)));
    await collect();
    const texts = held.map(each => String.fromCharCode(...Array.from({ length: addon().byteLength(each) }, (_, at) => addon().read(each, at))));
    equal(texts.join(), 'one,two,three', 'what is held');
  },

  /** A view of memory of ours, over a detach. */
  async viewOverDetach() {
    const buffer = expose(1);
    const held = addon().hold(new Uint8Array(buffer, 100, 200));
    addon().detach(buffer);
    await collect();
    intactHeld(held, 'the held view', 200);
    addon().release(held);
    await freedOnce(1);
  },

  /** A resizable buffer that shrinks while it is held: a copy, since its end is unmapped, or zero again. */
  async resizableShrinks() {
    needs(ArrayBuffer.prototype.resize, 'ArrayBuffer.prototype.resize');
    const buffer = new ArrayBuffer(4 * page, { maxByteLength: 16 * page });
    new Uint8Array(buffer).fill(BYTE);
    const held = addon().hold(buffer);
    buffer.resize(page);
    await collect();
    intactHeld(held, 'the held resizable buffer', 4 * page);
    addon().release(held);
  },

  /** A view of a buffer that was made shorter is an error, which names the host. Empty views are none. */
  async outOfBounds() {
    needs(ArrayBuffer.prototype.resize, 'ArrayBuffer.prototype.resize');
    const name = host === 'deno' ? 'Deno' : host === 'bun' ? 'Bun' : 'Node';
    const views = [buffer => new Uint8Array(buffer, 4, 8), buffer => new Uint16Array(buffer, 4), buffer => new DataView(buffer, 4, 8),
      buffer => new DataView(buffer, 4), buffer => new Float64Array(buffer, 0, 2), buffer => Buffer.from(buffer, 8, 8)];
    for (const make of views) {
      const buffer = new ArrayBuffer(16, { maxByteLength: 16 });
      const view = make(buffer);
      buffer.resize(2);
      const { message } = throws(() => addon().hold(view), `hold(${Object.prototype.toString.call(view)})`);
      if (!message.startsWith(`${name}: cannot externalize the view: it is out of bounds`)) fail('wrong', message);
      buffer.resize(16);
      addon().release(addon().hold(view));
      buffer.resize(0);
      const whole = new Uint8Array(buffer), none = new DataView(new ArrayBuffer(8), 0, 0);
      for (const empty of [whole, new Uint8Array(buffer, 0, 0), new Uint8Array(0), new DataView(buffer), none, Buffer.alloc(0)]) {
        const held = addon().hold(empty);
        equal(addon().byteLength(held), 0, 'the bytes of an empty view');
        addon().release(held);
      }
      // Script may lie. Then it is an error, or no bytes come in.
      Object.defineProperty(whole, 'keys', { get() { throw new Error('no keys') } });
      throws(() => addon().hold(whole), 'hold() of a view that lies');
    }
    await collect();
  },

  /** A growable SharedArrayBuffer: what is held is what was there. */
  async growableGrows() {
    needs(SharedArrayBuffer.prototype.grow, 'SharedArrayBuffer.prototype.grow');
    const buffer = new SharedArrayBuffer(page, { maxByteLength: 16 * page });
    new Uint8Array(buffer).fill(BYTE);
    const held = addon().hold(buffer);
    buffer.grow(4 * page);
    await collect();
    intactBytes(held, 'the held growable buffer', page);
    if (addon().exposure(held) === 'memory') {
      new Uint8Array(buffer)[0] = 1;
      equal(addon().read(held, 0), 1, 'what native code reads');
    }
    addon().release(held);
  },

  /** A SharedArrayBuffer of script. */
  async sharedOfScript() {
    const has = [new SharedArrayBuffer(page)];
    new Uint8Array(has[0]).fill(BYTE);
    const held = addon().hold(has[0]);
    has.length = 0;
    await collect();
    intactHeld(held, 'held shared memory', page);
    addon().release(held);
  },

  /** Memory of WebAssembly, which detaches its buffer when it grows, and cannot be detached by others. */
  async wasm() {
    needs(globalThis.WebAssembly, 'WebAssembly');
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 8 });
    new Uint8Array(memory.buffer).fill(BYTE);
    const held = addon().hold(memory.buffer);
    let refused = false;
    try {
      addon().detach(memory.buffer);
    } catch {
      refused = true;
    }
    equal(refused, true, 'whether a detach of the memory is refused');
    memory.grow(4);
    await collect();
    intactBytes(held, 'held WebAssembly memory', page);
    addon().release(held);
  },

  /** WebAssembly's memory outlives its module. */
  async wasmCollected() {
    needs(globalThis.WebAssembly, 'WebAssembly');
    const has = [new WebAssembly.Memory({ initial: 16 })];
    new Uint8Array(has[0].buffer).fill(BYTE);
    const held = addon().hold(has[0].buffer);
    has.length = 0;
    await collect();
    intactHeld(held, 'held WebAssembly memory', 16 * page);
    addon().release(held);
  },
};
