// Seen: the memory is the same on the way in, and different on the way back.
const { sameMemory } = require("./addon.js");
console.log(`the same memory: ${sameMemory().join(" and ")}`);
