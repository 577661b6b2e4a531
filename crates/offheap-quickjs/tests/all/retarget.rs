//! The store of a buffer that script or rquickjs made: its memory moves into a store, and no code sees a
//! difference.

use std::sync::Arc;

use offheap_quickjs::offheap::{BackingStore, StoreKind};
use offheap_quickjs::rquickjs::{ArrayBuffer, Ctx, Value};
use offheap_quickjs::{BackingStoreExt, Error, Isolate};

use crate::common::{Count, in_own_context, run};

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

fn global<'js>(ctx: &Ctx<'js>, name: &str) -> Value<'js> {
    ctx.globals().get(name).unwrap()
}

fn store_of(ctx: &Ctx<'_>, name: &str) -> BackingStore {
    BackingStore::externalize_buffer(ctx, &global(ctx, name)).unwrap()
}

#[test]
fn memory_of_every_size_is_shared_from_the_first_call_on() {
    // QuickJS takes at most 504 bytes from its arena.
    for size in [0, 1, 2, 7, 8, 64, 503, 504, 505, 512, 1023, 1024, 4096, 65_537, 1 << 20] {
        in_own_context(|ctx| {
            run(ctx, &format!("globalThis.b = new ArrayBuffer({size}); globalThis.v = new Uint8Array(b); v.fill(3)"));
            let store = store_of(ctx, "b");
            assert_eq!(store.byte_length(), size);
            assert_eq!(store.kind(), StoreKind::FIXED);
            assert!(store.to_vec().unwrap().iter().all(|&byte| byte == 3));
            assert_eq!(store.exposure().unwrap().1, 1);
            if size != 0 {
                run(ctx, &format!("v[{}] = 7", size - 1));
                assert_eq!(store.to_vec().unwrap()[size - 1], 7);
                store.copy_in(ctx, size - 1, &[8_u8]).unwrap();
                run(ctx, &format!("if (v[{}] !== 8 || b.resizable || b.byteLength !== {size}) throw 1", size - 1));
            }
            let (address, id) = (store.as_ptr(), store.id());
            for _ in 0..3 {
                let again = store_of(ctx, "b");
                assert_eq!(again, store);
                assert_eq!((again.as_ptr(), again.id()), (address, id));
            }
            assert_eq!(store.reference_count(), 2);
            run(ctx, "delete globalThis.b; delete globalThis.v");
            assert_eq!(store.reference_count(), 1);
            assert_eq!(store.exposure(), None);
        });
    }
}

#[test]
fn resizable_memory_keeps_its_address_up_to_its_maximum() {
    for (length, max) in [(0, 8), (1, 64), (64, 504), (64, 1 << 20), (100_000, 100_000), (10, 1 << 16)] {
        in_own_context(|ctx| {
            run(
                ctx,
                &format!(
                    "globalThis.b = new ArrayBuffer({length}, {{ maxByteLength: {max} }});
                     globalThis.v = new Uint8Array(b); v.fill(3);"
                ),
            );
            let store = store_of(ctx, "b");
            assert_eq!(
                (store.kind(), store.byte_length(), store.max_byte_length()),
                (StoreKind::RESIZABLE, length, max)
            );
            let address = store.as_ptr();
            run(ctx, &format!("b.resize({max}); if (v.length !== {max} || !b.resizable || v[{length}]) throw 1"));
            run(ctx, &format!("if ({length} && v[{length} - 1] !== 3) throw 1; v[{max} - 1] = 9"));
            assert_eq!(store.byte_length(), max);
            assert_eq!(store.to_vec().unwrap()[max - 1], 9);
            run(ctx, "b.resize(1); b.resize(2); if (v[1] !== 0) throw 1");
            assert_eq!(store_of(ctx, "b"), store);
            assert_eq!((store.byte_length(), store.as_ptr()), (2, address));
            run(ctx, "b.resize(0)");
            assert_eq!(store_of(ctx, "b").byte_length(), 0);
            run(
                ctx,
                &format!(
                    "try {{ b.resize({max} + 1); throw 1 }} catch (e) {{ if (!(e instanceof RangeError)) throw e }}"
                ),
            );
            run(
                ctx,
                "globalThis.c = b.transfer(1); if (!c.resizable) throw 1; globalThis.d = c.transferToFixedLength(); if (d.resizable) throw 1",
            );
            assert_eq!(store_of(ctx, "d"), store);
            assert_eq!(store.as_ptr(), address);
        });
    }
}

#[test]
fn views_of_all_types_made_before_and_after_see_the_same_bytes() {
    for name in TYPES {
        for resizable in ["", ", { maxByteLength: 128 }"] {
            let big = if name.starts_with("Big") { "n" } else { "" };
            in_own_context(|ctx| {
                run(
                    ctx,
                    &format!(
                        "globalThis.b = new ArrayBuffer(64{resizable});
                         globalThis.views = () => [new {name}(b, 8), new {name}(b, 8, 2),
                           new {name}(b).subarray(8 / {name}.BYTES_PER_ELEMENT)];
                         globalThis.before = views();
                         globalThis.d = new DataView(b, 8);
                         before[0][0] = 5{big};"
                    ),
                );
                let store = store_of(ctx, "d");
                let bytes = store.to_vec().unwrap();
                assert!(bytes[8..16].iter().any(|&byte| byte != 0), "{name}");
                run(
                    ctx,
                    &format!(
                        "const all = [...before, ...views()];
                         const same = (value) => {{
                           for (const view of all) if (view[0] !== value) throw new Error(view[0]);
                         }};
                         same(5{big});
                         for (const [n, view] of all.entries()) {{ view[0] = {big_n}; same({big_n}) }}
                         d.setUint8(0, 0); for (let n = 0; n < 8; n++) d.setUint8(n, 0); same(0{big});
                         before[1][1] = 7{big};
                         if (all.some((view) => view[1] !== 7{big})) throw 1;",
                        big_n = if big.is_empty() { "n" } else { "BigInt(n)" },
                    ),
                );
                let unit = store.to_vec().unwrap();
                let size: usize = ctx.eval(format!("{name}.BYTES_PER_ELEMENT")).unwrap();
                assert!(unit[8..8 + size].iter().all(|&byte| byte == 0), "{name}");
                assert!(unit[8 + size..8 + 2 * size].iter().any(|&byte| byte != 0), "{name}");
                store.copy_in(ctx, 8, &bytes[8..16]).unwrap();
                run(ctx, &format!("for (const view of before) if (view[0] !== 5{big}) throw new Error(view[0])"));
            });
        }
    }
}

