// Seen: the same memory on the way in, other memory on the way back.
const { sameMemory } = require("./addon.js");
console.log(`the same memory: ${sameMemory().join(" and ")}`);
