// Memory that is kept without its buffer.
import { assert, collect, ended, file, host, isNode, live, message, offheap, start, throws } from '../harness.mjs';

const { allocate, externalize, ledger, mapFile, stats } = offheap;
const filled = (buffer, byte = 7) => {
  new Uint8Array(buffer).fill(byte);
  return buffer;
};
const all = (buffer, byte = 7) => new Uint8Array(buffer).every(each => each === byte);
const canTransfer = ArrayBuffer.prototype.transfer !== undefined;
/** Detaches a buffer; the new buffer has its memory. */
const moved = buffer => (canTransfer ? buffer.transfer() : structuredClone(buffer, { transfer: [buffer] }));

export const cases = {
  everySortOfBuffer() {
    const objects = [new ArrayBuffer(16), new SharedArrayBuffer(16), new DataView(new ArrayBuffer(16)), Buffer.alloc(16), allocate(16),
      ...[Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array, BigInt64Array,
        BigUint64Array].map(Class => new Class(new ArrayBuffer(16)))];
    for (const object of objects) {
      const whole = ArrayBuffer.isView(object) ? object.buffer : object;
      const kept = externalize(object);
      assert(kept instanceof offheap.Externalized);
      assert.deepEqual([kept.byteLength, kept.bufferByteLength, kept.released], [16, whole.byteLength, false]);
      assert.equal(kept.expose().buffer, whole);
      const isMemory = isNode || object === objects[4];
      assert.equal(kept.copied, !isMemory);
      if (isMemory) assert.deepEqual([kept.reason, kept.message], [null, null]);
      else assert(kept.reason === 'HostFrees' && kept.message.length > 20, kept.reason);
    }
  },
  aViewTellsItsPart() {
    const kept = externalize(new Uint16Array(allocate(64), 8, 4));
    assert.deepEqual([kept.byteOffset, kept.byteLength, kept.bufferByteLength], [8, 8, 64]);
    const empty = externalize(new ArrayBuffer(0));
    assert.deepEqual([empty.byteOffset, empty.byteLength, empty.bufferByteLength], [0, 0, 0]);
  },
  whatIsNoBuffer() {
    for (const value of [undefined, null, 3, 'text', {}, [], () => {}]) throws(TypeError, 'NOT_AN_ARRAY_BUFFER', () => externalize(value));
    const buffer = new ArrayBuffer(8);
    const views = [new Uint8Array(buffer), new DataView(buffer)];
    moved(buffer);
    for (const detached of [buffer, ...views]) throws(TypeError, 'DETACHED', () => externalize(detached));
    throws(TypeError, 'ARGUMENT', () => new offheap.Externalized({}, {}, buffer));
  },
  // What a view shows is not what script has put on it.
  aViewThatLies() {
    for (const view of [new Uint8Array(allocate(64), 8, 16), new DataView(allocate(64), 8, 16)]) {
      const { buffer } = view;
      for (const name of ['buffer', 'byteLength', 'byteOffset']) Object.defineProperty(view, name, { get: () => assert.fail('script was called') });
      const kept = externalize(view);
      assert.deepEqual([kept.byteOffset, kept.byteLength], [8, 16]);
      assert.equal(kept.expose().buffer, buffer);
    }
  },
  // It shows nothing.
  aViewBeyondItsBuffer() {
    for (const View of [Uint8Array, DataView]) {
      const buffer = new ArrayBuffer(64, { maxByteLength: 64 });
      const view = new View(buffer, 32, 16);
      buffer.resize(16);
      const kept = externalize(view);
      assert.deepEqual([kept.byteOffset, kept.byteLength, kept.bufferByteLength], [0, 0, 16]);
    }
  },
  // The memory itself, where it is kept.
  async afterItsBufferIsCollected() {
    const kept = [new ArrayBuffer(4096), new SharedArrayBuffer(4096), allocate(4096)].map(buffer => externalize(filled(buffer)));
    const check = (each, byte, next) => {
      const { buffer, copied, reason, message } = each.expose();
      assert(all(buffer, byte) && buffer.byteLength === 4096);
      assert.equal(each.expose().buffer, buffer); // no second one
      assert.deepEqual([copied, reason, message], [false, null, null]);
      filled(buffer, next);
    };
    await collect();
    // Deno makes no SharedArrayBuffer over memory of ours.
    if (host === 'deno') assert.equal(kept.splice(1, 1)[0].expose().reason, 'NoExternalSharedMemory');
    kept.forEach(each => check(each, 7, 8));
    await collect();
    kept.forEach(each => check(each, 8, 9));
    kept.forEach(each => each.release());
    await live(0);
  },
  // Unshared memory has one buffer, so while script has the new one it is a copy, which is said.
  async afterATransfer() {
    const kept = externalize(filled(allocate(4096)));
    let other = moved(kept.expose().buffer);
    assert.equal(other.byteLength, 4096);
    const given = kept.expose();
    assert.deepEqual([given.copied, given.reason], [true, 'OneBuffer']);
    assert(given.message.length > 20 && all(given.buffer));
    filled(other, 9);
    assert(all(given.buffer));
    assert(all(kept.expose().buffer, 9));
    other = null;
    await collect(10);
    const again = kept.expose();
    assert.equal(again.copied, false);
    assert(all(again.buffer, 9));
  },
  async afterATransferOfScriptsOwn() {
    let buffer = filled(new ArrayBuffer(4096));
    const kept = externalize(buffer);
    buffer = moved(buffer);
    filled(buffer, 9);
    const given = kept.expose();
    // Where the memory is kept, the copy is of what is there now; else of what was there.
    assert(all(given.buffer, kept.copied ? 7 : 9));
    assert.equal(given.copied, !kept.copied);
    buffer = null;
    await collect(10);
    assert.equal(kept.expose().copied, false);
  },
  async byAWorkerThatEnds() {
    const buffer = filled(allocate(4096));
    const kept = externalize(buffer);
    const posted = host === 'bun' ? buffer.transfer() : buffer;
    const worker = start('takes', posted, [posted]);
    await ended(worker);
    await collect(10);
    const given = kept.expose();
    assert(all(given.buffer, 8));
    // The end of a worker of Bun collects nothing.
    if (host !== 'bun') assert.equal(given.copied, false);
  },
  // Deno and Bun collect nothing when a worker ends.
  async byAWorkerThatIsTerminated() {
    for (const env of [undefined, 'ledger']) {
      const worker = start('keeps', env);
      await message(worker);
      assert(stats().liveStores >= 20);
      await worker.terminate();
      await live(0);
    }
  },
  async madeByAWorkerThatEnds() {
    const worker = start('makes');
    const buffer = await message(worker);
    const kept = externalize(buffer);
    const end = ended(worker);
    worker.postMessage('end');
    await end;
    await collect();
    assert(all(buffer) && all(kept.expose().buffer));
  },
  // A buffer that script may make shorter is copied.
  resizable() {
    const kept = externalize(filled(new ArrayBuffer(64, { maxByteLength: 128 })));
    assert.equal(kept.copied, true);
    assert.equal(kept.reason, isNode ? 'ScriptResizes' : 'HostFrees');
  },
  async aMappedFile() {
    let kept = externalize(mapFile(file('some bytes')));
    assert.equal(kept.copied, false);
    await collect(10);
    const { buffer, copied } = kept.expose();
    assert.equal(copied, false);
    assert.equal(Buffer.from(new Uint8Array(buffer)).toString(), 'some bytes');
  },
  // On Deno it is an ArrayBuffer, and V8 takes its bytes for its own, so there are no two of them.
  async aMappedFileThatAWorkerHas() {
    const buffer = mapFile(file('some bytes'));
    const kept = externalize(buffer);
    const worker = start('waits');
    worker.postMessage(buffer, host === 'deno' ? [buffer] : []);
    const given = kept.expose();
    assert.equal(given.copied, host === 'deno');
    assert.equal(Buffer.from(new Uint8Array(given.buffer)).toString(), 'some bytes');
    await ended(worker);
    await collect(10);
    assert.equal(kept.expose().copied, false);
  },
  async release() {
    const buffer = filled(allocate(4096));
    const kept = externalize(buffer);
    assert.equal(kept.release(), true);
    assert.equal(kept.released, true);
    assert.equal(kept.release(), false);
    assert.equal(kept.byteLength, 4096);
    throws(TypeError, 'RELEASED', () => kept.expose());
    assert(all(buffer)); // script's buffer stays
  },
  async releasedMemoryIsFreed() {
    const kept = [externalize(allocate(1 << 20)), externalize(new ArrayBuffer(1 << 20))];
    await collect();
    assert.equal(offheap.stats().liveStores, 2);
    kept.forEach(each => each.release());
    await live(0);
  },
  // On Deno and Bun, script's own buffers are remembered weakly, and so they live until script has returned.
  aLoopThatReleases: {
    hosts: ['n20', 'n22', 'n24', 'n26'],
    run() {
      const before = process.memoryUsage.rss();
      let most = 0;
      for (let count = 0; count < 1000; count++) {
        externalize(filled(new ArrayBuffer(1 << 20))).release();
        most = Math.max(most, process.memoryUsage.rss() - before);
      }
      assert(most < 256 << 20, `${most >> 20} MiB`);
    },
  },
  async collectionReleases() {
    (() => externalize(allocate(1 << 20)))();
    assert.equal(offheap.stats().liveStores, 1);
    await live(0);
  },
  // For `using`.
  dispose() {
    if (!Symbol.dispose) return assert.fail('the host has no Symbol.dispose');
    const kept = externalize(allocate(64));
    kept[Symbol.dispose]();
    return assert.equal(kept.released, true);
  },
  // Script replaces what it can. The functions go on, or say what is wrong.
  scriptReplacesGlobals() {
    const kept = externalize(filled(allocate(64)));
    globalThis.Uint8Array = globalThis.WeakRef = globalThis.ArrayBuffer = globalThis.SharedArrayBuffer = globalThis.Number = undefined;
    assert.equal(kept.expose().buffer.byteLength, 64);
    assert.equal(externalize(allocate(8)).byteLength, 8);
  },
};

export const workers = {
  async waits() {
    const { parentPort } = await import('node:worker_threads');
    await new Promise(resolve => { parentPort.once('message', resolve); });
    parentPort.close?.();
  },
  async keeps(withLedger) {
    const { parentPort } = await import('node:worker_threads');
    if (withLedger) ledger.install('full');
    globalThis.kept = Array.from({ length: 20 }, () => externalize(allocate(1 << 20)));
    parentPort.postMessage('kept');
    setInterval(() => {}, 1000);
  },
  takes(buffer) {
    filled(buffer, 8);
  },
  async makes() {
    const { parentPort } = await import('node:worker_threads');
    const buffer = filled(new ArrayBuffer(4096));
    externalize(buffer);
    parentPort.postMessage(buffer, [buffer]);
    await new Promise(resolve => { parentPort.once('message', resolve); });
    parentPort.close?.();
  },
};
