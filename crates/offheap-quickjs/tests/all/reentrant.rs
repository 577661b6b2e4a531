//! Externalizing, detaching and moving from inside the engine's own functions, when they call back into script.

use std::cell::RefCell;
use std::rc::Rc;

use offheap_quickjs::offheap::BackingStore;
use offheap_quickjs::rquickjs::{Ctx, Function, Value};
use offheap_quickjs::{BackingStoreExt, Isolate, ScopeExt, Throw, detach};

use crate::common::in_own_context;

/// Each script uses the typed array `t` over the buffer `b` of 16 elements, and calls `hook()` in the middle of one
/// of the engine's functions. Its value is what script sees afterwards.
const SCENES: &[&str] = &[
    "t.sort((x, y) => { hook(); return y - x })",
    "t.toSorted((x, y) => { hook(); return y - x })",
    "t.map((x) => { hook(); return x + 1 })",
    "t.forEach((x, i) => { hook(); t[i] = x * 2 })",
    "t.filter((x) => { hook(); return x & 1 })",
    "t.reduce((sum, x) => { hook(); return sum + x })",
    "t.reduceRight((sum, x) => { hook(); return sum - x })",
    "t.find((x) => { hook(); return x > 5 })",
    "t.findLastIndex((x) => { hook(); return x < 5 })",
    "t.every((x, i) => { hook(); t[15 - i] = x; return true })",
    "t.set({ length: 4, get 0() { hook(); return 9 }, 1: 8, 2: 7, get 3() { hook(); return 6 } }, 2)",
    "t.set([{ valueOf() { hook(); return 3 } }, 4], 5)",
    "t.fill({ valueOf() { hook(); return 77 } }, 2, 5)",
    "t.fill(5, { valueOf() { hook(); return 3 } }, { valueOf() { hook(); return 9 } })",
    "t.includes(7, { valueOf() { hook(); return 1 } })",
    "t.indexOf(7, { valueOf() { hook(); return 1 } })",
    "t.lastIndexOf(7, { valueOf() { hook(); return 15 } })",
    "t.join({ toString() { hook(); return '-' } })",
    "t.with({ valueOf() { hook(); return 2 } }, { valueOf() { hook(); return 99 } })",
    "t.with(0, { valueOf() { hook(); t[5] = 1; return 98 } })",
    "t.copyWithin({ valueOf() { hook(); return 1 } }, { valueOf() { hook(); return 4 } }, 9)",
    "t.at({ valueOf() { hook(); return -1 } })",
    "t.subarray({ valueOf() { hook(); return 2 } }, { valueOf() { hook(); return 9 } })",
    "t.slice({ valueOf() { hook(); return 2 } }, { valueOf() { hook(); return 9 } })",
    "Object.defineProperty(t, 'constructor', { value: { [Symbol.species]: function (n) { hook(); return new Uint8Array(n) } } }); t.slice(3)",
    "Object.defineProperty(t, 'constructor', { value: { [Symbol.species]: function () { hook(); return t } } }); t.slice(3)",
    "Object.defineProperty(t, 'constructor', { value: { [Symbol.species]: function () { hook(); return t } } }); t.map((x) => x + 1)",
    "Object.defineProperty(t, 'constructor', { value: { [Symbol.species]: function (b, o, n) { hook(); return new Uint8Array(b, o, n) } } }); t.subarray(3)",
    "Object.defineProperty(b, 'constructor', { value: { [Symbol.species]: function (n) { hook(); return new ArrayBuffer(n) } } }); b.slice(3)",
    "b.slice({ valueOf() { hook(); return 1 } }, { valueOf() { hook(); return 8 } })",
    "t[3] = { valueOf() { hook(); return 4 } }",
    "t[{ toString() { hook(); return '3' } }] = 5",
    "[t[1], t[2]] = [{ valueOf() { hook(); return 8 } }, 9]",
    "Reflect.set(t, 3, { valueOf() { hook(); return 4 } })",
    "Object.assign(t, { get 2() { hook(); return 200 }, 3: { valueOf() { hook(); return 201 } } })",
    "Object.defineProperty(t, 3, { value: { valueOf() { hook(); return 4 } } })",
    "Atomics.store(t, { valueOf() { hook(); return 1 } }, { valueOf() { hook(); return 200 } })",
    "Atomics.add(t, 1, { valueOf() { hook(); return 200 } })",
    "Atomics.compareExchange(t, 1, 1, { valueOf() { hook(); return 200 } })",
    "Atomics.load(t, { valueOf() { hook(); return 1 } })",
    "d.setInt32({ valueOf() { hook(); return 4 } }, { valueOf() { hook(); return -2 } })",
    "d.setFloat64(0, { valueOf() { hook(); return 1.5 } })",
    "d.getInt32({ valueOf() { hook(); return 4 } })",
    "new Uint8Array(b, { valueOf() { hook(); return 8 } }, { valueOf() { hook(); return 4 } })",
    "new DataView(b, { valueOf() { hook(); return 8 } })",
    "new Uint8Array({ length: 4, get 0() { hook(); return t[3] }, get 1() { hook(); return t[4] } })",
    "Uint8Array.from(t, (x) => { hook(); return x + 1 })",
    "[...t].map((x) => { hook(); return x })",
    "const out = []; for (const x of t) { hook(); out.push(x) } out",
    "Array.prototype.reverse.call(new Proxy(t, { get(o, k) { hook(); return Reflect.get(o, k, o) } })), 0",
    "JSON.stringify(t, (key, value) => { hook(); return value })",
    "t.toString = () => { hook(); return 's' }; `${t}`",
    "new (class extends Uint8Array { constructor(...a) { hook(); super(...a) } })(b, 2)",
    "t.setFromHex ? (Object.defineProperty(t, 'length', { get() { hook(); return 1 } }), t.setFromHex('0a0b')).written : 0",
    "({ __proto__: t, go() { super[2] = { valueOf() { hook(); return 9 } } } }).go()",
];

