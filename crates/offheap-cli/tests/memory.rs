//! `allocateMemory` with options, and buffers whose length changes or that are shared.

mod common;

use common::Folder;

#[test]
fn memory_with_a_maximum_is_behind_a_resizable_buffer() {
    let ran = Folder::new().script(
        "const { allocateMemory, arrayBuffer, detach, free, stats } = nativeModule;
         const memory = allocateMemory(16, { maxByteLength: 1 << 20 });
         const buffer = arrayBuffer(memory);
         console.log(memory, buffer, buffer.maxByteLength);
         const address = memory.address;
         buffer.resize(4096);
         new Uint8Array(buffer).fill(9);
         const { resizableStores, externalBytes, liveBytes } = stats();
         console.log(memory.byteLength, memory.address === address, resizableStores, externalBytes, liveBytes);
         buffer.resize(100);
         console.log(memory.byteLength, stats().externalBytes, stats().liveBytes);
         detach(buffer);
         const again = arrayBuffer(memory);
         console.log(again.byteLength, new Uint8Array(again).every((byte) => byte === 9));
         detach(again);
         free(memory);
         console.log(memory.byteLength, memory.freed, stats().liveStores);",
    );
    ran.expect(
        0,
        "NativeMemory { byteLength: 16, maxByteLength: 1048576, address: 0x…, freed: false } \
         ArrayBuffer { byteLength: 16, resizable } 1048576\n\
         4096 true 1 4096 4096\n\
         100 4096 100\n\
         100 true\n\
         100 true 0\n",
        "offheap: 1 store (1 resizable), 4.0 KiB external, 0 leaked, 0 refused\n",
    );
}

#[test]
fn resizable_memory_is_freed_once_and_not_while_it_is_used() {
    let ran = Folder::new().script(
        "const { allocateMemory, arrayBuffer, externalizeBuffer, detach, free } = nativeModule;
         const memory = allocateMemory(16, { maxByteLength: 64 });
         const buffer = arrayBuffer(memory), held = externalizeBuffer(buffer);
         buffer.resize(32);
         console.log(held);
         const attempt = (use) => { try { use() } catch (error) { console.log(error.code ?? String(error)) } };
         attempt(() => arrayBuffer(memory));
         attempt(() => arrayBuffer(memory, 0, 8));
         attempt(() => arrayBuffer(memory, 8));
         attempt(() => free(memory));
         detach(buffer);
         console.log(held.read(30));
         free(memory);
         attempt(() => held.read(0, 4));
         attempt(() => held.arrayBuffer());
         attempt(() => arrayBuffer(memory));
         attempt(() => free(memory));
         held.release();",
    );
    let whole = "RangeError: a buffer over memory with a maxByteLength is over all of it; call \
                 nativeModule.arrayBuffer(memory), and make a view: new Uint8Array(buffer, offset, length)\n";
    ran.expect(
        3,
        &format!(
            "ExternalizedBuffer {{ byteLength: 32, maxByteLength: 64, address: 0x… }}\nEXPOSED\n{whole}{whole}\
             FREE_IN_USE\nUint8Array(2) [ 0, 0 ]\nFREED\nFREED\nFREED\nDOUBLE_FREE\n"
        ),
        "offheap: refused: cannot free 32 bytes at 0x…, allocated at a.js:2:25: QuickJS isolate 1 uses its bytes through \
         1 live buffer(s); the free at a.js:10:29 touched nothing, detach the buffer or drop the guard first\n\
         offheap: refused: double free of 32 bytes at 0x…, allocated at a.js:2:25: freed at a.js:13:15, and again at \
         a.js:17:29; nothing was touched, remove the second free\n\
         offheap: 1 store (1 resizable), 32 B external, 0 leaked, 2 refused\n",
    );
}

#[test]
fn shared_and_resizable_memory_that_nobody_frees_is_a_leak() {
    let ran = Folder::new().script(
        "const { allocateMemory, arrayBuffer, gc } = nativeModule;
         arrayBuffer(allocateMemory(16, { maxByteLength: 64 })).resize(40);
         allocateMemory(8, { shared: true });
         gc();",
    );
    ran.expect(
        3,
        "",
        "offheap: leak: 40 bytes at 0x…, allocated at a.js:2:22: never freed\n\
         offheap: leak: 8 bytes at 0x…, allocated at a.js:3:10: never freed\n\
         offheap: 2 stores (1 resizable, 1 shared), 48 B external, 2 leaked, 0 refused\n",
    );
}
