// Mapped files.
import { chmodSync, linkSync, readFileSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { assert, collect, ended, file, folder, host, live, message, offheap, sparse, start, text, throws } from '../harness.mjs';

const { mapFile } = offheap;
const GIB = 2 ** 30;
/** Anonymous memory of this process, in MiB. */
const anonymous = () => Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;

export const cases = {
  showsTheFile() {
    const buffer = mapFile(file('some bytes'));
    assert.equal(text(buffer), 'some bytes');
    assert.equal(buffer.constructor, host === 'deno' ? ArrayBuffer : SharedArrayBuffer);
    assert.equal(text(mapFile(pathToFileURL(file('a URL')))), 'a URL');
  },
  // The default, and by name.
  cowIsPrivate() {
    const path = file('some bytes');
    for (const buffer of [mapFile(path), mapFile(path, 'cow')]) {
      new Uint8Array(buffer).set(Buffer.from('MORE'));
      assert.equal(text(buffer), 'MORE bytes');
      assert.equal(readFileSync(path, 'utf8'), 'some bytes');
    }
    assert.equal(text(mapFile(path)), 'some bytes');
  },
  rwIsWrittenThrough() {
    const path = file('some bytes');
    new Uint8Array(mapFile(path, 'rw')).set(Buffer.from('MORE'));
    assert.equal(readFileSync(path, 'utf8'), 'MORE bytes');
    writeFileSync(path, 'both', { flag: 'r+' });
    assert.equal(text(mapFile(path, 'rw')), 'both bytes');
  },
  windows() {
    const path = file(Buffer.from(Array.from({ length: 64 }, (_, i) => i)));
    const numbers = range => [...new Uint8Array(mapFile(path, 'cow', range))];
    assert.deepEqual(numbers({ offset: 8, length: 3 }), [8, 9, 10]);
    assert.deepEqual(numbers({ offset: 56 }), [56, 57, 58, 59, 60, 61, 62, 63]);
    assert.deepEqual(numbers({ length: 2 }), [0, 1]);
    assert.deepEqual(numbers({ offset: 64 }), []);
    throws(RangeError, 'MISALIGNED', () => numbers({ offset: 4 }));
    throws(RangeError, 'OUT_OF_RANGE', () => numbers({ offset: 72 }));
    throws(RangeError, 'OUT_OF_RANGE', () => numbers({ offset: 8, length: 57 }));
    throws(RangeError, 'ARGUMENT', () => numbers({ offset: -8 }));
    throws(RangeError, 'ARGUMENT', () => numbers({ length: 1.5 }));
    throws(TypeError, 'ARGUMENT', () => numbers({ length: '1' }));
    throws(TypeError, 'ARGUMENT', () => numbers({ begin: 1 }));
    throws(TypeError, 'ARGUMENT', () => numbers(null));
  },
  anEmptyFile() {
    assert.equal(mapFile(file('')).byteLength, 0);
    assert.equal(mapFile(file(''), 'rw').byteLength, 0);
  },
  whatCannotBeMapped() {
    throws(TypeError, 'ENOENT', () => mapFile('no/such/file'));
    throws(TypeError, 'EISDIR', () => mapFile(folder));
    throws(TypeError, 'ENOTDIR', () => mapFile(`${file()}/name`));
    throws(TypeError, 'NOT_A_FILE', () => mapFile('/dev/null'));
    throws(TypeError, 'NO_LENGTH', () => mapFile('/proc/self/status'));
    throws(TypeError, 'EINVAL', () => mapFile('a\0b'));
    throws(TypeError, 'ENAMETOOLONG', () => mapFile('x'.repeat(300)));
    const pipe = `${file()}-pipe`;
    assert.equal(spawnSync('mkfifo', [pipe]).status, 0);
    throws(TypeError, 'NOT_A_FILE', () => mapFile(pipe)); // without waiting for its other end
    const loop = `${file()}-loop`;
    symlinkSync(loop, loop);
    throws(TypeError, 'MAP', () => mapFile(loop));
  },
  // Root may read and write everything.
  aFileThatMayNotBeWritten() {
    if (process.getuid() === 0) return throws(TypeError, 'ETXTBSY', () => mapFile(process.execPath, 'rw'));
    const path = file();
    chmodSync(path, 0o400);
    assert.equal(text(mapFile(path)), 'some bytes of a file');
    return throws(TypeError, 'EACCES', () => mapFile(path, 'rw'));
  },
  argumentsOfOtherTypes() {
    for (const path of [undefined, null, 3, {}, Buffer.from('name')]) throws(TypeError, 'ARGUMENT', () => mapFile(path));
    for (const mode of ['r', '', null, 3]) throws(TypeError, 'ARGUMENT', () => mapFile(file(), mode));
    assert.match(throws(TypeError, 'UNSUPPORTED', () => mapFile(file(), 'ro')).message, /would end the process; use 'cow'/);
  },
  oneModeAtATime: {
    async run() {
      const path = file('some bytes');
      const link = `${path}-link`;
      linkSync(path, link);
      const before = offheap.stats().liveStores;
      let buffer = mapFile(path, 'cow');
      assert.match(throws(TypeError, 'OTHER_MODE', () => mapFile(link, 'rw')).message, /mapped cow already/);
      buffer = null;
      await live(before);
      buffer = mapFile(link, 'rw');
      throws(TypeError, 'OTHER_MODE', () => mapFile(path));
    },
  },
  // The file is not read: its 6 GiB would take as much memory.
  largerThan4GiB() {
    const path = sparse(6 * GIB);
    if (host === 'n20' || host === 'bun') {
      const error = throws(RangeError, 'TOO_LARGE_FOR_ENGINE', () => mapFile(path));
      assert.match(error.message, /views of at most 4 GiB; map a part/);
      assert(error.message.includes(path));
    } else {
      const bytes = new Uint8Array(mapFile(path));
      assert.equal(bytes.length, 6 * GIB);
      bytes[5 * GIB] = 5;
      assert.deepEqual([bytes[5 * GIB - 1], bytes[5 * GIB], bytes.at(-1)], [0, 5, 0]);
    }
    assert(anonymous() < 1024, `${anonymous()} MiB`);
  },
  // On each host, so also where there is no other way.
  windowsOfALargeFile() {
    const path = sparse(6 * GIB);
    const far = new Uint8Array(mapFile(path, 'rw', { offset: 5 * GIB, length: GIB }));
    far[7] = 42;
    const near = new Uint8Array(mapFile(path, 'rw', { offset: 5 * GIB - 8, length: 32 }));
    assert.deepEqual([near[14], near[15], near[16]], [0, 42, 0]);
    assert.equal(mapFile(path, 'rw', { offset: 2 * GIB, length: 4 * GIB }).byteLength, 4 * GIB);
  },
  // Of a large file, only the pages of the part are mapped.
  onlyThePagesOfThePart() {
    const path = sparse(6 * GIB);
    const part = mapFile(path, 'cow', { offset: 5 * GIB + 4000, length: 200 });
    const maps = readFileSync('/proc/self/maps', 'utf8').split('\n').filter(line => line.includes(path));
    const bytes = maps.map(line => line.split(' ')[0].split('-').map(address => parseInt(address, 16))).map(([from, to]) => to - from);
    assert.deepEqual(bytes, [8192]);
    assert.equal(part.byteLength, 200);
  },
  // Linux gives a process 65,530 maps. The host needs some, and ends if it gets none.
  async theHostLivesAtTheLimitOfMaps() {
    const path = file(Buffer.alloc(64)), kept = [];
    const { message } = throws(RangeError, 'TOO_MANY_MAPS', () => { for (;;) kept.push(mapFile(path, 'rw')); });
    assert.match(message, /has \d+ of \d+ maps, and the rest is left to the program itself; drop some/);
    assert(kept.length > 10000, `${kept.length} maps`);
    // It allocates, collects, compiles and starts a worker.
    const arrays = Array.from({ length: 200 }, () => new Uint8Array(1 << 20).fill(1));
    const objects = Array.from({ length: 1e6 }, (_, i) => ({ i }));
    assert.equal(arrays.length * objects.length, 2e8);
    const worker = start('maps', path);
    throws(RangeError, 'TOO_MANY_MAPS', () => mapFile(path, 'rw'));
    const end = ended(worker);
    worker.terminate();
    await end.catch(() => 0);
    await collect();
    new Uint8Array(kept.at(-1))[3] = 5;
    assert.equal(readFileSync(path)[3], 5);
    // What is dropped can be mapped again.
    kept.length = 0;
    for (let round = 0; ; round++) {
      await collect(1);
      try {
        return assert.equal(mapFile(path, 'rw').byteLength, 64);
      } catch (error) {
        if (round === 100) throw error;
      }
    }
  },
  nothingIsRead() {
    const before = anonymous();
    const numbers = new Int32Array(mapFile(sparse(GIB)));
    let sum = 0;
    for (let i = 0; i < numbers.length; i += 1024) sum += numbers[i];
    assert.equal(sum, 0);
    assert(anonymous() - before < 64, `${anonymous() - before} MiB more`);
  },
  async unmappedWhenCollected() {
    const path = sparse(1 << 20);
    const mapped = () => readFileSync('/proc/self/maps', 'utf8').includes(path);
    let buffer = mapFile(path);
    assert(mapped());
    assert.equal(new Uint8Array(buffer)[5], 0);
    buffer = null;
    for (let round = 0; round < 40 && mapped(); round++) await collect(1);
    assert(!mapped());
  },
  staysWhenTheFileIsRemoved() {
    const path = file('some bytes');
    const buffer = mapFile(path);
    unlinkSync(path);
    assert.equal(text(buffer), 'some bytes');
  },
  longerFilesKeepTheirLength() {
    const path = file('some bytes');
    const buffer = mapFile(path, 'rw');
    writeFileSync(path, ' and more', { flag: 'a' });
    assert.equal(text(buffer), 'some bytes');
    assert.equal(text(mapFile(path, 'rw')), 'some bytes and more');
  },
  cutShort: {
    ends: { status: 135, stderr: 'was cut short while it was mapped' },
    run() {
      const path = file(Buffer.alloc(1 << 16));
      const bytes = new Uint8Array(mapFile(path));
      truncateSync(path, 4096);
      assert.equal(bytes[4095], 0);
      console.log('read', bytes[8192]);
    },
  },
  cutShortAndWritten: {
    ends: { status: 135, stderr: 'was cut short while it was mapped' },
    run() {
      const path = file(Buffer.alloc(1 << 16));
      const bytes = new Uint8Array(mapFile(path, 'rw'));
      truncateSync(path, 0);
      bytes[8192] = 1;
    },
  },
  // The memory is shared on every host but Deno, where the buffer moves.
  async workersUseIt() {
    const path = file(Buffer.alloc(64));
    const buffer = mapFile(path, 'rw');
    const worker = start('writes', buffer, host === 'deno' ? [buffer] : []);
    await ended(worker);
    await collect();
    assert.equal(readFileSync(path)[5], 55);
    if (host === 'deno') assert.equal(buffer.byteLength, 0);
    else assert.equal(new Uint8Array(buffer)[5], 55);
  },
  async outlivesItsWorker() {
    const path = file('some bytes');
    const worker = start('maps', path);
    const buffer = await message(worker);
    const end = ended(worker);
    worker.postMessage('end');
    await end;
    await collect();
    assert.equal(text(buffer), 'some bytes');
    assert.deepEqual(offheap.stats().leakedStores, 0);
  },
  // While a thread writes, script may do with the bytes what it likes. In an ArrayBuffer on Node, `sort` would leave its bounds.
  sortsWhileAThreadWrites: {
    hosts: ['n20', 'n22', 'n24', 'n26', 'bun'],
    async run() {
      const path = file(Buffer.alloc(1 << 16));
      const numbers = new Int32Array(mapFile(path, 'rw'));
      const worker = start('keepsWriting', path);
      await message(worker);
      const until = Date.now() + 1500;
      while (Date.now() < until) numbers.sort();
      await worker.terminate();
    },
  },
  async aProcessThatWritesIsSeen() {
    const path = file('some bytes');
    const buffer = mapFile(path, 'rw');
    assert.equal(spawnSync('sh', ['-c', `printf MORE | dd of='${path}' conv=notrunc status=none`]).status, 0);
    assert.equal(text(buffer), 'MORE bytes');
  },
};

export const workers = {
  writes(buffer) {
    new Uint8Array(buffer)[5] = 55;
  },
  async maps(path) {
    const { parentPort } = await import('node:worker_threads');
    const buffer = mapFile(path);
    parentPort.postMessage(buffer, host === 'deno' ? [buffer] : []);
    await new Promise(resolve => { parentPort.once('message', resolve); });
    parentPort.close?.();
  },
  async keepsWriting(path) {
    const { parentPort } = await import('node:worker_threads');
    const numbers = new Int32Array(mapFile(path, 'rw'));
    parentPort.postMessage('begins');
    for (let x = 1; ;) {
      for (let i = 0; i < numbers.length; i++) numbers[i] = x = Math.imul(x, 1103515245) + 12345;
    }
  },
};
