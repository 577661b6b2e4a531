// A hundred arrays of 1 MiB are made and collected.
// Seen: their finalizers run, but none of their memory is freed.
const { exposeByReference } = require("./addon.js");
const mebibytes = () => Math.round(process.memoryUsage().rss / 2 ** 20);
const before = mebibytes();
for (let i = 0; i < 100; i++) exposeByReference(1 << 20);
const collect = (rounds) => {
  gc();
  if (rounds > 0) return setTimeout(collect, 20, rounds - 1);
  const { external, arrayBuffers } = process.memoryUsage();
  console.log(`V8 knows of ${Math.round(arrayBuffers / 2 ** 20)} MiB in array buffers, the process has kept ${mebibytes() - before} MiB`);
};
collect(5);
