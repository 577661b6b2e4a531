// Types of what `offheap run` gives to scripts: the global `nativeModule`, the module "offheap", `console`.
//
// For an editor, put `/// <reference path="…/offheap.d.ts" />` at the head of a script, or name this file in the `files`
// of a jsconfig.json. It needs `"lib": ["es2017"]` or later; `"es2024"` has resizable and growable buffers, which both
// engines have. `"types": []` keeps what is installed for Node out: those globals are not there. Beside the libraries for
// browsers or Node, which have a `console` of their own, it compiles too.

declare module "offheap" {
  /** Memory that is freed by hand, or a mapped file. It is made by `allocateMemory` and `--map`, never by `new`. */
  export type NativeMemory = SharedNativeMemory | UnsharedNativeMemory;

  /** What all native memory has. */
  interface AnyNativeMemory {
    /** Its length in bytes; where that changes, its length at this moment, and what it was in the end once it is freed. */
    readonly byteLength: number;
    /** The most that its length can become: its length, unless it was made with a `maxByteLength`. */
    readonly maxByteLength: number;
    /** Whether buffers over it are SharedArrayBuffers. */
    readonly shared: boolean;
    /** Its address, to tell one memory from another. It never changes. */
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
    /** The length of the store in bytes; where that changes, its length at this moment. */
    readonly byteLength: number;
    /** The most that its length can become: its length, unless the buffer is resizable or growable. */
    readonly maxByteLength: number;
    /** Whether the buffer is a SharedArrayBuffer. */
    readonly shared: boolean;
    /** Its address, to tell one store from another. It never changes. */
    readonly address: number;
    /**
     * A copy of the bytes from `from` (0) up to and without `to` (the end).
     * @throws RangeError outside the store; NativeMemoryError FREED, RELEASED.
     */
    read(from?: number, to?: number): Uint8Array;
    /**
     * Copies bytes in, from the byte `from` on: all that `bytes` has when this is called, also where it is over the same
     * memory.
     * @throws RangeError outside the store; TypeError for a detached buffer; NativeMemoryError READ_ONLY, FREED, RELEASED.
     */
    write(from: number, bytes: ArrayBufferLike | ArrayBufferView): void;
    /**
     * Sets the bytes from `from` (0) up to and without `to` (the end) to `value`, which is 0 to 255.
     * @throws RangeError outside the store; NativeMemoryError READ_ONLY, FREED, RELEASED.
     */
    fill(value: number, from?: number, to?: number): void;
    /**
     * A new buffer over the store, without a copy: an ArrayBuffer, immutable where the store is read-only, or a
     * SharedArrayBuffer where it is shared.
     * @throws NativeMemoryError FREED, RELEASED, EXPOSED.
     */
    arrayBuffer(): ArrayBufferLike;
    /**
     * Gives the reference back. One that never is, is reported as a leak when the run ends.
     * @throws NativeMemoryError RELEASED the second time.
     */
    release(): void;
    /** Throws a TypeError: a reference is neither a number nor a string. */
    [Symbol.toPrimitive](hint: string): never;
  }

  /** What the balance would say now, and what lives. */
  export interface Stats {
    /** How many stores there were. */
    stores: number;
    /** How many of them were resizable, or a WebAssembly memory that is not shared. */
    resizableStores: number;
    /** How many of them were shared. */
    sharedStores: number;
    /** The bytes of all of them, each at the greatest length that was seen (V8 does not tell when script resizes). */
    externalBytes: number;
    /** How many live. */
    liveStores: number;
    /** The bytes of those that live. */
    liveBytes: number;
    /** Memory that was not freed yet and references that were not released yet: at the end of the run these are leaks. */
    unreleased: number;
    /** Frees that were refused. */
    refused: number;
  }

