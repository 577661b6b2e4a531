//! Native functions with a scope, where they could break memory safety: deep recursion, calls in the middle of QuickJS's own
//! functions, and handlers that use handles.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::thread;

use offheap_quickjs::offheap::{BackingStore, UniqueStore};
use offheap_quickjs::{
    Handle, Isolate, JsArrayBuffer, JsArrayBufferView, JsFunction, Local, ManuallyExternalizedBuffer, Scope, Value,
};

#[test]
fn endless_recursion_of_native_functions_ends_with_an_error() {
    for kib in [256, 512, 2048] {
        thread::Builder::new()
            .stack_size(kib << 10)
            .spawn(|| {
                let mut isolate = Isolate::new().unwrap();
                isolate.enter(|scope| {
                    let again = scope
                        .function("again", |scope, _| {
                            let again: Local<'_, JsFunction> = scope.global("again")?;
                            scope.call::<u32>(&again, ()).map(Value::from)
                        })
                        .unwrap();
                    scope.set_global("again", &again).unwrap();
                    let error = scope.call::<u32>(&again, ()).unwrap_err();
                    assert!(error.to_string().contains("RangeError: Maximum call stack size"), "{error}");
                    assert_eq!(scope.eval::<u32>("1 + 1").unwrap(), 2);
                });
            })
            .unwrap()
            .join()
            .unwrap();
    }
}

/// rquickjs's feature `parallel` begins a new stack with each call of script.
#[test]
fn endless_recursion_of_native_functions_at_the_end_of_the_stack_ends_with_an_error() {
    const SCRIPT: &str = "let most = 0;
        const count = (n) => { most = n; count(n + 1) };
        try { count(0) } catch {}
        let reached = 0;
        globalThis.endless = () => { reached = 1; return endless() + 1 };
        const down = (n) => n > 0 ? down(n - 1) : native();
        let error;
        for (let n = most; n > 0 && !reached; n--) try { down(n) } catch (e) { error = e }
        reached + error.name";
    for source in ["() => run()", "() => call(endless)"] {
        for kib in [256, 512, 2048] {
            let run = move || {
                Isolate::new().unwrap().enter(|scope| {
                    let run =
                        scope.function("run", |scope, _| scope.eval::<u32>("endless()").map(Value::from)).unwrap();
                    let call = scope.function("call", |scope, arguments| {
                        let endless: Local<'_, JsFunction> = arguments.get(scope, 0)?;
                        scope.call::<u32>(&endless, ()).map(Value::from)
                    });
                    scope.set_global("run", &run).unwrap();
                    scope.set_global("call", call.unwrap()).unwrap();
                    scope.eval::<()>(&format!("globalThis.native = {source}; undefined")).unwrap();
                    assert_eq!(scope.eval::<String>(SCRIPT).unwrap(), "1RangeError", "{source}, {kib} KiB");
                });
            };
            thread::Builder::new().stack_size(kib << 10).spawn(run).unwrap().join().unwrap();
        }
    }
}

thread_local! {
    static HANDLES: RefCell<Vec<Handle<JsArrayBuffer>>> = const { RefCell::new(Vec::new()) };
    static ACTIVE: Cell<bool> = const { Cell::new(false) };
}

#[test]
fn a10_an_interrupt_handler_that_uses_handles_is_not_called_inside_itself() {
    let (mut depth, mut most) = (0_u32, 0_u32);
    let (tell, told) = std::sync::mpsc::channel();
    // It is an `FnMut`, so a call inside of another would use `depth` while that one has it.
    let handler = move || {
        if ACTIVE.get() {
            depth += 1;
            while let Some(handle) = HANDLES.with_borrow_mut(Vec::pop) {
                drop(ManuallyExternalizedBuffer::new(handle));
            }
            most = most.max(depth);
            tell.send(most).unwrap();
            depth -= 1;
        }
        false
    };
    let mut isolate = Isolate::builder().interrupt_handler(handler).build().unwrap();
    isolate.enter(|scope| {
        let view: Local<'_, JsArrayBufferView> = scope.eval("new Uint8Array(8)").unwrap();
        for _ in 0..12_000 {
            let handle = scope.eval_buffer("new ArrayBuffer(8)").unwrap().into_handle();
            HANDLES.with_borrow_mut(|handles| handles.push(handle));
        }
        ACTIVE.set(true);
        while HANDLES.with_borrow(|handles| !handles.is_empty()) {
            scope.bytes(&view).unwrap();
        }
        ACTIVE.set(false);
    });
    drop(isolate);
    assert_eq!(told.iter().max(), Some(1));
}

