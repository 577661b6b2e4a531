// Runs each scenario on each host in each mode, in a process of its own, and compares with expectations.mjs:
//   npm test                             everything
//   npm test -- move/ workers/exit       scenarios whose names contain one of these
//   npm test -- --host n24,bun --mode plain,stores
//   --list       prints the names       --verbose    prints what the processes print
//   --checked    under glibc's malloc.check, with memory really freed; without the controls
//   --valgrind   under valgrind, on Node 20 without its compilers, also without the controls
// The status is 1 if anything differs from what is expected, or if nothing was run.
import { existsSync, readdirSync } from 'node:fs';
import { expectations } from './expectations.mjs';
import { hosts, modes } from './hosts.mjs';
import { runProcess } from './run/process.mjs';
import { tables } from './run/tables.mjs';

const options = { host: Object.keys(hosts), mode: modes, names: [], jobs: 2 };
for (const words = process.argv.slice(2); words.length;) {
  const word = words.shift();
  if (word === '--host' || word === '--mode') options[word.slice(2)] = known(words.shift(), word === '--host' ? Object.keys(hosts) : modes);
  else if (['--list', '--verbose', '--checked', '--valgrind'].includes(word)) options[word.slice(2)] = true;
  else if (word.startsWith('-')) stop(`unknown option ${word}`);
  else options.names.push(word);
}
function known(list = '', of) {
  for (const name of list.split(',')) if (!of.includes(name)) stop(`${name || 'nothing'} is none of ${of.join(', ')}`);
  return list.split(',');
}
function stop(message) {
  console.error(message);
  process.exit(2);
}

// Every cell of the matrix. A scenario is a function, or an object with `run` and
//   on      { hosts, modes } it is for; else every host, in the modes of that host
//   without { mode: why } it is not for
//   status  its process ends with; else 0
//   seconds it may take; else 120
//   env     more variables of its process
const cells = [];
const leftOut = new Set();
for (const file of readdirSync(new URL('scenarios/', import.meta.url)).filter(name => name.endsWith('.mjs')).sort()) {
  const { scenarios } = await import(`./scenarios/${file}`);
  for (const [name, scenario] of Object.entries(scenarios)) {
    for (const host of scenario.on?.hosts ?? Object.keys(hosts)) {
      for (const mode of scenario.on?.modes ?? hosts[host].modes) {
        if (scenario.without?.[mode]) leftOut.add(`${file.slice(0, -4)}/${name}, ${mode}: ${scenario.without[mode]}`);
        else cells.push({ host, mode, name: `${file.slice(0, -4)}/${name}`, scenario });
      }
    }
  }
}

// What is expected of a cell: `{ is: [kinds], why }`. Each line of expectations.mjs fits some cell, and each cell one line.
const words = text => text?.split(' ');
const fits = (list, value) => !list || words(list).includes(value);
const stale = new Set(expectations);
for (const cell of cells) {
  const lines = expectations.filter(line => fits(line.host, cell.host) && fits(line.mode, cell.mode) && fits(line.scenario, cell.name));
  lines.forEach(line => stale.delete(line));
  if (lines.length > 1) stop(`two lines of expectations.mjs are about ${cell.host} ${cell.mode} ${cell.name}`);
  cell.expected = lines.length ? { is: words(lines[0].is), why: lines[0].why } : { is: ['pass'] };
  if (options.valgrind && cell.name.startsWith('kinds/wasm')) cell.expected = { is: ['lacks'], why: 'without its compilers Node has no WebAssembly' };
}
for (const line of stale) stop(`no cell is ${JSON.stringify(line)}, a line of expectations.mjs`);

const chosen = cells.filter(cell => options.host.includes(cell.host) && options.mode.includes(cell.mode)
  && !((options.checked || options.valgrind) && cell.mode === 'plain') && !(options.valgrind && cell.host !== 'n20')
  && (!options.names.length || options.names.some(part => cell.name.includes(part))));
if (options.list) {
  for (const name of new Set(chosen.map(cell => cell.name))) console.log(name);
  process.exit(0);
}
if (!chosen.length) stop('no scenario fits: npm test -- --list prints the names');

for (const name of ['plain', 'ours']) {
  if (!existsSync(new URL(`../target/${name}.node`, import.meta.url))) stop(`target/${name}.node is missing: npm run build`);
}
const began = Date.now();
const queue = [...chosen];
let wrong = 0;
await Promise.all(Array.from({ length: options.jobs }, async () => {
  for (let cell; (cell = queue.shift());) {
    cell.got = await runProcess(cell, options);
    cell.right = cell.expected.is.includes(cell.got.kind);
    if (!cell.right) wrong += 1;
    if (!cell.right || options.verbose) describe(cell);
  }
}));

function describe({ host, mode, name, expected, got, right }) {
  console.log(`\n${right ? 'as expected' : 'DIFFERS'}: ${host} ${mode} ${name}: ${got.kind}, expected ${expected.is.join(' or ')}${expected.why ? ` (${expected.why})` : ''}`);
  if (got.text) console.log(`  ${got.text}`);
  if (!right || options.verbose) console.log(got.output.trim().split('\n').slice(-30).map(line => `  | ${line}`).join('\n'));
  console.log(`  again: npm test -- --host ${host} --mode ${mode} ${name} --verbose`);
}

console.log(tables(chosen, leftOut));
console.log(`${chosen.length} processes in ${Math.round((Date.now() - began) / 1000)} s, ${chosen.length - wrong} as expected, ${wrong} not`);
process.exitCode = wrong ? 1 : 0;
