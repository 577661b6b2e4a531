// Builds the binary of this machine's platform into prebuilds/, and takes the licences from the repository:
//   npm run build
// With --check it builds nothing, and fails if something is missing that the package should have.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, renameSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = path => fileURLToPath(new URL(`../${path}`, import.meta.url));
const binary = here('prebuilds/linux-x64-gnu/offheap.node');
const licences = ['LICENSE-APACHE', 'LICENSE-MIT'];

function fail(message) {
  console.error(message);
  process.exit(1);
}

if (process.argv.includes('--check')) {
  for (const file of [binary, ...licences.map(here)]) if (!existsSync(file)) fail(`${file} is missing: npm run build`);
  process.exit(0);
}
if (process.platform !== 'linux' || process.arch !== 'x64') fail('the package is built on linux x64 with glibc');

const { status, stdout, error } = spawnSync('cargo', ['build', '--profile', 'npm', '--package', 'offheap-npm', '--message-format', 'json-render-diagnostics'],
  { cwd: here('.'), encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'inherit'] });
if (error) fail(`${error}`);
if (status !== 0) process.exit(1);
const library = stdout.trim().split('\n').map(line => JSON.parse(line))
  .find(line => line.reason === 'compiler-artifact' && line.target.name === 'offheap_npm').filenames.find(name => name.endsWith('.so'));

mkdirSync(here('prebuilds/linux-x64-gnu'), { recursive: true });
// Renamed, since a process that has the old one mapped keeps it.
copyFileSync(library, `${binary}.new`);
renameSync(`${binary}.new`, binary);
for (const name of licences) copyFileSync(here(`../../${name}`), here(name));
console.log(binary);
