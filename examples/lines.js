// Prints rows of a log or CSV file of any size. Rows are counted from 0:
//
//     offheap run --map log=FILE examples/lines.js 41 [ROW]...
//
// The file is mapped, and never read as a whole. Script looks at it through one window at a time. The system loads the
// pages that are used, and takes them back when it needs the memory.

const { mapped, arrayBuffer, args } = nativeModule;

const WINDOW = 64 * 2 ** 20; // Any multiple of 8 up to the engine's limit (2 GiB - 1 in QuickJS).
const SHOWN = 4096; // The largest number of bytes of a row that are printed.
const NEWLINE = 10;
const RETURN = 13;

const file = mapped.log;
const wanted = args.map(Number);
if (!file || !wanted.length || !args.every((row) => /^\d{1,15}$/.test(row))) {
  throw new Error("usage: offheap run --map log=FILE examples/lines.js ROW...");
}

// The window that contains `offset`. The previous window is dropped.
let window = { start: 0, end: 0 };
function windowAt(offset) {
  if (offset < window.start || offset >= window.end) {
    const start = offset - (offset % WINDOW);
    const length = Math.min(WINDOW, file.byteLength - start);
    window = { start, end: start + length, bytes: new Uint8Array(arrayBuffer(file, start, length)) };
  }
  return window;
}

// The beginning of the next row: after the next newline, which may be in a later window, or the end of the file.
function nextRow(offset) {
  while (offset < file.byteLength) {
    const { start, end, bytes } = windowAt(offset);
    const found = bytes.indexOf(NEWLINE, offset - start);
    if (found >= 0) return start + found + 1;
    offset = end;
  }
  return offset;
}

function byteAt(offset) {
  const { start, bytes } = windowAt(offset);
  return bytes[offset - start];
}

// One pass, up to the last requested row. The index has the beginning and the end of each requested row.
const index = new Map(wanted.map((row) => [row, undefined]));
const last = Math.max(...wanted);
let rows = 0;
for (let start = 0; start < file.byteLength && rows <= last; rows++) {
  const end = nextRow(start);
  if (index.has(rows)) index.set(rows, { start, end });
  start = end;
}

function text(from, to) {
  let latin1 = "";
  for (let at = from; at < to; at++) latin1 += String.fromCharCode(byteAt(at));
  try {
    return decodeURIComponent(escape(latin1)); // UTF-8
  } catch {
    return latin1;
  }
}

// A file may begin with a byte order mark, which does not belong to its first row.
const MARK = [0xef, 0xbb, 0xbf];
const isMarked = file.byteLength >= 3 && MARK.every((byte, at) => byteAt(at) === byte);

let missing = "";
for (const row of wanted) {
  if (!index.get(row)) {
    missing ||= `there is no row ${row}: the file ${rows === 0 ? "is empty" : `has ${rows}, and the first is row 0`}`;
    continue;
  }
  let { start, end } = index.get(row);
  if (row === 0 && isMarked) start += MARK.length;
  if (end > start && byteAt(end - 1) === NEWLINE) end--; // The last row may have no newline.
  if (end > start && byteAt(end - 1) === RETURN) end--;
  let shown = Math.min(end, start + SHOWN);
  while (shown < end && (byteAt(shown) & 0xc0) === 0x80) shown--; // Do not cut a character in two.
  console.log(text(start, shown) + (shown < end ? `... (${end - start} bytes)` : ""));
}
if (missing) throw new Error(missing);
