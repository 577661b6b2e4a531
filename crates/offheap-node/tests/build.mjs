// Builds what the scenarios load, into the ignored folder target/: plain.node, the controls; ours.node, the test addon; and
// each of them in a second file, which is a second addon with a copy of everything.
import { copyFileSync, mkdirSync, renameSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { addon, run } from './build-addon.mjs';

const here = path => fileURLToPath(new URL(path, import.meta.url));

/** Copies a library. A process that has the old one mapped keeps it. */
function install(library, name) {
  copyFileSync(library, here(`../target/${name}.new`));
  renameSync(here(`../target/${name}.new`), here(`../target/${name}.node`));
}

mkdirSync(here('../target'), { recursive: true });

// The headers of any of the hosts would do: Node-API is a stable ABI.
run('cc', ['-std=c11', '-shared', '-fPIC', '-O1', '-g', '-Wall', '-Wextra', '-Werror',
  '-I', here('../node_modules/n24/include/node'), here('plain/plain.c'), '-o', here('../target/plain.so')]);
for (const name of ['plain', 'plain-again']) install(here('../target/plain.so'), name);

// `broken` is the test addon with a table of V8's functions that an environment variable breaks.
install(addon('offheap-node-test-addon', '--features', 'broken-tables'), 'broken');
const library = addon('offheap-node-test-addon');
for (const name of ['ours', 'ours-again']) install(library, name);
// `conformance` runs the conformance suite.
install(addon('offheap-node-conformance'), 'conformance');
// `example` is the addon of docs/node.md. napi's macros write the types of its functions, for an index.d.ts.
process.env.NAPI_TYPE_DEF_TMP_FOLDER = here('../target/types');
mkdirSync(here('../target/types'), { recursive: true });
install(addon('offheap-node-example'), 'example');
