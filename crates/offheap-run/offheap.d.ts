// The types of everything that `offheap run`, and the library `offheap-run`, give to scripts: the global `nativeModule`, the
// module "offheap", and `console`.
//
// For an editor, put `/// <reference path="…/offheap.d.ts" />` at the head of a script, or name this file in the `files`
// of a jsconfig.json. It needs `"lib": ["es2017"]` or later; `"es2024"` has resizable and growable buffers, which both
// engines have. `"types": []` leaves out the types that are installed for Node, whose globals a script does not have. The
// file also compiles together with the libraries for browsers and Node, which declare `console` too.

declare module "offheap" {
  /** Memory that is freed by hand, or a mapped file. `allocateMemory` and `--map` make it; `new` does not. */
  export type NativeMemory = SharedNativeMemory | UnsharedNativeMemory;

  /** What all native memory has. */
  interface AnyNativeMemory {
    /** Its present length in bytes. Of memory that was freed, its last length. */
    readonly byteLength: number;
    /** The most bytes that it can have: its `maxByteLength` if it was made with one, and otherwise its length. */
    readonly maxByteLength: number;
    /** Whether buffers over it are SharedArrayBuffers. */
    readonly shared: boolean;
    /** Its address, which never changes. It tells one memory from another. */
    readonly address: number;
    /** Whether it was freed. Always `false` for a mapped file. */
    readonly freed: boolean;
    /**
     * Throws a TypeError: native memory is neither a number nor a string. `new ArrayBuffer(memory)`, which asks for a number,
     * therefore fails and says to call `nativeModule.arrayBuffer(memory)`.
     */
    [Symbol.toPrimitive](hint: string): never;
  }

  /** Memory that was allocated with `shared`, or a file that is mapped `cow` or `rw`: buffers over it are SharedArrayBuffers. */
  export interface SharedNativeMemory extends AnyNativeMemory {
    readonly shared: true;
  }

  /** Memory that was allocated without `shared`, or a file that is mapped `ro`: buffers over it are ArrayBuffers. */
  export interface UnsharedNativeMemory extends AnyNativeMemory {
    readonly shared: false;
  }

  /** A reference that native code holds on a buffer's backing store. It works after the buffer is detached or collected. */
  export interface ExternalizedBuffer {
    /** The present length of the store in bytes. */
    readonly byteLength: number;
    /** The most bytes that the store can have: more than its length only if the buffer is resizable or growable. */
    readonly maxByteLength: number;
    /** Whether the buffer is a SharedArrayBuffer. */
    readonly shared: boolean;
    /** Its address, which never changes. It tells one store from another. */
    readonly address: number;
    /**
     * A copy of the bytes from `from` (default 0) to `to` (default the end), without the byte at `to`.
     * @throws RangeError outside the store; NativeMemoryError FREED, RELEASED.
     */
    read(from?: number, to?: number): Uint8Array;
    /**
     * Copies all of `bytes` into the store, beginning at the byte `from`. The two may overlap.
     * @throws RangeError outside the store; TypeError for a detached buffer; NativeMemoryError READ_ONLY, FREED, RELEASED.
     */
    write(from: number, bytes: ArrayBufferLike | ArrayBufferView): void;
    /**
     * Sets the bytes from `from` (default 0) to `to` (default the end), without the byte at `to`, to `value`: 0 to 255.
     * @throws RangeError outside the store; NativeMemoryError READ_ONLY, FREED, RELEASED.
     */
    fill(value: number, from?: number, to?: number): void;
    /**
     * A new buffer over the store, without a copy: a SharedArrayBuffer if the store is shared, and otherwise an ArrayBuffer,
     * which is immutable if the store is read-only.
     * @throws NativeMemoryError FREED, RELEASED, EXPOSED.
     */
    arrayBuffer(): ArrayBufferLike;
    /**
     * Releases the reference. A reference that is never released is reported as a leak when the run ends.
     * @throws NativeMemoryError RELEASED if it was released before.
     */
    release(): void;
    /** Throws a TypeError: a reference is neither a number nor a string. */
    [Symbol.toPrimitive](hint: string): never;
  }

  /** The numbers of the balance as it would be now, and of the stores that live. */
  export interface Stats {
    /** How many stores there were. */
    stores: number;
    /** How many of them were resizable, or a WebAssembly memory that is not shared. */
    resizableStores: number;
    /** How many of them were shared. */
    sharedStores: number;
    /** The bytes of all of them, each at the greatest length that was seen. V8 does not report every resize. */
    externalBytes: number;
    /** How many stores live. */
    liveStores: number;
    /** The bytes of those that live. */
    liveBytes: number;
    /** Memory that was not freed yet and references that were not released yet: at the end of the run these are leaks. */
    unreleased: number;
    /** Frees that were refused. */
    refused: number;
  }

  /**
   * - `DOUBLE_FREE`: the memory was freed before; the message names both places.
   * - `FREE_IN_USE`: a buffer uses the memory; `detach` the buffer first. A SharedArrayBuffer cannot be detached: drop it
   *   and its views, call `gc`, and release references to it.
   * - `FREED`: the memory was freed before this use.
   * - `RELEASED`: the reference was released before this use.
   * - `READ_ONLY`: a write to a file that is mapped `ro`.
   * - `OUT_OF_MEMORY`: the system has no more memory.
   * - `BUSY`: native code is using the bytes.
   * - `EXPOSED`, `TOO_MANY_BUFFERS`: the memory cannot have another buffer. Resizable memory has one at a time.
   */
  export type NativeMemoryErrorCode =
    | "DOUBLE_FREE"
    | "FREE_IN_USE"
    | "FREED"
    | "RELEASED"
    | "READ_ONLY"
    | "OUT_OF_MEMORY"
    | "BUSY"
    | "EXPOSED"
    | "TOO_MANY_BUFFERS";