/// The value of `scene` if `hook` has this body.
fn play<'js>(ctx: &Ctx<'js>, scene: &str, buffer: &str, hook: &str) -> Result<String, String> {
    let source = format!(
        "(() => {{
           globalThis.b = {buffer}; globalThis.t = new Uint8Array(b); globalThis.d = new DataView(b);
           for (let n = 0; n < 16; n++) t[n] = n * 37;
           globalThis.calls = 0;
           globalThis.hook = () => {{ calls++; {hook} }};
           const result = eval({scene:?});
           return JSON.stringify([String(result?.length ?? result), [...(result?.[Symbol.iterator] ? result : [])], [...t],
             d.byteLength, b.byteLength, calls]);
         }})()"
    );
    ctx.eval::<String, _>(source).map_err(|_| {
        let thrown = ctx.catch();
        thrown.get::<offheap_quickjs::rquickjs::Coerced<String>>().map_or_else(|_| "?".into(), |text| text.0)
    })
}

/// Defines `take(buffer)`, which externalizes the buffer and records the store here.
fn define_take(ctx: &Ctx<'_>) -> Rc<RefCell<Vec<BackingStore>>> {
    let taken = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&taken);
    let take = Function::new(ctx.clone(), move |ctx: Ctx<'_>, value: Value<'_>| {
        let store = BackingStore::externalize(value.ctx(), &value).map_err(|error| error.throw(&ctx))?;
        into.borrow_mut().push(store);
        Ok::<_, offheap_quickjs::rquickjs::Error>(())
    });
    ctx.globals().set("take", take).unwrap();
    fn let_go<'js>(ctx: Ctx<'js>, value: Value<'js>) -> offheap_quickjs::rquickjs::Result<()> {
        detach(&ctx, &value, None).map_err(|error| error.throw(&ctx))
    }
    let drop_it = Function::new(ctx.clone(), let_go);
    ctx.globals().set("drop", drop_it).unwrap();
    taken
}

const BUFFERS: [&str; 3] = [
    "new ArrayBuffer(16)",
    "new ArrayBuffer(16, { maxByteLength: 4096 })",
    "new ArrayBuffer(16, { maxByteLength: 16 })",
];

#[test]
fn externalizing_in_the_middle_of_an_engine_function_changes_nothing_for_script() {
    let mut hooked = 0;
    for scene in SCENES {
        for buffer in BUFFERS {
            in_own_context(|ctx| {
                let taken = define_take(ctx);
                let expected = play(ctx, scene, buffer, "");
                assert!(expected.is_ok(), "{scene}: {expected:?}");
                let found = play(ctx, scene, buffer, "take(b)");
                assert_eq!(found, expected, "{scene} on {buffer}");
                let bytes: Vec<u8> = ctx.eval("[...new Uint8Array(b)]").unwrap();
                for store in taken.borrow().iter() {
                    assert_eq!(store.to_vec().unwrap(), bytes, "{scene} on {buffer}");
                    assert_eq!(store, &taken.borrow()[0]);
                    hooked += 1;
                }
            });
        }
    }
    assert!(hooked > 3 * SCENES.len(), "the hooks are called: {hooked}");
}

#[test]
fn detaching_and_moving_in_the_middle_of_an_engine_function_is_as_it_is_without_stores() {
    let hooks = [
        "if (calls === 1) drop(b)",
        "if (calls === 1) b.transfer(0)",
        "if (calls === 2) globalThis.moved = b.transfer(4096)",
        "if (b.resizable) b.resize(8)",
        "if (b.resizable) b.resize(0)",
        "if (b.resizable) { b.resize(1); b.resize(b.maxByteLength) }",
    ];
    for scene in SCENES {
        for buffer in BUFFERS {
            for hook in hooks {
                in_own_context(|ctx| {
                    define_take(ctx);
                    // With the engine's own memory, and with a store from the first call of the hook on.
                    let expected = play(ctx, scene, buffer, hook);
                    let found = play(ctx, scene, buffer, &format!("if (calls === 1) take(b); {hook}"));
                    assert_eq!(found, expected, "{scene} on {buffer} with {hook}");
                });
            }
        }
    }
}

/// The limit of QuickJS's own memory would be reached if the buffers kept their old memory.
#[test]
fn b16_many_buffers_externalized_from_script_do_not_keep_their_old_memory() {
    let mut isolate = Isolate::builder().memory_limit(8 << 20).build().unwrap();
    let define = |ctx: Ctx<'_>| {
        let take = Function::new(ctx.clone(), |value: Value<'_>| {
            BackingStore::externalize(value.ctx(), &value).unwrap().byte_length()
        });
        ctx.globals().set("take", take).unwrap();
    };
    isolate.enter(|scope| {
        scope.with_ctx(define);
        scope.eval::<u32>("for (let n = 0; n < 64; n++) take(new ArrayBuffer(1 << 20)); 0").unwrap();
        // Nor while one of the engine's own functions is waiting.
        let mapped = "[...Array(64).keys()].map(() => take(new ArrayBuffer(1 << 20))); 0";
        scope.eval::<u32>(mapped).unwrap();
        scope.eval::<u32>(&mapped.replace("map", "forEach")).unwrap();
    });
}
