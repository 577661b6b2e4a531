// The package as a user sees it: how it loads, and the functions that make no map and keep nothing.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { assert, collect, ended, folder, host, isNode, live, message, offheap, start, throws } from '../harness.mjs';

const names = ['Externalized', 'allocate', 'externalize', 'ledger', 'mapFile', 'stats'];

/** Runs a program of the user's in this host, and returns what it prints. */
function program(name, source) {
  const path = join(folder, `${process.pid}-${name}`);
  writeFileSync(path, source);
  const permissions = name === 'worker.cjs' ? ['--allow-all'] : ['--allow-ffi', '--allow-read', '--allow-env'];
  const options = host === 'deno' ? ['run', '--quiet', ...permissions] : [];
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [...options, path], { cwd: folder, encoding: 'utf8' });
  assert.deepEqual([status, signal], [0, null], stderr);
  return stdout.trim();
}

export const cases = {
  require() {
    const source = "const { mapFile } = require('offheap'); console.log(Buffer.from(mapFile(__filename, 'cow', { length: 5 })).toString());";
    assert.equal(program('user.cjs', source), 'const');
  },
  imports() {
    const source = `import { ${names} } from 'offheap'; import * as all from 'offheap';\n`
      + 'console.log(new Uint8Array(mapFile(new URL(import.meta.url)))[0], Object.keys(all).sort().join());';
    assert.equal(program('user.mjs', source), `105 ${names}`); // 105 is "i"
  },
  theExampleOfTheReadme() {
    const readme = readFileSync(join(folder, 'node_modules/offheap/README.md'), 'utf8');
    const [, example] = /```js\n(.*?)```/s.exec(readme);
    writeFileSync(join(folder, 'samples.f32'), new Uint8Array(Float32Array.from({ length: 1_000_001 }, (_, i) => i / 2).buffer));
    const source = `const { Worker, isMainThread, parentPort } = require('node:worker_threads');
      if (!isMainThread) parentPort.once('message', buffer => process.exit(buffer.byteLength === 1 << 20 ? 0 : 1));
      else { const worker = new Worker(__filename); worker.on('exit', code => console.log(code)); ${example} }`;
    assert.equal(program('example.cjs', source), '500000\n0');
  },
  // Node unloads a library with the last worker that loaded it, unless the library forbids that. Code of this one runs until the
  // process ends: a ledger's thread, a handler of signals.
  onlyAWorkerLoads() {
    for (const use of ['ledger.install("full", { file: "worker.jsonl" })', 'try { mapFile("missing") } catch {}', 'stats()']) {
      const source = `const { Worker, isMainThread } = require('node:worker_threads');
        if (!isMainThread) { const { ledger, mapFile, stats } = require('offheap'); ${use}; }
        else new Worker(__filename).on('exit', () => setTimeout(() => {
          // A library that was unloaded is not mapped.
          const maps = require('node:fs').readFileSync('/proc/self/maps', 'utf8');
          console.log(maps.includes('offheap.node'));
        }, 50));`;
      assert.equal(program('worker.cjs', source), 'true', use);
    }
  },
  exports() {
    assert.deepEqual(Object.keys(offheap).sort(), names);
    const { version } = createRequire(join(folder, 'user.cjs'))('offheap/package.json');
    assert.match(version, /^\d+\.\d+\.\d+$/);
  },
  noBinaryForAPlatform() {
    const { load } = createRequire(join(folder, 'node_modules/offheap/index.js'))('./load.js');
    for (const [platform, arch] of [['darwin', 'arm64'], ['win32', 'x64'], ['linux', 'arm64']]) {
      const error = throws(Error, 'PLATFORM', () => load(platform, arch));
      assert(error.message.includes(`${platform} ${arch}`));
    }
  },
  allocates() {
    for (const byteLength of [0, 1, 64, 4096, 1 << 20]) {
      const buffer = offheap.allocate(byteLength);
      assert(buffer instanceof ArrayBuffer);
      assert.equal(buffer.byteLength, byteLength);
      const bytes = new Uint8Array(buffer);
      assert(bytes.every(byte => byte === 0));
      bytes.fill(7);
      assert(bytes.every(byte => byte === 7));
      assert.equal(offheap.externalize(buffer).copied, false);
    }
  },
  async memoryIsFreed() {
    const before = offheap.stats();
    let buffers = Array.from({ length: 10 }, () => offheap.allocate(1 << 16));
    const during = offheap.stats();
    assert.equal(during.liveStores - before.liveStores, 10);
    assert.equal(during.liveBytes - before.liveBytes, 10 << 16);
    buffers = null;
    await live(before.liveStores);
    assert.equal(offheap.stats().storesMade, during.storesMade);
  },
  refusesWhatIsNoLength() {
    for (const value of [undefined, null, '8', 8n, {}]) throws(TypeError, 'ARGUMENT', () => offheap.allocate(value));
    for (const value of [-1, 1.5, NaN, Infinity, 2 ** 53]) throws(RangeError, 'ARGUMENT', () => offheap.allocate(value));
    throws(RangeError, 'OUT_OF_MEMORY', () => offheap.allocate(2 ** 52));
  },
  tellsTheMode() {
    const { mode, host: name, reason, message, leakedStores, leakedBytes } = offheap.stats();
    assert.equal(mode, isNode ? 'stores' : 'external');
    assert.equal(name, isNode ? 'Node' : { deno: 'Deno', bun: 'Bun' }[host]);
    assert.equal(reason, isNode ? 'known-v8' : 'other-host');
    assert(message.startsWith(`${mode}: `), message);
    assert.deepEqual([leakedStores, leakedBytes], [0, 0]);
  },
  // The copy of a host is not ours, so a store of the package does not live.
  async inAWorker() {
    const worker = start('allocates');
    const buffer = await message(worker);
    const end = ended(worker);
    worker.postMessage('end');
    await end;
    await collect();
    assert(new Uint8Array(buffer).every(byte => byte === 9));
  },
  // What the table of the README says.
  async aBufferThatIsPosted() {
    const buffer = offheap.allocate(4096);
    const worker = start('waits');
    if (host === 'bun') {
      assert.throws(() => worker.postMessage(buffer, [buffer]), { name: 'DataCloneError' });
      worker.postMessage(buffer.transfer());
    } else {
      worker.postMessage(buffer, [buffer]);
      assert.equal(buffer.byteLength, 0);
    }
    await ended(worker);
  },
  async allocatedInAWorker() {
    const worker = start('tellsHowItAllocates');
    assert.equal(await message(worker), host === 'bun' ? 'HostFrees' : null);
    await ended(worker);
  },
  manyInOneTurn() {
    const reasons = new Set(Array.from({ length: 100 }, () => offheap.externalize(offheap.allocate(1 << 20)).reason));
    assert.deepEqual([...reasons], isNode ? [null] : [null, 'HostFrees']);
  },
  permissions: {
    hosts: ['n22', 'n24', 'n26'],
    run() {
      const [flag, path] = [host === 'n22' ? '--experimental-permission' : '--permission', join(folder, 'permitted.cjs')];
      writeFileSync(path, "console.log(require('offheap').stats().mode);");
      const run = flags => spawnSync(process.execPath, [flag, '--allow-fs-read=*', ...flags, path], { cwd: folder, encoding: 'utf8' });
      assert.equal(run(['--allow-addons']).stdout.trim(), 'stores');
      assert.match(run([]).stderr, /does not load here.*permission|ERR_DLOPEN_DISABLED/s);
    },
  },
  exitsWithLiveBuffers: {
    ends: { status: 3 },
    run() {
      globalThis.kept = [offheap.allocate(1 << 20), offheap.externalize(new ArrayBuffer(64)), offheap.mapFile(process.argv[1])];
      process.exit(3);
    },
  },
  // They are tried in a child process at the first load.
  unknownVersions: {
    hosts: ['n23', 'n25'],
    run() {
      const { mode, reason } = offheap.stats();
      assert.deepEqual([mode, reason], ['stores', 'tried-v8']);
      assert.equal(new Uint8Array(offheap.mapFile(process.argv[1]))[0], 47); // "/"
      assert.equal(offheap.externalize(new ArrayBuffer(8)).copied, false);
    },
  },
  // As on a platform where V8's own stores were not tried.
  modeExternal: {
    env: { OFFHEAP_NODE: 'external' },
    run() {
      assert.equal(offheap.stats().mode, 'external');
      const kept = offheap.externalize(new ArrayBuffer(8));
      assert.deepEqual([kept.copied, kept.reason], [true, 'HostFrees']);
      assert.equal(offheap.externalize(offheap.allocate(64)).copied, false);
      if (host === 'n20') throws(TypeError, 'UNSUPPORTED', () => offheap.mapFile(process.argv[1]));
      else assert.equal(new Uint8Array(offheap.mapFile(process.argv[1]))[0], 47);
    },
  },
  // A mode that the environment asks for. All is copied, and files are not: that would be reading them.
  modeCopy: {
    env: { OFFHEAP_NODE: 'copy' },
    run() {
      assert.equal(offheap.stats().mode, 'copy');
      const buffer = offheap.allocate(64);
      new Uint8Array(buffer)[3] = 4;
      const kept = offheap.externalize(buffer);
      assert.deepEqual([kept.copied, kept.reason], [true, 'HostFrees']);
      assert.equal(kept.expose().buffer, buffer);
      const error = throws(TypeError, 'UNSUPPORTED', () => offheap.mapFile(process.argv[1]));
      assert.match(error.message, /no buffers over memory of native code|no SharedArrayBuffers/);
    },
  },
};

export const workers = {
  async waits() {
    const { parentPort } = await import('node:worker_threads');
    await new Promise(resolve => { parentPort.once('message', resolve); });
    parentPort.close?.();
  },
  async tellsHowItAllocates() {
    const { parentPort } = await import('node:worker_threads');
    parentPort.postMessage(offheap.externalize(offheap.allocate(1 << 16)).reason);
    parentPort.close?.();
  },
  async allocates() {
    const { parentPort } = await import('node:worker_threads');
    const buffer = offheap.allocate(1 << 16);
    new Uint8Array(buffer).fill(9);
    // Only V8's own stores are posted as they are; the others after a transfer, which makes them the host's.
    const posted = host === 'n20' || host === 'deno' || isNode ? buffer : buffer.transfer();
    parentPort.postMessage(posted, [posted]);
    await new Promise(resolve => { parentPort.once('message', resolve); });
    parentPort.close?.();
  },
};
