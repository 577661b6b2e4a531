"use strict";
// What the page knows, and how it says numbers. `data.rs` describes the data.

const data = JSON.parse(document.getElementById("data").textContent);

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** "1.5 MiB" */
function bytes(number) {
  let unit = 0;
  let value = Math.abs(number);
  while (value >= 1023.95 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${number < 0 ? "−" : ""}${unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** "1,234" */
function count(number) {
  return Math.round(number).toLocaleString("en-US");
}

/** "1 store", "2 stores" */
function counted(number, noun) {
  return `${count(number)} ${noun}${Math.round(number) === 1 ? "" : "s"}`;
}

/** "12.3 ms", of nanoseconds. */
function time(nanoseconds) {
  if (nanoseconds === 0) return "0 s";
  if (nanoseconds < 1e3) return `${Math.round(nanoseconds)} ns`;
  if (nanoseconds < 1e6) return `${(nanoseconds / 1e3).toFixed(1)} µs`;
  if (nanoseconds < 1e9) return `${(nanoseconds / 1e6).toFixed(1)} ms`;
  const seconds = nanoseconds / 1e9;
  if (seconds < 120) return `${seconds.toFixed(2)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

// Names come from scripts. Characters that nobody sees, or that turn the direction of the text, are shown by number.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

function visible(text) {
  return String(text).replace(UNSEEN, (character) => `\\u{${character.charCodeAt(0).toString(16)}}`);
}

function word(number) {
  return number < 0 ? null : visible(data.words[number]);
}

const UNKNOWN_PLACE = "unknown place";

function place(number) {
  return word(number) ?? UNKNOWN_PLACE;
}

/** The names of a set of engines. */
function engines(set) {
  return data.engines.filter((_, bit) => set & (1 << Math.min(bit, 31))).map(visible);
}

/** "V8 and QuickJS"; without an engine, only native code has the memory. */
function engineText(set) {
  return set === 0 ? "native code" : engines(set).join(" and ");
}

function threadText(number) {
  if (number < 0) return null;
  const [, thread, name] = data.threads[number];
  return name === null ? `thread ${thread}` : `${visible(name)} (${thread})`;
}

function isolateText(number) {
  if (number < 0) return "an isolate that was not told";
  const [, isolate, engine, name] = data.isolates[number];
  const known = name < 0 ? `isolate ${isolate}` : `“${word(name)}” (isolate ${isolate})`;
  return `${word(engine)}, ${known}`;
}

// The system numbers processes. Two files may be of two systems, and then it takes the file to tell them apart.
const hasFiles = new Set(data.processes.map((process) => process.file)).size > 1;

function processText(index) {
  const { number, program, file } = data.processes[index];
  const from = hasFiles ? `${number}, ${visible(file)}` : number;
  return program === null ? `process ${from}` : `${visible(program)} (${from})`;
}

const isSampled = data.processes.some((process) => process.sample_bytes !== null);

/** Sums of samples are estimates, and are marked as such. */
function about(text) {
  return isSampled ? `≈ ${text}` : text;
}

// When processes say at which hour they began, their times are put on one axis. Otherwise each begins at zero.
const starts = data.processes.map((process) => process.began);
const isAligned = starts.length > 1 && starts.every((start) => start !== null);
const firstStart = isAligned ? Math.min(...starts) : 0;
const offsets = starts.map((start) => (isAligned ? (start - firstStart) * 1e6 : 0));
const endOfTime = Math.max(1, ...data.processes.map((process, index) => process.time + offsets[index]));

const STATES = ["leaked", "live", "static", "freed"];
const STATE_TEXT = {
  leaked: "Leaked",
  live: "Lives",
  static: "Static",
  freed: "Freed",
};

/** The stores as the table shows them. */
const stores = data.stores.map((store, index) => {
  const offset = offsets[store.process];
  const weight = store.weight ?? 1;
  return {
    ...store,
    index,
    weight,
    site: place(store.site),
    kind: word(store.kind),
    engineText: engineText(store.engines),
    from: store.born + offset,
    to: store.died === undefined ? data.processes[store.process].time + offset : store.died + offset,
    steps: store.steps ?? [],
  };
});

/** The text in which the search looks: place, stacks, labels, names. Made when it is needed first. */
function searchText(store) {
  if (store.searched === undefined) {
    const frames = store.stack < 0 ? [] : data.stacks[store.stack].map((frame) => frameText(frame).join(" "));
    const labels = Object.entries(store.labels ?? {}).flat();
    const steps = store.steps.flatMap((step) => [word(step[4]) ?? "", step[3] < 0 ? "" : isolateText(step[3])]);
    const parts = [`store ${store.store}`, store.site, store.kind ?? "", store.engineText, threadText(store.thread) ?? ""];
    store.searched = [...parts, ...labels, ...frames, ...steps].join("\n").toLowerCase();
  }
  return store.searched;
}

/** A frame's function and place. */
function frameText(number) {
  const [name, site, address] = data.frames[number];
  return [word(name) ?? address ?? "unknown function", word(site) ?? ""];
}
