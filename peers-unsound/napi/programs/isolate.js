// The main thread's buffer is given to script of a worker: one isolate gets a value of another, and the reference is
// deleted there.
// Seen: the process ends in V8.
const { Worker, isMainThread } = require("node:worker_threads");
const { keep, takeKept } = require("./addon.js");
if (isMainThread) {
  keep(Buffer.alloc(1 << 20, 7));
  new Worker(__filename).on("exit", () => {
    gc();
    console.log("ended");
  });
} else {
  const taken = takeKept();
  console.log(`taken: ${taken.length} bytes`);
  globalThis.kept = { taken };
  for (let i = 0; i < 10; i++) gc();
}
