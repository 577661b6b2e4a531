// Five addons of others, with the audit and without: their output has to be equal, and their CPU time is compared.
//
//     node addons.mjs [HOST...]        OFFHEAP_ROUNDS=11, OFFHEAP_ADDONS=FOLDER, OFFHEAP_HOSTS=FOLDER
//
// The addons are installed into target/audit-addons, which git ignores.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = path => fileURLToPath(new URL(path, import.meta.url));
const root = here('../../..');
const hosts = process.env.OFFHEAP_HOSTS ?? here('../../offheap-node/node_modules');
const addons = process.env.OFFHEAP_ADDONS ?? `${root}/target/audit-addons`;
const offheap = process.env.OFFHEAP ?? `${root}/target/release/offheap`;
const rounds = Number(process.env.OFFHEAP_ROUNDS ?? 11);

const packages = ['sharp@0.35.5', 'better-sqlite3@13.2.0', '@resvg/resvg-js@2.6.2', '@napi-rs/canvas@1.1.1', 'snappy@7'];
if (!existsSync(`${addons}/node_modules`)) {
  mkdirSync(addons, { recursive: true });
  writeFileSync(`${addons}/package.json`, '{"private":true}\n');
  execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--package-lock=false', ...packages], { cwd: addons, stdio: 'inherit' });
}

// Each prints a digest of what it made, and its CPU time in microseconds.
const programs = {
  sharp: `
    const sharp = require('sharp');
    const raw = Buffer.alloc(900 * 700 * 3, 77);
    for (let i = 0; i < 20; i++) {
      const png = await sharp(raw, { raw: { width: 900, height: 700, channels: 3 } }).resize(450 + i).png().toBuffer();
      digest(png);
      digest(await sharp(png).rotate(90).raw().toBuffer());
    }`,
  'better-sqlite3': `
    const db = new (require('better-sqlite3'))(':memory:');
    db.exec('create table t(a integer, b blob)');
    const insert = db.prepare('insert into t values(?, ?)');
    for (let i = 0; i < 20000; i++) insert.run(i, Buffer.alloc(200, i));
    for (const row of db.prepare('select * from t').all()) digest(row.b);
    digest(db.serialize());`,
  '@resvg/resvg-js': `
    const { Resvg } = require('@resvg/resvg-js');
    for (let i = 0; i < 15; i++) {
      const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="600" height="600"><circle cx="300" cy="300" r="' + (100 + i) + '" fill="red"/></svg>';
      const image = new Resvg(svg).render();
      digest(image.asPng());
      digest(image.pixels);
    }`,
  '@napi-rs/canvas': `
    const { createCanvas } = require('@napi-rs/canvas');
    for (let i = 0; i < 20; i++) {
      const canvas = createCanvas(500, 500), context = canvas.getContext('2d');
      context.fillStyle = 'rgb(' + i + ',9,9)';
      context.fillRect(i, i, 300, 300);
      digest(canvas.toBuffer('image/png'));
      digest(context.getImageData(0, 0, 500, 500).data);
    }`,
  snappy: `
    const snappy = require('snappy');
    const input = Buffer.from('offheap '.repeat(100000));
    for (let i = 0; i < 200; i++) {
      const packed = snappy.compressSync(input);
      digest(packed);
      digest(await snappy.uncompress(packed));
    }`,
};
const program = text => `
  const hash = require('node:crypto').createHash('sha256');
  const digest = bytes => hash.update(bytes);
  (async () => { ${text} })().then(() => {
    const { user, system } = process.cpuUsage();
    console.log(JSON.stringify({ digest: hash.digest('hex'), cpu: user + system }));
  });`;

function run(host, text, isAudited) {
  const record = `${addons}/record.jsonl`;
  const command = [`${hosts}/${host}/bin/node`, '-e', program(text)];
  const [file, ...options] = isAudited ? [offheap, 'audit', '-o', record, '--', ...command] : command;
  const { status, stdout, stderr } = spawnSync(file, options, { cwd: addons, encoding: 'utf8' });
  if (status !== 0) throw new Error(`status ${status}: ${stdout}${stderr}`);
  const said = JSON.parse(stdout);
  if (isAudited) {
    said.buffers = readFileSync(record, 'utf8').split('\n').filter(line => line.includes('"event":"created"')).length;
    rmSync(record);
  }
  return said;
}
const median = numbers => numbers.toSorted((a, b) => a - b)[numbers.length >> 1];

const wanted = process.argv.slice(2);
for (const host of wanted.length > 0 ? wanted : ['n24', 'n26']) {
  for (const [name, text] of Object.entries(programs)) {
    const times = { true: [], false: [] };
    let digest, buffers;
    try {
      for (let round = 0; round < rounds; round++) {
        for (const isAudited of round % 2 ? [true, false] : [false, true]) {
          const said = run(host, text, isAudited);
          digest ??= said.digest;
          if (said.digest !== digest) throw new Error('the output differs');
          buffers = said.buffers ?? buffers;
          times[isAudited].push(said.cpu);
        }
      }
      console.log(`${host} ${name}: with / without ${(median(times.true) / median(times.false)).toFixed(2)}, ${buffers} external buffers, equal output`);
    } catch (error) {
      console.log(`${host} ${name}: FAILED ${error.message.slice(0, 600)}`);
      process.exitCode = 1;
    }
  }
}
