// Times the decision at load, which is made once in a process: HOST load.mjs ADDON. Prints microseconds of CPU time.
import { createRequire } from 'node:module';

const addon = createRequire(import.meta.url)(process.argv[2]);
addon.benchKept(); // a call that asks nothing of the host
process.cpuUsage();
const before = process.cpuUsage();
addon.mode();
const { user, system } = process.cpuUsage(before);
console.log(user + system);
