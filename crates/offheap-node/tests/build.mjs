// Builds what the scenarios load, into the ignored folder target/: plain.node, the controls; ours.node, the test addon; and
// each of them in a second file, which is a second addon with a copy of everything.
import { copyFileSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { addon, run } from './build-addon.mjs';

const here = path => fileURLToPath(new URL(path, import.meta.url));

mkdirSync(here('../target'), { recursive: true });

// The headers of any of the hosts would do: Node-API is a stable ABI.
run('cc', ['-std=c11', '-shared', '-fPIC', '-O1', '-g', '-Wall', '-Wextra', '-Werror',
  '-I', here('../node_modules/n24/include/node'), here('plain/plain.c'), '-o', here('../target/plain.node')]);
copyFileSync(here('../target/plain.node'), here('../target/plain-again.node'));

// `broken` is the test addon with a table of V8's functions that an environment variable breaks.
copyFileSync(addon('offheap-node-test-addon', '--features', 'broken-tables'), here('../target/broken.node'));
const library = addon('offheap-node-test-addon');
for (const name of ['ours', 'ours-again']) copyFileSync(library, here(`../target/${name}.node`));
// `conformance` runs the conformance suite.
copyFileSync(addon('offheap-node-conformance'), here('../target/conformance.node'));
// `example` is the addon of docs/node.md. napi's macros write the types of its functions, for an index.d.ts.
process.env.NAPI_TYPE_DEF_TMP_FOLDER = here('../target/types');
mkdirSync(here('../target/types'), { recursive: true });
copyFileSync(addon('offheap-node-example'), here('../target/example.node'));
