// The module "offheap", evaluated before any other script: the same functions as those of the global `nativeModule`.
export const {
  mapped, args, allocateMemory, arrayBuffer, externalizeBuffer, free, detach, gc, stats, NativeMemoryError,
} = nativeModule;
export default nativeModule;
