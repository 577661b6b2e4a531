// One buffer for two parameters.
// Seen: what was written through one `&mut [u8]` is 2 and not 1.
const { writeBoth } = require("./addon.js");
const buffer = Buffer.alloc(1);
console.log(`wrote 1 through one &mut [u8], and read ${writeBoth(buffer, buffer)}`);
