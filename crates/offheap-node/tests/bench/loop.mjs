// One side of a row in a loop, for a profiler:
//   perf record -e cpu-clock node_modules/n26/bin/node --expose-gc tests/bench/loop.mjs target/bench.node out ours 1500
// The row is `out` (64 bytes), `in` (buffers over stores) or `first` (script's buffers); the side is `ours`, `peer` or `noop`. It has
// so many rounds of a thousand buffers. `npm run bench` makes the addon.
import { createRequire } from 'node:module';
import { resolve } from 'node:path';

const [path, row, side, rounds] = process.argv.slice(2);
const addon = createRequire(import.meta.url)(resolve(path));
const COUNT = 1000;
const nothing = () => {};
const make = { ours: addon.benchOut, peer: addon.benchOutExternal, noop: addon.benchNothing }[side];
const [hold, release] = {
  ours: [addon.benchHold, addon.benchRelease],
  peer: [addon.benchReference, addon.benchReleaseReferences],
  noop: [addon.benchNothing, nothing],
}[side];
const pass = buffers => {
  for (const buffer of buffers) hold(buffer);
  release();
};
const stores = row === 'in' ? Array.from({ length: COUNT }, () => addon.benchOut(64)) : [];
const run = {
  out: () => { for (let i = 0; i < COUNT; i++) make(64); },
  in: () => pass(stores),
  first: () => pass(Array.from({ length: COUNT }, () => new ArrayBuffer(64))),
}[row];

for (let round = 0; round < Number(rounds); round++) {
  run();
  if (row === 'in') continue;
  gc({ type: 'minor' });
  await new Promise(done => setImmediate(done));
}
