// Repairs the header of a WAV file in place:
//
//     offheap run --map file=FILE.wav:rw examples/patch.js
//
// An interrupted recorder leaves the lengths in the header at 0, or at a guess, and players stop there. The file is
// mapped `rw`, so four bytes are written in place, without a copy of the rest. The buffer is a SharedArrayBuffer, since
// others may write the file, too. A file that is correct, or in an unknown format, is not changed.

const { mapped, arrayBuffer } = nativeModule;

const file = mapped.file;
// A buffer that is not shared was mapped `ro`.
if (!file?.shared) throw new Error("usage: offheap run --map file=FILE.wav:rw examples/patch.js");

const size = file.byteLength;
const refuse = (why) => { throw new Error(`${why}; the file stays as it is`) };

// The bytes from `offset` on, through a small window that begins at a multiple of 8.
function view(offset, length) {
  const start = offset - (offset % 8);
  return new DataView(arrayBuffer(file, start, offset + length - start), offset - start);
}
const name = (offset) => String.fromCharCode(...[0, 1, 2, 3].map((i) => view(offset, 4).getUint8(i)));
const uint32 = (offset) => view(offset, 4).getUint32(0, true);

if (size < 12 || name(0) !== "RIFF" || name(8) !== "WAVE") throw new Error("this is not a WAV file");
if (size - 8 > 0xffffffff) refuse(`a WAV file has at most 4294967303 bytes, and this one has ${size}`);

// Chunks follow each other: four letters, a length, that many bytes, and a padding byte if the length is odd. Some
// writers omit the last padding byte.
function chunkAt(at) {
  if (at + 8 > size || !/^[\x20-\x7e]{4}$/.test(name(at))) return undefined;
  const length = uint32(at + 4);
  const end = at + 8 + length;
  return { name: name(at), at, length, end, next: end + (length % 2) };
}

// The end of the chunks from `at` on, if they end with the file or at the end that the header states.
const said = uint32(4) + 8;
function endOfChunks(at) {
  while (at < size && at !== said) {
    const chunk = chunkAt(at);
    if (!chunk || chunk.end > size) return undefined;
    at = Math.min(chunk.next, size);
  }
  return at;
}

let frame = 0; // The bytes of one sample of all channels.
let data = chunkAt(12);
while (data && data.name !== "data") {
  if (data.end > size) refuse(`the chunk "${data.name}" at ${data.at} is longer than the file`);
  if (data.name === "fmt " && data.length >= 14) frame = view(data.at + 20, 2).getUint16(0, true);
  data = chunkAt(data.next);
}
if (!data) refuse("it has no data chunk");
if (!frame) refuse("it does not say how long a sample is");

// The length of the samples: up to the end of the file if it was left open, otherwise as the header says.
const begin = data.at + 8;
const whole = size - begin - ((size - begin) % frame);
const end = endOfChunks(Math.min(data.next, size));
const isLeftOpen = data.end > size || (data.length === 0 && end === undefined);
if (!isLeftOpen && end === undefined) refuse(`what follows the data, at ${data.next}, is not a chunk`);
const length = isLeftOpen ? whole : data.length;
const last = isLeftOpen ? Math.min(begin + whole + (whole % 2), size) : end;
if (!isLeftOpen && said !== 8 && said < last) refuse("its header says that it ends in the middle of a chunk");

function mend(what, at, found, expected) {
  if (found === expected) {
    console.log(`${what}: ${found}, right`);
  } else {
    view(at, 4).setUint32(0, expected, true);
    console.log(`${what}: ${found} -> ${expected}`);
  }
}
mend("length of the data", data.at + 4, data.length, length);
mend("length of the file", 4, said - 8, last - 8);
