// The types for functions of an addon, in the example of docs/node.md.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { collect, equal, fail, host, mode, throws, tick } from '../harness.mjs';

const require = createRequire(import.meta.url);
const example = () => require('../../target/example.node');
const ours = ['n20', 'n22', 'n24', 'n26', 'deno', 'bun'];
const on = { hosts: ours, modes: ['auto', 'external', 'copy'] };
const scenario = (run, more) => ({ on, run, ...more });
const is = (value, type) => equal(Object.prototype.toString.call(value), `[object ${type}]`, 'the type of a result');
const sharedGoesOut = () => host !== 'deno' && mode !== 'copy' && !(host === 'n20' && mode === 'external');
const moved = bytes => bytes.buffer.transfer ? new Float64Array(bytes.buffer.transfer()) : structuredClone(bytes, { transfer: [bytes.buffer] });

export const scenarios = {
  /** A view in, a view over a `Vec` out. */
  views: scenario(() => {
    const bytes = new Uint8Array([1, 2, 2, 9, 9, 9]).subarray(1);
    const counts = example().histogram(bytes);
    is(counts, 'Uint32Array');
    equal(counts.length, 256, 'the length');
    equal([0, 1, 2, 9].map(byte => counts[byte]).join(), '0,0,2,3', 'how often bytes occur');
    equal(example().histogram(Buffer.from('aab'))[97], 2, 'the a in a Buffer');
  }),

  /** What an async function has does not change hands with the buffer. */
  async: scenario(async () => {
    const samples = new Float64Array(1000).fill(0.5);
    const sum = example().sum(samples);
    moved(samples);
    await collect(2);
    equal(await sum, 500, 'the sum');
  }),

  /** A field of an object, and a task on another thread. */
  async objects() {
    const pixels = new Uint8ClampedArray([0, 100, 255, 7, 1, 2, 3, 4]);
    const image = await example().inverted({ width: 2, height: 1, pixels });
    is(image.pixels, 'Uint8ClampedArray');
    equal(image.pixels.join(), '255,155,0,7,254,253,252,4', 'the pixels');
    equal(image.width, 2, 'the width');
    equal(pixels[0], 0, 'a pixel of the first picture');
  },

  /** Shared memory is the same memory, or nothing goes out. */
  shared: scenario(() => {
    if (!sharedGoesOut()) {
      const error = throws(() => example().counters(), 'counters');
      equal(error instanceof TypeError, true, `whether ${error} is a TypeError`);
      equal(error.code, 'UNSUPPORTED', `the code of "${error.message}"`);
      return error.message;
    }
    const counters = new Int32Array(example().counters());
    is(counters.buffer, 'SharedArrayBuffer');
    equal(Atomics.add(counters, 0, 5), 1, 'the first counter');
  }),

  buffer: scenario(() => {
    const greeting = example().greeting('Ada');
    equal(Buffer.isBuffer(greeting), true, 'whether it is a Buffer');
    equal(greeting.toString(), 'Hello, Ada!', 'the text');
  }),

  /** How memory came in: the memory on hosts that let it be kept. */
  how: { on: { hosts: ours, modes: ['auto'] }, run() {
    const how = example().how(new ArrayBuffer(64));
    equal(how, host === 'deno' || host === 'bun' ? 'Copied { reason: HostFrees }' : 'External', 'how a buffer came in');
    equal(example().how(undefined), 'no buffer', 'how nothing came in');
    return how;
  } },

  /** What is no such object is an error that says what it is. */
  wrong: scenario(() => {
    const { same, histogram } = example();
    for (const [value, found] of [[{}, 'type object'], ['text', 'type string'], [null, 'type null'], [undefined, 'type undefined'],
      [new Uint8Array(4), 'a Uint8Array'], [new DataView(new ArrayBuffer(4)), 'a DataView'], [new SharedArrayBuffer(4), 'a SharedArrayBuffer']]) {
      const error = throws(() => same(value), `same(${found})`);
      equal(error instanceof TypeError, true, `whether ${error} is a TypeError`);
      if (!error.message.includes(found) || !error.message.includes('ArrayBuffer')) fail('wrong', `"${error.message}" does not name ${found}`);
      equal(error.code, 'NOT_AN_ARRAY_BUFFER', `the code of "${error.message}"`);
    }
    equal(throws(() => histogram(new Uint16Array(4)), 'histogram').code, 'NOT_AN_ARRAY_BUFFER', 'the code for another array');
  }),

  detached: scenario(() => {
    const buffer = new ArrayBuffer(8);
    structuredClone(buffer, { transfer: [buffer] });
    const error = throws(() => example().how(buffer), 'how');
    equal(error.code, 'DETACHED', `the code of "${error.message}"`);
  }),

  /** Script's own buffer does not come out a second time. */
  twice: { on: { hosts: ['n20', 'n22', 'n24', 'n26'], modes: ['stores'] }, run() {
    const error = throws(() => example().same(new ArrayBuffer(64)), 'same');
    equal(error.code, 'EXPOSED', `the code of "${error.message}"`);
    return error.message;
  } },

  /** In a worker that ends. */
  async worker() {
    const script = `const { parentPort } = require('node:worker_threads'); const example = { exports: {} };
      process.dlopen(example, ${JSON.stringify(fileURLToPath(new URL('../../target/example.node', import.meta.url)))});
      example.exports.sum(new Float64Array(10).fill(1)).then(sum => parentPort.postMessage(sum));`;
    const worker = new Worker(script, { eval: true });
    equal(await new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject)), 10, 'the sum in a worker');
    await worker.terminate();
    await tick();
  },

  /** What a generated index.d.ts would say. */
  declared: { on: { hosts: ['n24'], modes: ['auto'] }, run() {
    const lines = readFileSync(new URL('../../target/types/offheap-node-example', import.meta.url), 'utf8');
    for (const part of ['histogram(bytes: Uint8Array): Uint32Array', 'sum(samples: Float64Array): Promise<number>', 'pixels: Uint8ClampedArray',
      'counters(): SharedArrayBuffer', 'greeting(name: string): Buffer', 'how(buffer?: ArrayBuffer | undefined | null): string']) {
      if (!lines.includes(part)) fail('wrong', `${part} is not in ${lines}`);
    }
  } },
};
for (const name of ['objects', 'worker']) scenarios[name] = { on, run: scenarios[name] };
