//! Scripts that replace what they can, or call back in the middle of things.

use crate::common::{Engine, Folder};

on_each_engine!(
    c18_nothing_that_script_can_replace_is_called,
    c18_nothing_that_an_isolate_replaces_calls_script,
    c18_console_calls_nothing_that_script_can_replace,
    c18_write_takes_the_bytes_that_the_view_has,
    c18_write_copies_what_overlaps_as_it_was,
    c18_replaced_functions_of_the_prelude_are_not_called,
    c18_an_object_is_the_memory_that_it_was_made_for,
    c18_accessors_of_object_prototype_are_not_inherited,
    c18_an_error_is_of_its_class_whatever_prototype_that_has,
    c18_what_prepares_stacks_runs_after_everything,
    callbacks_of_arguments_run_before_anything_is_looked_at,
    a_key_that_is_no_string_is_not_converted,
    calls_at_the_end_of_the_stack_do_all_or_nothing,
);

/// `tests/hostile.js`, and a script after it.
fn with_everything_hostile(script: &str) -> String {
    format!("{}\n{{{script}}}", include_str!("hostile.js"))
}

fn c18_nothing_that_script_can_replace_is_called(engine: Engine) {
    let folder = Folder::new(engine);
    folder.write("data", "12345678");
    folder.write(
        "a.js",
        with_everything_hostile(
            "const { mapped, allocateMemory, arrayBuffer, externalizeBuffer, free, detach, gc, stats } = nativeModule;
             const { hasOwn } = Object;
             const source = Uint16Array.of(258, 772), part = new DataView(source.buffer, 1, 2);
             const shared = new SharedArrayBuffer(2), { buffer } = source, options = { __proto__: null, shared: true };
             new Uint8Array(shared).fill(9);
             const script = new ArrayBuffer(8), first = allocateMemory(16), second = allocateMemory(16);
             let said = '';
             const say = (text) => { said += text + '; ' };
             const caught = (call) => {
               try { call() } catch (error) { say(hasOwn(error, 'code') ? error.code : error.message ?? error) }
             };
             let window, held;
             const called = withEverythingHostile(() => {
               const memory = allocateMemory(16), growing = allocateMemory(8, options);
               window = arrayBuffer(memory, 8, 8);
               held = externalizeBuffer(window);
               held.write(0, source);
               held.write(4, part);
               held.write(6, shared);
               say(held.read(0, 8)[6] + ' ' + held.read(4, 5)[0]);
               held.fill(3, 0, 1);
               say(memory.byteLength + ' ' + memory.address % 8 + ' ' + memory.freed + ' ' + held.byteLength);
               held.arrayBuffer();
               const mine = externalizeBuffer(script);
               mine.write(0, buffer);
               mine.release();
               arrayBuffer(mapped.data);
               caught(() => held.write(7, source));
               caught(() => held.write(0, 7));
               caught(() => free(memory));
               caught(() => free({ __proto__: first }));
               detach(window);
               held.release();
               caught(() => held.read());
               free(second);
               say(first.freed + ' ' + second.freed);
               caught(() => free(second));
               caught(() => arrayBuffer(second));
               caught(() => +first);
               caught(() => new free(first) && 0);
               free(first);
               free(growing);
               gc();
               say(stats().liveStores + ' ' + stats().refused);
             });
             console.log(said);
             console.log(called.length, called.join());",
        ),
    );
    let ran = folder.run(&["--map", "data=data", "a.js"]);
    assert_eq!(
        ran.stdout,
        engine.text(
            "9 1; 16 0 false 8; 4 bytes from 7 on end past the memory, which has 8 bytes; ask for less; write: \
             expected a typed array, DataView or ArrayBuffer with the bytes, found number; FREE_IN_USE; free: expected memory, as \
             allocateMemory returns it and nativeModule.mapped has it; RELEASED; false true; DOUBLE_FREE; FREED; native \
             memory is not a number, and `new ArrayBuffer` makes new memory of a length; for a buffer over this memory call \
             nativeModule.arrayBuffer(memory); ⟦|free is ⟧not a constructor; 3 2; \n0 \n"
        ),
        "{ran:#?}"
    );
    assert!(ran.stderr.ends_with("1 leaked, 2 refused\n"), "{ran:#?}");
}

