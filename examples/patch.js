// Mends the header of a WAV file in place:
//
//     offheap run --map file=FILE.wav:rw examples/patch.js
//
// A recorder that was cut off leaves the lengths in its header at 0 or at a guess, and players stop there. The file is
// mapped `rw`: what is written to the buffer is written to the file, four bytes of it here and not a copy of the rest.

const { mapped, arrayBuffer } = nativeModule;

const file = mapped.file;
if (!file) throw new Error("usage: offheap run --map file=FILE.wav:rw examples/patch.js");

const HEADER = 4096; // The chunks before the samples fit in this.
const view = new DataView(arrayBuffer(file, 0, Math.min(HEADER, file.byteLength)));
const name = (at) => String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));

function mend(what, at, expected) {
  const found = view.getUint32(at, true);
  if (found === expected) {
    console.log(`${what}: ${found}, right`);
  } else {
    view.setUint32(at, expected, true);
    console.log(`${what}: ${found} -> ${expected}`);
  }
}

if (view.byteLength < 12 || name(0) !== "RIFF" || name(8) !== "WAVE") throw new Error("this is no WAV file");

// Chunks follow each other: four letters, a length, that many bytes, padded to an even count.
let at = 12;
while (at + 8 <= view.byteLength && name(at) !== "data") {
  const length = view.getUint32(at + 4, true);
  at += 8 + length + (length % 2);
}
if (at + 8 > view.byteLength) throw new Error("no data chunk begins in the first 4096 bytes");

mend("length of the data", at + 4, file.byteLength - at - 8);
mend("length of the file", 4, file.byteLength - 8);
