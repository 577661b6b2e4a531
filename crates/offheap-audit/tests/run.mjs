// Runs programs under `offheap audit` in real hosts: node run.mjs [HOST...]
//
// The hosts are those of crates/offheap-node (`npm install` there), or of the folder that OFFHEAP_HOSTS names.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = path => fileURLToPath(new URL(path, import.meta.url));
const root = here('../../..');
const modules = process.env.OFFHEAP_HOSTS ?? here('../../offheap-node/node_modules');
const offheap = process.env.OFFHEAP ?? `${root}/target/release/offheap`;
const folder = `${root}/target/audit`;
mkdirSync(folder, { recursive: true });

const node = name => ({ command: [`${modules}/${name}/bin/node`, '--expose-gc'], seesUse: true, hasShared: ['n22', 'n24', 'n26'].includes(name) });
const hosts = {
  n20: node('n20'), n22: node('n22'), n23: node('n23'), n24: node('n24'), n25: node('n25'), n26: node('n26'),
  deno: { command: [`${modules}/@deno/linux-x64-glibc/deno`, 'run', '--quiet', '-A', '--v8-flags=--expose-gc'], isDeno: true },
  bun: { command: [`${modules}/@oven/bun-linux-x64/bin/bun`], isBun: true, hasShared: true },
};

execFileSync('cc', ['-std=c11', '-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror', here('addon/addon.c'), '-o', `${folder}/lazy.node`]);
execFileSync('cc', ['-std=c11', '-shared', '-fPIC', '-O1', '-Wl,-z,now,-z,relro', here('addon/addon.c'), '-o', `${folder}/now.node`]);

// Runs a program, and returns how it ended, what it and the command said, and the lines of the record.
function audit(host, program, { options = [], addon = 'lazy', env = {} } = {}) {
  const record = `${folder}/record.jsonl`;
  rmSync(record, { force: true });
  const command = ['audit', '-o', record, ...options, '--', ...host.command, here('programs/programs.cjs'), program];
  const { status, stdout, stderr } = spawnSync(offheap, command, {
    encoding: 'utf8', cwd: root, env: { ...process.env, ADDON: `${folder}/${addon}.node`, ...env },
  });
  const lines = readFileSync(record, 'utf8').trim().split('\n').filter(Boolean).map(line => JSON.parse(line));
  return { status, said: stdout.trim(), stderr, lines, of: event => lines.filter(line => line.event === event) };
}

const site = /^crates\/offheap-audit\/tests\/programs\/programs\.cjs:\d+:\d+$/;
const check = (is, what, seen) => { if (!is) throw new Error(`${what}\n${JSON.stringify(seen, null, 1)?.slice(0, 3000)}`); };
const equal = (seen, expected, what) => check(JSON.stringify(seen) === JSON.stringify(expected), `${what}: ${JSON.stringify(seen)}, expected ${JSON.stringify(expected)}`);
const codes = run => [...run.of('refused'), ...run.of('notice')].map(line => line.code).sort();

