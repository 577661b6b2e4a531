// The program of each process and worker of a scenario: HOST process.mjs FILE/NAME. It prints one line for the runner.
import { writeSync } from 'node:fs';
import { inspect } from 'node:util';
import { isMainThread, workerData } from 'node:worker_threads';
import { kindOf } from './harness.mjs';

const name = isMainThread ? process.argv[2] : workerData.scenario;
const [file, scenario] = name.split('/');
const { scenarios, workers } = await import(`./scenarios/${file}.mjs`);
const tell = outcome => writeSync(1, `\n@@ ${JSON.stringify(outcome)}\n`);

if (isMainThread) {
  const { run = scenarios[scenario] } = scenarios[scenario];
  try {
    const note = await run();
    tell({ kind: 'pass', text: note ?? '' });
  } catch (error) {
    tell({ kind: kindOf(error), text: error?.message || inspect(error) });
    process.exit(1);
  }
} else {
  try {
    await workers[workerData.worker](workerData.data);
  } catch (error) { // only the message reaches the main thread as it is
    throw new Error(`${kindOf(error)}: ${error.message}`);
  }
}
