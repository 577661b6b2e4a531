// Another thread writes to unshared memory while script reads it and writes nothing.
// Seen: one element of a plain ArrayBuffer has many values in one turn.
const { countElsewhere } = require("./addon.js");
const buffer = Buffer.alloc(64 << 10);
countElsewhere(buffer);
const values = new Set();
for (const end = Date.now() + 10_000; Date.now() < end && values.size < 16; ) values.add(buffer[0]);
console.log(`shared: ${buffer.buffer instanceof SharedArrayBuffer}, one element had ${values.size} values`);
process.exit(0);
