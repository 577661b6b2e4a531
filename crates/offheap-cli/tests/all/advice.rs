//! Mistakes that are easily made with `nativeModule`: the error says what was meant, on each engine.

use crate::common::{Engine, Folder};

on_each_engine!(
    d8_memory_is_neither_a_number_nor_a_string,
    d9_memory_has_no_elements,
    d10_what_was_tried_with_freed_memory_is_named,
    d12_a_detach_key_is_a_string,
    d13_what_is_no_buffer_is_named_in_scripts_words,
    d13_what_holds_no_bytes_to_write_is_named,
    d15_a_map_that_cannot_be_written_says_how_it_can,
    d17_what_was_tried_with_a_released_reference_is_named,
    d19_lengths_and_options_are_named,
);

/// Prints what each of these calls throws, or that it returned.
const TRIED: &str = "const tried = (...calls) => { for (const call of calls) {
    try { call(); console.log('nothing was thrown') } catch (error) { console.log(String(error)) }
} };";

#[track_caller]
fn says(engine: Engine, script: &str, stdout: &str, balance: &str) {
    Folder::new(engine).script(format!("{TRIED}\n{script}")).expect(0, stdout, &format!("offheap: {balance}\n"));
}

fn d8_memory_is_neither_a_number_nor_a_string(engine: Engine) {
    says(
        engine,
        "const memory = nativeModule.allocateMemory(8), held = nativeModule.externalizeBuffer(new ArrayBuffer(8));
         tried(() => new ArrayBuffer(memory), () => +memory, () => `${memory}`, () => 'at ' + memory, () => memory == 0);
         tried(() => new ArrayBuffer(held), () => `${held}`, () => 'at ' + held);
         held.release();
         nativeModule.free(memory);",
        "TypeError: native memory is not a number, and `new ArrayBuffer` makes new memory of a length; for a buffer over \
         this memory call nativeModule.arrayBuffer(memory)\n\
         TypeError: native memory is not a number, and `new ArrayBuffer` makes new memory of a length; for a buffer over \
         this memory call nativeModule.arrayBuffer(memory)\n\
         TypeError: native memory is not a string; print memory.address or memory.byteLength\n\
         TypeError: native memory is neither a string nor a number; use memory.address or memory.byteLength\n\
         TypeError: native memory is neither a string nor a number; use memory.address or memory.byteLength\n\
         TypeError: a reference is not a number, and `new ArrayBuffer` makes new memory of a length; for a buffer over \
         its memory call its arrayBuffer()\n\
         TypeError: a reference is not a string; print its address or its byteLength\n\
         TypeError: a reference is neither a string nor a number; use its address or its byteLength\n",
        "2 stores, 16 B external, 0 leaked, 0 refused",
    );
}

fn d9_memory_has_no_elements(engine: Engine) {
    let of_memory =
        "TypeError: native memory has no elements; make a view: new Uint8Array(nativeModule.arrayBuffer(memory))\n";
    let of_a_reference = "TypeError: a reference has no elements; call its read(), or make a view: new Uint8Array of \
                          its arrayBuffer()\n";
    says(
        engine,
        "const memory = nativeModule.allocateMemory(8), held = nativeModule.externalizeBuffer(new ArrayBuffer(8));
         for (const thing of [memory, held]) {
           tried(() => new Uint8Array(thing), () => new Float32Array(thing, 0, 4), () => Array.from(thing));
           tried(() => Uint8Array.from(thing), () => [...thing], () => Math.max(...thing), () => new Set(thing));
           tried(() => { for (const byte of thing) console.log(byte) }, () => thing.length);
           tried(() => new Uint8Array(8).set(thing), () => Array.prototype.slice.call(thing));
           console.log(thing, [thing], Symbol.iterator in thing, 'length' in thing);
           console.log(Object.keys(thing).join(), Object.keys({ ...thing }).length, typeof JSON.stringify(thing));
           console.log(Object.getPrototypeOf(thing) === Object.prototype);
         }
         held.release();
         nativeModule.free(memory);",
        &format!(
            "{}NativeMemory {{ byteLength: 8, address: 0x…, freed: false }} [ NativeMemory {{ byteLength: 8, address: 0x…, \
             freed: false }} ] true true\n\
             byteLength,maxByteLength,shared,address 4 string\nfalse\n\
             {}ExternalizedBuffer {{ byteLength: 8, address: 0x… }} [ ExternalizedBuffer {{ byteLength: 8, address: 0x… }} ] \
             true true\n\
             byteLength,maxByteLength,shared,address 4 string\nfalse\n",
            of_memory.repeat(11),
            of_a_reference.repeat(11),
        ),
        "2 stores, 16 B external, 0 leaked, 0 refused",
    );
}

