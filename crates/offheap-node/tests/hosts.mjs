// The hosts that tests run in, and the modes in which each of them runs.
import { fileURLToPath } from 'node:url';

const installed = name => fileURLToPath(new URL(`../node_modules/${name}`, import.meta.url));

// How the memory of a store reaches script. `plain` are the controls: plain Node-API, without offheap. `auto` is what offheap
// chooses by itself; the other three are forced by OFFHEAP_NODE.
export const modes = ['plain', 'stores', 'external', 'copy', 'auto'];

const everyMode = ['plain', 'stores', 'external', 'copy'];
const node = (name, about, runs = everyMode, flags = []) => ({
  about,
  command: [installed(`${name}/bin/node`), '--expose-gc', ...flags],
  modes: runs,
});

// In the order of the tables.
export const hosts = {
  n20: node('n20', 'Node 20, V8 11.3'),
  // The same host with ArrayBuffer.prototype.transfer, which is behind a flag there.
  n20t: node('n20', 'Node 20 with --harmony-rab-gsab-transfer', everyMode, ['--harmony-rab-gsab-transfer']),
  n22: node('n22', 'Node 22, V8 12.4'),
  n24: node('n24', 'Node 24, V8 13.6'),
  n26: node('n26', 'Node 26, V8 14.6'),
  deno: {
    about: 'Deno 2.9, V8 15.0',
    command: [installed('@deno/linux-x64-glibc/deno'), 'run', '--quiet', '-A', '--v8-flags=--expose-gc'],
    modes: ['plain', 'external', 'copy'],
    cannot: { stores: 'Deno exports no function of V8' },
  },
  bun: {
    about: 'Bun 1.4, JavaScriptCore',
    command: [installed('@oven/bun-linux-x64/bin/bun')],
    modes: ['plain', 'external', 'copy'],
    cannot: { stores: 'there is no V8 in Bun' },
  },
  // Hosts that offheap does not know: it has to find out by itself.
  n18: node('n18', 'Node 18, V8 10.2: a name is missing', ['auto']),
  n23: node('n23', 'Node 23, V8 12.9: not in the list, probed', ['auto']),
  n25: node('n25', 'Node 25, V8 14.1: not in the list, probed', ['auto']),
};
