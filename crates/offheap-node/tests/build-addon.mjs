// Builds one of the addons that tests and benchmarks load.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const here = path => fileURLToPath(new URL(path, import.meta.url));

/** Runs a program, and returns what it prints. If it fails, it has said why. */
export function run(program, options) {
  const { status, stdout, error } = spawnSync(program, options, {
    cwd: here('..'), encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (error) console.error(`${error}`);
  if (status !== 0) process.exit(1);
  return stdout;
}

/** Builds an addon with these options of cargo; returns the path of its library. */
export function addon(name, ...options) {
  const messages = run('cargo', ['build', '--package', name, ...options, '--message-format', 'json-render-diagnostics']);
  const { filenames } = messages.trim().split('\n').map(line => JSON.parse(line))
    .find(line => line.reason === 'compiler-artifact' && line.target.name === name.replaceAll('-', '_'));
  return filenames.find(name => name.endsWith('.so'));
}
