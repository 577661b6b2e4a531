//! Read-only memory: every way that we know for script to write to a buffer, tried on a mapped page that faults on
//! a write.

use std::fs;

use offheap_quickjs::offheap::{BackingStore, FrozenStore, MapMode, Mapped};
use offheap_quickjs::{
    BackingStoreExt, CopyReason, Error, Exposure, FrozenStoreExt, Handle, Isolate, JsArrayBuffer, Scope,
};

use crate::common::in_own_context;

const TYPES: [&str; 12] = [
    "Int8Array",
    "Uint8Array",
    "Uint8ClampedArray",
    "Int16Array",
    "Uint16Array",
    "Int32Array",
    "Uint32Array",
    "Float16Array",
    "Float32Array",
    "Float64Array",
    "BigInt64Array",
    "BigUint64Array",
];

/// Scripts with `t`, a typed array of the type `T` over the whole buffer, and `v` and `w`, values for it.
const EACH_TYPE: &[&str] = &[
    "t[0] = v",
    "'use strict'; t[0] = v",
    "t['0'] = v",
    "t[0] += v",
    "t[0]++",
    "--t[1]",
    "t[0] ||= v",
    "t[0] &&= v",
    "t[0] **= v",
    "t[0] = { valueOf() { return v } }",
    "t.fill(v)",
    "t.fill(v, 1, 2)",
    "t.set([v, w])",
    "t.set(new T([v, w]), 1)",
    "t.set({ length: 1, 0: v })",
    "t.set(t, 1)",
    "t.copyWithin(0, 1)",
    "t.copyWithin(1, 0, 1)",
    "t.sort()",
    "t.sort(() => -1)",
    "t.reverse()",
    "Array.prototype.fill.call(t, v)",
    "Array.prototype.copyWithin.call(t, 0, 1)",
    "Array.prototype.reverse.call(t)",
    "Array.prototype.sort.call(t)",
    "Array.prototype.sort.call(t, () => -1)",
    "Array.prototype.splice.call(t, 0, 1, v)",
    "Array.prototype.push.call(t, v)",
    "Array.prototype.pop.call(t)",
    "Array.prototype.shift.call(t)",
    "Array.prototype.unshift.call(t, v)",
    "Object.defineProperty(t, 0, { value: v })",
    "Object.defineProperty(t, 0, { value: v, writable: true, enumerable: true, configurable: true })",
    "Object.defineProperties(t, { 0: { value: v }, 1: { value: w } })",
    "Object.assign(t, [v, w])",
    "Object.assign(t, { 1: v })",
    "Reflect.set(t, 0, v)",
    "Reflect.set({}, 0, v, t)",
    "Reflect.set([w], 0, v, t)",
    "Reflect.set(Object.create(t), 0, v, t)",
    "Reflect.defineProperty(t, 0, { value: v })",
    "Reflect.deleteProperty(t, 0)",
    "'use strict'; delete t[0]",
    "[t[0], t[1]] = [v, w]",
    "({ a: t[0], b: t[1] } = { a: v, b: w })",
    "[...t[0]] = [v]",
    "for (t[0] of [v, w]);",
    "for (t[0] in { 5: 1 });",
    "new (class extends (class { constructor() { return t } }) { 0 = v })()",
    "new (class extends (class { constructor() { return t } }) { ['1'] = v })()",
    "new (class extends (class { constructor() { return t } }) { constructor() { super(); super[0] = v } })()",
    "({ __proto__: t, go() { super[0] = v } }).go.call(t)",
    "({ __proto__: t, go() { super[0] += v } }).go.call(t)",
    "Object.create(t)[0] = v",
    "new Proxy(t, {})[0] = v",
    "new Proxy(t, { set: Reflect.set })[0] = v",
    "Object.defineProperty(new Proxy(t, {}), 0, { value: v })",
    "with (t) { length = v }",
    "Array.from.call(function () { return t }, [v, w])",
    "Array.of.call(function () { return t }, v, w)",
    "T.from.call(function () { return t }, [v, w])",
    "T.of.call(function () { return t }, v, w)",
    "const s = new T([v, w]); s.constructor = { [Symbol.species]: function () { return t } }; s.slice()",
    "const s = new T([v, w]); s.constructor = { [Symbol.species]: function () { return t } }; s.map((x) => x)",
    "const s = new T([v, w]); s.constructor = { [Symbol.species]: function () { return t } }; s.filter(() => true)",
    "const s = new T([v, w]); s.constructor = { [Symbol.species]: function () { return t } }; s.subarray(0).fill(v)",
    "const s = new T([v, w]); s.constructor = { [Symbol.species]: function () { return t.subarray(1) } }; s.slice(0, 1)",
    "const s = [v, w]; s.constructor = { [Symbol.species]: function () { return t } }; s.map((x) => x)",
    "const s = [v, w]; s.constructor = { [Symbol.species]: function () { return t } }; s.filter(() => true)",
    "const s = [v, w]; s.constructor = { [Symbol.species]: function () { return t } }; s.slice()",
    "const s = [v, w]; s.constructor = { [Symbol.species]: function () { return t } }; s.splice(0, 2)",
    "const s = [v, w]; s.constructor = { [Symbol.species]: function () { return t } }; s.concat([v])",
    "const s = [[v], [w]]; s.constructor = { [Symbol.species]: function () { return t } }; s.flat()",
    "const s = [v, w]; s.constructor = { [Symbol.species]: function () { return t } }; s.flatMap((x) => [x])",
    "JSON.parse('[1, 2]', function (key, value) { return key === '' ? value : Reflect.set(t, key, v) })",
    "JSON.parse('{\"a\": 1}', function (key, value) { if (key === 'a') { this.b = t } return value })",
    "JSON.parse('[[5, 6], 1]', function (key) { if (key === '0' && Array.isArray(this[0])) { this[1] = t } return v })",
    "Object.fromEntries([[0, v]].map((e) => (t[e[0]] = e[1], e)))",
    "Object.setPrototypeOf(t, null); t[0] = v",
    "Object.freeze(t)",
    "Object.seal(t)[0] = v",
    "Object.preventExtensions(t)[0] = v",
    "t.subarray(0, 1)[0] = v",
    "t.subarray(0).fill(v)",
    "new T(t.buffer)[0] = v",
    "new T(t.buffer, t.BYTES_PER_ELEMENT, 1)[0] = v",
    "t.toSorted()[0] = v; t.toReversed()[0] = v; t.with(0, v)[1] = w; t.slice()[0] = v",
    "Reflect.apply(t.fill, t, [v])",
    "Function.prototype.call.call(T.prototype.set, t, [v])",
    "const { fill } = Object.getPrototypeOf(T.prototype); fill.bind(t)(v)",
    "const m = new (class extends T {})(t.buffer); m[0] = v; m.fill(v)",
    "function f() { arguments[0][0] = v } f(t)",
    "(function* () { [t[0]] = [yield v] })().next()",
    "eval('t[0] = v'); new Function('t', 'v', 't[0] = v')(t, v)",
    "[v].forEach(Reflect.set.bind(null, t, 0, v))",
    "Object.groupBy([v], () => (t[0] = v, 'k'))",
    "`${{ toString() { t[0] = v; return '' } }}`",
];

