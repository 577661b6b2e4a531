// Two ways to leak, and the report that names their lines. Exit status 3.

function makeFrame(byteLength) {
  const memory = nativeModule.allocateMemory(byteLength); // <- reported: nothing ever frees it
  return nativeModule.arrayBuffer(memory);
}

let frame = makeFrame(640 * 480 * 4);
new Uint8Array(frame).fill(128);

// The buffer's end frees nothing: manual memory must be freed explicitly, and its last name ended with `makeFrame`.
frame = undefined;
nativeModule.gc();

// A reference that native code took must be released, too.
const samples = new Float32Array(1000);
nativeModule.externalizeBuffer(samples); // <- reported: nothing ever releases it

console.log("everything looks fine from here");
