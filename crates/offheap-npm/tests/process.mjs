// The program of each process and worker of a case: HOST process.mjs FILE/NAME.
import { writeSync } from 'node:fs';
import { isMainThread, workerData } from 'node:worker_threads';

const [file, name] = (isMainThread ? process.argv[2] : workerData.case).split('/');
const { cases, workers } = await import(`./cases/${file}.mjs`);
if (isMainThread) {
  try {
    await (cases[name].run ?? cases[name])();
    writeSync(1, '\n@@ pass\n');
  } catch (error) {
    writeSync(1, `\n@@ fail ${error?.stack ?? error}\n`);
    process.exit(1);
  }
} else {
  await workers[workerData.worker](workerData.data);
}