const tests = {
  'what is right is not reported': host => {
    const run = audit(host, 'clean');
    equal([run.status, run.said, codes(run)], [0, 'done', []], 'status, output, reports');
    // In Deno the finalizer of a buffer without memory is never called, and a string ends with its isolate.
    const objects = run.of('created').map(line => line.labels.object).sort();
    const shared = host.hasShared ? ['SharedArrayBuffer'] : [];
    equal(objects, ['ArrayBuffer', 'ArrayBuffer', 'ArrayBuffer', 'ArrayBuffer', 'Buffer', ...shared, 'string'], 'objects');
    check(run.of('created').every(line => line.labels.addon === 'lazy.node' && site.test(line.site)), 'addon and place', run.of('created'));
    const freed = new Set(run.of('freed').map(line => line.store));
    const kept = run.of('created').filter(line => !freed.has(line.store) && line.bytes > 0 && line.labels.object !== 'string');
    check(kept.length === 0, 'all are freed', run.lines);
    equal(run.of('end').length, 1, 'lines end');
  },
  'an addon that was bound when it was loaded': host => {
    equal(audit(host, 'alive', { addon: 'now' }).of('created').length, 2, 'buffers');
  },
  'what lives is told by place': host => {
    const run = audit(host, 'alive');
    equal([run.status, codes(run)], [0, []], 'status, reports');
    if (host.isDeno) return; // its finalizers at the end are like all others
    check(/alive at the end: .* in 1 buffer of lazy\.node, made at crates\/offheap-audit\/tests\/programs\/programs\.cjs:/.test(run.stderr), 'the report', run.stderr);
    check(/2 external buffers of 1 addon, 2.0 KiB in all; 2 alive at the end \(2.0 KiB\), 0 errors, 0 notices\n$/.test(run.stderr), 'the balance', run.stderr);
    // No leaks: the engine would have freed them.
    equal(spawnSync(offheap, ['report', `${folder}/record.jsonl`]).status, 0, 'status of the report');
  },
  'what grew is told': host => {
    const run = audit(host, 'grows');
    if (host.isDeno) return;
    check(/10 buffers .*; 4\.9 KiB more than when half of all buffers had been made/.test(run.stderr), 'the report', run.stderr);
  },
  'the status is that of the program': host => equal(audit(host, 'exits').status, 7, 'status'),
  'freed in use, by the end of a worker': host => {
    const run = audit(host, 'transferred');
    if (!host.seesUse) return equal(codes(run), [], 'reports');
    if (run.said === '5a') return equal([run.status, codes(run)], [0, []], 'status, reports'); // Node 20 copies
    equal([run.status, run.said, codes(run)], [3, 'dd', ['FREED_IN_USE']], 'status, what main reads, reports');
    check(site.test(run.of('refused')[0].site), 'the place', run.of('refused'));
    check(/error\[FREED_IN_USE\]: 4096 bytes of lazy\.node/.test(run.stderr), 'the report', run.stderr);
  },
  'what a worker keeps goes with it': host => equal(codes(audit(host, 'keptByWorker')), [], 'reports'),
  'what the main thread keeps to the end': host => equal(codes(audit(host, 'keptByMain')), [], 'reports'),
  'static memory in two buffers is a notice': host => {
    const run = audit(host, 'twiceStatic');
    equal([run.status, codes(run)], [0, ['WRAPPED_TWICE']], 'status, reports');
    check(site.test(run.of('notice')[0].site) && site.test(run.of('notice')[0].earlier), 'the places', run.of('notice'));
  },
  'memory that the addon counts is a notice': host => equal(codes(audit(host, 'twiceCounted')), ['WRAPPED_TWICE'], 'reports'),
  'memory that two finalizers free': host => {
    const run = audit(host, 'twiceFreed');
    equal([run.status, codes(run)], [3, ['FINALIZED_TWICE', 'FREED_IN_USE', 'WRAPPED_TWICE']], 'status, reports');
    check(run.of('refused').every(line => site.test(line.site)), 'the places', run.of('refused'));
  },
  'a buffer that is made while an exception is pending': host => {
    const [plain] = [spawnSync(host.command[0], [...host.command.slice(1), here('programs/programs.cjs'), 'whileThrown'], { encoding: 'utf8', env: { ...process.env, ADDON: `${folder}/lazy.node` } })];
    equal(audit(host, 'whileThrown').said, plain.stdout.trim(), 'output');
  },
  "a program's own hook for stacks": host => {
    const run = audit(host, 'hook');
    equal([run.status, run.said, codes(run)], [0, '5a', []], 'status, output, reports');
  },
  'threads and addons that come back': host => {
    for (const program of ['threads', 'reloads']) {
      const run = audit(host, program);
      equal([run.status, run.said, codes(run)], [0, 'done', []], `${program}: status, output, reports`);
      equal(run.of('created').length, program === 'threads' ? 8000 : 3000, `${program}: buffers`);
      equal(run.of('freed').length, run.of('created').length, `${program}: freed`);
    }
  },
  'processes that the program starts': host => {
    const run = audit(host, 'child');
    equal([run.status, run.said, run.of('start').length], [0, 'done', 2], 'status, output, processes');
    equal(new Set(run.of('created').map(line => line.process)).size, 2, 'processes with buffers');
  },
  'a process that is started without LD_PRELOAD': host => equal(audit(host, 'bare').of('start').length, 1, 'processes'),
  'a program that closes all files': host => {
    const run = audit(host, 'closes');
    equal([run.status, run.said], [0, 'done'], 'status, output');
    if (host.isDeno) return equal(run.of('created').length, 2, 'buffers'); // script closes no files of the process there
    equal(run.of('created').length, 1, 'buffers');
    check(run.stderr.includes('the program closed the file of the audit'), 'the message', run.stderr);
  },
  'stacks': host => {
    const run = audit(host, 'alive', { options: ['--stacks'] });
    const stacks = new Map(run.of('stack').map(line => [line.stack, line.frames]));
    check(run.of('created').every(line => stacks.get(line.stack)?.[0].site === line.site), 'each has its stack', run.lines);
  },
};

const wanted = process.argv.slice(2);
let failed = 0;
for (const [name, host] of Object.entries(hosts)) {
  if (wanted.length > 0 ? !wanted.includes(name) : false) continue;
  if (!existsSync(host.command[0])) {
    console.log(`${name}: not installed`);
    failed += 1;
    continue;
  }
  for (const [what, test] of Object.entries(tests)) {
    try { test(host); } catch (error) { failed += 1; console.log(`${name}: ${what}: FAILED\n${error.message}`); }
  }
  console.log(`${name}: ran`);
}
process.exitCode = failed > 0 ? 1 : 0;
