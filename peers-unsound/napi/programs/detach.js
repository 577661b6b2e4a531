// Seen: SIGSEGV (the memory went back to the system).
const { detachAndRead } = require("./addon.js");
console.log("detaching");
console.log(`read ${detachAndRead(new Uint8Array(64 << 20).fill(7).buffer)}`);