/// `Atomics` that write, with `t`, `v` and `w` as in `EACH_TYPE`.
const ATOMICS: &[&str] = &[
    "Atomics.add(t, 0, v)",
    "Atomics.and(t, 0, v)",
    "Atomics.compareExchange(t, 0, t[0], v)",
    "Atomics.exchange(t, 0, v)",
    "Atomics.or(t, 0, v)",
    "Atomics.store(t, 0, v)",
    "Atomics.sub(t, 0, v)",
    "Atomics.xor(t, 0, v)",
];

/// Ways around the replaced `Atomics`. `name` is one of their names, and `use(f)` tries to write with `f`.
const AROUND_ATOMICS: &[&str] = &[
    "const { [name]: f } = Atomics; use(f)",
    "use((...a) => Reflect.apply(Atomics[name], undefined, a))",
    "use(Atomics[name].bind(Atomics))",
    "use((...a) => Atomics[name].call(null, ...a))",
    "use(new Proxy(Atomics[name], {}))",
    "use(Object.create(Atomics)[name])",
    "use((a, i, ...r) => Atomics[name](new Proxy(a, {}), i, ...r))",
    "use((a, i, ...r) => Atomics[name](Object.create(a), i, ...r))",
    "use((a, i, ...r) => Atomics[name](Object.setPrototypeOf(a, null), i, ...r))",
    "use((a, i, ...r) => Atomics[name](a, { valueOf() { return 0 } }, ...r))",
    "Array.prototype[Symbol.iterator] = function* () { yield 1 }; use(Atomics[name])",
    "Object.prototype.length = 0; try { use(Atomics[name]) } finally { delete Object.prototype.length }",
    "Reflect.apply = (f) => use(f); Function.prototype.apply = (f) => use(f); use(Atomics[name])",
    "Function.prototype.call = function () { return use(this) }; use(Atomics[name])",
    "TypeError = function () { return { __proto__: null } }; use(Atomics[name])",
    "use(Atomics[name].prototype?.constructor ?? Atomics[name].constructor.prototype)",
    "let f; try { f = Object.getOwnPropertyDescriptor(Atomics, name).value.caller } catch {} if (f) use(f); use(Atomics[name])",
    "const g = Object.getOwnPropertyNames(Atomics[name]).map((k) => { try { return Atomics[name][k] } catch {} }); for (const f of g) if (typeof f === 'function') use(f); use(Atomics[name])",
    // A stack frame would reveal the function that runs there.
    "const found = []; Error.prepareStackTrace = (e, frames) => { for (const f of frames) found.push(f.getFunction?.(), f.getThis?.()); return '' };
     const other = new (T.name.startsWith('Big') ? BigInt64Array : Int32Array)(4);
     try { Atomics[name](other, { valueOf() { new Error().stack; return 0 } }, { valueOf() { new Error().stack; return v } }, { valueOf() { new Error().stack; return v } }) } catch {}
     try { Atomics[name](other, 99, v, v) } catch (e) { e.stack }
     try { Atomics[name](1, 2, 3) } catch (e) { e.stack }
     try { Atomics[name](other, 0, Symbol(), Symbol()) } catch (e) { e.stack }
     try { (function deep() { Atomics[name](other, { valueOf: deep }, v, v) })() } catch (e) { e.stack }
     Error.prepareStackTrace = undefined;
     for (const f of found) if (typeof f === 'function' && f.name === name) use(f); use(Atomics[name])",
    "const o = {}; Error.captureStackTrace?.(o); String(o.stack); use(Atomics[name])",
];

