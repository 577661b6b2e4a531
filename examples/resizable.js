// A resizable buffer and native code: a reference sees each new length, and the address stays.

const { externalizeBuffer, detach, stats } = nativeModule;

const lines = new ArrayBuffer(0, { maxByteLength: 1 << 20 });
const held = externalizeBuffer(lines);
console.log("empty:   ", held.byteLength, "of at most", held.maxByteLength, "bytes");

function append(text) {
  const end = lines.byteLength;
  lines.resize(end + text.length); // Room was reserved, so nothing moves and nothing is copied.
  held.write(end, Uint8Array.from(text, (character) => character.charCodeAt(0)));
}

append("first\n");
append("second\n");
console.log("appended:", held.byteLength, "bytes, script reads", JSON.stringify(String.fromCharCode(...new Uint8Array(lines))));

lines.resize(6);
lines.resize(8); // The bytes that shrinking cut off are zero after growing again.
console.log("shrunk:  ", held.byteLength, "bytes, native code reads", held.read(4));

detach(lines);
console.log("detached:", held.byteLength, "bytes, native code reads", held.read(0, 5), "and", stats().resizableStores, "store is resizable");
held.release();