fn c18_nothing_that_an_isolate_replaces_calls_script(engine: Engine) {
    let ran = Folder::new(engine).script(with_everything_hostile(
        "const { externalizeBuffer, detach } = nativeModule;
         const { apply } = Reflect, { store, load, add, notify } = Atomics, { grow } = SharedArrayBuffer.prototype;
         const lengthOf = Object.getOwnPropertyDescriptor(SharedArrayBuffer.prototype, 'byteLength').get;
         const { transfer, transferToFixedLength, resize } = ArrayBuffer.prototype;
         const growing = new SharedArrayBuffer(8, { maxByteLength: 64 }), words = new Int32Array(growing);
         const resizable = new ArrayBuffer(8, { maxByteLength: 64 }), plain = new ArrayBuffer(8);
         const more = Array.from({ length: 40 }, () => new SharedArrayBuffer(8, { maxByteLength: 64 }));
         let said = '', refused = 0;
         const say = (text) => { said += text + ' ' };
         const caught = (call) => { try { call() } catch { refused++ } };
         const called = withEverythingHostile(() => {
           const held = externalizeBuffer(growing);
           for (let index = 0; index < 40; index++) externalizeBuffer(more[index]).release();
           apply(grow, growing, [16]);
           say(apply(lengthOf, growing, []) + ' ' + held.byteLength);
           caught(() => apply(grow, growing, [8]));
           caught(() => apply(grow, growing, [1e9]));
           caught(() => apply(grow, plain, [16]));
           caught(() => apply(lengthOf, plain, []));
           store(words, 3, 5);
           add(words, 3, 2);
           say(load(words, 3) + ' ' + notify(words, 3));
           const moved = apply(transferToFixedLength, apply(transfer, plain, [4]), []);
           externalizeBuffer(moved).release();
           caught(() => detach(moved, 'key'));
           detach(moved);
           apply(resize, resizable, [16]);
           const other = externalizeBuffer(resizable);
           apply(resize, resizable, [32]);
           other.write(0, resizable);
           say(other.byteLength + ' ' + refused);
           held.release();
           other.release();
         });
         console.log(said + called.length, called.join());",
    ));
    let balance = "offheap: 43 stores (1 resizable, 41 shared), 372 B external, 0 leaked, 0 refused\n";
    ran.expect(0, "16 16 7 0 32 5 0 \n", balance);
}

fn c18_console_calls_nothing_that_script_can_replace(engine: Engine) {
    let ran = Folder::new(engine).script(with_everything_hostile(
        "const { allocateMemory, externalizeBuffer, free } = nativeModule, { log } = console;
         const memory = allocateMemory(8), held = externalizeBuffer(new ArrayBuffer(2)), gone = new Uint8Array(3);
         gone.buffer.transfer();
         const values = [
           -0, 'text', 2n, undefined, null, true, Symbol('s'), [1, [2]], { a: 1, get b() { return 2 } }, new Map([[1, 2]]),
           new Set([1]), new Date(0), /x/g, Uint8Array.of(1, 2), new DataView(new ArrayBuffer(3)), new SharedArrayBuffer(2),
           gone, gone.buffer, new Error('e', { cause: new TypeError('c') }), () => 1, class A {}, new Proxy({}, {}), memory,
           held, new WeakMap(), Promise.resolve(1), function* g() {}, new (class B { c = 1 })(),
         ];
         const called = withEverythingHostile(() => {
           for (let index = 0; index < values.length; index++) log(values[index]);
           log(values, values);
         });
         log('called:', called.length, called.join());
         held.release();
         free(memory);",
    ));
    assert_eq!(ran.status, Some(0), "{ran:#?}");
    assert!(ran.stdout.ends_with("called: 0 \n"), "{ran:#?}");
}

