// A free too early, and a free too many. Both are refused, so nothing breaks. Although script catches the errors, both
// are reported, with every place that was involved. Exit status 3.

const memory = nativeModule.allocateMemory(1024);
const buffer = nativeModule.arrayBuffer(memory);

function attempt(free) {
  try {
    free();
  } catch (error) {
    if (!(error instanceof nativeModule.NativeMemoryError)) throw error;
    console.log(error.code);
  }
}

// A buffer is still over the memory. Its next reader would read freed memory.
attempt(() => nativeModule.free(memory));

nativeModule.detach(buffer);
nativeModule.free(memory);
console.log("freed:", memory.freed);

// Already freed. Without the check, this would free the memory of other code, or corrupt the heap.
attempt(() => nativeModule.free(memory));
