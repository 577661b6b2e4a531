//! What scripts get: `nativeModule`, modules, `console`.

use std::fs;

use crate::common::{Engine, Folder};

on_each_engine!(
    memory_is_shared_between_buffers_and_freed_by_hand,
    what_is_no_memory_or_no_length_is_refused,
    a_reference_reads_and_writes_what_script_sees,
    maps_are_read_only_private_or_written_through,
    c22_an_empty_file_is_a_map_of_no_bytes,
    c23_nothing_tells_of_an_assignment_that_does_nothing,
    memory_whose_object_is_gone_is_still_a_leak,
    modules_import_each_other_and_offheap,
    modules_that_are_not_there,
    scripts_are_classic_unless_they_are_modules,
    console_prints_strings_as_they_are_and_describes_the_rest,
    b17_a_script_may_block,
);

fn memory_is_shared_between_buffers_and_freed_by_hand(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const { allocateMemory, arrayBuffer, detach, free } = nativeModule;
         const memory = allocateMemory(32);
         const whole = arrayBuffer(memory), part = arrayBuffer(memory, 8, 4);
         new Uint8Array(part).fill(9);
         console.log(memory, new Uint8Array(whole).subarray(6, 14), Object.prototype.toString.call(memory));
         detach(whole); detach(new Uint8Array(part));
         free(memory);
         console.log(memory.freed, whole.detached, part.detached);
         for (const use of [() => arrayBuffer(memory), () => free(memory)]) {
           try { use() } catch (error) { console.log(error.code, error instanceof nativeModule.NativeMemoryError) }
         }
         console.log(allocateMemory(0).byteLength);",
    );
    ran.expect(
        3,
        "NativeMemory { byteLength: 32, address: 0x…, freed: false } Uint8Array(8) [ 0, 0, 9, 9, 9, 9, 0, 0 ] \
         [object NativeMemory]\n\
         true true true\n\
         FREED true\n\
         DOUBLE_FREE true\n\
         0\n",
        "offheap: leak: 0 bytes at 0x…, allocated at a.js:12:22: never freed\n\
         offheap: refused: double free of 32 bytes at 0x…, allocated at a.js:2:25: freed at a.js:7:⟦15|10⟧, and again at \
         a.js:9:⟦67|62⟧; nothing was touched, remove the second free\n\
         offheap: 2 stores, 32 B external, 1 leaked, 1 refused\n",
    );
}

fn what_is_no_memory_or_no_length_is_refused(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const { allocateMemory, arrayBuffer, externalizeBuffer, detach, free } = nativeModule;
         const calls = [
           () => allocateMemory(), () => allocateMemory('8'), () => allocateMemory(-1), () => allocateMemory(1.5),
           () => allocateMemory(8, { maxByteLength: 7 }), () => allocateMemory(8, { maxByteLength: null }),
           () => arrayBuffer(new ArrayBuffer(8)), () => free({}), () => free(),
           () => externalizeBuffer({}), () => detach(null),
           () => free(nativeModule.mapped), () => new (Object.getPrototypeOf(memory).constructor)(1),
         ];
         const memory = allocateMemory(8);
         for (const call of calls) try { call() } catch (error) { console.log(String(error)) }
         free(memory);",
    );
    ran.expect(
        0,
        "TypeError: byteLength is missing; pass a number of bytes\n\
         TypeError: byteLength is of type string; pass a number of bytes\n\
         RangeError: byteLength is -1; pass a whole number of bytes, from 0 to 2 ** 53 - 1\n\
         RangeError: byteLength is 1.5; pass a whole number of bytes, from 0 to 2 ** 53 - 1\n\
         ⟦RangeError: maxByteLength is 7, less than byteLength, which is 8; ask for at least 8|TypeError: \
         allocateMemory: V8 resizes only its own memory; leave out maxByteLength, or externalize a buffer \
         that script makes: new ArrayBuffer(byteLength, { maxByteLength })⟧\n\
         TypeError: maxByteLength is of type null; pass a number of bytes\n\
         TypeError: arrayBuffer: expected memory, as allocateMemory returns it and nativeModule.mapped has it\n\
         TypeError: free: expected memory, as allocateMemory returns it and nativeModule.mapped has it\n\
         TypeError: free: expected memory, as allocateMemory returns it and nativeModule.mapped has it\n\
         TypeError: externalizeBuffer: expected an ArrayBuffer or a view of one, found object\n\
         TypeError: detach: expected an ArrayBuffer or a view of one, found null\n\
         TypeError: free: expected memory, as allocateMemory returns it and nativeModule.mapped has it\n\
         TypeError: Illegal constructor; use nativeModule.allocateMemory(byteLength)\n",
        "offheap: 1 store, 8 B external, 0 leaked, 0 refused\n",
    );
}

