//! `slice` and its relatives, which an isolate replaces. QuickJS's own functions copy with `memcpy`, no matter
//! which buffer the species constructor returns, and refuse to read immutable buffers.

use offheap_quickjs::offheap::{BackingStore, FrozenStore, SharedStore};
use offheap_quickjs::{Isolate, Scope};

use crate::common::numbered;

fn expose(scope: &mut Scope<'_>, store: &BackingStore, name: &str) {
    let buffer = scope.expose(store).unwrap();
    scope.set_global(name, &buffer).unwrap();
}

/// The last value of a script as text, or its exception.
fn run(scope: &mut Scope<'_>, source: &str) -> String {
    let caught =
        format!("(() => {{ try {{ return String((() => {{ {source} }})()) }} catch (e) {{ return String(e) }} }})()");
    scope.eval(&caught).unwrap()
}

/// Under valgrind or ASan, a `memcpy` of overlapping memory is an error.
#[test]
fn a8_a_slice_into_a_buffer_over_the_same_memory_is_a_move() {
    for (from, to) in [(0, 8), (8, 0), (0, 0), (16, 8)] {
        Isolate::new().unwrap().enter(|scope| {
            let store = numbered(4096);
            expose(scope, &store, "a");
            expose(scope, &store.slice(to..).unwrap(), "b");
            let before = store.to_vec().unwrap();
            let made = run(
                scope,
                &format!(
                    "a.constructor = {{ [Symbol.species]: function () {{ return b }} }};
                     return a.slice({from}, {from} + 2048) === b"
                ),
            );
            assert_eq!(made, "true");
            assert_eq!(store.to_vec().unwrap()[to..][..2048], before[from..][..2048], "{from} to {to}");
            // The bytes after the copy do not change.
            assert_eq!(store.to_vec().unwrap()[to + 2048..], before[to + 2048..]);
        });
    }
}

#[test]
fn a8_a_slice_of_shared_memory_into_the_same_memory_is_a_move() {
    Isolate::new().unwrap().enter(|scope| {
        let store = SharedStore::zeroed(4096).unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(4096).collect();
        store.copy_from_slice(0, &bytes).unwrap();
        expose(scope, store.as_store(), "a");
        expose(scope, &store.as_store().slice(8..).unwrap(), "b");
        let made =
            run(scope, "a.constructor = { [Symbol.species]: function () { return b } }; return a.slice(0, 2048) === b");
        assert_eq!(made, "true");
        assert_eq!(store.to_vec().unwrap()[8..][..2048], bytes[..2048]);
    });
}

#[test]
fn a8_an_immutable_buffer_is_read_and_not_written() {
    Isolate::new().unwrap().enter(|scope| {
        static WORDS: [u64; 4] = [1, 2, 3, 4];
        let store = FrozenStore::from_owner(&WORDS[..]).unwrap();
        let (buffer, _) = scope.expose_or_copy(&store.clone().into()).unwrap();
        scope.set_global("i", &buffer).unwrap();
        for (source, expected) in [
            ("const s = i.slice(8, 24); return [words(s), s.immutable, s.byteLength]", "2,3,false,16"),
            ("const s = i.slice(); new BigUint64Array(s)[0] = 9n; return [words(s), words(i)]", "9,2,3,4,1,2,3,4"),
            ("const s = i.sliceToImmutable(8, 24); return [words(s), s.immutable, s.byteLength]", "2,3,true,16"),
            ("const s = i.sliceToImmutable(); return [words(s), s.immutable, s === i]", "1,2,3,4,true,false"),
            ("const s = i.sliceToImmutable(5, 5); return [s.byteLength, s.immutable]", "0,true"),
            ("const s = new ArrayBuffer(16).sliceToImmutable(8); return [s.byteLength, s.immutable]", "8,true"),
            ("const s = new Uint8Array(i).slice(8, 9); return [s.length, s.buffer.immutable]", "1,false"),
        ] {
            let words = "const words = (b) => [...new BigUint64Array(b)].join()";
            assert_eq!(run(scope, &format!("{words}; {source}")), expected, "{source}");
        }
        // Only an immutable result is refused.
        let thrown = run(
            scope,
            "const b = new ArrayBuffer(8); b.constructor = { [Symbol.species]: function () { return i } }; return b.slice()",
        );
        assert!(thrown.starts_with("TypeError") && thrown.contains("immutable"), "{thrown}");
        assert_eq!(&*store, bytemuck::cast_slice::<u64, u8>(&WORDS));
    });
}

