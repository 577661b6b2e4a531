// The decision at load: which mode a process gets, and why. Each scenario is a process of its own, so it decides once.
import { spawnSync } from 'node:child_process';
import { chmodSync, closeSync, copyFileSync, existsSync, linkSync, mkdtempSync, openSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { addon, equal, fail, host, mode, throws } from '../harness.mjs';

const require = createRequire(import.meta.url);
const path = process.env.OFFHEAP_TEST_ADDON;
const known = ['n20', 'n20t', 'n22', 'n24', 'n26'];
const unknown = ['n23', 'n25'];
const nodes = [...known, ...unknown];
const auto = (hosts, run, more) => ({ on: { hosts, modes: ['auto'] }, run, ...more });

// What a host does in a mode that was asked for, or with none.
function usual() {
  const other = host === 'deno' || host === 'bun';
  const possible = { mode: 'stores', code: known.includes(host) ? 'known-v8' : 'tried-v8' };
  const best = other ? { mode: 'external', code: 'other-host' } : host === 'n18' ? { mode: 'external', code: 'function-missing' } : possible;
  const asked = { mode, code: other && mode === 'external' ? 'other-host' : 'asked' };
  return mode === 'auto' || mode === 'stores' ? best : asked;
}
function is(decision, expected) {
  for (const [name, value] of Object.entries(expected)) {
    if (decision[name] !== value) fail('wrong', `${name} is ${decision[name]} and not ${value}, in ${JSON.stringify(decision)}`);
  }
  return decision.text;
}
const says = (decision, expected, part) => {
  if (!decision.text.includes(part)) fail('wrong', `"${part}" is not in "${decision.text}"`);
  return is(decision, expected);
};
// A folder that is there until this process ends.
const folder = () => {
  const made = mkdtempSync(join(tmpdir(), 'offheap '));
  process.on('exit', () => {
    if (!existsSync(made)) return;
    chmodSync(made, 0o755);
    rmSync(made, { recursive: true });
  });
  return made;
};

// A table of V8's functions that is not what it seems, in an addon that has the feature `broken-tables`.
const broken = (how, part, expected = { mode: 'external', code: 'trial-failed' }) => auto(['n20', 'n26'], () => {
  const table = require(fileURLToPath(new URL('../../target/broken.node', import.meta.url)));
  const text = says(table.decision(), expected, part);
  equal(new Uint8Array(new ArrayBuffer(8)).length, 8, 'the length of a buffer afterwards');
  return text;
}, { env: { OFFHEAP_NODE_BROKEN: how } });

// Another program with an addon that is asked for its mode, in place of this one.
function inAnother(program, flags = [], env = {}, file = path) {
  const script = 'const m = { exports: {} }; process.dlopen(m, process.argv[1]); console.log(JSON.stringify(m.exports.decision()))';
  const { stdout, stderr, status, signal } = spawnSync(program, [...flags, '-e', script, file], { encoding: 'utf8', env: { ...process.env, ...env } });
  if (status !== 0) fail('wrong', `the program ended with ${status ?? signal}: ${stdout}${stderr}`);
  return { ...JSON.parse(stdout), stderr };
}

export const scenarios = {
  /** Every host, with every wish. */
  decision: {
    on: { hosts: [...nodes, 'n18', 'deno', 'bun'], modes: ['stores', 'external', 'copy', 'auto'] },
    run() {
      const first = addon().decision();
      const expected = usual();
      const refused = mode === 'auto' || mode === expected.mode ? undefined : mode;
      is(first, { ...expected, refused, host: { deno: 'Deno', bun: 'Bun' }[host] ?? 'Node' });
      return is(addon().decision(), { text: first.text });
    },
  },
  /** A wish that there is not: the usual mode, and a line that says so. */
  wrongWish: auto(['n24', 'deno'], () => {
    process.env.OFFHEAP_NODE = 'fastest';
    return says(addon().decision(), { mode: usual().mode, refused: 'fastest' }, 'OFFHEAP_NODE=fastest');
  }),
  /** A wish that cannot be met is on standard error too. */
  wishIsReported: auto(['n18'], () => {
    const { stderr } = inAnother(process.execPath, [], { OFFHEAP_NODE: 'stores' });
    if (!/^offheap: mode external: .*OFFHEAP_NODE asks for stores/.test(stderr)) fail('wrong', `standard error is "${stderr}"`);
  }),

  /** The first call is in a worker that ends; main gets the same decision. */
  workerFirst: auto([...nodes, 'deno', 'bun'], async () => {
    const [text] = await fromWorkers(1);
    return is(addon().decision(), { text });
  }),
  /** Many threads at once decide once. */
  manyThreads: auto([...nodes, 'deno', 'bun'], async () => {
    const texts = new Set(await fromWorkers(12));
    equal(texts.size, 1, 'the number of decisions');
    return is(addon().decision(), { ...usual(), text: [...texts][0] });
  }),
  /** Workers that are terminated while they decide: whoever is left decides. */
  terminated: auto(nodes, async () => {
    for (let i = 0; i < 10; i++) {
      const workers = Array.from({ length: 2 }, () => new Worker(deciding, { eval: true }));
      await new Promise(done => { setTimeout(done, 3 * i); });
      await Promise.all(workers.map(worker => worker.terminate()));
    }
    return is(addon().decision(), usual());
  }),

  broken_version: broken('wild 0', 'signal 11 in V8::GetVersion'),
  broken_wild: broken('wild 9', 'signal 11 in ArrayBuffer::ByteLength'),
  broken_deleter: broken('wild 25', 'signal 11 in BackingStore::~BackingStore'),
  broken_abort: broken('abort 20', 'signal 6 in BackingStore::Data'),
  broken_loop: broken('loop 15', 'hung in ArrayBuffer::NewBackingStore, and was ended after 5 s'),
  broken_swapped: broken('swap 2 4', 'failed: an ArrayBuffer is none, or something else is one'),
  broken_counts: broken('swap 13 16', 'process, which'),
  /** Nothing is broken: the child process says so. */
  broken_not: broken('no', 'is not known, and passed the self-test', { mode: 'stores', code: 'tried-v8' }),

  /** Script that says what is not so gets less, and never more. */
  saysBun: auto(nodes, () => {
    Object.defineProperty(process, 'versions', { value: { ...process.versions, bun: '1.0' } });
    return is(addon().decision(), { mode: 'copy', code: 'says-other' });
  }),
  saysDeno: auto([...nodes, 'bun'], () => {
    Object.defineProperty(process, 'versions', { value: { ...process.versions, bun: undefined, deno: '1.0' } });
    return is(addon().decision(), { mode: 'copy', code: 'says-other' });
  }),
  saysElectron: auto(nodes, () => {
    Object.defineProperty(process.versions, 'electron', { value: '30.0' });
    return is(addon().decision(), { mode: 'external', code: 'says-other' });
  }),
  saysSandbox: auto(nodes, () => {
    Object.defineProperty(process, 'config', { value: { variables: { v8_enable_sandbox: 1 } } });
    return is(addon().decision(), { mode: 'copy', code: 'sandboxed' });
  }),
  saysAnotherV8: auto(nodes, () => {
    Object.defineProperty(process, 'versions', { value: { ...process.versions, v8: '13.6.1.1-node.1' } });
    return says(addon().decision(), { mode: 'external', code: 'self-test-failed' }, "V8's version is not that of process.versions.v8");
  }),
  /** Script that says nothing does not change what the host is. */
  saysNothing: auto([...nodes, 'deno', 'bun'], () => {
    const { process } = globalThis;
    Object.defineProperty(globalThis, 'process', { value: undefined, configurable: true, writable: true });
    const decision = addonOf(process).decision();
    globalThis.process = process;
    return is(decision, { mode: usual().mode, host: { deno: 'Deno', bun: 'Bun' }[host] ?? 'Node' });
  }),
  gettersThrow: auto([...nodes, 'deno', 'bun'], () => {
    for (const name of ['versions', 'config', 'permission', 'getBuiltinModule']) {
      Object.defineProperty(process, name, { get() { throw new Error(name); } });
    }
    return is(addon().decision(), { mode: usual().mode });
  }),
  /** A getter that asks for the decision: the inner call makes it. */
  gettersAsk: auto(nodes, () => {
    const { versions } = process;
    let asked = 0;
    Object.defineProperty(process, 'versions', { get() { return asked++ ? versions : (addon().decision(), versions); } });
    return is(addon().decision(), usual());
  }),
  gettersAskForEver: auto(nodes, () => {
    Object.defineProperty(process, 'versions', { get() { return addon().decision(); } });
    return is(addon().decision(), { mode: 'stores' });
  }),

  /** An exception that is pending when the decision is made is still there afterwards. */
  exceptionStays: auto([...nodes, 'deno', 'bun'], () => {
    equal(throws(() => addon().decisionWhileThrowing(), 'a function that throws').message, 'thrown before', 'the message');
    return is(addon().decision(), usual());
  }),
  /** Little is left of the stack, so nothing can be asked. */
  deepStack: auto(nodes, () => {
    let decision;
    (function deeper() {
      try {
        deeper();
      } catch {
        decision ??= addon().decision();
      }
    })();
    return is(decision ?? addon().decision(), { mode: 'stores' });
  }),
  /** Called from another context than the one that loaded the addon. */
  anotherContext: auto(nodes, () => is(runInNewContext('addon.decision()', { addon: addon() }), usual())),

  /** The child process does not depend on what this one has. */
  options: auto(unknown, () => is(addon().decision(), usual()),
    { env: { NODE_V8_COVERAGE: '/nowhere', NODE_CHANNEL_FD: '77', NODE_OPTIONS: '' } }),
  throwingOptions: auto(unknown, () => {
    const file = join(folder(), 'throws.cjs');
    writeFileSync(file, 'if (process.argv[1]?.includes(".node") || process.execArgv.includes("-e")) throw new Error("required")');
    process.env.NODE_OPTIONS = `--require "${file}"`;
    return is(addon().decision(), usual());
  }),
  oddPath: auto(unknown, () => {
    const file = join(folder(), `it's "odd" $HOME \\ ö.node`);
    copyFileSync(path, file);
    return is(require(file).decision(), usual());
  }),
  anotherExecPath: auto(unknown, () => {
    process.execPath = '/bin/false';
    return is(addon().decision(), usual());
  }),
  noDirectory: auto(unknown, () => {
    const gone = folder();
    process.chdir(gone);
    rmdirSync(gone);
    return is(addon().decision(), usual());
  }),
  readOnlyDirectory: auto(unknown, () => {
    const file = join(folder(), 'addon.node');
    copyFileSync(path, file);
    chmodSync(file, 0o444);
    chmodSync(join(file, '..'), 0o555);
    process.chdir('/proc');
    return is(require(file).decision(), usual());
  }),
  relativePath: auto(unknown, () => {
    const directory = folder();
    copyFileSync(path, join(directory, 'addon.node'));
    process.chdir(directory);
    const module = { exports: {} };
    process.dlopen(module, './addon.node');
    return is(module.exports.decision(), usual());
  }),
  noInput: auto(unknown, () => {
    closeSync(0);
    return is(addon().decision(), usual());
  }),
  noStandardFiles: auto(unknown, () => {
    const script = `for (const file of [0, 1, 2]) require('fs').closeSync(file);
      const module = { exports: {} }; process.dlopen(module, process.argv[1]);
      const { code } = module.exports.decision(); process.reallyExit(code === 'tried-v8' ? 0 : 1)`;
    equal(spawnSync(process.execPath, ['-e', script, path]).status, 0, 'the status');
  }),
  ignoredChildren: auto(unknown, () => {
    const script = 'trap "" CHLD; exec "$@"';
    const program = folder() + '/run.sh';
    writeFileSync(program, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return is(inAnother(program, [process.execPath]), usual());
  }),
  /** The addon's file is gone: there is nothing that a child process could load. */
  noFile: auto(unknown, () => {
    const file = join(folder(), 'addon.node');
    copyFileSync(path, file);
    const loaded = require(file);
    rmSync(file);
    return says(loaded.decision(), { mode: 'external', code: 'not-tried' }, 'is not found');
  }),
  noFilesLeft: auto(unknown, () => {
    const loaded = addon();
    const files = [];
    try {
      for (;;) files.push(openSync('/dev/null'));
    } catch { /* there are no more */ }
    const decision = loaded.decision();
    files.forEach(file => closeSync(file));
    return says(decision, { mode: 'external', code: 'not-tried' }, 'Too many open files');
  }),

  /** An executable that may be an application is not started again. */
  application: auto(unknown, () => {
    const program = programAs(folder(), 'my-app');
    says(inAnother(program), { mode: 'external', code: 'not-tried' }, 'my-app is an application, and is not started again');
    return is(inAnother(program, [], { OFFHEAP_NODE: 'stores' }), { mode: 'stores', code: 'asked-untried' });
  }),
  /** Node with a script in its file, called as Node is. The script starts once. */
  singleExecutable: auto(['n25'], () => {
    const directory = folder();
    const file = name => join(directory, name);
    writeFileSync(file('app.cjs'), `console.log('started'); const m = { exports: {} };
      process.dlopen(m, ${JSON.stringify(path)}); console.log(JSON.stringify(m.exports.decision()))`);
    writeFileSync(file('sea.json'), JSON.stringify({ main: file('app.cjs'), output: file('node'), disableExperimentalSEAWarning: true }));
    spawnSync(process.execPath, ['--build-sea', file('sea.json')]);
    const lines = wish => spawnSync(file('node'), { encoding: 'utf8', env: { ...process.env, OFFHEAP_NODE: wish } }).stdout.split('\n');
    const [first, second] = lines('');
    equal(first, 'started', 'the first line');
    says(JSON.parse(second), { mode: 'external', code: 'not-tried' }, 'this single executable is an application');
    return is(JSON.parse(lines('stores')[1]), { mode: 'stores', code: 'asked-untried' });
  }, { seconds: 120 }),
  oldExecutable: auto(unknown, () => {
    // The file was replaced while the program runs.
    const directory = folder();
    const program = programAs(directory, 'node');
    const script = `require('fs').rmSync(process.execPath); require('fs').writeFileSync(process.execPath, '');
      const module = { exports: {} }; process.dlopen(module, process.argv[1]); console.log(JSON.stringify(module.exports.decision()))`;
    return is(JSON.parse(spawnSync(program, ['-e', script, path], { encoding: 'utf8' }).stdout), usual());
  }),
  /** Node's permission model: who may not start processes does not start one by loading an addon. */
  permission: auto(unknown, () => {
    const flags = ['--permission', '--allow-addons', '--allow-fs-read=*'];
    says(inAnother(process.execPath, flags), { mode: 'external', code: 'not-tried' }, '--allow-child-process');
    return is(inAnother(process.execPath, [...flags, '--allow-child-process']), usual());
  }),
  /** In a process that nobody started for a trial, the variable of the child process does nothing. */
  notATrial: auto(unknown, () => is(addon().decision(), usual()), { env: { OFFHEAP_NODE_TRIAL: '1' } }),
};

const deciding = `
  const { parentPort } = require('node:worker_threads');
  const addon = require(${JSON.stringify(path)});
  parentPort.postMessage(addon.decision().text);
`;

function fromWorkers(count) {
  return Promise.all(Array.from({ length: count }, () => new Promise((resolve, reject) => {
    let text;
    const worker = new Worker(deciding, { eval: true });
    worker.on('message', message => { text = message; });
    worker.on('error', reject);
    worker.on('exit', () => resolve(text));
  })));
}

/** The addon, loaded by a process that is not the global one. */
function addonOf(process) {
  const module = { exports: {} };
  process.dlopen(module, path);
  return module.exports;
}

/** This program under another name. */
function programAs(directory, name) {
  const file = join(directory, name);
  try {
    linkSync(process.execPath, file);
  } catch {
    copyFileSync(process.execPath, file);
    chmodSync(file, 0o755);
  }
  return file;
}
