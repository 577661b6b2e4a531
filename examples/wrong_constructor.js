// This call looks right, but ArrayBuffer has no constructor that takes memory. The error names the function to call. It
// is not caught, so the run ends with status 1. The memory is freed at the end of the run.

const memory = nativeModule.allocateMemory(1024);
try {
  const buffer = new ArrayBuffer(memory, 0, 1024);
  console.log("not reached:", buffer);
} finally {
  nativeModule.free(memory);
}
