// The conformance suite of offheap inside the host. An isolate is a worker, which serves the verbs of `Engine` to the runner
// of the suite; that is on a thread of its own, and the main thread only starts workers.
import { createRequire } from 'node:module';
import { fail, host, start } from '../harness.mjs';

const require = createRequire(import.meta.url);
const addon = () => require('../../target/conformance.node');

// The section of expectations.toml in the crate offheap-conformance.
const sections = { n20t: 'Node20', n22: 'Node', n24: 'Node', n26: 'Node', deno: 'Deno', bun: 'Bun' };

export const scenarios = {
  suite: {
    on: { hosts: Object.keys(sections), modes: ['auto'] },
    seconds: 300,
    async run() {
      const { asExpected, text } = await addon().runSuite(sections[host], process.env.OFFHEAP_TEST_CASE, number => {
        const worker = start('serve', number);
        worker.on('error', error => console.error(`worker ${number}:`, error));
        worker.on('exit', () => addon().ended(number));
      });
      console.log(text);
      if (!asExpected) fail('wrong', text.split('\n')[0]);
      // The runner's queue would keep the process alive.
      setTimeout(() => process.exit(0), 100);
      return text.trim().split('\n').at(-1);
    },
  },
};

export const workers = {
  async serve(number) {
    const { serving } = await import('../conformance/verbs.mjs');
    const { tick, answer, keep, get } = serving({ turned: addon().turned, end: () => process.exit() });
    addon().serve(number, tick, answer, keep, get);
  },
};