fn d10_what_was_tried_with_freed_memory_is_named(engine: Engine) {
    let said = |attempted: &str| {
        format!(
            "NativeMemoryError: cannot {attempted} manual memory 1: it was freed at a.js:7:⟦28|23⟧; free it after its last \
             use\n"
        )
    };
    says(
        engine,
        "const { allocateMemory, arrayBuffer, externalizeBuffer, detach, free } = nativeModule;
         const memory = allocateMemory(8), buffer = arrayBuffer(memory), held = externalizeBuffer(buffer);
         detach(buffer);
         nativeModule.free(memory);
         tried(() => held.read(), () => held.write(0, new Uint8Array(1)), () => held.fill(1), () => held.fill(1, 9));
         tried(() => held.arrayBuffer(), () => arrayBuffer(memory));
         held.release();",
        &["read", "write", "fill", "fill", "expose", "expose"].map(said).concat(),
        "1 store, 8 B external, 0 leaked, 0 refused",
    );
}

fn d12_a_detach_key_is_a_string(engine: Engine) {
    says(
        engine,
        "const buffer = new ArrayBuffer(8);
         const key = { toString() { console.log('not called') } };
         tried(...[5, key, null, true, 5n, Symbol()].map((key) => () => nativeModule.detach(buffer, key)));
         console.log(buffer.detached);
         nativeModule.detach(buffer, undefined);
         console.log(buffer.detached);",
        "TypeError: detach: the key is of type number; pass a string, or none\n\
         TypeError: detach: the key is of type object; pass a string, or none\n\
         TypeError: detach: the key is of type null; pass a string, or none\n\
         TypeError: detach: the key is of type boolean; pass a string, or none\n\
         TypeError: detach: the key is of type bigint; pass a string, or none\n\
         TypeError: detach: the key is of type symbol; pass a string, or none\n\
         false\ntrue\n",
        "0 stores, 0 B external, 0 leaked, 0 refused",
    );
}

fn d13_what_is_no_buffer_is_named_in_scripts_words(engine: Engine) {
    let mut said = String::new();
    for call in ["detach", "externalizeBuffer"] {
        for found in [
            "native memory; pass nativeModule.arrayBuffer(memory)",
            "native memory; pass nativeModule.arrayBuffer(memory)",
            "a reference; pass its arrayBuffer()",
            "number",
            "number",
            "bigint",
            "null",
            "undefined",
            "boolean",
            "string",
            "array",
            "object",
            "function",
        ] {
            said += &format!("TypeError: {call}: expected an ArrayBuffer or a view of one, found {found}\n");
        }
    }
    says(
        engine,
        "const { allocateMemory, externalizeBuffer, detach, free } = nativeModule;
         const memory = allocateMemory(8), freed = allocateMemory(8), held = externalizeBuffer(new ArrayBuffer(8));
         free(freed);
         for (const call of [detach, externalizeBuffer]) {
           const things = [memory, freed, held, 5, 0.5, 5n, null, undefined, true, 'text', [], {}, () => {}];
           tried(...things.map((thing) => () => call(thing)));
         }
         held.release();
         free(memory);",
        &said,
        "3 stores, 24 B external, 0 leaked, 0 refused",
    );
}

fn d13_what_holds_no_bytes_to_write_is_named(engine: Engine) {
    let said = |found: &str| {
        format!("TypeError: write: expected a typed array, DataView or ArrayBuffer with the bytes, found {found}\n")
    };
    says(
        engine,
        "const memory = nativeModule.allocateMemory(8), held = nativeModule.externalizeBuffer(new ArrayBuffer(8));
         tried(...[memory, held, [1], 1, 'text', null, undefined].map((bytes) => () => held.write(0, bytes)));
         held.release();
         nativeModule.free(memory);",
        &[
            "native memory; pass nativeModule.arrayBuffer(memory)",
            "a reference; pass its arrayBuffer()",
            "array",
            "number",
            "string",
            "null",
            "undefined",
        ]
        .map(said)
        .concat(),
        "2 stores, 16 B external, 0 leaked, 0 refused",
    );
}

