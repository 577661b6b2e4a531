// The package as a new user gets it: packed, installed into an empty folder, and checked by the compiler of TypeScript.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

function run(program, options, cwd) {
  const { status, stdout, stderr, error } = spawnSync(program, options, { cwd, encoding: 'utf8' });
  if (error || status !== 0) throw error ?? new Error(`${program} ${options.join(' ')}: status ${status}\n${stdout}\n${stderr}`);
  return stdout;
}

/** Packs the package, and installs it into a folder that has nothing else. */
export function installPackage(folder) {
  const [{ filename, files }] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', folder], root));
  const names = files.map(({ path }) => path);
  const expected = ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'index.d.mts', 'index.d.ts', 'index.js', 'index.mjs', 'load.js', 'package.json',
    'place.js', 'prebuilds/linux-x64-gnu/offheap.node'];
  if (names.sort().join() !== expected.join()) throw new Error(`the package has ${names.join()}`);
  writeFileSync(join(folder, 'package.json'), '{ "name": "user", "private": true }');
  run('npm', ['install', '--offline', '--ignore-scripts', '--no-audit', '--no-fund', join(folder, filename)], folder);
}

/** Checks tests/types.ts, and that the declarations have all exports and no others. */
export function checkTypes() {
  const declared = [...readFileSync(join(root, 'index.d.ts'), 'utf8').matchAll(/^export (?:declare )?(?:function|class|const) (\w+)/gm)].map(([, name]) => name);
  const exported = Object.keys(createRequire(import.meta.url)('../index.js'));
  if (declared.sort().join() !== exported.sort().join()) throw new Error(`index.d.ts declares ${declared}, and index.js exports ${exported}`);
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  if (!existsSync(compiler)) throw new Error('typescript is missing: npm install');
  const folder = join(root, 'node_modules/.offheap-types');
  mkdirSync(folder, { recursive: true });
  for (const [module, extension] of [['node16', 'cts'], ['node16', 'mts'], ['esnext', 'ts']]) {
    const program = join(folder, `types.${extension}`);
    writeFileSync(program, readFileSync(join(root, 'tests/types.ts'), 'utf8'));
    const settings = { strict: true, noEmit: true, target: 'es2022', lib: ['es2022', 'esnext.disposable', 'dom'], types: [], module,
      moduleResolution: module === 'esnext' ? 'bundler' : 'node16', skipLibCheck: false };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: settings, files: [program] }));
    mkdirSync(join(folder, 'node_modules/offheap'), { recursive: true });
    for (const name of ['package.json', 'index.d.ts', 'index.d.mts']) {
      writeFileSync(join(folder, 'node_modules/offheap', name), readFileSync(join(root, name)));
    }
    run(process.execPath, [compiler, '-p', folder], folder);
  }
}
