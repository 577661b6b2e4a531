// A source that the report for a terminal shows lines of.
const memory = nativeModule.allocateMemory(1024);
const buffer = nativeModule.arrayBuffer(memory);
globalThis.kept = buffer;

function release() {
	nativeModule.free(memory);
}

release();
"[31m‮"; release(); // Not what it looks like.
release();
