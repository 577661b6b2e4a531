// Times the rows on the host that runs this: HOST --expose-gc rows.mjs ADDON. Prints one line of JSON for bench.mjs.
//
// What is timed is the CPU time of the whole process, so collections and V8's own threads count. The three sides of a row (ours, the
// peer, and an empty function) take turns of some milliseconds, so what other programs do to the memory and the processor reaches all of
// them. Their order is random, since a turn finds the memory and the caches as the one before has left them.
//
// A round is a full collection and then some turns of each side. The time of a side is the mean over the turns of a round, for which
// the first turn of all rounds, the second one, and so on have a median each. So the first pass after a collection counts as often as
// it occurs, and a turn that something disturbed does not count.
import { createRequire } from 'node:module';

const addon = createRequire(import.meta.url)(process.argv[2]);
const { benchNothing, benchHold, benchRelease, benchReference, benchReleaseReferences, benchKept } = addon;
const WARM_UP = 2; // rounds
const BATCHES = 5;
const LARGE = 1 << 20; // bytes
const PATIENCE = 5000; // milliseconds
const nothing = () => {};
const turn = () => new Promise(resolve => setImmediate(resolve));
const pause = () => new Promise(resolve => setTimeout(resolve, 1));

async function collectAll() {
  for (let times = 0; times < 2; times++) {
    gc();
    await turn();
  }
}

/** Waits until no more than so many blocks are left. V8 frees them on threads of its own, or its finalizers on this one. */
async function freed(allowed) {
  const end = performance.now() + PATIENCE;
  while (benchKept() > allowed) {
    if (performance.now() > end) throw new Error(`${benchKept()} blocks were not freed, ${allowed} may be left`);
    await pause();
  }
}

/** The CPU time of the process in microseconds while `work` ran. */
async function cpu(work) {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/**
 * Calls `make` for batches of buffers of which nobody keeps one, and collects after each batch. They die young, as in most programs.
 * Large ones make V8 collect by itself in the middle of a batch, so some of them get older, and all are collected at the end. The turn
 * ends when the memory is free, except for a few blocks that a slot of V8's still refers to.
 */
const out = (make, byteLength) => count => cpu(async () => {
  for (let batch = 0; batch < BATCHES; batch++) {
    for (let i = 0; i < count / BATCHES; i++) make(byteLength);
    gc({ type: 'minor' });
    await turn();
  }
  if (byteLength >= LARGE) await collectAll();
  await freed(count / 50);
});
const outs = (ours, peer, byteLength) => ({
  ours: out(ours, byteLength), peer: out(peer, byteLength), noop: out(benchNothing, byteLength),
});

/** Calls `hold` with each buffer, and releases all of them. */
const hold = (hold, release) => (count, buffers) => cpu(() => {
  for (const buffer of buffers) hold(buffer);
  release();
});

/** The same with buffers that are new each time. */
const holdOnce = (hold, release) => count => {
  const buffers = Array.from({ length: count }, () => new ArrayBuffer(64));
  return cpu(() => {
    for (const buffer of buffers) hold(buffer);
    release();
  });
};
const held = of => ({
  ours: of(benchHold, benchRelease), peer: of(benchReference, benchReleaseReferences), noop: of(benchNothing, nothing),
});

const ofOurs = count => Array.from({ length: count }, () => addon.benchOut(64));
const rows = [
  {
    // The peer gives its memory away too.
    name: '64 bytes given away and collected', compared: 'napi_create_external_arraybuffer', goal: 0.7,
    rounds: 15, turns: 4, count: 5000, ...outs(addon.benchGiven, addon.benchOutExternal, 64),
  },
  {
    name: '64 bytes exposed and collected', compared: 'napi_create_external_arraybuffer', goal: 0.7,
    rounds: 15, turns: 4, count: 5000, ...outs(addon.benchOut, addon.benchOutExternal, 64),
  },
  {
    // The longest that is copied.
    name: '1 KiB given away and collected', compared: '1 KiB exposed and collected', goal: 1,
    rounds: 15, turns: 4, count: 5000, ...outs(addon.benchGiven, addon.benchOut, 1 << 10),
  },
  {
    name: '1 MiB out and collected', compared: 'napi_create_buffer_copy', goal: 0.25,
    rounds: 9, turns: 1, count: 320, ...outs(addon.benchOut, addon.benchOutCopy, LARGE),
  },
  {
    name: 'a buffer over a store in, held and released', compared: 'a strong reference and napi_get_arraybuffer_info', goal: 1.1,
    rounds: 31, turns: 20, count: 1000, prepare: ofOurs, ...held(hold),
  },
  {
    name: 'the same with 20,000 buffers', compared: 'the same',
    rounds: 15, turns: 2, count: 20_000, prepare: ofOurs, ...held(hold),
  },
  {
    // Less the call, the peer's time is smaller than what runs differ by.
    name: "script's buffer in for the first time, held and released", compared: 'the same, whole calls', goal: 2.0, wholeCalls: true,
    rounds: 41, turns: 5, count: 1000, ...held(holdOnce),
  },
];

const median = values => values.sort((a, b) => a - b)[values.length >> 1];

/** The names in one of their orders. */
function shuffled(names) {
  const left = [...names];
  return names.map(() => left.splice(Math.floor(Math.random() * left.length), 1)[0]);
}

async function measure({ name, compared, goal, wholeCalls = false, rounds, turns, count, prepare, ...sides }) {
  let buffers = prepare?.(count);
  const names = Object.keys(sides);
  const times = Object.fromEntries(names.map(side => [side, Array.from({ length: turns }, () => [])]));
  for (let round = -WARM_UP; round < rounds; round++) {
    await collectAll();
    for (let i = 0; i < turns; i++) {
      for (const side of shuffled(names)) {
        const time = await sides[side](count, buffers);
        if (round >= 0) times[side][i].push(time / count * 1000);
      }
    }
    await collectAll();
    await freed(buffers?.length ?? 0);
  }
  buffers = null;
  await collectAll();
  const [ours, peer, noop] = ['ours', 'peer', 'noop'].map(side => times[side].map(median).reduce((a, b) => a + b) / turns);
  const ratio = wholeCalls ? null : (ours - noop) / (peer - noop);
  return { name, compared, goal, ours: ours - noop, peer: peer - noop, noop, ratio, withCall: ours / peer };
}

const text = addon.mode();
if (!text.startsWith('stores')) throw new Error(`not the mode that is measured: ${text}`);
const results = [];
for (const row of rows) results.push(await measure(row));
console.log(JSON.stringify({ text, v8: process.versions.v8, version: process.version, results }));
