//! `allocateMemory` with options, and buffers whose length changes or that are shared.

use crate::common::{Engine, Folder, QUICKJS};

on_each_engine!(
    shared_memory_is_freed_once_script_let_go_of_its_buffers,
    scripts_own_shared_buffers_are_stores,
    b15_a_loop_that_frees_what_it_allocates_needs_no_more_memory,
);

fn shared_memory_is_freed_once_script_let_go_of_its_buffers(engine: Engine) {
    // Buffers are used in functions: what an engine still has on the stack of a script it does not collect.
    let ran = Folder::new(engine).script(
        "const { allocateMemory, arrayBuffer, externalizeBuffer, detach, free, gc, stats } = nativeModule;
         const memory = allocateMemory(16, { shared: true });
         const attempt = (use) => { try { use() } catch (error) { console.log(error.code ?? String(error)) } };
         let held;
         (function use() {
           const one = arrayBuffer(memory), other = arrayBuffer(memory, 8, 8);
           console.log(memory, one, other, stats().sharedStores);
           Atomics.store(new Int32Array(other), 1, 258);
           held = externalizeBuffer(new Uint8Array(one, 2));
           console.log(held, held.read(12));
           held.fill(1, 0, 2);
           held.write(2, new Uint8Array(one).subarray(0, 1));
           console.log(new Uint8Array(one).subarray(0, 4));
           attempt(() => detach(one));
           attempt(() => free(memory));
         })();
         gc();
         attempt(() => free(memory));
         (() => console.log(held.arrayBuffer()))();
         held.release();
         gc();
         free(memory);
         attempt(() => arrayBuffer(memory));
         attempt(() => free(memory));
         console.log(memory.freed, memory.byteLength, stats().liveStores);",
    );
    ran.expect(
        3,
        "NativeMemory { byteLength: 16, shared, address: 0x…, freed: false } SharedArrayBuffer { byteLength: 16 } \
         SharedArrayBuffer { byteLength: 8 } 1\n\
         ExternalizedBuffer { byteLength: 16, shared, address: 0x… } Uint8Array(4) [ 2, 1, 0, 0 ]\n\
         Uint8Array(4) [ 1, 1, 1, 0 ]\n\
         TypeError: ⟦engine⟧: cannot detach the buffer: shared memory stays with everyone who shares \
         it; copy the bytes to an ArrayBuffer\n\
         FREE_IN_USE\nFREE_IN_USE\nSharedArrayBuffer { byteLength: 16 }\nFREED\nDOUBLE_FREE\ntrue 16 0\n",
        "offheap: refused: cannot free 16 bytes at 0x…, allocated at a.js:2:25: 3 references or buffers to it live; the free \
         at a.js:15:⟦31|26⟧ touched nothing, drop the references first, and let the buffers be collected\n\
         offheap: refused: cannot free 16 bytes at 0x…, allocated at a.js:2:25: a reference or buffer to it lives; the \
         free at a.js:18:⟦29|24⟧ touched nothing, drop the references first, and let the buffers be collected\n\
         offheap: refused: double free of 16 bytes at 0x…, allocated at a.js:2:25: freed at a.js:22:⟦15|10⟧, and again \
         at a.js:24:⟦29|24⟧; nothing was touched, remove the second free\n\
         offheap: 1 store (1 shared), 16 B external, 0 leaked, 3 refused\n",
    );
}

fn scripts_own_shared_buffers_are_stores(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const own = new SharedArrayBuffer(8);
         const held = nativeModule.externalizeBuffer(own);
         held.write(7, Uint8Array.of(5));
         console.log(held, Atomics.load(new Uint8Array(own), 7), nativeModule.stats().sharedStores);
         held.release();",
    );
    ran.expect(
        0,
        "ExternalizedBuffer { byteLength: 8, shared, address: 0x… } 5 1\n",
        "offheap: 1 store (1 shared), 8 B external, 0 leaked, 0 refused\n",
    );
}

