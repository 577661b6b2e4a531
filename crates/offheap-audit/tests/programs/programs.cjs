// The programs under the audit: HOST programs.cjs NAME. Each prints what it saw.
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads');
const path = require('node:path');
const { spawnSync } = require('node:child_process');

const addon = () => require(path.resolve(process.env.ADDON));
const tick = (milliseconds = 20) => new Promise(done => setTimeout(done, milliseconds));
const collect = async (times = 6) => {
  for (let i = 0; i < times; i++) {
    if (globalThis.Bun) Bun.gc(true); else if (globalThis.gc) gc();
    await tick();
  }
};
// What a worker sends, when the worker is gone.
const fromWorker = name => new Promise((done, failed) => {
  let sent;
  new Worker(__filename, { workerData: name }).on('message', message => { sent = message; }).on('exit', () => done(sent)).on('error', failed);
});
const byte = buffer => new Uint8Array(buffer)[10].toString(16);

const programs = {
  async clean() {
    let a = addon(), all = [a.make(100), a.makeBuffer(100), a.makeByName(100), a.makeShared(100), a.makeString(100), a.makeEmpty()];
    all = null;
    await collect();
    return 'done';
  },
  async alive() {
    globalThis.kept = [addon().make(1000), addon().make(1000)];
    await collect();
    return 'done';
  },
  async grows() {
    globalThis.kept = [];
    for (let i = 0; i < 10; i++) { kept.push(addon().make(1000)); await tick(30); }
    return 'done';
  },
  async exits() {
    globalThis.kept = addon().make(1000);
    process.exitCode = 7;
    return 'done';
  },
  // A worker makes a buffer, transfers it, posts it, and is gone. Plain Node-API frees the memory then.
  async transferred() {
    const buffer = await fromWorker('transfer');
    await tick(50);
    return byte(buffer);
  },
  // What a worker keeps for itself goes with it.
  async keptByWorker() {
    await fromWorker('keep');
    return 'done';
  },
  async keptByMain() {
    const buffer = addon().make(100);
    globalThis.kept = buffer.transfer ? buffer.transfer() : buffer;
    return 'done';
  },
  async twiceStatic() { let both = addon().twiceStatic(); both = null; await collect(); return 'done'; },
  async twiceCounted() { let both = addon().twiceCounted(100); both = null; await collect(); return 'done'; },
  async twiceFreed() { let both = addon().twiceFreed(100); both = null; await collect(); return 'done'; },
  async whileThrown() { return String(addon().makeWhileThrown(100)?.byteLength); },
  // A program's own hook makes a buffer while the audit asks for the place.
  async hook() {
    Error.prepareStackTrace = (error, frames) => { addon().make(8); throw frames; };
    const buffer = addon().make(100);
    Error.prepareStackTrace = undefined;
    return byte(buffer);
  },
  async threads() {
    await Promise.all(Array.from({ length: 8 }, () => fromWorker('thousand')));
    return 'done';
  },
  // Only workers load the addon, so that it is unloaded between them.
  async reloads() {
    for (let i = 0; i < 3; i++) await fromWorker('thousand');
    return 'done';
  },
  async child() {
    const child = spawnSync(process.execPath, [...process.execArgv, __filename, 'alive'], { encoding: 'utf8' });
    addon().make(50);
    return child.stdout.trim() + child.stderr;
  },
  // Without LD_PRELOAD nothing is seen.
  async bare() {
    const env = { ...process.env, LD_PRELOAD: '' };
    return spawnSync(process.execPath, [...process.execArgv, __filename, 'alive'], { encoding: 'utf8', env }).stdout.trim();
  },
  async closes() {
    const fs = require('node:fs');
    addon().make(50);
    for (let descriptor = 3; descriptor < 1100; descriptor++) {
      try { if (fs.readlinkSync(`/proc/self/fd/${descriptor}`).endsWith('record.jsonl')) fs.closeSync(descriptor); } catch {}
    }
    addon().make(50);
    return 'done';
  },
};
const workers = {
  transfer() {
    const buffer = addon().makePoisoned(4096);
    const moved = buffer.transfer ? buffer.transfer() : buffer;
    parentPort.postMessage(moved, [moved]);
  },
  keep() { const buffer = addon().make(100); globalThis.kept = buffer.transfer ? buffer.transfer() : buffer; parentPort.postMessage(0); },
  thousand() { addon().makeThousand(); parentPort.postMessage(0); },
};

if (isMainThread) programs[process.argv[2]]().then(said => console.log(said)); else workers[workerData]();
