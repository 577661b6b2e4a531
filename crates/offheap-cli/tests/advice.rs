//! Mistakes that are easily made with `nativeModule`: the error says what was meant, on each engine.

#[macro_use]
mod common;

use common::{Engine, Folder};

on_each_engine!(d8_memory_is_neither_a_number_nor_a_string, d9_memory_has_no_elements,);

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
         tried(() => new ArrayBuffer(memory), () => +memory, () => `${memory}`, () => 'at ' + memory);
         tried(() => new ArrayBuffer(held), () => `${held}`, () => 'at ' + held);
         held.release();
         nativeModule.free(memory);",
        "TypeError: native memory is not a number, and `new ArrayBuffer` makes new memory of a length; for a buffer over \
         this memory call nativeModule.arrayBuffer(memory)\n\
         TypeError: native memory is not a number, and `new ArrayBuffer` makes new memory of a length; for a buffer over \
         this memory call nativeModule.arrayBuffer(memory)\n\
         TypeError: native memory is not a string; print memory.address or memory.byteLength\n\
         TypeError: native memory is not a string; print memory.address or memory.byteLength\n\
         TypeError: a reference is not a number, and `new ArrayBuffer` makes new memory of a length; for a buffer over \
         its memory call its arrayBuffer()\n\
         TypeError: a reference is not a string; print its address or its byteLength\n\
         TypeError: a reference is not a string; print its address or its byteLength\n",
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
