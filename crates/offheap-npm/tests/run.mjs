// Runs each case on each host, in a process of its own: npm test
//   npm test -- map/ workers      cases whose names contain one of these
//   npm test -- --host n24,bun    some hosts
// First it checks the types, and installs what `npm pack` makes into an empty folder, which all cases load.
// The hosts are those of offheap-node's tests. The status is 1 if a case fails, or if none was run.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hosts as all } from '../../offheap-node/tests/hosts.mjs';
import { checkTypes, installPackage } from './package.mjs';

const here = path => fileURLToPath(new URL(path, import.meta.url));
const usual = ['n20', 'n22', 'n24', 'n26', 'deno', 'bun'];
// Only for cases that name them.
const known = [...usual, 'n23', 'n25'];
let chosen = known;
const names = [];
for (const words = process.argv.slice(2); words.length;) {
  const word = words.shift();
  if (word === '--host') chosen = words.shift()?.split(',') ?? [];
  else names.push(word);
}
for (const host of chosen) if (!known.includes(host)) throw new Error(`${host} is none of ${known.join(', ')}`);
for (const host of chosen) if (!existsSync(all[host].command[0])) throw new Error(`${host} is missing: npm install in crates/offheap-node`);

const folder = mkdtempSync(join(tmpdir(), 'offheap-npm-'));
const running = new Set();
const end = group => { try { process.kill(-group, 'SIGKILL'); } catch {} };
process.on('exit', () => {
  running.forEach(end);
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));

installPackage(folder);
if (!names.length) checkTypes();

// The modules of cases load the package, here too.
for (const name of ['OFFHEAP_NODE', 'OFFHEAP_LEDGER']) delete process.env[name];
Object.assign(process.env, { OFFHEAP_TEST_HOST: 'n24', OFFHEAP_TEST_FOLDER: folder });

// A case is a function, or an object with `run` and `hosts`, `env`, `ends` ({ status or signal, stderr }), `seconds`.
const queue = [];
for (const file of readdirSync(here('cases/')).filter(name => name.endsWith('.mjs')).sort()) {
  const { cases } = await import(`./cases/${file}`);
  for (const [name, it] of Object.entries(cases)) {
    const full = `${file.slice(0, -4)}/${name}`;
    if (names.length && !names.some(part => full.includes(part))) continue;
    for (const host of chosen) if ((it.hosts ?? usual).includes(host)) queue.push({ host, name: full, it });
  }
}

function run({ host, name, it }) {
  const [program, ...flags] = all[host].command;
  const env = { ...process.env, OFFHEAP_TEST_HOST: host, ...it.env };
  return new Promise(resolve => {
    const child = spawn(program, [...flags, here('process.mjs'), name], { env, cwd: folder, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child.pid);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', data => { output += data; });
    const limit = setTimeout(() => end(child.pid), (it.seconds ?? 120) * 1000);
    child.on('close', (status, signal) => {
      clearTimeout(limit);
      running.delete(child.pid);
      const { ends = { status: 0 } } = it;
      const passed = /^@@ pass$/m.test(output) || it.ends !== undefined;
      const ended = ends.signal ? signal === ends.signal : status === ends.status;
      const said = !ends.stderr || output.includes(ends.stderr);
      resolve({ right: passed && ended && said && !/^@@ fail/m.test(output), output: `${output}\n(status ${status}, signal ${signal})` });
    });
  });
}

let passed = 0;
let failed = 0;
await Promise.all([0, 1].map(async () => {
  for (let each; (each = queue.shift());) {
    const { right, output } = await run(each);
    if (right) passed += 1;
    else {
      failed += 1;
      console.log(`FAILED: ${each.host} ${each.name}\n${output.trim().split('\n').slice(-15).map(line => `  | ${line}`).join('\n')}\n  again: npm test -- --host ${each.host} ${each.name}`);
    }
  }
}));
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed || !passed ? 1 : 0;
