// Runs one scenario in a process of its own, and says how it ended.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { hosts } from '../hosts.mjs';

const here = path => fileURLToPath(new URL(path, import.meta.url));

const memcheck = ['valgrind', '--quiet', '--error-exitcode=99', '--trace-children=no', '--num-callers=40',
  `--suppressions=${here('../../../../.ci/valgrind-v8.supp')}`];

// Each process has a group of its own, which ends with the runner.
const running = new Set();
const end = group => process.kill(-group, 'SIGKILL');
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    running.forEach(end);
    process.exit(1);
  });
}

/**
 * The kinds are those of `fail` in harness.mjs, and: pass; error (an exception that no check made); fault (a signal); hung (the
 * time was over); died (another status, or no line).
 */
export function runProcess({ host, mode, name, scenario }, { checked, valgrind }) {
  let command = [...hosts[host].command];
  if (valgrind) command = [...memcheck, ...command, '--jitless'];
  const [program, ...flags] = command;
  if (!valgrind && !existsSync(program)) {
    return Promise.resolve({ kind: 'died', text: `${program} is missing: run npm install`, output: '' });
  }
  const addon = mode === 'plain' ? 'plain' : 'ours';
  const env = {
    ...process.env,
    OFFHEAP_TEST_HOST: host,
    OFFHEAP_TEST_MODE: mode,
    OFFHEAP_TEST_ADDON: here(`../../target/${addon}.node`),
    OFFHEAP_TEST_ADDON_AGAIN: here(`../../target/${addon}-again.node`),
    OFFHEAP_TEST_PLAIN_ADDON: here('../../target/plain.node'),
    ...scenario.env,
  };
  delete env.OFFHEAP_NODE;
  if (['stores', 'external', 'copy'].includes(mode)) env.OFFHEAP_NODE = mode;
  if (checked || valgrind) env.OFFHEAP_TEST_FREES = '1';
  if (checked) Object.assign(env, { LD_PRELOAD: 'libc_malloc_debug.so.0', GLIBC_TUNABLES: 'glibc.malloc.check=3', MALLOC_PERTURB_: '165' });
  return new Promise(resolve => {
    const child = spawn(program, [...flags, here('../process.mjs'), name], { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child.pid);
    let output = '';
    let hung = false;
    for (const stream of [child.stdout, child.stderr]) stream.on('data', data => { output += data; });
    const limit = setTimeout(() => {
      hung = true;
      end(child.pid);
    }, (scenario.seconds ?? 120) * (valgrind ? 10 : 1) * 1000);
    child.on('error', error => resolve({ kind: 'died', text: `${error}`, output }));
    child.on('close', (status, signal) => {
      clearTimeout(limit);
      running.delete(child.pid);
      resolve({ ...judge({ output, hung, status, signal, expected: scenario.status ?? 0 }), output });
    });
  });
}

function judge({ output, hung, status, signal, expected }) {
  const line = output.split('\n').findLast(text => text.startsWith('@@ '));
  const told = line && JSON.parse(line.slice(3));
  if (told && told.kind !== 'pass') return told;
  if (hung) return { kind: 'hung', text: 'the time was over' };
  if (signal) return { kind: 'fault', text: `${signal}${told ? ' after the scenario has passed' : ''}` };
  if (!told) return { kind: 'died', text: `status ${status}, and no result` };
  if (status !== expected) return { kind: 'died', text: `status ${status} after the scenario has passed, and not ${expected}` };
  return told;
}
