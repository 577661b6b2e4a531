// Times the rows on the host that runs this: HOST --expose-gc rows.mjs ADDON. Prints one line of JSON for bench.mjs.
// What is timed is the CPU time of the whole process, so collections and V8's own threads count.
import { createRequire } from 'node:module';

const addon = createRequire(import.meta.url)(process.argv[2]);
const ROUNDS = 15;
const turn = () => new Promise(resolve => setImmediate(resolve));

/** Collects, and lets the host's finalizers run, twice: V8's threads are still freeing memory after the first time. */
async function collectAll() {
  for (let times = 0; times < 2; times++) {
    gc();
    await turn();
  }
}

/** The CPU time of the process in microseconds while `work` ran. */
async function cpu(work) {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** Calls `make` for 20 batches of buffers of which nobody keeps one. They die young, as in most programs. */
const out = (make, byteLength) => count => cpu(async () => {
  for (let batch = 0; batch < 20; batch++) {
    for (let i = 0; i < count / 20; i++) make(byteLength);
    gc({ type: 'minor' });
    await turn();
  }
  await collectAll();
});

/** Calls `hold` with each buffer, and releases all of them. */
const hold = (hold, release) => (count, buffers) => cpu(() => {
  for (const buffer of buffers) hold(buffer);
  release();
});

/** The same with buffers that are new each time. What is left to do when they were collected counts too. */
const holdOnce = (hold, release, after) => async count => {
  const buffers = Array.from({ length: count }, () => new ArrayBuffer(64));
  const held = await cpu(() => {
    for (const buffer of buffers) hold(buffer);
    release();
  });
  buffers.length = 0;
  await collectAll();
  return held + await cpu(after);
};

const { benchNothing, benchHold, benchRelease, benchReference, benchReleaseReferences } = addon;
const nothing = () => {};
const held = of => ({
  ours: of(benchHold, benchRelease, addon.releaseCollected),
  peer: of(benchReference, benchReleaseReferences, nothing),
  noop: of(benchNothing, nothing, nothing),
});

const rows = [
  {
    name: '64 bytes out and collected', compared: 'napi_create_external_arraybuffer', goal: 0.7, count: 20_000,
    ours: out(addon.benchOut, 64), peer: out(addon.benchOutExternal, 64), noop: out(benchNothing, 64),
  },
  {
    name: '1 MiB out and collected', compared: 'napi_create_buffer_copy', goal: 0.25, count: 1280,
    ours: out(addon.benchOut, 1 << 20), peer: out(addon.benchOutCopy, 1 << 20), noop: out(benchNothing, 1 << 20),
  },
  {
    name: 'a buffer over a store in, held and released', compared: 'a strong reference and napi_get_arraybuffer_info', goal: 1.1, count: 1000, repeat: 20,
    prepare: count => Array.from({ length: count }, () => addon.benchOut(64)), ...held(hold),
  },
  {
    name: 'the same with 20,000 buffers', compared: 'the same', count: 20_000,
    prepare: count => Array.from({ length: count }, () => addon.benchOut(64)), ...held(hold),
  },
  {
    // Less the call, the peer's time is smaller than what runs differ by.
    name: "script's buffer in for the first time, held and released", compared: 'the same, whole calls', goal: 2.0, wholeCalls: true,
    count: 1000, repeat: 10, ...held(holdOnce),
  },
];

const median = values => values.sort((a, b) => a - b)[values.length >> 1];

async function measure({ name, compared, goal, wholeCalls = false, count, repeat = 1, prepare, ...sides }) {
  let buffers = prepare?.(count);
  const times = { ours: [], peer: [], noop: [] };
  for (let round = -2; round < ROUNDS; round++) { // the first two warm up
    for (const side of Object.keys(times)) {
      await collectAll();
      let time = 0;
      for (let i = 0; i < repeat; i++) time += await sides[side](count, buffers);
      if (round >= 0) times[side].push(time / repeat / count * 1000);
      const left = addon.benchKept() - (buffers?.length ?? 0);
      if (left > 0) throw new Error(`${name}, ${side}: ${left} of ${count} blocks were not freed in the time that was measured`);
    }
  }
  buffers = null;
  await collectAll();
  const [ours, peer, noop] = [times.ours, times.peer, times.noop].map(median);
  const ratio = wholeCalls ? null : (ours - noop) / (peer - noop);
  return { name, compared, goal, ours: ours - noop, peer: peer - noop, noop, ratio, withCall: ours / peer };
}

const text = addon.mode();
if (!text.startsWith('stores')) throw new Error(`not the mode that is measured: ${text}`);
const results = [];
for (const row of rows) results.push(await measure(row));
console.log(JSON.stringify({ text, v8: process.versions.v8, version: process.version, results }));
