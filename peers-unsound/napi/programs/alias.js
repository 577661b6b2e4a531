// One buffer is passed for two parameters.
// Seen: a byte written through one `&mut [u8]` is 2 instead of 1.
const { writeBoth } = require("./addon.js");
const buffer = Buffer.alloc(1);
console.log(`wrote 1 through one &mut [u8], and read ${writeBoth(buffer, buffer)}`);