fn a_reference_reads_and_writes_what_script_sees(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const words = new Uint16Array(100000);
         const held = nativeModule.externalizeBuffer(words);
         held.write(1, Uint8Array.of(1, 2, 3, 4, 5));
         held.write(8, new Uint16Array([258]));
         held.fill(7, 12, 14);
         console.log(held.byteLength, held.read(0, 6), words.subarray(4, 8));
         const many = Uint8Array.from({ length: 199999 }, (_, i) => i * 7);
         held.write(1, many);
         console.log(held.read(1).every((byte, i) => byte === many[i]), held.read(1).length);
         for (const call of [() => held.read(0, 200001), () => held.read(200001), () => held.read(5, 4), () => held.write(199999, words),
                             () => held.write(0, [1]), () => held.fill(256), () => held.fill()]) {
           try { call() } catch (error) { console.log(String(error)) }
         }
         held.release();
         for (const use of ['read', 'arrayBuffer', 'release']) try { held[use]() } catch (error) { console.log(error.code) }
         console.log(words.length);",
    );
    ran.expect(
        0,
        "200000 Uint8Array(6) [ 0, 1, 2, 3, 4, 5 ] Uint16Array(4) [ 258, 0, 1799, 0 ]\n\
         true 199999\n\
         RangeError: 200001 bytes from 0 on end past the memory, which has 200000 bytes; ask for less\n\
         RangeError: from 200001 is past the end of the memory, which has 200000 bytes; ask for less\n\
         RangeError: the range 5..4 ends before it begins; swap its ends\n\
         RangeError: 200000 bytes from 199999 on end past the memory, which has 200000 bytes; ask for less\n\
         TypeError: write: expected a typed array, DataView or ArrayBuffer with the bytes, found array\n\
         RangeError: value is 256; pass a whole number from 0 to 255\n\
         TypeError: value is not a number; pass one from 0 to 255\n\
         RELEASED\nRELEASED\nRELEASED\n\
         100000\n",
        "offheap: 1 store, 195.3 KiB external, 0 leaked, 0 refused\n",
    );
}

fn maps_are_read_only_private_or_written_through(engine: Engine) {
    let folder = Folder::new(engine);
    for name in ["ro", "cow", "rw"] {
        folder.write(name, "0123456789");
    }
    folder.write(
        "a.js",
        "for (const [name, memory] of Object.entries(nativeModule.mapped)) {
           const bytes = new Uint8Array(nativeModule.arrayBuffer(memory));
           try { 'use strict'; bytes.set([65]); Atomics.store(bytes, 1, 66) } catch (error) { console.log(error.name) }
           console.log(name, memory.byteLength, memory.freed, String.fromCharCode(...bytes));
           console.log(memory.shared, bytes.buffer instanceof (memory.shared ? SharedArrayBuffer : ArrayBuffer));
           const held = nativeModule.externalizeBuffer(bytes);
           try { held.write(2, Uint8Array.of(67)) } catch (error) { console.log(error.code) }
           console.log(held.read(0, 3));
           held.release();
           try { nativeModule.free(memory) } catch (error) { console.log(String(error)) }
         }",
    );
    let ran = folder.run(&["--map", "a=ro", "--map", "b=cow:cow", "--map", "c=rw:rw", "a.js"]);
    let not_freed = "TypeError: a mapped file is not freed: it is unmapped when the run ends\n";
    ran.expect(
        0,
        &format!(
            "TypeError\na 10 false 0123456789\nfalse true\nREAD_ONLY\nUint8Array(3) [ 48, 49, 50 ]\n{not_freed}\
             b 10 false AB23456789\ntrue true\nUint8Array(3) [ 65, 66, 67 ]\n{not_freed}\
             c 10 false AB23456789\ntrue true\nUint8Array(3) [ 65, 66, 67 ]\n{not_freed}"
        ),
        "offheap: 3 stores (2 shared), 30 B external, 0 leaked, 0 refused\n",
    );
    let contents = |name| fs::read_to_string(folder.path(name)).unwrap();
    assert_eq!([contents("ro"), contents("cow"), contents("rw")], ["0123456789", "0123456789", "ABC3456789"]);
}

