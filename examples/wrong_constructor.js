// The call that looks right and is not: ArrayBuffer has no constructor that takes memory. The error says what to call,
// and is caught nowhere, so the run ends with status 1; the memory is freed on the way out.

const memory = nativeModule.allocateMemory(1024);
try {
  const buffer = new ArrayBuffer(memory, 0, 1024);
  console.log("not reached:", buffer);
} finally {
  nativeModule.free(memory);
}
