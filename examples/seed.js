// Memory that a native module allocates, and script that uses it. Other explanations leave much of this to comments;
// every line here runs.

// Native code allocates 1024 bytes. Only this script frees them: that is the meaning of "manual".
const memory = nativeModule.allocateMemory(1024);
console.log("allocated:", memory.byteLength, "bytes, freed:", memory.freed);

// The constructor of ArrayBuffer takes a length and makes new memory. It converts any other argument to a number, here
// NaN, and would make an empty buffer without a warning. Native memory makes the conversion throw an error instead.
try {
  new ArrayBuffer(memory, 0, 1024);
} catch (error) {
  console.log(`${error.name}: ${error.message}`);
}

// The side that has the memory makes a buffer over it.
const external = nativeModule.arrayBuffer(memory, 0, 1024);
new Uint8Array(external).fill(7);
console.log("a buffer over it:", external, "sum", new Uint8Array(external).reduce((sum, byte) => sum + byte));

// The other direction: script allocates memory, and native code takes a reference to it.
const buffer = new ArrayBuffer(1024);
const uint8Array = new Uint8Array(buffer);
uint8Array[0] = 42;
const managed = nativeModule.externalizeBuffer(buffer);
console.log("externalized:", managed.byteLength, "bytes, the first is", managed.read(0, 1)[0]);

// Each direction has its own end. A reference is released, and the memory is freed with its last reference. Manual
// memory is freed explicitly, once, when it has no buffer any more.
managed.release();
nativeModule.detach(external);
nativeModule.free(memory);
console.log("freed:", memory.freed);