/// Scripts with the buffer `b`, and `d`, a DataView of it.
const ONCE: &[&str] = &[
    "b.resize(8)",
    "b.resize(b.byteLength)",
    "b.transfer()",
    "b.transfer(0)",
    "b.transfer(8)",
    "b.transferToFixedLength()",
    "b.transferToFixedLength(64)",
    "b.transferToImmutable()",
    "ArrayBuffer.prototype.transfer.call(b, { valueOf() { return 8 } })",
    "Object.setPrototypeOf(b, null); ArrayBuffer.prototype.resize.call(b, 1)",
    "new ArrayBuffer(b)",
    "SharedArrayBuffer.prototype.grow.call(b, 64)",
    "const s = new ArrayBuffer(32); s.constructor = { [Symbol.species]: function () { return b } }; s.slice()",
    "const s = new ArrayBuffer(32); s.constructor = { [Symbol.species]: function () { return b } }; s.slice(0, 8)",
    "new Uint8Array(b).setFromBase64('AQIDBAUG')",
    "new Uint8Array(b).setFromBase64('AQID', { alphabet: 'base64url', lastChunkHandling: 'strict' })",
    "new Uint8Array(b).setFromHex('010203040506')",
    "new TextEncoder().encodeInto('abc', new Uint8Array(b))",
    "crypto.getRandomValues(new Uint8Array(b))",
    "b[0] = 1; if (new Uint8Array(b)[0] === 1) throw 'written'",
    "b.byteLength = 1",
    "b.immutable = false; new Uint8Array(b)[0] = 9",
    "Object.defineProperty(b, 'immutable', { value: false }); new Uint8Array(b).fill(9)",
    "Object.defineProperty(b, 'length', { value: 0 }); new Uint8Array(b).fill(9)",
    "new Float32Array(b, 4, 1).fill(9); new BigInt64Array(b, 8)[0] = 9n",
    "Atomics.notify(new Int32Array(b), 0, 1)",
    "Atomics.wait(new Int32Array(b), 0, 0, 0)",
    "new WeakRef(b).deref().transfer()",
    "Iterator.from(new Uint8Array(b)).forEach((x, i) => { new Uint8Array(b)[i] = 9 })",
    "class A extends ArrayBuffer { constructor() { super(8); return b } } new Uint8Array(new A())[0] = 9",
    "import('nowhere'); new Uint8Array(b)[0] = 9",
];

