// A worker gives its buffer to the addon, which keeps it as it may, and ends: its memory goes with it.
// Seen: SIGSEGV when the main thread reads the first byte.
const { Worker, isMainThread } = require("node:worker_threads");
const { keep, firstKept } = require("./addon.js");
if (isMainThread) {
  new Worker(__filename).on("exit", () => {
    console.log("the worker has ended");
    console.log(`read ${firstKept()}`);
  });
} else {
  keep(Buffer.from(new ArrayBuffer(64 << 20)).fill(7));
}
