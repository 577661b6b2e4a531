// Builds what the scenarios load, into the ignored folder target/: plain.node, the controls; ours.node, the test addon; and
// each of them in a second file, which is a second addon with a copy of everything.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const here = path => fileURLToPath(new URL(path, import.meta.url));
mkdirSync(here('../target'), { recursive: true });

// The headers of any of the hosts would do: Node-API is a stable ABI.
execFileSync('cc', ['-std=c11', '-shared', '-fPIC', '-O1', '-g', '-Wall', '-Wextra', '-Werror', '-I', here('../node_modules/n24/include/node'),
  here('plain/plain.c'), '-o', here('../target/plain.node')], { stdio: 'inherit' });
copyFileSync(here('../target/plain.node'), here('../target/plain-again.node'));

// `broken` is the test addon with a table of V8's functions that an environment variable breaks.
if (existsSync(here('addon/Cargo.toml'))) {
  const library = (...features) => {
    const output = execFileSync('cargo', ['build', '--package', 'offheap-node-test-addon', ...features, '--message-format', 'json-render-diagnostics'], {
      cwd: here('..'), encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'inherit'],
    });
    const artifact = output.trim().split('\n').map(line => JSON.parse(line))
      .find(line => line.reason === 'compiler-artifact' && line.target.name === 'offheap_node_test_addon');
    return artifact.filenames.find(name => name.endsWith('.so'));
  };
  copyFileSync(library('--features', 'broken-tables'), here('../target/broken.node'));
  for (const name of ['ours', 'ours-again']) copyFileSync(library(), here(`../target/${name}.node`));
}