fn c18_write_takes_the_bytes_that_the_view_has(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const { externalizeBuffer } = nativeModule;
         const target = new ArrayBuffer(16), held = externalizeBuffer(target);
         const written = (view) => {
           held.fill(0);
           try { held.write(0, view) } catch (error) { return error.name }
           return held.read(0, 8).join('');
         };
         class Liar extends Uint8Array {
           subarray() { return new Uint8Array(16).fill(9) }
           get length() { return 16 }
           get byteLength() { return 16 }
           get byteOffset() { return 0 }
           get buffer() { return new Uint8Array(16).fill(9).buffer }
           static get [Symbol.species]() { return class { constructor() { return new Uint8Array(16).fill(9) } } }
         }
         console.log(written(Liar.of(1, 2)));
         const bytes = new Uint8Array(8).map((_, index) => index), { buffer } = bytes;
         console.log(written(buffer), written(new DataView(buffer, 2, 3)), written(new Uint16Array(buffer, 2, 1)));
         console.log(written(new Float64Array(buffer).subarray(1)), written(Object.assign([], { byteLength: 4 })));
         const resizable = new ArrayBuffer(2, { maxByteLength: 8 });
         const tracking = new Uint8Array(resizable), fixed = new Uint8Array(resizable, 0, 2);
         const parts = new DataView(resizable, 1), part = new DataView(resizable, 1, 1);
         resizable.resize(5);
         tracking.fill(7);
         console.log(written(tracking), written(fixed), written(parts), written(part), written(resizable));
         resizable.resize(1);
         console.log(written(tracking), written(fixed), written(parts), written(part));
         const shared = new SharedArrayBuffer(3);
         new Uint8Array(shared).fill(5);
         console.log(written(shared), written(new Uint8Array(shared, 1)), written(new DataView(shared, 2)));
         const gone = new Uint8Array(8);
         gone.buffer.transfer();
         console.log(written(gone), written(gone.buffer), written(undefined), written('text'), written(new Proxy(gone, {})));
         console.log(held.read(8).join(''));
         held.release();",
    );
    ran.expect(
        0,
        "12000000\n01234567 23400000 23000000\n00000000 TypeError\n77777000 77000000 77770000 70000000 77777000\n\
         70000000 TypeError 00000000 TypeError\n55500000 55000000 50000000\n\
         TypeError TypeError TypeError TypeError TypeError\n00000000\n",
        "offheap: 1 store, 16 B external, 0 leaked, 0 refused\n",
    );
}

fn c18_write_copies_what_overlaps_as_it_was(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const { allocateMemory, arrayBuffer, externalizeBuffer, detach, free } = nativeModule;
         const length = 200000, memory = allocateMemory(length);
         const buffer = arrayBuffer(memory), held = externalizeBuffer(buffer), bytes = new Uint8Array(buffer);
         const original = bytes.map((_, index) => bytes[index] = index * 7 % 251).slice();
         held.write(3, bytes.subarray(0, length - 3));
         console.log(bytes.every((byte, index) => byte === original[index < 3 ? index : index - 3]));
         held.write(0, bytes.subarray(3));
         console.log(bytes.subarray(0, length - 3).every((byte, index) => byte === original[index]));
         held.release();
         detach(buffer);
         free(memory);",
    );
    ran.expect(0, "true\ntrue\n", "offheap: 1 store, 195.3 KiB external, 0 leaked, 0 refused\n");
}

fn c18_replaced_functions_of_the_prelude_are_not_called(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const buffer = new ArrayBuffer(8), held = nativeModule.externalizeBuffer(buffer), view = Uint8Array.of(1, 2, 3);
         const { ceil } = Math, { set } = Uint8Array.prototype, Words = Uint32Array;
         globalThis.Uint32Array = function () { return [] };
         Math.ceil = () => 1000;
         Uint8Array.prototype.set = () => {};
         globalThis.Uint8Array = globalThis.ArrayBuffer = class { static [Symbol.hasInstance]() { return true } };
         held.write(1, view);
         console.log(held.read(0, 5).join());
         held.release();",
    );
    ran.expect(0, "0,1,2,3,0\n", "offheap: 1 store, 8 B external, 0 leaked, 0 refused\n");
}