#[test]
fn fixed_stays_fixed_and_immutable_stays_immutable() {
    in_own_context(|ctx| {
        run(
            ctx,
            "globalThis.b = new ArrayBuffer(8); new Uint8Array(b).fill(4); globalThis.i = b.transferToImmutable()",
        );
        let store = store_of(ctx, "i");
        assert_eq!(store.to_vec().unwrap(), [4; 8]);
        run(ctx, "if (!i.immutable || i.resizable || i.byteLength !== 8 || i.maxByteLength !== 8) throw 1");
        run(
            ctx,
            "const v = new Uint8Array(i); try { v.fill(1); throw 1 } catch (e) { if (!(e instanceof TypeError)) throw e }",
        );
        run(
            ctx,
            "for (const f of ['resize', 'transfer']) try { i[f](8); throw 1 } catch (e) { if (!(e instanceof TypeError)) throw e }",
        );
        assert_eq!(store_of(ctx, "i"), store);
        run(ctx, "globalThis.f = new ArrayBuffer(8)");
        store_of(ctx, "f");
        run(ctx, "if (f.resizable || f.maxByteLength !== 8 || f.immutable) throw 1");
        run(ctx, "try { f.resize(8); throw 1 } catch (e) { if (!(e instanceof TypeError)) throw e }");
    });
}

#[test]
fn a_view_stands_for_its_buffer_whatever_script_made_of_it() {
    in_own_context(|ctx| {
        run(
            ctx,
            "globalThis.b = new ArrayBuffer(16);
             globalThis.t = Object.setPrototypeOf(new Uint8Array(b, 4), null);
             globalThis.d = Object.defineProperty(new DataView(b, 4), 'buffer', { get() { throw 1 } });
             globalThis.s = new SharedArrayBuffer(4);
             globalThis.sv = new Uint8Array(s);
             globalThis.p = new Proxy(b, {});
             globalThis.o = { buffer: b, __proto__: ArrayBuffer.prototype };",
        );
        let store = store_of(ctx, "t");
        assert_eq!(store.byte_length(), 16);
        assert_eq!(store_of(ctx, "d"), store);
        assert_eq!(store_of(ctx, "b"), store);
        assert_eq!(store_of(ctx, "sv"), store_of(ctx, "s"));
        for name in ["p", "o", "Math", "undefined", "NaN"] {
            let error = BackingStore::externalize(ctx, &global(ctx, name)).unwrap_err();
            assert!(matches!(error, Error::NotAnArrayBuffer { .. }), "{error}");
            assert!(!ctx.has_exception());
        }
    });
}

struct Source {
    bytes: Box<[u8]>,
    drops: Count,
}

// SAFETY: the boxed bytes do not move, and no other code has them.
unsafe impl offheap_quickjs::rquickjs::ArrayBufferSource for Source {
    fn as_ptr(&self) -> *mut u8 {
        self.bytes.as_ptr()
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.drops.add();
    }
}

#[test]
fn the_former_owner_is_dropped_once_when_its_memory_was_moved_into_a_store() {
    let drops = Count::default();
    in_own_context(|ctx| {
        for immutable in [false, true] {
            let before = drops.get();
            let source = Source { bytes: vec![6; 700].into(), drops: drops.clone() };
            let buffer = match immutable {
                true => ArrayBuffer::from_source_immutable(ctx.clone(), source),
                false => ArrayBuffer::from_source(ctx.clone(), source),
            };
            let buffer = buffer.unwrap();
            let store = BackingStore::externalize(buffer.ctx(), buffer.as_value()).unwrap();
            assert_eq!(drops.get(), before + 1);
            assert_eq!(store.to_vec().unwrap(), [6; 700]);
            drop(buffer);
            assert_eq!(store.reference_count(), 1);
            assert_eq!(drops.get(), before + 1);
        }
        let shared: Arc<[u8]> = vec![1; 100].into();
        let buffer = ArrayBuffer::from_source_immutable(ctx.clone(), Arc::clone(&shared)).unwrap();
        BackingStore::externalize(buffer.ctx(), buffer.as_value()).unwrap();
        assert_eq!(Arc::strong_count(&shared), 1);
        let buffer = ArrayBuffer::new(ctx.clone(), vec![1_u32, 2, 3]).unwrap();
        let store = BackingStore::externalize(buffer.ctx(), buffer.as_value()).unwrap();
        assert_eq!(store.copy_out::<u32>().unwrap(), [1, 2, 3]);
        let empty = ArrayBuffer::new(ctx.clone(), Vec::<u64>::new()).unwrap();
        assert_eq!(BackingStore::externalize(empty.ctx(), empty.as_value()).unwrap().byte_length(), 0);
    });
}

#[test]
fn a_store_names_the_line_that_externalized_it() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(3)").unwrap();
        let line = line!() + 1;
        let store = scope.externalize(&buffer).unwrap();
        assert!(store.site().to_string().contains(&format!("retarget.rs:{line}:")), "{}", store.site());
    });
}
