// The modes external and copy: what a host that counts no references makes necessary. And buffers made in the cheapest way, in every mode.
import { parentPort } from 'node:worker_threads';
import { addon, collect, ended, equal, fail, host, inWorker, mode, start, message, tick, throws } from '../harness.mjs';

const MiB = 1 << 20;
const safe = ['external', 'copy'];
const hosts = ['n20', 'n22', 'n24', 'n26', 'deno', 'bun'];
const nodes = ['n20', 'n22', 'n24', 'n26'];
const inStores = run => ({ on: { hosts: nodes, modes: ['stores'] }, run });
const inSafe = run => ({ on: { hosts, modes: safe }, run });
const inExternal = (run, on = hosts) => ({ on: { hosts: on, modes: ['external'] }, run });
const every = (buffer, byteLength, byte) => {
  equal(buffer.byteLength, byteLength, 'the length');
  if (!new Uint8Array(buffer).every(it => it === byte)) fail('wrong', `a byte is not ${byte}`);
};

/** Rust writes a buffer before script sees it, in memory of its own or of the host. */
function fillsBuffers() {
  for (const byteLength of [0, 1, 64, 1024, 1025, 4096, 4097, 1 << 20]) every(addon().filled(byteLength, 7), byteLength, 7);
}

/**
 * Script that runs while Rust fills a buffer does not reach its bytes, although the inspector finds every buffer of the isolate: one
 * of script's own here.
 */
async function fillsAlone() {
  const { Session } = await import('node:inspector');
  const session = new Session();
  session.connect();
  const ask = (method, parameters) => {
    let answer;
    session.post(method, parameters, (error, result) => { answer = error ? fail('wrong', error.message) : result; });
    return answer;
  };
  const overwrite = byteLength => {
    const { result } = ask('Runtime.evaluate', { expression: 'ArrayBuffer.prototype' });
    const { objects } = ask('Runtime.queryObjects', { prototypeObjectId: result.objectId });
    const functionDeclaration = `function () {
      return this.filter(it => it.byteLength === ${byteLength}).map(it => new Uint8Array(it).fill(9)).length;
    }`;
    return ask('Runtime.callFunctionOn', { objectId: objects.objectId, functionDeclaration, returnByValue: true }).result.value;
  };
  for (const byteLength of [777, 3333, 5001]) {
    const own = new ArrayBuffer(byteLength);
    let found;
    if (!addon().filledWhile(byteLength, () => { found = overwrite(byteLength); })) fail('wrong', 'script wrote a slice of Rust');
    equal(found, 1, 'buffers that the inspector found');
    every(own, byteLength, 9);
  }
  session.disconnect();
}

/** Memory of the host that was used before is zeros again. */
async function fillsAgain() {
  for (const byteLength of [1024, 4096]) {
    for (let i = 0; i < 200; i++) addon().filled(byteLength, 255);
    await collect();
    for (let i = 0; i < 200; i++) every(addon().filled(byteLength, i), byteLength, i);
  }
}

/** A store that is given away. */
function givesAway() {
  const copied = mode === 'stores' ? 1024 : 4096;
  for (const byteLength of [0, 64, copied, copied + 1]) every(addon().give(byteLength, 9), byteLength, 9);
  equal(addon().exposureOfGiven(copied), mode === 'copy' ? 'NoExternalMemory' : host === 'deno' ? 'memory' : 'Small', `${copied} bytes given away`);
  equal(addon().exposureOfGiven(copied + 1), mode === 'copy' ? 'NoExternalMemory' : 'memory', `${copied + 1} bytes given away`);
}

