// Shared memory that is freed explicitly. It can have any number of SharedArrayBuffers, and none of them can be
// detached. So it is in use until script has dropped all of them, and an earlier free is refused.

const { allocateMemory, arrayBuffer, externalizeBuffer, free, gc, stats } = nativeModule;

const memory = allocateMemory(1024, { shared: true });
let buffer = arrayBuffer(memory);
let other = arrayBuffer(memory, 512); // Another buffer, over the second half.
console.log("two buffers:", buffer, "and", other);

let counters = new Int32Array(buffer);
Atomics.add(counters, 128, 42);
console.log("one memory: ", Atomics.load(new Int32Array(other), 0));

const held = externalizeBuffer(counters);
held.write(0, Int32Array.of(7)); // Native code may write at the same time as script: shared memory has no owner.
console.log("held:       ", Atomics.load(counters, 0), "and", held.read(512, 516));
held.release();

buffer = other = counters = undefined;
gc();
free(memory);
console.log("freed:      ", memory.freed, "and", stats().liveStores, "stores live");