/// Calls of QuickJS that call back: `cb` returns a number, and takes the memory of `v` the first time.
const CALLS: &[&str] = &[
    "v.fill({ valueOf: cb })",
    "v.fill(1, { valueOf: cb })",
    "v.fill(1, 0, { valueOf: cb })",
    "v.set({ length: 4, get 0() { return cb() }, 1: 2, 2: 3, 3: 4 }, 100)",
    "v.set([1, { valueOf: cb }, 3, 4], 10)",
    "v.set(w, { valueOf: cb })",
    "v.copyWithin({ valueOf: cb }, 10, 700)",
    "v.copyWithin(0, { valueOf: cb }, 700)",
    "v.copyWithin(0, 10, { valueOf: cb })",
    "v.subarray({ valueOf: cb }, 100)",
    "v.slice({ valueOf: cb })",
    "v.slice(0, { valueOf: cb })",
    "v.sort((a, b) => cb())",
    "v.toSorted((a, b) => cb())",
    "v.with(1, { valueOf: cb })",
    "v.with({ valueOf: cb }, 7)",
    "v.at({ valueOf: cb })",
    "v.indexOf(0, { valueOf: cb })",
    "v.lastIndexOf(0, { valueOf: () => cb() + 1000 })",
    "v.includes(0, { valueOf: cb })",
    "v.join({ toString: () => String(cb()) })",
    "v.forEach((x) => cb())",
    "v.map((x) => cb())",
    "v.filter((x) => cb())",
    "v.reduce((x) => cb())",
    "v.reduceRight((x) => cb())",
    "v.find((x) => !cb())",
    "v.findLast((x) => !cb())",
    "v.every((x) => cb())",
    "v.some((x) => !cb())",
    "Uint8Array.from(v, (x) => cb())",
    "Array.from(v, (x) => cb())",
    "new Uint8Array({ [Symbol.iterator]: function* () { yield cb(); yield* v } })",
    "Array.prototype.map.call(v, (x) => cb())",
    "Array.prototype.sort.call(v, (x) => cb())",
    "Array.prototype.fill.call(v, { valueOf: cb })",
    "Array.prototype.splice.call(v, { valueOf: cb }, 1)",
    "Array.prototype.copyWithin.call(v, { valueOf: cb }, 10, 700)",
    "Array.prototype.includes.call(v, 0, { valueOf: cb })",
    "Array.prototype.indexOf.call(v, 0, { valueOf: cb })",
    "Array.prototype.lastIndexOf.call(v, 0, { valueOf: () => cb() + 1000 })",
    "Array.prototype.join.call(v, { toString: () => String(cb()) })",
    "Array.prototype.reverse.call(new Proxy(v, { get(t, k) { cb(); return t[k] } }))",
    "Array.prototype.concat.call([], new Proxy(v, { get(t, k) { cb(); return t[k] }, has() { cb(); return true } }))",
    "JSON.stringify(v, (k, x) => { cb(); return x })",
    "Object.entries(v).map(cb)",
    "Object.assign({}, new Proxy(v, { get(t, k) { cb(); return t[k] } }))",
    "Object.defineProperty(v, 0, { value: { valueOf: cb } })",
    "Reflect.set(v, 0, { valueOf: cb })",
    "v[0] = { valueOf: cb }",
    "v[5] += ({ valueOf: cb })",
    "Atomics.store(v, 0, { valueOf: cb })",
    "Atomics.add(v, { valueOf: cb }, 1)",
    "Atomics.add(v, 0, { valueOf: cb })",
    "Atomics.exchange(v, 0, { valueOf: cb })",
    "Atomics.compareExchange(v, 0, { valueOf: cb }, 1)",
    "Atomics.compareExchange(v, 0, 0, { valueOf: cb })",
    "Atomics.load(v, { valueOf: cb })",
    "Atomics.and(v, 0, { valueOf: cb })",
    "d.setFloat64({ valueOf: cb }, 1)",
    "d.setFloat64(0, { valueOf: cb })",
    "d.setInt32(1000, { valueOf: cb })",
    "d.setBigInt64(8, { valueOf() { return BigInt(cb()) } })",
    "d.getFloat64({ valueOf: cb })",
    "b.slice({ valueOf: cb }, 800)",
    "b.slice(0, { valueOf: cb })",
    "(() => { b.constructor = { [Symbol.species]: function (n) { cb(); return new ArrayBuffer(n) } }; return b.slice(0, 100) })()",
    "(() => { v.constructor = { [Symbol.species]: function (n) { cb(); return new Uint8Array(n) } }; return v.slice(0, 100) })()",
    "(() => { v.constructor = { [Symbol.species]: function (n) { cb(); return new Float64Array(n) } }; return v.slice(0, 100) })()",
    "(() => { v.constructor = { [Symbol.species]: function (n) { cb(); return new Uint8Array(n) } }; return v.map((x) => x) })()",
    "(() => { v.constructor = { [Symbol.species]: function (n) { cb(); return new Uint8Array(n) } }; return v.filter((x) => 1) })()",
    "(() => { v.constructor = { [Symbol.species]: function (x, y, z) { cb(); return new Uint8Array(x, y, z) } }; return v.subarray(8) })()",
    "(() => { class A extends Uint8Array { constructor(n) { super(n); cb() } } return A.from(v) })()",
    "(() => { class A extends Uint8Array { constructor(n) { super(n); cb() } } return A.of(...v) })()",
    "new Uint8Array(b, { valueOf: cb })",
    "new Uint8Array(b, 0, { valueOf: cb })",
    "new DataView(b, { valueOf: cb })",
    "new DataView(b, 0, { valueOf: cb })",
    "b.transfer({ valueOf: cb })",
    "b.transferToFixedLength({ valueOf: cb })",
    "b.transferToImmutable({ valueOf: cb })",
    "b.sliceToImmutable({ valueOf: cb }, 800)",
    "b.sliceToImmutable(0, { valueOf: cb })",
    "b.resize({ valueOf: () => cb() + 800 })",
    "Math.max(...{ *[Symbol.iterator]() { yield cb(); yield* v } })",
    "Math.max.apply(null, v)",
    "String.fromCharCode.apply(null, v)",
    "Reflect.apply(Math.max, null, v)",
    "new Map(Object.entries(v).map(cb).map((x) => [x, x]))",
    "(() => { for (const x of v) cb() })()",
    "(() => { for (const x in v) cb() })()",
    "[...v.entries()].map(cb)",
    "v.toLocaleString()",
    "Array.prototype.toLocaleString.call(v)",
    "(() => { const { a = cb(), ...rest } = v; return rest })()",
    "({ ...new Proxy(v, { ownKeys() { cb(); return Reflect.ownKeys(v) } }) })",
    "new Float64Array(new Proxy(v, { get(t, k) { if (k === 'length') cb(); return t[k] } }))",
];