  /**
   * - `DOUBLE_FREE`: it was freed before; the message names both places.
   * - `FREE_IN_USE`: a buffer is over it; `detach` that first. A SharedArrayBuffer cannot be detached: let go of it and of
   *   its views, call `gc`, and release references to it.
   * - `FREED`: used after it was freed.
   * - `RELEASED`: a reference used after its `release()`.
   * - `READ_ONLY`: written, and mapped `ro`.
   * - `OUT_OF_MEMORY`: the system has no more.
   * - `BUSY`: native code uses the bytes at this moment.
   * - `EXPOSED`, `TOO_MANY_BUFFERS`: no further buffer can be over it. Resizable memory has one at a time.
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

  /** A mistake with native memory. Nothing was touched by the call that throws it. */
  export class NativeMemoryError extends Error {
    constructor(message: string, code: NativeMemoryErrorCode);
    readonly name: "NativeMemoryError";
    readonly code: NativeMemoryErrorCode;
  }

  /**
   * The files of `--map NAME=FILE[:ro|:cow|:rw]`, by name; `undefined` where the command line has none of it. Buffers over one that is mapped `ro` are immutable ArrayBuffers.
   * What script may write (`cow`, `rw`) other processes may write meanwhile, so buffers over it are SharedArrayBuffers:
   * `cow` keeps what script writes from the file, `rw` writes it through to the file.
   */
  export const mapped: Readonly<Record<string, NativeMemory | undefined>>;

  /** What followed the script on the command line. */
  export const args: readonly string[];

  /**
   * Allocates zeroed memory, which is freed by `free` and by nothing else.
   * @param options With `shared`, buffers over it are SharedArrayBuffers. With `maxByteLength` its length changes: a buffer
   *   over it is resizable or, where it is shared, growable, and stays at its address. What is reserved is addresses;
   *   memory is used as bytes are written. V8 resizes its own memory alone, and throws a TypeError for `maxByteLength`.
   * @throws NativeMemoryError OUT_OF_MEMORY; RangeError for a length that is not possible; TypeError for what is no length,
   *   no object of options, or a `shared` that is no Boolean.
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
   * An ArrayBuffer (a SharedArrayBuffer where `memory.shared`) over memory, or over the part of it that begins at
   * `offset` (0, or a multiple of 8) and has `length` bytes (the rest), without a copy. Over a file that is mapped `ro` it
   * is immutable. QuickJS takes at most 2 ** 31 - 1 bytes in one buffer; larger memory is used through windows. Memory
   * with a `maxByteLength` is used as a whole.
   * @throws RangeError for a window that is too large or past the end; NativeMemoryError FREED, EXPOSED.
   */
  export function arrayBuffer(memory: SharedNativeMemory, offset?: number, length?: number): SharedArrayBuffer;
  export function arrayBuffer(memory: UnsharedNativeMemory, offset?: number, length?: number): ArrayBuffer;
  export function arrayBuffer(memory: NativeMemory, offset?: number, length?: number): ArrayBufferLike;

  /**
   * Takes a reference to the backing store of an ArrayBuffer or SharedArrayBuffer, or of a view's, whoever made it. It
   * follows the length of a resizable or growable one.
   * @throws TypeError for anything else.
   */
  export function externalizeBuffer(buffer: ArrayBufferLike | ArrayBufferView): ExternalizedBuffer;

  /**
   * Frees memory from `allocateMemory`. References to it stay, and their use throws FREED; but shared memory is not freed
   * while one lives.
   * @throws NativeMemoryError DOUBLE_FREE, FREE_IN_USE: both make the run's exit status 3, caught or not.
   */
  export function free(memory: NativeMemory): void;

  /**
   * Detaches a buffer, or that of a view: its length is 0 from then on, and its memory is held by others alone.
   * @param key The buffer's detach key, where it has one.
   * @throws TypeError for a shared or immutable buffer, one with another detach key, and a key that is no string.
   */
  export function detach(buffer: ArrayBuffer | ArrayBufferView, key?: string): void;

  /** Collects garbage, all of it. */
  export function gc(): void;

  /** Counts of stores up to now. */
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

/** The same as the default export of the module "offheap". */
declare var nativeModule: typeof import("offheap").default;

/** `log`, `info` and `debug` write to standard output, `warn` and `error` to standard error: strings as they are, other
 * values described, with spaces between them. Describing a value runs no code of script: getters are not called, a Proxy is
 * `[Proxy]`, and what is deep or large is cut short. Control characters in it are escaped. */
interface Console {
  log(...values: unknown[]): void;
  info(...values: unknown[]): void;
  debug(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
}
declare var console: Console;