#[cfg(feature = "v8")]
#[test]
fn v8_refuses_memory_with_a_maximum() {
    Folder::new(crate::common::V8)
        .script("try { nativeModule.allocateMemory(8, { maxByteLength: 16 }) } catch (error) { console.log(String(error)) }")
        .expect(
            0,
            "TypeError: allocateMemory: V8 resizes only its own memory; leave out maxByteLength, or \
             externalize a buffer that script makes: new ArrayBuffer(byteLength, { maxByteLength })\n",
            "offheap: 0 stores, 0 B external, 0 leaked, 0 refused\n",
        );
}

#[test]
fn memory_with_a_maximum_is_behind_a_resizable_buffer() {
    let ran = Folder::new(QUICKJS).script(
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
    let ran = Folder::new(QUICKJS).script(
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
        "offheap: refused: cannot free 32 bytes at 0x…, allocated at a.js:2:25: ⟦engine⟧ isolate 1 uses its bytes through \
         1 live buffer; the free at a.js:10:29 touched nothing, detach the buffer or drop the guard first\n\
         offheap: refused: double free of 32 bytes at 0x…, allocated at a.js:2:25: freed at a.js:13:15, and again at \
         a.js:17:29; nothing was touched, remove the second free\n\
         offheap: 1 store (1 resizable), 32 B external, 0 leaked, 2 refused\n",
    );
}

#[test]
fn growable_memory_and_scripts_own_growable_buffers() {
    let ran = Folder::new(QUICKJS).script(
        "const { allocateMemory, arrayBuffer, externalizeBuffer, free, gc, stats } = nativeModule;
         const memory = allocateMemory(16, { shared: true, maxByteLength: 4096 });
         let buffer = arrayBuffer(memory), other = arrayBuffer(memory);
         console.log(memory, buffer);
         buffer.grow(1000);
         console.log(memory.byteLength, other.byteLength, stats().liveBytes);
         buffer = other = undefined;
         gc();
         free(memory);
         const own = new SharedArrayBuffer(8, { maxByteLength: 64 });
         const held = externalizeBuffer(own);
         own.grow(32);
         held.write(31, Uint8Array.of(5));
         console.log(held, Atomics.load(new Uint8Array(own), 31));
         held.release();",
    );
    ran.expect(
        0,
        "NativeMemory { byteLength: 16, maxByteLength: 4096, shared, address: 0x…, freed: false } \
         SharedArrayBuffer { byteLength: 16, growable }\n\
         1000 1000 1000\n\
         ExternalizedBuffer { byteLength: 32, maxByteLength: 64, shared, address: 0x… } 5\n",
        "offheap: 2 stores (2 shared), 1.0 KiB external, 0 leaked, 0 refused\n",
    );
}

#[test]
fn shared_and_resizable_memory_that_nobody_frees_is_a_leak() {
    let ran = Folder::new(QUICKJS).script(
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

fn b15_a_loop_that_frees_what_it_allocates_needs_no_more_memory(engine: Engine) {
    let peak = |rounds: u32| {
        Folder::new(engine).peak_kib(&format!(
            "const {{ allocateMemory, free }} = nativeModule;
             for (let round = 0; round < {rounds}; round++) free(allocateMemory(16, {{ shared: round % 8 === 0 }}));"
        ))
    };
    // What each round left would be some hundred bytes. V8's heap grows by up to 20 MiB until it is collected.
    let (few, many) = (peak(1_000), peak(100_000));
    assert!(many < few + (24 << 10), "{few} KiB became {many} KiB");
}

#[test]
fn b15_address_space_comes_back_with_the_free() {
    // 128 TiB hold 131,072 of these.
    let ran = Folder::new(QUICKJS).script(
        "const { allocateMemory, free } = nativeModule;
         for (let round = 0; round < 135000; round++) free(allocateMemory(16, { maxByteLength: 2 ** 30 }));",
    );
    ran.expect(0, "", "offheap: 135000 stores (135000 resizable), 2.1 MiB external, 0 leaked, 0 refused\n");
}