fn c22_an_empty_file_is_a_map_of_no_bytes(engine: Engine) {
    let folder = Folder::new(engine);
    for name in ["ro", "cow", "rw"] {
        folder.write(name, "");
    }
    folder.write(
        "a.js",
        "for (const [name, memory] of Object.entries(nativeModule.mapped)) {
           const buffer = nativeModule.arrayBuffer(memory);
           const held = nativeModule.externalizeBuffer(nativeModule.arrayBuffer(memory, 0, 0));
           console.log(name, memory.byteLength, buffer.byteLength, held.read().length, held.byteLength);
           held.release();
           try { nativeModule.arrayBuffer(memory, 0, 1) } catch (error) { console.log(error.name) }
         }",
    );
    folder.run(&["--map", "a=ro", "--map", "b=cow:cow", "--map", "c=rw:rw", "a.js"]).expect(
        0,
        "a 0 0 0 0\nRangeError\nb 0 0 0 0\nRangeError\nc 0 0 0 0\nRangeError\n",
        "offheap: 3 stores (2 shared), 0 B external, 0 leaked, 0 refused\n",
    );
}

/// An assignment to an element of read-only memory does nothing in sloppy code, and in strict code of QuickJS. The command
/// cannot say so: no setter, no trap and no prototype is asked about an element of a view, a view cannot be a Proxy, and the
/// bytes stay as they are.
fn c23_nothing_tells_of_an_assignment_that_does_nothing(engine: Engine) {
    let folder = Folder::new(engine);
    folder.write("a.bin", "0123456789");
    folder.write(
        "a.js",
        "let told = 0;
         const bytes = new Uint8Array(nativeModule.arrayBuffer(nativeModule.mapped.a));
         const trap = { get() { told++ }, set() { told++ }, defineProperty() { told++ }, getPrototypeOf() { told++ } };
         Object.defineProperty(Uint8Array.prototype, 0, { set() { told++ }, get() { told++ } });
         Object.setPrototypeOf(bytes, new Proxy(Uint8Array.prototype, trap));
         bytes[0] = 65; bytes['1'] = 66; bytes[2]++;
         console.log(told, bytes[0], bytes[1], bytes[2]);
         try { (() => { 'use strict'; bytes[0] = 65 })(); console.log('nothing') } catch (error) { console.log(error.name) }
         const proxy = new Proxy(new Uint8Array(2), {});
         try { new DataView(proxy.buffer) } catch (error) { console.log(error.name) }
         console.log(ArrayBuffer.isView(proxy));",
    );
    folder.run(&["--map", "a=a.bin", "a.js"]).expect(
        0,
        "0 48 49 50\n⟦nothing|TypeError⟧\nTypeError\nfalse\n",
        "offheap: 1 store, 10 B external, 0 leaked, 0 refused\n",
    );
}

fn memory_whose_object_is_gone_is_still_a_leak(engine: Engine) {
    let ran = Folder::new(engine).script(
        "for (let i = 0; i < 1000; i++) nativeModule.free(nativeModule.allocateMemory(16));
         nativeModule.allocateMemory(16);
         nativeModule.gc();",
    );
    ran.expect(
        3,
        "",
        "offheap: leak: 16 bytes at 0x…, allocated at a.js:2:23: never freed\n\
         offheap: 1001 stores, 15.6 KiB external, 1 leaked, 0 refused\n",
    );
}

fn modules_import_each_other_and_offheap(engine: Engine) {
    let folder = Folder::new(engine);
    folder.write("lib/sum.mjs", "import { one } from '../one.mjs'; export const sum = (a) => a + one;");
    folder.write("one.mjs", "export const one = 1;");
    folder.write(
        "a.js",
        "#!/usr/bin/env -S offheap run\n\
         import native, { allocateMemory, free, args } from 'offheap';
         import { sum } from './lib/sum.mjs';
         const memory = allocateMemory(8);
         const again = await import('./lib/sum.mjs');
         await null;
         free(memory);
         console.log(sum(2), again.sum === sum, native === nativeModule, typeof this, args);
         console.log(import.meta.url, (await import('./lib/url.mjs')).default);",
    );
    folder.write("lib/url.mjs", "export default import.meta.url");
    folder.run(&["a.js", "--map", "x"]).expect(
        0,
        "3 true true undefined [ \"--map\", \"x\" ]\na.js lib/url.mjs\n",
        "offheap: 1 store, 8 B external, 0 leaked, 0 refused\n",
    );
}

