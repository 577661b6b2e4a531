// Compares the speed of offheap in the mode `stores` with plain Node-API, on each Node:
//   npm run bench                  all of them
//   npm run bench -- n24 n26       some
// It builds the test addon for release, with link-time optimization as napi-rs proposes. Both sides of a row take turns in one
// process. What is compared is the CPU time of that process, in medians, less the time of rounds that call an empty function
// instead. Times are those of one buffer. The ratio in brackets is that of the whole times, with the call. A row that has no other is
// judged by it.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { addon } from './build-addon.mjs';
import { hosts } from './hosts.mjs';

const here = path => fileURLToPath(new URL(path, import.meta.url));
const measured = ['n20', 'n22', 'n24', 'n26'];
const chosen = process.argv.length > 2 ? process.argv.slice(2) : measured;
for (const name of chosen) if (!measured.includes(name)) throw new Error(`${name} is none of ${measured.join(', ')}`);

const LOADS = 21;
const LOAD_GOAL = 1; // milliseconds
const library = here('../target/bench.node');
mkdirSync(here('../target'), { recursive: true });
copyFileSync(addon('offheap-node-test-addon', '--release', '--config', 'profile.release.lto=true'), library);

function run(host, file) {
  const [program, ...flags] = hosts[host].command;
  const { status, stdout, stderr, error } = spawnSync(program, [...flags, here(`bench/${file}`), library], { encoding: 'utf8' });
  if (error || status !== 0) throw error ?? new Error(`${host} ${file}: status ${status}\n${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1));
}
const met = (is, goal) => (goal === undefined ? '' : `${goal} at most: ${is <= goal ? 'met' : 'MISSED'}`);
const ns = time => `${Math.round(time)} ns`.padStart(11);

console.log(`${os.cpus()[0].model}, ${os.cpus().length} processors, load ${os.loadavg()[0].toFixed(1)}`);
for (const host of chosen) {
  const { text, version, v8, results } = run(host, 'rows.mjs');
  console.log(`\n${host}: ${version}, V8 ${v8}, mode ${text}`);
  for (const { name, compared, goal, ours, peer, noop, ratio, withCall } of results) {
    const times = `${ns(ours)} / ${ns(peer)} (call ${Math.round(noop)} ns)`;
    console.log(`${(ratio?.toFixed(2) ?? '').padStart(6)} (${withCall.toFixed(2)}) ${times}  ${name} / ${compared}  ${met(ratio ?? withCall, goal)}`);
  }
  const loads = Array.from({ length: LOADS }, () => run(host, 'load.mjs')).sort((a, b) => a - b);
  const [least, load, most] = [loads[0], loads[LOADS >> 1], loads.at(-1)].map(time => time / 1000);
  console.log(`       ${load.toFixed(2)} ms (${least.toFixed(2)} to ${most.toFixed(2)})  the decision at load  ${met(load, LOAD_GOAL)}`);
}