fn c18_an_object_is_the_memory_that_it_was_made_for(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const { allocateMemory, externalizeBuffer, free } = nativeModule;
         Object.defineProperty(Object.prototype, 'id', { get() { return 1 }, set() {}, configurable: true });
         const [one, other] = [allocateMemory(8), allocateMemory(8)];
         delete Object.prototype.id;
         const attempt = (use) => { try { use() } catch (error) { console.log(error.constructor.name) } };
         // The class is within reach, and what it has can be replaced.
         one.constructor.idOf = one.constructor.isOne = () => 1;
         attempt(() => free({}));
         free(other);
         console.log(one.freed, other.freed);
         Object.prototype.idOf = () => 1;
         attempt(() => new free({}));
         attempt(() => Reflect.construct(free, [{}], class {}));
         delete Object.prototype.idOf;
         attempt(() => new one.constructor(undefined, 1, 8));
         attempt(() => Object.getOwnPropertyDescriptor(one.constructor.prototype, 'freed').get.call(externalizeBuffer));
         attempt(() => free(Object.create(one)));
         attempt(() => free(new Proxy(one, {})));
         attempt(() => free(1));
         console.log(one.freed);
         free(one);",
    );
    ran.expect(
        0,
        "TypeError\nfalse true\nTypeError\nTypeError\nTypeError\nTypeError\nTypeError\nTypeError\nTypeError\nfalse\n",
        "offheap: 2 stores, 16 B external, 0 leaked, 0 refused\n",
    );
}

fn c18_accessors_of_object_prototype_are_not_inherited(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const { allocateMemory, externalizeBuffer, free, stats } = nativeModule, names = [];
         for (const name of ['get', 'set', 'value', 'byteLength', 'maxByteLength', 'shared', 'address', 'stores', 'refused']) {
           const [get, set] = [() => (names.push(name), 1), () => names.push(name)];
           Object.defineProperty(Object.prototype, name, { __proto__: null, get, set, configurable: true });
         }
         const memory = allocateMemory(8), options = { __proto__: null, maxByteLength: 1 };
         const { stores, refused } = stats();
         let error;
         try { allocateMemory(8, options) } catch (thrown) { error = thrown }
         free(memory);
         for (const name of ['get', 'set', 'value', 'byteLength', 'maxByteLength', 'shared', 'address', 'stores', 'refused']) {
           delete Object.prototype[name];
         }
         console.log(memory.byteLength, memory.shared, memory.maxByteLength, stores, refused, error.name, names.join());",
    );
    ran.expect(0, "8 false 8 1 0 ⟦RangeError|TypeError⟧ \n", "offheap: 1 store, 8 B external, 0 leaked, 0 refused\n");
}

fn c18_an_error_is_of_its_class_whatever_prototype_that_has(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const { allocateMemory, free, NativeMemoryError } = nativeModule, memory = allocateMemory(8);
         free(memory);
         Object.setPrototypeOf(NativeMemoryError, function () { console.log('called'); return {} });
         Error.captureStackTrace = () => console.log('called too');
         String.prototype.split = String.prototype.indexOf = RegExp.prototype.exec = () => console.log('and this');
         try { free(memory) } catch (error) {
           console.log(error instanceof NativeMemoryError, error.code, error.name);
           console.log(error.stack);
         }",
    );
    assert!(ran.stdout.starts_with("true DOUBLE_FREE NativeMemoryError\n"), "{ran:#?}");
    // The place of the call, and nothing of what made the error.
    let frames: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("    at ")).collect();
    assert!(matches!(frames[..], [frame] if frame.contains("a.js:6:")), "{ran:#?}");
}