const SETTERS: [(&str, &str); 11] = [
    ("setInt8", "7"),
    ("setUint8", "7"),
    ("setInt16", "7"),
    ("setUint16", "7"),
    ("setInt32", "7"),
    ("setUint32", "7"),
    ("setFloat16", "7"),
    ("setFloat32", "7"),
    ("setFloat64", "7"),
    ("setBigInt64", "7n"),
    ("setBigUint64", "7n"),
];

/// All of the scripts, as source texts that use the global `ro`.
fn paths() -> Vec<String> {
    let mut paths = Vec::new();
    for name in TYPES {
        let (v, w) = if name.starts_with("Big") { ("77n", "33n") } else { ("77", "33") };
        let is_float = name.starts_with("Float");
        let atomics = ATOMICS.iter().filter(|_| !is_float && name != "Uint8ClampedArray");
        for path in EACH_TYPE.iter().chain(atomics) {
            // A directive counts only at the beginning.
            let (directive, path) =
                path.strip_prefix("'use strict'; ").map_or(("", *path), |path| ("'use strict'; ", path));
            paths.push(format!(
                "(function () {{ {directive}const T = {name}, t = new T(ro), v = {v}, w = {w}; {path} }})()"
            ));
        }
    }
    for (setter, value) in SETTERS {
        for arguments in ["0, VALUE", "1, VALUE, true", "{ valueOf() { return 2 } }, { valueOf() { return VALUE } }"] {
            let arguments = arguments.replace("VALUE", value);
            paths.push(format!("new DataView(ro).{setter}({arguments})"));
            paths.push(format!("DataView.prototype.{setter}.call(new DataView(ro, 8, 8), {arguments})"));
        }
    }
    for path in ONCE {
        paths.push(format!("(function () {{ const b = ro, d = new DataView(ro); {path} }})()"));
    }
    paths
}

/// All of the scripts that change script's own global environment, each for a separate isolate.
fn paths_around_atomics() -> Vec<String> {
    let mut paths = Vec::new();
    for name in ["add", "and", "compareExchange", "exchange", "or", "store", "sub", "xor"] {
        for (ty, v) in [("Int32Array", "77"), ("BigUint64Array", "77n"), ("Uint8Array", "77")] {
            for path in AROUND_ATOMICS {
                paths.push(format!(
                    "const name = '{name}', T = {ty}, v = {v};
                     const use = (f) => {{ try {{ f(new T(ro), 0, v, v) }} catch {{}} try {{ f(new T(ro), 0, new T(ro)[0], v) }} catch {{}} }};
                     try {{ (function () {{ {path} }})() }} catch {{}} undefined"
                ));
            }
        }
    }
    paths
}

/// Runs a script. It may throw a TypeError, or its syntax may be missing, but the bytes must not change.
fn try_path(scope: &mut Scope<'_>, path: &str, buffer: &Handle<JsArrayBuffer>, expected: &[u8], store: &BackingStore) {
    scope.set_global("ro", buffer).unwrap();
    let outcome = scope.eval::<()>(&format!("{path}; 0"));
    assert!(store.to_vec().unwrap() == expected, "{path} wrote: {:?}", outcome);
    if let Err(error) = outcome {
        let text = error.to_string();
        let refused = text.contains("TypeError") || text.contains("is not defined");
        assert!(refused, "{path}: {text}");
    }
    let state = scope.state(buffer).unwrap();
    assert!(state.immutable && !state.detached && state.byte_length == expected.len(), "{path} changed it");
}

