// The ledger: what it says, and the stream that it writes.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert, ended, folder, host, message, offheap, start, throws } from '../harness.mjs';

const { allocate, externalize, ledger } = offheap;
const lines = path => readFileSync(path, 'utf8').trim().split('\n').map(line => JSON.parse(line));
const stream = name => join(folder, `${process.env.OFFHEAP_TEST_HOST}-${name}`);
/** The line of this file from which it is called. */
const here = () => Number(/ledger\.mjs:(\d+)/.exec(new Error().stack.split('\n').filter(line => line.includes('ledger.mjs'))[1])[1]);

export const cases = {
  noneIsInstalled() {
    assert.equal(ledger.level, null);
    for (const action of [ledger.report, ledger.snapshot, ledger.finish]) throws(TypeError, 'NO_LEDGER', action);
  },
  namesTheLineOfScript() {
    ledger.install('sites');
    assert.equal(ledger.level, 'sites');
    const buffer = allocate(1000), line = here();
    const report = ledger.report();
    assert.match(report, new RegExp(`leak: 1000 bytes, allocated at .*ledger\\.mjs:${line}:\\d+`));
    assert.match(report, /^offheap: 1 store, 1000 B external, 1 leaked, 0 refused$/m);
    const { totals: [place], balance, stores } = ledger.snapshot();
    assert(place.site.includes(`ledger.mjs:${line}:`), place.site);
    assert.deepEqual([place.live_bytes, place.live_stores, balance.leaked, stores.length], [1000, 1, 1, 1]);
    assert.equal(buffer.byteLength, 1000);
  },
  namesTheLineThatKeeps() {
    ledger.install('full');
    const kept = externalize(allocate(1000)), line = here();
    assert(ledger.snapshot().stores[0].held[0].includes(`ledger.mjs:${line}:`));
    kept.release();
    assert.deepEqual(ledger.snapshot().stores.flatMap(({ held }) => held), []);
  },
  // Also when script has changed how stacks are made, and without leaving a trace.
  scriptHasItsOwnStacks() {
    ledger.install('sites');
    const prepare = () => 'a text';
    Error.prepareStackTrace = prepare;
    Error.stackTraceLimit = 0;
    allocate(8);
    assert.equal(Error.prepareStackTrace, prepare);
    assert.equal(Error.stackTraceLimit, 0);
    assert(ledger.snapshot().totals[0].site.includes('ledger.mjs:'));
    Object.freeze(Error);
    assert.equal(allocate(8).byteLength, 8);
  },
  once() {
    ledger.install('counts');
    throws(TypeError, 'LEDGER_INSTALLED', () => ledger.install('full'));
    assert.equal(ledger.level, 'counts');
    allocate(8);
    assert.match(ledger.report(), /^offheap: 1 store/);
  },
  whatCannotBeInstalled() {
    throws(TypeError, 'LEDGER_SETTING', () => ledger.install('some'));
    throws(TypeError, 'ARGUMENT', () => ledger.install(3));
    throws(TypeError, 'ARGUMENT', () => ledger.install('full', { path: 'x' }));
    throws(TypeError, 'ARGUMENT', () => ledger.install('full', { file: 3 }));
    throws(RangeError, 'ARGUMENT', () => ledger.install('full', { sampleBytes: -1 }));
    throws(TypeError, 'LEDGER_FILE', () => ledger.install('full', { file: '/nowhere/at/all' }));
    assert.equal(ledger.level, null);
    ledger.install(); // the default
    assert.equal(ledger.level, 'sites');
  },
  writesAStream() {
    const path = stream('finished.jsonl');
    ledger.install('full', { file: path });
    globalThis.kept = allocate(1000);
    ledger.finish();
    const told = lines(path);
    assert.deepEqual([told[0].event, told[0].level, told.at(-1).event], ['start', 'full', 'end']);
    const { store } = told.find(({ event, bytes }) => event === 'created' && bytes === 1000);
    assert(told.some(({ event, store: exposed }) => event === 'exposed' && exposed === store));
    assert(told.some(({ event, site }) => event === 'created' && /ledger\.mjs:\d+:\d+$/.test(site)));
  },
  // Without a change to the program. The end of the process ends the stream: the next case reads it.
  fromTheEnvironment: {
    env: { OFFHEAP_LEDGER: 'full:environment.jsonl' },
    async run() {
      assert.equal(ledger.level, 'full');
      throws(TypeError, 'LEDGER_INSTALLED', () => ledger.install('full'));
      const worker = start('levels');
      const end = ended(worker); // it may end in the same turn as its message
      assert.equal(await message(worker), 'full');
      await end;
    },
  },
  async theEndOfTheProcessEndsTheStream() {
    const { spawnSync } = await import('node:child_process');
    const { writeFileSync } = await import('node:fs');
    for (const [name, last] of [['returns', ''], ['exits', 'process.exit(0);'], ['throws', 'throw new Error("thrown");']]) {
      const [program, path] = [join(folder, `${host}-${name}.cjs`), stream(`${name}.jsonl`)];
      writeFileSync(program, `globalThis.kept = require('offheap').allocate(1234); ${last}`);
      const flags = host === 'deno' ? ['run', '--quiet', '-A'] : [];
      const { status, stderr } = spawnSync(process.execPath, [...flags, program], { cwd: folder, encoding: 'utf8', env: { ...process.env, OFFHEAP_LEDGER: `full:${path}` } });
      assert.equal(status, name === 'throws' ? 1 : 0, stderr);
      const told = lines(path);
      const created = told.find(({ event, bytes }) => event === 'created' && bytes === 1234);
      assert(created?.site.includes(`${host}-${name}.cjs:1:`), JSON.stringify(told));
      assert.equal(told.at(-1).event, 'end', name);
    }
  },
  async aSettingThatMeansNothing() {
    const { spawnSync } = await import('node:child_process');
    const flags = host === 'deno' ? ['eval'] : ['-e'];
    const { status, stderr } = spawnSync(process.execPath, [...flags, "import('offheap')"], { cwd: folder, encoding: 'utf8', env: { ...process.env, OFFHEAP_LEDGER: 'some' } });
    assert.notEqual(status, 0);
    assert.match(stderr, /there is no level .some/);
  },
};

export const workers = {
  async levels() {
    const { parentPort } = await import('node:worker_threads');
    parentPort.postMessage(ledger.level);
    parentPort.close?.();
  },
};