fn modules_that_are_not_there(engine: Engine) {
    let folder = Folder::new(engine);
    folder.write("latin1.mjs", b"'\xe9'");
    let thrown = |script: &str| {
        let ran = folder.script(script);
        assert_eq!(ran.status, Some(1));
        ran.stderr.lines().next().unwrap().to_owned()
    };
    assert_eq!(
        thrown("import './missing.mjs'"),
        "offheap: uncaught ReferenceError: Error loading module 'missing.mjs': No such file or directory (os error 2); \
         check the name and the permissions",
    );
    assert_eq!(
        thrown("import './latin1.mjs'"),
        "offheap: uncaught ReferenceError: Error loading module 'latin1.mjs': byte 1 is not UTF-8; save the file as \
         UTF-8",
    );
    assert_eq!(
        thrown("import './a.js' with { type: 'json' }"),
        "offheap: uncaught ReferenceError: Error resolving module './a.js' from 'a.js': import attributes are not \
         supported; leave `with` out",
    );
    assert_eq!(
        thrown("import 'lodash'"),
        "offheap: uncaught ReferenceError: Error resolving module 'lodash' from 'a.js': it names no file; begin it \
         with ./ or ../, or import \"offheap\"",
    );
    assert_eq!(
        thrown("import { nothing } from 'offheap'"),
        engine.text(
            "offheap: uncaught SyntaxError: ⟦Could not find export 'nothing' in module 'offheap'|The requested module \
             'offheap' does not provide an export named 'nothing'⟧"
        ),
    );
    assert_eq!(
        thrown("await new Promise(() => {})"),
        "offheap: a top-level await never ended: nothing is left to run that could end it",
    );
    assert_eq!(thrown("await null; throw new RangeError('late')"), "offheap: uncaught RangeError: late");
}

fn scripts_are_classic_unless_they_are_modules(engine: Engine) {
    let folder = Folder::new(engine);
    let nothing = "offheap: 0 stores, 0 B external, 0 leaked, 0 refused\n";
    folder.script("with ({ a: 1 }) console.log(a, this === globalThis)").expect(0, "1 true\n", nothing);
    folder.script("console.log(typeof this)").expect(0, "object\n", nothing);
    folder.script("\u{feff}#!offheap\nconsole.log(typeof this)").expect(0, "object\n", nothing);
    folder.script("").expect(0, "", nothing);
    folder.write("a.mjs", "console.log(typeof this)");
    folder.run(&["a.mjs"]).expect(0, "undefined\n", nothing);
    folder.script("Promise.resolve().then(() => console.log('later')); console.log('now')").expect(
        0,
        "now\nlater\n",
        nothing,
    );
}

fn console_prints_strings_as_they_are_and_describes_the_rest(engine: Engine) {
    let ran = Folder::new(engine).script(
        r#"console.log("a\nb", 1, -0, 2n, true, null, undefined, Symbol("s"), "\ud800");
           console.info([1, "two", [3, [4, [5, [6]]]]], { a: 1, "b-c": {}, get d() { return 1 }, f() {} });
           console.debug(new Uint8Array(20), new Float64Array([0.5]), new DataView(new ArrayBuffer(3)));
           console.log(new ArrayBuffer(8, { maxByteLength: 16 }), new Map([[1, "a"]]), new Set(), class A {}, /r/g);
           const circle = {}; circle.self = circle;
           console.warn(circle, new (class Point { x = 1 })(), Array(102).fill(0).length, Array(102).fill(0).map(String).slice(99));
           console.error(new TypeError("why", { cause: "because" }).toString());"#,
    );
    ran.expect(
        0,
        "a\nb 1 -0 2n true null undefined Symbol(s) \u{fffd}\n\
         [ 1, \"two\", [ 3, [ 4, [ 5, [Array] ] ] ] ] { a: 1, \"b-c\": {}, d: [Getter], f: [Function: f] }\n\
         Uint8Array(20) [ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ... 4 more ] Float64Array(1) [ 0.5 ] \
         DataView { byteLength: 3 }\n\
         ArrayBuffer { byteLength: 8, resizable } Map(1) { 1 => \"a\" } Set(0) {} [class A] /r/g\n",
        "{ self: [Circular] } Point { x: 1 } 102 [ \"0\", \"0\", \"0\" ]\n\
         TypeError: why\n\
         offheap: 0 stores, 0 B external, 0 leaked, 0 refused\n",
    );
}

