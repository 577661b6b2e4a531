/** Where part of a file begins, and how many bytes it has. */
export interface Range {
  /** In bytes; a multiple of 8. The beginning of the file if it is not given. */
  offset?: number;
  /** In bytes. The rest of the file if it is not given. */
  length?: number;
}

/**
 * An ArrayBuffer of zeros, over memory outside of JavaScript's heap. `externalize` keeps that memory without a copy on every
 * host, except in a worker of Bun.
 *
 * Throws a RangeError: ARGUMENT for what is no number of bytes, OUT_OF_MEMORY.
 */
export function allocate(byteLength: number): ArrayBuffer;

/**
 * The bytes of a file, or of a part of it, as a buffer. Nothing is read: a page of the file comes into memory when script touches
 * it, and leaves it when the system needs the memory. The buffer is a SharedArrayBuffer, since other programs and other threads may write
 * the file; on Deno, which has none over such memory, it is an ArrayBuffer.
 *
 * - `'cow'`: what script writes stays in this buffer.
 * - `'rw'`: what script writes is written to the file.
 *
 * Throws an error with a `code`: ENOENT, EACCES, EISDIR, ENOTDIR, NOT_A_FILE (a device, a pipe), NO_LENGTH (a file below /proc), OTHER_MODE
 * (the process has the file in another mode, and one of them is `'rw'`), MISALIGNED, OUT_OF_RANGE, TOO_MANY_MAPS (the system gives a
 * process a number of maps, and the host needs the rest), TOO_LARGE_FOR_ENGINE (over 4 GiB at once on Node 20 and Bun), UNSUPPORTED (the mode `'ro'`; a host without such buffers), ARGUMENT, MAP (any other error of the system).
 *
 * If another program truncates the file, the process ends with status 135 when script touches the bytes that are gone, and the
 * name of the file is on standard error.
 */
export function mapFile(path: string | URL, mode?: 'cow' | 'rw', range?: Range): ArrayBuffer | SharedArrayBuffer;

/** A buffer that `Externalized.expose` gives, and whether it is over the memory. */
export interface Exposed {
  buffer: ArrayBuffer | SharedArrayBuffer;
  /** Whether it is a copy of the memory. */
  copied: boolean;
  /** Why it is a copy, in one word: `OneBuffer`, or one of those in the README. */
  reason: string | null;
  /** Why it is a copy, and what to do about it. */
  message: string | null;
}

/** The memory of a buffer, which lives on without it. */
export class Externalized {
  private constructor();
  /** The number of bytes that the object showed: of the buffer, or of the view. */
  readonly byteLength: number;
  /** Where those bytes begin in the buffer: 0 unless a view was externalized. */
  readonly byteOffset: number;
  /** The number of bytes of the whole buffer. All of them are kept. */
  readonly bufferByteLength: number;
  /** Whether a copy was taken, since the host lets nobody keep such memory. */
  readonly copied: boolean;
  /** Why a copy was taken, in one word: see the README. */
  readonly reason: string | null;
  /** Why a copy was taken, and what to do about it. */
  readonly message: string | null;
  /** Whether `release` was called. */
  readonly released: boolean;
  /**
   * The memory as a buffer: the very object that was externalized (of a view, its buffer), while it is attached. Else a new buffer
   * over the memory. If script has another one over it, for example after `transfer()`, a copy, and it says so.
   *
   * Throws a TypeError with the code RELEASED after `release`.
   */
  expose(): Exposed;
  /** Lets go of the memory. Buffers over it stay. Returns whether it was kept until now. Otherwise this object's collection does it, in a later turn of the event loop, or the end of the worker. */
  release(): boolean;
  /** `release`, for `using`. It is there if the host has `Symbol.dispose`. */
  [Symbol.dispose](): void;
}

/**
 * Keeps the memory of a buffer, or of the buffer of a view. It is valid until `release`, whatever script does with the buffer:
 * `transfer()`, a post to a worker, the end of that worker, dropping it. It is the memory itself, or a copy where the host lets nobody
 * keep it, and `copied` says which.
 *
 * Throws a TypeError: NOT_AN_ARRAY_BUFFER, DETACHED.
 */
export function externalize(buffer: ArrayBuffer | SharedArrayBuffer | ArrayBufferView): Externalized;

/** How buffers are made in this process, and what lives in it. */
export interface Stats {
  /** `stores`: the memory of every buffer. `external`: memory of this package; other memory is copied. `copy`: all is copied. */
  mode: 'stores' | 'external' | 'copy';
  /** Whose rules the memory lives by. */
  host: 'Node' | 'Deno' | 'Bun';
  /** Why it is this mode, in one word, for programs. */
  reason: string;
  /** The mode, and why. */
  message: string;
  /** How many stores live: one for each memory, however many buffers are over it. */
  liveStores: number;
  /** Their bytes. */
  liveBytes: number;
  /** How many stores were made in this process. */
  storesMade: number;
  /** How many stores could not be freed, because a worker ended that had a buffer over them. */
  leakedStores: number;
  /** Their bytes. */
  leakedBytes: number;
}

/** How buffers are made in this process, and what lives in it, in all threads. */
export function stats(): Stats;

/** What a ledger is to do besides. */
export interface LedgerSettings {
  /** Where the stream is written, for `offheap report`; as a page to look at if the name ends with `.html`. */
  file?: string | URL;
  /** Record one store in so many bytes only, on average. */
  sampleBytes?: number;
  /** How many events of each live store are kept at the level `full`. */
  history?: number;
}

/** What a ledger knows at one moment: see docs/ledger-format.md in the repository. */
export interface Snapshot {
  level: string;
  balance: { stores: number; external_bytes: number; leaked: number; refused: number };
  /** The totals of each line of script that made stores. */
  totals: { site: string; live_bytes: number; live_stores: number; peak_bytes: number; allocated_bytes: number; stores: number }[];
  stores: { created: { store: number; bytes: number; site?: string }; held: string[] }[];
  [name: string]: unknown;
}

/** Records which line of script made and keeps which memory. There is one for the process. */
export const ledger: {
  /** The level of the ledger; null if none is installed. */
  readonly level: 'counts' | 'sites' | 'full' | null;
  /**
   * Installs the ledger; before the first buffer is made, so that it sees all of them. `OFFHEAP_LEDGER=full:leak.jsonl` in the
   * environment does that without a change to the program.
   *
   * Throws a TypeError: LEDGER_INSTALLED, LEDGER_SETTING (no such level), LEDGER_FILE, ARGUMENT.
   */
  install(level?: 'counts' | 'sites' | 'full', settings?: LedgerSettings): void;
  /** A line for each store that lives and each free that was refused, then the balance. Throws a TypeError: NO_LEDGER. */
  report(): string;
  /** What it knows now. Throws a TypeError: NO_LEDGER. */
  snapshot(): Snapshot;
  /** Ends the stream, which the end of the process does too. Throws a TypeError: NO_LEDGER, LEDGER_STREAM. */
  finish(): void;
};
