// A worker gives its buffer to the addon, which may keep it. When the worker ends, the memory is freed.
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