fn b17_a_script_may_block(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const words = new Int32Array(new SharedArrayBuffer(8));
         console.log(Atomics.wait(words, 0, 1), Atomics.wait(words, 0, 0, 5));",
    );
    ran.expect(0, "not-equal timed-out\n", "offheap: 0 stores, 0 B external, 0 leaked, 0 refused\n");
}

#[cfg(feature = "v8")]
mod timed_waits {
    use std::time::{Duration, Instant};

    use crate::common::{Folder, V8};

    const NOTHING: &str = "offheap: 0 stores, 0 B external, 0 leaked, 0 refused\n";

    #[test]
    fn b17_a_script_is_not_over_while_a_timed_wait_is_pending() {
        for (name, start) in [("a.js", ""), ("a.mjs", "import 'offheap';")] {
            let folder = Folder::new(V8);
            folder.write(
                name,
                format!(
                    "{start} const words = new Int32Array(new SharedArrayBuffer(8));
                     const wait = (...how) => Atomics.waitAsync(words, 0, 0, ...how).value;
                     wait(1500).then(how => console.log('last', how));
                     wait({{ valueOf() {{ console.log('asked'); return 300 }} }}).then(how => console.log('second', how));
                     wait('20').then(how => {{ console.log('first', how); return wait(600) }}).then(() => console.log('third'));
                     console.log('now', wait(0), Atomics.waitAsync.name, Atomics.waitAsync.length);"
                ),
            );
            let expected =
                "asked\nnow timed-out waitAsync 4\nfirst timed-out\nsecond timed-out\nthird\nlast timed-out\n";
            folder.run(&[name]).expect(0, expected, NOTHING);
        }
    }

    #[test]
    fn b17_a_module_awaits_a_timed_wait() {
        let folder = Folder::new(V8);
        folder.write(
            "a.mjs",
            "const words = new Int32Array(new SharedArrayBuffer(8));
             console.log(await Atomics.waitAsync(words, 0, 0, 30).value);",
        );
        folder.run(&["a.mjs"]).expect(0, "timed-out\n", NOTHING);
    }

    #[test]
    fn b17_timed_waits_that_overlap_end_one_after_the_other() {
        let ran = Folder::new(V8).script(
            "const words = new Int32Array(new SharedArrayBuffer(8));
             let made = 0, ended = 0;
             const wait = () => {
               if (made++ < 500) Atomics.waitAsync(words, 0, 0, 1).value.then(() => { ended++; wait() });
               else if (ended === 500) console.log('all');
             };
             wait(); wait(); wait();",
        );
        ran.expect(0, "all\n", NOTHING);
    }

    #[test]
    fn b17_what_was_notified_or_has_no_end_is_not_waited_for() {
        let started = Instant::now();
        let ran = Folder::new(V8).script(
            "const words = new Int32Array(new SharedArrayBuffer(8));
             for (const how of [600_000, '600000', { valueOf: () => 600_000 }])
               Atomics.waitAsync(words, 0, 0, how).value.then(how => console.log(how));
             for (const how of [undefined, Infinity, NaN, 'x', { valueOf: () => Infinity }])
               Atomics.waitAsync(words, 1, 0, how).value.then(() => console.log('not reached'));
             Atomics.notify(words, 0);
             for (const wrong of [() => Atomics.waitAsync(words, 0, 0, 1n), () => Atomics.waitAsync(words, 9, 0, 1),
                 () => Atomics.waitAsync(words, 0, 0, { valueOf() { throw 'its own' } }), () => new Atomics.waitAsync()])
               try { wrong(); console.log('made') } catch (error) { console.log(error.name ?? error) }",
        );
        ran.expect(0, "TypeError\nRangeError\nits own\nTypeError\nok\nok\nok\n", NOTHING);
        assert!(started.elapsed() < Duration::from_secs(600));
    }
}
