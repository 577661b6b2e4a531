// Times both sides on the host that runs this: HOST rows.mjs FILE. Prints one line of JSON for bench.mjs.
import { readFileSync } from 'node:fs';
import { mapFile } from '../../index.mjs';

const ROUNDS = 9;
const path = process.argv[2];
const turn = () => new Promise(resolve => setTimeout(resolve, 1));

function pass(numbers) {
  let sum = 0;
  for (let i = 0; i < numbers.length; i++) sum = (sum + numbers[i]) | 0;
  return sum;
}
const sides = {
  ours: () => pass(new Int32Array(mapFile(path))),
  peer() {
    const { buffer, byteOffset, byteLength } = readFileSync(path);
    return pass(new Int32Array(buffer, byteOffset, byteLength / 4));
  },
};

async function collect() {
  for (let times = 0; times < 2; times++) {
    globalThis.Bun ? Bun.gc(true) : globalThis.gc();
    await turn();
  }
}

/** The CPU time of the process in milliseconds while one side runs. */
async function time(side) {
  const before = process.cpuUsage();
  const sum = sides[side]();
  await collect();
  const { user, system } = process.cpuUsage(before);
  return { sum, time: (user + system) / 1000 };
}

const times = { ours: [], peer: [] };
for (let round = -2; round < ROUNDS; round++) {
  const [ours, peer] = [await time('ours'), await time('peer')];
  if (ours.sum !== peer.sum) throw new Error(`the sums differ: ${ours.sum} and ${peer.sum}`);
  if (round < 0) continue;
  times.ours.push(ours.time);
  times.peer.push(peer.time);
}
const sorted = values => [...values].sort((a, b) => a - b);
const ratios = sorted(times.ours.map((ours, round) => ours / times.peer[round]));
const [ours, peer] = [times.ours, times.peer].map(values => sorted(values)[ROUNDS >> 1]);
console.log(JSON.stringify({ ours, peer, ratios: [ratios[0], ratios.at(-1)] }));