  /** A mistake with native memory. The call that throws it has changed nothing. */
  export class NativeMemoryError extends Error {
    constructor(message: string, code: NativeMemoryErrorCode);
    readonly name: "NativeMemoryError";
    readonly code: NativeMemoryErrorCode;
  }

  /**
   * The files of `--map NAME=FILE[:ro|:cow|:rw]`, by name; `undefined` for a name that no option has. Buffers over a file that
   * is mapped `ro` are immutable ArrayBuffers. A file that script may write (`cow`, `rw`) can be written by other processes at
   * the same time, so buffers over it are SharedArrayBuffers: `cow` keeps script's writes private, and `rw` writes them to the
   * file.
   */
  export const mapped: Readonly<Record<string, NativeMemory | undefined>>;

  /** The arguments after the script on the command line. */
  export const args: readonly string[];

  /**
   * Allocates zeroed memory, which only `free` frees.
   * @param options With `shared`, buffers over it are SharedArrayBuffers. With `maxByteLength` its length can change: a buffer
   *   over it is resizable or, if the memory is shared, growable, and stays at its address. Only addresses are reserved;
   *   memory is used as bytes are written. V8 resizes only its own memory, and throws a TypeError for `maxByteLength`.
   * @throws NativeMemoryError OUT_OF_MEMORY; RangeError for an impossible length; TypeError for a length that is not a number,
   *   options that are not an object, and a `shared` that is not a Boolean.
   */
  export function allocateMemory(
    byteLength: number,
    options: { shared: true; maxByteLength?: number },
  ): SharedNativeMemory;
  export function allocateMemory(
    byteLength: number,
    options?: { shared?: false; maxByteLength?: number },
  ): UnsharedNativeMemory;
  export function allocateMemory(
    byteLength: number,
    options: { shared?: boolean; maxByteLength?: number },
  ): NativeMemory;

  /**
   * An ArrayBuffer (a SharedArrayBuffer if `memory.shared`) over memory, without a copy: over all of it, or over the part that
   * begins at `offset` (a multiple of 8; default 0) and has `length` bytes (default the rest). Over a file that is mapped `ro`
   * it is immutable. QuickJS allows at most 2 ** 31 - 1 bytes in one buffer; use larger memory through several. Memory with a
   * `maxByteLength` is used as a whole.
   * @throws RangeError for a window that is too large or past the end; NativeMemoryError FREED, EXPOSED.
   */
  export function arrayBuffer(memory: SharedNativeMemory, offset?: number, length?: number): SharedArrayBuffer;
  export function arrayBuffer(memory: UnsharedNativeMemory, offset?: number, length?: number): ArrayBuffer;
  export function arrayBuffer(memory: NativeMemory, offset?: number, length?: number): ArrayBufferLike;

  /**
   * Takes a reference to the backing store of an ArrayBuffer or SharedArrayBuffer, or of a view's buffer, whoever made it. The
   * reference follows the length of a resizable or growable buffer.
   * @throws TypeError for anything else.
   */
  export function externalizeBuffer(buffer: ArrayBufferLike | ArrayBufferView): ExternalizedBuffer;

  /**
   * Frees memory from `allocateMemory`. Later uses of references to it throw FREED. Shared memory cannot be freed while a
   * reference to it lives.
   * @throws NativeMemoryError DOUBLE_FREE, FREE_IN_USE. Both make the run's exit status 3, even if script catches them.
   */
  export function free(memory: NativeMemory): void;

  /**
   * Detaches a buffer, or the buffer of a view: its length becomes 0, and it no longer uses its memory.
   * @param key The buffer's detach key, if it has one.
   * @throws TypeError for a shared or immutable buffer, a wrong detach key, and a key that is not a string.
   */
  export function detach(buffer: ArrayBuffer | ArrayBufferView, key?: string): void;

  /** Collects all garbage. */
  export function gc(): void;

  /** The present numbers of stores. */
  export function stats(): Stats;

  const nativeModule: {
    readonly mapped: typeof mapped;
    readonly args: typeof args;
    readonly allocateMemory: typeof allocateMemory;
    readonly arrayBuffer: typeof arrayBuffer;
    readonly externalizeBuffer: typeof externalizeBuffer;
    readonly free: typeof free;
    readonly detach: typeof detach;
    readonly gc: typeof gc;
    readonly stats: typeof stats;
    readonly NativeMemoryError: typeof NativeMemoryError;
  };
  export default nativeModule;
}

/** The default export of the module "offheap". */
declare var nativeModule: typeof import("offheap").default;

/** `log`, `info` and `debug` write to standard output, `warn` and `error` to standard error. Values are separated by spaces.
 * Strings are printed as they are, other values are described. Describing a value runs no code of script: getters are not
 * called, and a Proxy is `[Proxy]`. Deep and large values are cut short, and control characters in them are escaped. */
interface Console {
  log(...values: unknown[]): void;
  info(...values: unknown[]): void;
  debug(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
}
declare var console: Console;