fn attack(scope: &mut Scope<'_>, make: &str, call: &str, how: u32) {
    scope
        .eval::<Value<'_>>(&*format!(
            "globalThis.b = {make}; globalThis.v = new Uint8Array(b); globalThis.w = new Uint8Array(16).fill(5);
             globalThis.d = new DataView(b); globalThis.cb = () => take(b, v); undefined"
        ))
        .unwrap();
    let taken: Rc<RefCell<Vec<UniqueStore>>> = Rc::default();
    let (count, kept) = (Cell::new(0_u32), Rc::clone(&taken));
    let take = scope
        .function("take", move |scope, arguments| {
            let calls = count.get();
            count.set(calls + 1);
            if calls == how / 4 {
                let buffer: Local<'_, JsArrayBuffer> = arguments.get(scope, 0)?;
                match how % 4 {
                    0 => drop(scope.take(&buffer, None)),
                    1 => {
                        let mut store = scope.take(&buffer, None)?;
                        store.fill(9);
                        let again = scope.expose(&BackingStore::from(store))?;
                        scope.set_global("c", &again)?;
                    }
                    2 => {
                        let store = scope.externalize(&buffer)?;
                        scope.transfer(&buffer, Some(16))?;
                        drop(store);
                    }
                    _ => {
                        let bytes = scope.bytes_mut(&buffer);
                        drop(bytes);
                        if let Ok(store) = scope.take(&buffer, None) {
                            kept.borrow_mut().push(store);
                        }
                    }
                }
            }
            Ok(Value::from(1))
        })
        .unwrap();
    scope.set_global("take", &take).unwrap();
    let source = format!("try {{ {call} }} catch (e) {{ }}; undefined");
    scope.eval::<Value<'_>>(&*source).unwrap_or_else(|error| panic!("{call}: {error}"));
    for store in taken.borrow_mut().drain(..) {
        thread::spawn(move || drop(store)).join().unwrap();
    }
}

#[test]
fn memory_is_taken_in_the_middle_of_every_call() {
    let makes = ["new ArrayBuffer(1024)", "new ArrayBuffer(256)", "new ArrayBuffer(1024, { maxByteLength: 2048 })"];
    // Each takes long under valgrind, where `OFFHEAP_TEST_STRIDE` leaves some out. An odd step reaches every `how`.
    let stride = std::env::var("OFFHEAP_TEST_STRIDE").ok().and_then(|stride| stride.parse().ok()).unwrap_or(1) | 1;
    let mut turn = 0_usize..;
    Isolate::new().unwrap().enter(|scope| {
        for make in makes {
            for call in CALLS {
                for how in 0..8 {
                    if turn.next().is_some_and(|turn| turn % stride == 0) {
                        attack(scope, make, call, how);
                    }
                }
            }
        }
        scope.collect();
    });
}
