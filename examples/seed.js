// Memory that a native module allocates, and script that uses it: what the comments of most explanations leave open,
// with every line running.

// Native code allocates 1024 bytes. Nobody but us frees them: that is what "manually" means.
const memory = nativeModule.allocateMemory(1024);
console.log("allocated:", memory.byteLength, "bytes, freed:", memory.freed);

// The constructor of ArrayBuffer makes new memory, and takes a length for that. Handed anything else it would ask for a
// number, get NaN, and quietly make an empty buffer. Native memory answers that question with an error instead.
try {
  new ArrayBuffer(memory, 0, 1024);
} catch (error) {
  console.log(`${error.name}: ${error.message}`);
}

// A buffer over existing memory comes from the side that has the memory.
const external = nativeModule.arrayBuffer(memory, 0, 1024);
new Uint8Array(external).fill(7);
console.log("a buffer over it:", external, "sum", new Uint8Array(external).reduce((sum, byte) => sum + byte));

// The other direction: memory that script allocated, and of which native code takes a reference.
const buffer = new ArrayBuffer(1024);
const uint8Array = new Uint8Array(buffer);
uint8Array[0] = 42;
const managed = nativeModule.externalizeBuffer(buffer);
console.log("externalized:", managed.byteLength, "bytes, the first is", managed.read(0, 1)[0]);

// Two ends, one for each direction. A reference is released, and the memory goes with its last reference. Manual memory
// is freed, once, when no buffer is over it any more.
managed.release();
nativeModule.detach(external);
nativeModule.free(memory);
console.log("freed:", memory.freed);