fn d15_a_map_that_cannot_be_written_says_how_it_can(engine: Engine) {
    let folder = Folder::new(engine);
    folder.write("a.bin", "0123456789");
    folder.write(
        "a.js",
        format!(
            "{TRIED}
             const held = nativeModule.externalizeBuffer(nativeModule.arrayBuffer(nativeModule.mapped.a));
             tried(() => held.write(0, Uint8Array.of(1)), () => held.fill(1), () => held.fill(1, 3, 3));
             try {{ held.write(99, Uint8Array.of(1)) }} catch (error) {{ console.log(error.code) }}
             held.release();"
        ),
    );
    let said = |attempted: &str| {
        format!("NativeMemoryError: cannot {attempted} a file that is mapped :ro; map the file with :cow or :rw\n")
    };
    folder.run(&["--map", "a=a.bin", "a.js"]).expect(
        0,
        &(["write", "fill", "fill"].map(said).concat() + "READ_ONLY\n"),
        "offheap: 1 store, 10 B external, 0 leaked, 0 refused\n",
    );
}

fn d17_what_was_tried_with_a_released_reference_is_named(engine: Engine) {
    let said = |attempted: &str| {
        format!(
            "NativeMemoryError: cannot {attempted}: this reference was released; release it once, after its last use\n"
        )
    };
    says(
        engine,
        "const held = nativeModule.externalizeBuffer(new ArrayBuffer(8, { maxByteLength: 16 }));
         held.release();
         tried(() => held.read(), () => held.write(0, new Uint8Array(1)), () => held.write(0, 5), () => held.fill(1));
         tried(() => held.arrayBuffer(), () => held.release(), () => held.read('x'));
         console.log(held);
         try { held.read() } catch (error) { console.log(error.code) }",
        &(["read", "write", "write", "fill", "make a buffer", "release", "read"].map(said).concat()
            + "ExternalizedBuffer { byteLength: 8, maxByteLength: 16, address: 0x… }\nRELEASED\n"),
        "1 store (1 resizable), 8 B external, 0 leaked, 0 refused",
    );
}

fn d19_lengths_and_options_are_named(engine: Engine) {
    let options = |found: &str| {
        format!(
            "TypeError: allocateMemory: the options are of type {found}; pass an object: {{ shared: true }}, \
             {{ maxByteLength: 4096 }} or both\n"
        )
    };
    let shared = |found: &str| format!("TypeError: shared is of type {found}; pass true or false\n");
    says(
        engine,
        "const { allocateMemory, arrayBuffer, externalizeBuffer, detach, free } = nativeModule;
         const memory = allocateMemory(64), none = allocateMemory(0), held = externalizeBuffer(new ArrayBuffer(1));
         tried(() => arrayBuffer(none, 0, 1), () => arrayBuffer(memory, 72), () => arrayBuffer(memory, 8, 64));
         tried(() => held.read(2), () => held.write(1, new Uint8Array(1)), () => held.write(0, new Uint8Array(2)));
         tried(...['shared', 1, null, [], true, () => {}].map((options) => () => allocateMemory(8, options)));
         tried(...['no', 0, null, {}].map((shared) => () => allocateMemory(8, { shared })));
         for (const options of [undefined, {}, { shared: undefined }, { shared: false }, { shared: true }]) {
           const allocated = allocateMemory(8, options);
           console.log(allocated.shared);
           free(allocated);
         }
         held.release();
         free(memory);
         free(none);",
        &format!(
            "RangeError: 1 byte from 0 on ends past the memory, which has 0 bytes; ask for less\n\
             RangeError: offset 72 is past the end of the memory, which has 64 bytes; ask for less\n\
             RangeError: 64 bytes from 8 on end past the memory, which has 64 bytes; ask for less\n\
             RangeError: from 2 is past the end of the memory, which has 1 byte; ask for less\n\
             RangeError: 1 byte from 1 on ends past the memory, which has 1 byte; ask for less\n\
             RangeError: 2 bytes from 0 on end past the memory, which has 1 byte; ask for less\n\
             {}{}false\nfalse\nfalse\nfalse\ntrue\n",
            ["string", "number", "null", "array", "boolean", "function"].map(options).concat(),
            ["string", "number", "null", "object"].map(shared).concat(),
        ),
        "8 stores (1 shared), 105 B external, 0 leaked, 0 refused",
    );
}
