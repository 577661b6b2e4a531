// A buffer's memory outlives the buffer. An ArrayBuffer made here is externalized: native code takes a reference to its
// backing store. Detaching takes the memory away only from script: native code continues to write it, and a new buffer
// shows what was written. The memory is freed once, when the last reference is released.

const { externalizeBuffer, arrayBuffer, detach, gc, stats } = nativeModule;

let buffer = new ArrayBuffer(1024);
const bytes = new Uint8Array(buffer);
bytes.set([1, 2, 3]);

const held = externalizeBuffer(buffer);
bytes[3] = 4; // Script and native code share the memory: no copy was made for the reference.
console.log("externalized:", held.byteLength, "bytes, native code reads", held.read(0, 4));

detach(buffer);
console.log("detached:    ", buffer.detached, "and the view has length", bytes.length);

held.write(4, Uint8Array.of(5, 6, 7)); // There is no buffer over the memory now.
held.fill(255, 1020);

buffer = held.arrayBuffer();
const again = new Uint8Array(buffer);
console.log("read back:   ", again.subarray(0, 8), "...", again.subarray(1020));

held.release(); // Native code releases its reference; the new buffer still has the memory.
console.log("released:    ", stats().liveStores, "store lives,", again[6], "is still there");

detach(buffer); // The last reference.
gc();
console.log("freed:       ", stats().liveStores, "stores live");