/// The steps of ECMAScript 25.1.6.7 and 25.2.5.6.
#[test]
fn slices_are_those_of_ecmascript() {
    const CASES: &[(&str, &str)] = &[
        ("return bytes(b.slice())", "0,1,2,3,4,5,6,7"),
        ("return bytes(b.slice(2))", "2,3,4,5,6,7"),
        ("return bytes(b.slice(-3, -1))", "5,6"),
        ("return bytes(b.slice(6, 2))", ""),
        ("return bytes(b.slice(-100, 100))", "0,1,2,3,4,5,6,7"),
        ("return bytes(b.slice(Infinity))", ""),
        ("return bytes(b.slice(-Infinity, 1))", "0"),
        ("return bytes(b.slice('1', { valueOf: () => 3.9 }))", "1,2"),
        ("return bytes(b.slice(NaN, undefined))", "0,1,2,3,4,5,6,7"),
        ("return bytes(b.slice(0, null))", ""),
        ("return bytes(b.slice(-0.5, 1))", "0"),
        ("return b.slice(1n)", "TypeError"),
        ("return b.slice(Symbol())", "TypeError"),
        ("return ArrayBuffer.prototype.slice.call({})", "TypeError"),
        ("return ArrayBuffer.prototype.slice.call(new SharedArrayBuffer(1))", "TypeError"),
        ("return SharedArrayBuffer.prototype.slice.call(b)", "TypeError"),
        ("b.transfer(); return b.slice()", "TypeError"),
        ("return b.slice({ valueOf() { b.transfer(); return 0 } })", "TypeError"),
        ("return b.sliceToImmutable({ valueOf() { b.transfer(); return 0 } })", "TypeError"),
        ("return b.slice().constructor === ArrayBuffer", "true"),
        ("b.constructor = undefined; return bytes(b.slice(7))", "7"),
        ("b.constructor = 1; return b.slice(7)", "TypeError"),
        ("b.constructor = null; return b.slice(7)", "TypeError"),
        ("b.constructor = {}; return bytes(b.slice(7))", "7"),
        ("b.constructor = { [Symbol.species]: null }; return bytes(b.slice(7))", "7"),
        ("b.constructor = { [Symbol.species]: () => 0 }; return b.slice(7)", "TypeError"),
        ("of(() => b); return b.slice()", "TypeError"),
        ("of(() => ({})); return b.slice()", "TypeError"),
        ("of(() => new SharedArrayBuffer(8)); return b.slice()", "TypeError"),
        ("of(() => new ArrayBuffer(7)); return b.slice()", "TypeError"),
        ("of(() => new ArrayBuffer(9)); return bytes(b.slice(4))", "4,5,6,7,0,0,0,0,0"),
        ("of((n) => { const d = new ArrayBuffer(n); d.transfer(); return d }); return b.slice()", "TypeError"),
        ("of((n) => { b.transfer(); return new ArrayBuffer(n) }); return b.slice()", "TypeError"),
        ("let seen; of((n) => { seen = n; return new ArrayBuffer(n) }); b.slice(1, 4); return seen", "3"),
        (
            "const r = new ArrayBuffer(8, { maxByteLength: 8 }); new Uint8Array(r).fill(7); r.constructor = { [Symbol.species]: function (n) { r.resize(5); return new ArrayBuffer(n) } }; return bytes(r.slice(2))",
            "7,7,7,0,0,0",
        ),
        (
            "const r = new ArrayBuffer(8, { maxByteLength: 8 }); r.constructor = { [Symbol.species]: function (n) { r.resize(1); return new ArrayBuffer(n) } }; return bytes(r.slice(2))",
            "0,0,0,0,0,0",
        ),
        ("const r = new ArrayBuffer(8, { maxByteLength: 8 }); return r.slice().resizable", "false"),
        (
            "const r = new ArrayBuffer(8, { maxByteLength: 8 }); return r.sliceToImmutable(0, { valueOf() { r.resize(3); return 5 } })",
            "RangeError",
        ),
        (
            "const r = new ArrayBuffer(8, { maxByteLength: 8 }); return r.sliceToImmutable(0, { valueOf() { r.resize(5); return 5 } }).byteLength",
            "5",
        ),
        ("return bytes(s.slice(1, 3))", "1,2"),
        ("return s.slice(4) instanceof SharedArrayBuffer", "true"),
        ("s.constructor = { [Symbol.species]: function () { return s } }; return s.slice(4)", "TypeError"),
        ("s.constructor = { [Symbol.species]: function () { return b } }; return s.slice(4)", "TypeError"),
        ("class C extends ArrayBuffer {}; return new C(4).slice(1) instanceof C", "true"),
        (
            "const { slice, sliceToImmutable } = ArrayBuffer.prototype; return [slice.name, slice.length, sliceToImmutable.name, sliceToImmutable.length, 'prototype' in slice]",
            "slice,2,sliceToImmutable,2,false",
        ),
        ("const { slice } = SharedArrayBuffer.prototype; return [slice.name, slice.length]", "slice,2"),
        ("return new ArrayBuffer.prototype.slice(1)", "TypeError"),
    ];
    for (source, expected) in CASES {
        Isolate::new().unwrap().enter(|scope| {
            let prelude = "const b = new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7]).buffer, s = new SharedArrayBuffer(8);
                 new Uint8Array(s).set([0, 1, 2, 3, 4, 5, 6, 7]);
                 const bytes = (b) => [...new Uint8Array(b)];
                 const of = (f) => { b.constructor = { [Symbol.species]: function (n) { return f(n) } } };";
            let found = run(scope, &format!("{prelude} {source}"));
            let found = if expected.ends_with("Error") { found.split(':').next().unwrap() } else { &found };
            assert_eq!(found, *expected, "{source}");
        });
    }
}

