// Compares the speed of offheap in the mode `stores` with plain Node-API, on each Node:
//   npm run bench                  all of them
//   npm run bench -- n24 n26       some
//   npm run bench -- n26 --single-threaded-gc    with an option of Node's
// It builds the test addon for release, with link-time optimization as napi-rs proposes. Both sides of a row take turns in one
// process, as `bench/rows.mjs` says, and what is compared is the CPU time of that process less the time of an empty function. The
// figures are medians of several processes, since one process may have its memory, or V8's threads, in a way that the next one has
// not; the range of the processes follows. Times are those of one buffer. The second ratio is that of the whole times, with the call.
// A row that has no other is judged by it.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { addon } from './build-addon.mjs';
import { hosts } from './hosts.mjs';

const here = path => fileURLToPath(new URL(path, import.meta.url));
const measured = ['n20', 'n22', 'n24', 'n26'];
const options = process.argv.slice(2).filter(it => it.startsWith('--'));
const named = process.argv.slice(2).filter(it => !it.startsWith('--'));
const chosen = named.length > 0 ? named : measured;
for (const name of chosen) if (!measured.includes(name)) throw new Error(`${name} is none of ${measured.join(', ')}`);

const PROCESSES = 5;
const LOADS = 21;
const LOAD_GOAL = 1; // milliseconds
const library = here('../target/bench.node');
mkdirSync(here('../target'), { recursive: true });
copyFileSync(addon('offheap-node-test-addon', '--release', '--config', 'profile.release.lto=true'), library);

function run(host, file) {
  const [program, ...flags] = hosts[host].command;
  const { status, stdout, stderr, error } = spawnSync(program, [...flags, ...options, here(`bench/${file}`), library], { encoding: 'utf8' });
  if (error || status !== 0) throw error ?? new Error(`${host} ${file}: status ${status}\n${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1));
}
const met = (is, goal) => (goal === undefined ? '' : `${goal} at most: ${is <= goal ? 'met' : 'MISSED'}`);
const ns = time => `${Math.round(time)} ns`.padStart(11);

console.log(`${os.cpus()[0].model}, ${os.cpus().length} processors, load ${os.loadavg()[0].toFixed(1)}`);
const sorted = values => values.sort((a, b) => a - b);
const median = values => sorted(values)[values.length >> 1];
const ratio = values => {
  const [least, most] = [sorted(values)[0], values.at(-1)];
  return `${median(values).toFixed(2)} (${least.toFixed(2)} to ${most.toFixed(2)})`.padStart(20);
};
for (const host of chosen) {
  const processes = Array.from({ length: PROCESSES }, () => run(host, 'rows.mjs'));
  const { text, version, v8, results } = processes[0];
  console.log(`\n${host}: ${version}, V8 ${v8}, mode ${text}, ${PROCESSES} processes, less the call and whole`);
  for (const [row, { name, compared, goal, ratio: less }] of results.entries()) {
    const all = figure => processes.map(({ results }) => results[row][figure]);
    const judged = less === null ? all('withCall') : all('ratio');
    const times = `${ns(median(all('ours')))} / ${ns(median(all('peer')))} (call ${Math.round(median(all('noop')))} ns)`;
    const lessCall = less === null ? ''.padStart(20) : ratio(all('ratio'));
    console.log(`${lessCall} ${ratio(all('withCall'))} ${times}  ${name} / ${compared}  ${met(median(judged), goal)}`);
  }
  const loads = sorted(Array.from({ length: LOADS }, () => run(host, 'load.mjs')));
  const [least, load, most] = [loads[0], loads[LOADS >> 1], loads.at(-1)].map(time => time / 1000);
  console.log(`       ${load.toFixed(2)} ms (${least.toFixed(2)} to ${most.toFixed(2)})  the decision at load  ${met(load, LOAD_GOAL)}`);
}