fn c18_what_prepares_stacks_runs_after_everything(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const { allocateMemory, arrayBuffer, externalizeBuffer, detach, free } = nativeModule;
         const memory = allocateMemory(16), buffer = arrayBuffer(memory), held = externalizeBuffer(buffer);
         let calls = 0;
         Error.prepareStackTrace = () => {
           calls++;
           Error.prepareStackTrace = undefined;
           detach(buffer);
           held.release();
           free(memory);
           return { toString() { throw 1 } };
         };
         try { held.write(99, new Uint8Array(8)) } catch (error) { error.stack; console.log(error.message) }
         console.log(calls, memory.freed);",
    );
    ran.expect(
        0,
        "8 bytes from 99 on end past the memory, which has 16 bytes; ask for less\n1 true\n",
        "offheap: 1 store, 16 B external, 0 leaked, 0 refused\n",
    );
}

fn callbacks_of_arguments_run_before_anything_is_looked_at(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const { allocateMemory, arrayBuffer, externalizeBuffer, detach, free } = nativeModule;
         const memory = allocateMemory(16), buffer = arrayBuffer(memory), held = externalizeBuffer(buffer);
         const end = { valueOf() { console.log('called'); detach(buffer); held.release(); free(memory); return 1 } };
         end.toString = end[Symbol.toPrimitive] = end.valueOf;
         const attempt = (use) => { try { use() } catch (error) { console.log(error.name) } };
         attempt(() => held.read(end));
         attempt(() => held.write(end, new Uint8Array(1)));
         attempt(() => held.fill(end));
         attempt(() => held.fill(0, 0, end));
         attempt(() => arrayBuffer(memory, end));
         attempt(() => allocateMemory(end));
         attempt(() => allocateMemory(8, { maxByteLength: end }));
         const options = { get shared() { detach(buffer); held.release(); free(memory); return false } };
         const other = allocateMemory(8, options);
         console.log(memory.freed, other.freed);
         free(other);",
    );
    ran.expect(
        0,
        "TypeError\nTypeError\nTypeError\nTypeError\nTypeError\nTypeError\nTypeError\ntrue false\n",
        "offheap: 2 stores, 24 B external, 0 leaked, 0 refused\n",
    );
}

fn a_key_that_is_no_string_is_not_converted(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const { allocateMemory, arrayBuffer, detach, free } = nativeModule;
         const memory = allocateMemory(16), buffer = arrayBuffer(memory);
         const key = { toString() { detach(buffer); free(memory); return 'key' } };
         try { detach(buffer, key) } catch (error) { console.log(error.name) }
         console.log(buffer.detached, memory.freed);
         detach(buffer);
         free(memory);",
    );
    ran.expect(0, "TypeError\nfalse false\n", "offheap: 1 store, 16 B external, 0 leaked, 0 refused\n");
}

fn calls_at_the_end_of_the_stack_do_all_or_nothing(engine: Engine) {
    let ran = Folder::new(engine).script(
        "const { allocateMemory, externalizeBuffer, free } = nativeModule;
         const ready = Array.from({ length: 12000 }, () => allocateMemory(16)), made = [], held = [];
         const buffer = new ArrayBuffer(8);
         let depth = 0, freed = 0;
         // From the end of the stack upwards, with a little more room at each step.
         const dive = () => {
           const at = depth++;
           try { dive() } catch {}
           try { made.push(allocateMemory(8)) } catch {}
           try { held.push(externalizeBuffer(buffer)) } catch {}
           try { free(ready[at % ready.length]) } catch {}
         };
         dive();
         let wrong = 0;
         for (const memory of ready) {
           const { freed } = memory;
           try { free(memory); wrong += freed } catch (error) { wrong += !freed || error.code !== 'DOUBLE_FREE' }
         }
         for (const memory of made) free(memory);
         for (const reference of held) reference.release();
         console.log(depth > 100, made.length > 50, held.length > 50, wrong);",
    );
    assert_eq!(ran.stdout, "true true true 0\n", "{:?}", ran.status);
    assert!(ran.stderr.lines().last().is_some_and(|line| line.contains(" 0 leaked, ")), "{:?}", ran.status);
}