export const scenarios = {
  filled: inSafe(fillsBuffers), filledInStores: inStores(fillsBuffers),
  filledAgain: inSafe(fillsAgain), filledAgainInStores: inStores(fillsAgain),
  filledAlone: { on: { hosts: nodes, modes: ['stores', ...safe] }, run: fillsAlone },
  give: inSafe(givesAway), giveInStores: inStores(givesAway),
  /** Script runs in the middle of the first call, and makes buffers too. */
  insideTheFirst: inExternal(async () => {
    const { createHook } = await import('node:async_hooks');
    let [times, inside] = [0];
    addon();
    const hook = createHook({ init() { if (times++ === 0) inside = addon().filled(8192, 2); } }).enable();
    every(addon().filled(8192, 1), 8192, 1);
    hook.disable();
    every(inside, 8192, 2);
  }, nodes),
  /** `expose` never copies. */
  strict: inSafe(() => {
    if (mode === 'external') equal(addon().exposeStrictly(64).byteLength, 64, 'the length');
    else if (!/host allocate/.test(throws(() => addon().exposeStrictly(64), 'expose').message)) fail('wrong', 'the error does not say what to do');
  }),
  /** Once much went out in one turn of the event loop, `expose` is refused, until the loop turns. */
  turn: inExternal(async () => {
    const count = () => {
      let made = 0;
      try {
        for (; made < 100; made++) addon().exposeStrictly(MiB);
      } catch (error) {
        if (!/64 MiB/.test(error.message)) throw error;
      }
      return made;
    };
    equal(count(), 64, 'the buffers in the first turn');
    await null;
    equal(count(), 0, 'the buffers after a microtask');
    await tick();
    await tick(); // a timer that is due comes before the host looks for other events
    equal(count(), 64, 'the buffers in the next turn');
  }),
  /** What a worker of Node leaves behind is leaked and counted. */
  leaked: inExternal(async () => {
    equal(addon().leakedStores(), 0, 'the leaked stores');
    await inWorker('keepsTwo');
    equal(addon().leakedStores(), 2, 'the leaked stores');
    equal(addon().leakedBytes(), 3 * MiB, 'the leaked bytes');
  }, nodes),
  /** Nothing is leaked where the host counts, or where workers get copies. */
  nothingLeaked: inExternal(async () => {
    await inWorker('keepsTwo');
    equal(addon().leakedStores(), 0, 'the leaked stores');
  }, ['deno', 'bun']),
  /** Buffers that are collected before the worker ends are freed. */
  collectedInWorker: inExternal(async () => {
    addon();
    await inWorker('dropsMany');
    if (addon().leakedStores() > 20) fail('leak', `${addon().leakedStores()} of 200 stores are leaked`);
  }, nodes),
  /** Many workers come and go, each with a turn to watch. */
  manyWorkers: {
    on: { hosts, modes: ['external'] },
    seconds: 120,
    async run() {
      for (let i = 0; i < 20; i++) {
        const worker = start('keepsAndSays');
        await message(worker);
        if (i % 2) await worker.terminate();
        else {
          worker.postMessage('end');
          await ended(worker);
        }
      }
    },
  },
  /** The bytes of each sort of object, without a store. */
  sum: inSafe(() => {
    const buffer = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8).buffer;
    equal(addon().sum(buffer), 36, 'a buffer');
    equal(addon().sum(new Uint8Array(buffer, 2, 3)), 12, 'a Uint8Array');
    equal(addon().sum(new Uint16Array(buffer, 2, 2)), 18, 'a Uint16Array');
    equal(addon().sum(new DataView(buffer, 7)), 8, 'a DataView');
    equal(addon().sum(Uint8Array.of(9, 9)), 18, 'a small array on the heap');
    const shared = new SharedArrayBuffer(8);
    new Uint8Array(shared).fill(3);
    equal(addon().sum(shared), 24, 'a SharedArrayBuffer');
    equal(addon().sum(new Uint8Array(shared, 4)), 12, 'a Uint8Array of shared memory');
    equal(addon().sum(new DataView(shared, 6)), 6, 'a DataView of shared memory');
    const resizable = new ArrayBuffer(8, { maxByteLength: 64 });
    new Uint8Array(resizable).fill(1);
    equal(addon().sum(resizable), 8, 'a resizable buffer');
    resizable.resize?.(2);
    equal(addon().sum(resizable), resizable.byteLength, 'a shorter one');
    structuredClone(buffer, { transfer: [buffer] });
    throws(() => addon().sum(buffer), 'a detached buffer');
    for (const other of [null, undefined, 1, 'text', {}, [1], () => 1, Object.create(SharedArrayBuffer.prototype)]) throws(() => addon().sum(other), 'another value');
  }),
  /** Script that replaces what the library may ask for. */
  replaced: inSafe(() => {
    const { Uint8Array: Bytes, SharedArrayBuffer: Shared } = globalThis;
    const shared = new Shared(8), other = new Shared(64);
    const lies = [() => { throw new Error('no'); }, function () { return new Bytes(other); }, function () { return {}; }, undefined, 7];
    for (const lie of lies) {
      globalThis.Uint8Array = lie;
      try { addon().sum(shared); } catch { /* an error is right too */ }
      globalThis.Uint8Array = Bytes;
      globalThis.SharedArrayBuffer = lie;
      try { addon().exposeShared(1, 64, 7); } catch { /* an error is right too */ }
      globalThis.SharedArrayBuffer = Shared;
    }
    equal(addon().sum(shared), 0, 'the sum');
  }),
};

export const workers = {
  keepsTwo() {
    globalThis.kept = [addon().filled(MiB, 1), addon().filled(2 * MiB, 2)];
    parentPort.postMessage('made');
  },
  async dropsMany() {
    for (let i = 0; i < 200; i++) addon().filled(8192, 1);
    await collect(6);
    parentPort.postMessage('done');
  },
  keepsAndSays() {
    globalThis.kept = [addon().filled(MiB, 1), addon().give(64, 1)];
    parentPort.once('message', () => {});
    parentPort.postMessage('made');
  },
};