/// A read-only map of a page. All its bytes differ from the values that the scripts write.
fn read_only_map() -> (Mapped, Vec<u8>) {
    let path = std::env::temp_dir().join(format!(
        "offheap-read-only-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let bytes: Vec<u8> = (0..64).map(|n| 0x40 + n).collect();
    fs::write(&path, &bytes).unwrap();
    let map = Mapped::open(&path, MapMode::ReadOnly).unwrap();
    fs::remove_file(&path).unwrap();
    (map, bytes)
}

#[test]
fn no_path_writes_a_read_only_map() {
    let (map, bytes) = read_only_map();
    let mut isolate = Isolate::new().unwrap();
    let paths = paths();
    isolate.enter(|scope| {
        let buffer = scope.expose(map.store()).unwrap();
        for path in &paths {
            try_path(scope, path, &buffer, &bytes, map.store());
        }
        assert!(matches!(scope.bytes_mut(&buffer).unwrap_err(), Error::Immutable { .. }));
        assert!(matches!(scope.transfer(&buffer, None).unwrap_err(), Error::Immutable { .. }));
        assert!(matches!(scope.resize(&buffer, 8).unwrap_err(), Error::Immutable { .. }));
        assert!(matches!(scope.detach(&buffer, None).unwrap_err(), Error::Immutable { .. }));
        assert!(matches!(scope.copy_in(map.store(), 0, &[1_u8]).unwrap_err(), Error::Memory(_)));
    });
    println!("{} write paths on a read-only map", paths.len());
}

#[test]
fn no_way_around_the_replaced_atomics_writes_a_read_only_map() {
    let (map, bytes) = read_only_map();
    let paths = paths_around_atomics();
    for path in &paths {
        let mut isolate = Isolate::new().unwrap();
        isolate.enter(|scope| {
            let buffer = scope.expose(map.store()).unwrap();
            scope.set_global("ro", &buffer).unwrap();
            let _ = scope.eval::<()>(path);
            assert!(map.store().to_vec().unwrap() == bytes, "{path}");
        });
    }
    println!("{} ways around Atomics on a read-only map", paths.len());
}

#[test]
fn no_path_writes_a_frozen_store() {
    static WORDS: [u64; 8] = [0x4142_4344_4546_4748; 8];
    let frozen = FrozenStore::from_owner(&WORDS[..]).unwrap();
    let bytes = frozen.to_vec();
    let store = BackingStore::from(frozen.clone());
    let mut isolate = Isolate::new().unwrap();
    let paths = paths();
    isolate.enter(|scope| {
        let (buffer, exposure) = scope.expose_or_copy(&frozen.clone().into()).unwrap();
        assert_eq!(exposure, Exposure::External);
        for path in &paths {
            try_path(scope, path, &buffer, &bytes, &store);
        }
        assert_eq!(&scope.bytes(&buffer).unwrap()[..], &frozen[..]);
    });
    println!("{} write paths on a frozen store", paths.len());
}

/// The positive control: the same scripts do write to a writable buffer.
#[test]
fn most_paths_write_where_it_is_allowed() {
    let mut written = 0;
    let paths = paths();
    let mut isolate = Isolate::new().unwrap();
    for path in &paths {
        isolate.enter(|scope| {
            let made =
                "globalThis.ro = new ArrayBuffer(64); new Uint8Array(ro).forEach((_, i, a) => { a[i] = 0x40 + i }); ro";
            let buffer = scope.eval_buffer(made).unwrap();
            let _ = scope.eval::<()>(&format!("{path}; 0"));
            // Some paths take the memory away.
            let unchanged = scope.bytes(&buffer).is_ok_and(|bytes| bytes.iter().copied().eq(0x40..0x80));
            written += usize::from(!unchanged);
        });
    }
    println!("{written} of {} paths write a buffer that is not immutable", paths.len());
    assert!(written * 10 > paths.len() * 7, "{written} of {}", paths.len());
}

#[test]
fn a_stack_frame_does_not_give_its_function() {
    Isolate::new().unwrap().enter(|scope| {
        let found: String = scope
            .eval(
                "Error.prepareStackTrace = (e, frames) => frames;
                 let frames; Atomics.store(new Int32Array(1), 0, { valueOf() { frames = new Error().stack; return 1 } });
                 [frames.length > 2, ...new Set(frames.map((f) => typeof f.getFunction()))].join()",
            )
            .unwrap();
        assert_eq!(found, "true,undefined");
    });
}

#[test]
fn frozen_memory_in_your_own_context_is_copied_and_says_so() {
    static WORDS: [u64; 2] = [1, 2];
    let frozen = FrozenStore::from_owner(&WORDS[..]).unwrap();
    in_own_context(|ctx| {
        let (buffer, exposure) = frozen.expose(ctx).unwrap();
        assert_eq!(exposure, Exposure::Copied { reason: CopyReason::ImmutableNotEnforced });
        assert!(!exposure.is_external());
        ctx.globals().set("ro", buffer).unwrap();
        crate::common::run(ctx, "if (!ro.immutable) throw 1; Atomics.store(new Int32Array(ro), 0, 9)");
        assert_eq!(WORDS[0], 1);
        let error = BackingStore::from(frozen.clone()).expose(ctx).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        let (map, _) = read_only_map();
        assert!(matches!(map.store().expose(ctx).unwrap_err(), Error::Unsupported { .. }));
        assert_eq!(frozen.reference_count(), 1);
    });
}

#[test]
fn misaligned_frozen_memory_is_copied_and_says_so() {
    #[repr(align(8))]
    struct Aligned([u8; 16]);
    static BYTES: Aligned = Aligned([5; 16]);
    Isolate::new().unwrap().enter(|scope| {
        for (start, reason) in [(0, None), (1, Some(CopyReason::Misaligned)), (8, None), (16, None)] {
            let frozen = FrozenStore::from_owner(&BYTES.0[start..]).unwrap();
            let (buffer, exposure) = scope.expose_or_copy(&frozen.clone().into()).unwrap();
            let expected = reason.map_or(Exposure::External, |reason| Exposure::Copied { reason });
            assert_eq!(exposure, expected, "from {start} on");
            let state = scope.state(&buffer).unwrap();
            assert!(state.immutable && !state.resizable && state.byte_length == 16 - start);
        }
    });
}

#[test]
fn frozen_memory_may_be_in_any_number_of_isolates() {
    static WORDS: [u64; 2] = [1, 2];
    let frozen = FrozenStore::from_owner(&WORDS[..]).unwrap();
    let mut isolates: Vec<Isolate> = (0..3).map(|_| Isolate::new().unwrap()).collect();
    for isolate in &mut isolates {
        isolate.enter(|scope| {
            let (buffer, _) = scope.expose_or_copy(&frozen.clone().into()).unwrap();
            scope.set_global("ro", &buffer).unwrap();
            assert_eq!(scope.eval::<u32>("new Uint32Array(ro)[2]").unwrap(), 2);
        });
    }
    assert_eq!(frozen.reference_count(), 4);
    drop(isolates);
    assert_eq!(frozen.reference_count(), 1);
}

#[test]
fn c22_a_read_only_map_in_a_context_of_the_program_is_refused_with_advice_that_works() {
    let (map, bytes) = read_only_map();
    in_own_context(|ctx| {
        let message = map.store().expose(ctx).unwrap_err().to_string();
        assert!(message.ends_with("use an `Isolate`, or let `expose_or_copy` make a copy of its bytes"), "{message}");
        let (copy, exposure) = map.store().expose_or_copy(ctx).unwrap();
        assert_eq!(exposure, Exposure::Copied { reason: CopyReason::ImmutableNotEnforced });
        ctx.globals().set("copy", copy).unwrap();
        assert_eq!(ctx.eval::<Vec<u8>, _>("Array.from(new Uint8Array(copy))").unwrap(), bytes);
    });
}