#[test]
fn a8_script_that_replaces_everything_is_asked_nothing() {
    Isolate::new().unwrap().enter(|scope| {
        let found = run(
            scope,
            "const { slice, sliceToImmutable, transfer, resize } = ArrayBuffer.prototype;
             const b = new Uint8Array([1, 2, 3, 4]).buffer, r = new ArrayBuffer(4, { maxByteLength: 8 });
             const s = new SharedArrayBuffer(4);
             const methods = { slice, sliceToImmutable, transfer, resize, shared: SharedArrayBuffer.prototype.slice };
             const define = Object.defineProperty, typed = Object.getPrototypeOf(Uint8Array.prototype);
             let asked = 0;
             const traps = [
               [Uint8Array.prototype, ['constructor']], [typed, ['set', 'subarray', 'slice', 'length', 'buffer']],
               [ArrayBuffer.prototype, ['byteLength', 'detached', 'immutable', 'resizable', 'maxByteLength', 'transfer']],
               [SharedArrayBuffer.prototype, ['byteLength']], [Math, ['min', 'max', 'trunc']], [Reflect, ['apply']],
               [WeakMap.prototype, ['has', 'get', 'set']], [Function.prototype, ['call', 'apply', 'bind']],
               [Object.prototype, ['0', '1', '2', 'first', 'final', 'count', 'get', 'value', 'set']],
               [globalThis, ['Uint8Array', 'ArrayBuffer', 'SharedArrayBuffer', 'TypeError', 'RangeError', 'Math']],
               [Array.prototype, ['map', Symbol.iterator]],
             ];
             const trap = { __proto__: null, get() { asked++ }, set() { asked++ }, configurable: true };
             for (let n = 0; n < traps.length; n++)
               for (let m = 0; m < traps[n][1].length; m++) define(traps[n][0], traps[n][1][m], trap);
             const own = { __proto__: null, configurable: true, value: undefined };
             const method = (object, name, as) => { own.value = methods[as]; define(object, name, own) };
             method(b, 'slice', 'slice'); method(b, 'sliceToImmutable', 'sliceToImmutable');
             method(b, 'transfer', 'transfer'); method(r, 'resize', 'resize'); method(s, 'slice', 'shared');
             asked = 0;
             b.slice(1); b.sliceToImmutable(2); r.resize(0); r.resize(6); b.transfer(5); s.slice(1);
             return asked",
        );
        assert_eq!(found, "0");
    });
}
