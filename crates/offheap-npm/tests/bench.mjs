// Compares `mapFile` of 1 GiB and one pass over it with `fs.readFileSync` and the same pass, on each host: npm run bench
//   npm run bench -- n24 bun     some hosts
// The file is in the system's cache. Both sides take turns in one process, after two rounds that warm up. What is compared is the
// CPU time of that process, in medians, until the memory of the buffer is collected.
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hosts } from '../../offheap-node/tests/hosts.mjs';

const GOAL = 0.75;
const BYTES = 2 ** 30;
const measured = ['n20', 'n22', 'n24', 'n26', 'deno', 'bun'];
const chosen = process.argv.length > 2 ? process.argv.slice(2) : measured;
for (const name of chosen) if (!measured.includes(name)) throw new Error(`${name} is none of ${measured.join(', ')}`);

const folder = mkdtempSync(join(os.tmpdir(), 'offheap-bench-'));
try {
  const path = join(folder, 'numbers');
  const file = openSync(path, 'w');
  const block = new Int32Array(2 ** 18).map((_, i) => i);
  for (let written = 0; written < BYTES; written += block.byteLength) writeSync(file, new Uint8Array(block.buffer));
  closeSync(file);

  console.log(`${os.cpus()[0].model}, ${os.cpus().length} processors, load ${os.loadavg()[0].toFixed(1)}`);
  for (const host of chosen) {
    const [program, ...flags] = hosts[host].command;
    const rows = fileURLToPath(new URL('bench/rows.mjs', import.meta.url));
    const { status, stdout, stderr, error } = spawnSync(program, [...flags, rows, path], { encoding: 'utf8' });
    if (error || status !== 0) throw error ?? new Error(`${host}: status ${status}\n${stderr}`);
    const { ours, peer, ratios } = JSON.parse(stdout.trim().split('\n').at(-1));
    const ratio = ours / peer;
    console.log(`${host.padEnd(5)} ${ratio.toFixed(2)} (rounds ${ratios.map(each => each.toFixed(2)).join(' to ')})  ${ours.toFixed(0)} ms / ${peer.toFixed(0)} ms  `
      + `mapFile of 1 GiB and a pass as Int32Array / readFileSync  ${GOAL} at most: ${ratio <= GOAL ? 'met' : 'MISSED'}`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
