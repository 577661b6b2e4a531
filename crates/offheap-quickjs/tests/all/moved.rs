//! Transfers to another length, which give script new memory under the old opaque; parts of stores; empty stores.

use offheap_quickjs::offheap::{BackingStore, FrozenStore, UniqueStore};
use offheap_quickjs::rquickjs::{ArrayBuffer, Value};
use offheap_quickjs::{BackingStoreExt, Error, Isolate, ScopeExt, detach};

use crate::common::{counted, in_own_context, numbered, run};

/// The value of a global variable.
fn global<'js>(ctx: &offheap_quickjs::rquickjs::Ctx<'js>, name: &str) -> Value<'js> {
    ctx.globals().get(name).unwrap()
}

#[test]
fn a_transfer_to_another_length_lets_go_of_the_store_once() {
    let (store, drops) = counted(vec![9; 64]);
    in_own_context(|ctx| {
        ctx.globals().set("b", store.expose(ctx).unwrap()).unwrap();
        run(
            ctx,
            "globalThis.c = b.transfer(72); if (new Uint8Array(c)[63] !== 9 || new Uint8Array(c)[64] !== 0) throw 1",
        );
        assert_eq!(store.exposure(), None);
        assert_eq!(store.reference_count(), 1);
        drop(store);
        assert_eq!(drops.get(), 1);
        run(ctx, "globalThis.d = c.transfer(8); if (new Uint8Array(d)[7] !== 9) throw 1");
        let moved = BackingStore::externalize(ctx, &global(ctx, "d")).unwrap();
        assert_eq!(moved.to_vec().unwrap(), [9; 8]);
        assert_eq!(moved.reference_count(), 2);
        run(ctx, "delete globalThis.b; delete globalThis.c; delete globalThis.d");
        assert_eq!(moved.reference_count(), 1);
        assert_eq!(moved.exposure(), None);
    });
    assert_eq!(drops.get(), 1);
}

/// The opaque of a buffer that has moved is the address of a freed block. The buffer's later memory may get that
/// address. With glibc's allocator and these lengths, it soon does.
#[test]
fn buffers_that_move_again_and_again_keep_their_bytes() {
    in_own_context(|ctx| {
        run(ctx, "globalThis.list = []");
        for byte_length in (64..=128).step_by(8) {
            for _ in 0..200 {
                let store = BackingStore::from(UniqueStore::from_owner(vec![7_u8; 8]).unwrap());
                ctx.globals().set("b", store.expose(ctx).unwrap()).unwrap();
                run(ctx, "list.push(b)");
            }
            let source = format!(
                "for (const index of list.keys())
                   for (let i = 0; i < 6; i++) list[index] = list[index].transfer({byte_length} - i % 2);
                 const lost = list.filter((b) => new Uint8Array(b.transfer(1000))[7] !== 7).length;
                 if (lost !== 0) throw Error(`{byte_length} bytes: ${{lost}} were lost`);
                 list.length = 0"
            );
            run(ctx, &source);
        }
    });
}

/// A second buffer over moved memory may be freed before or after the one that moved there. Each has its own hold.
#[test]
fn a_second_buffer_over_moved_memory_has_a_hold_of_its_own() {
    for first in ["c", "e"] {
        let (store, drops) = counted(vec![9; 64]);
        in_own_context(|ctx| {
            ctx.globals().set("b", store.expose(ctx).unwrap()).unwrap();
            drop(store);
            run(ctx, "globalThis.c = b.transfer(72)");
            assert_eq!(drops.get(), 1);
            let moved = BackingStore::externalize(ctx, &global(ctx, "c")).unwrap();
            ctx.globals().set("e", moved.expose(ctx).unwrap()).unwrap();
            assert_eq!(BackingStore::externalize(ctx, &global(ctx, "e")).unwrap(), moved);
            assert_eq!(moved.exposure().unwrap().1, 2);
            detach(ctx, &global(ctx, first), None).unwrap();
            assert_eq!(moved.exposure().unwrap().1, 1);
            assert_eq!(moved.reference_count(), 2);
            let other = if first == "c" { "e" } else { "c" };
            assert_eq!(BackingStore::externalize(ctx, &global(ctx, other)).unwrap(), moved);
            run(ctx, &format!("globalThis.f = {other}.transfer(8)"));
            assert_eq!(moved.exposure(), None);
            assert_eq!(moved.reference_count(), 1);
            let again = BackingStore::externalize(ctx, &global(ctx, "f")).unwrap();
            assert_eq!(again.to_vec().unwrap(), [9; 8]);
            drop(moved);
            run(ctx, "delete globalThis.f");
            assert_eq!(again.reference_count(), 1);
        });
        assert_eq!(drops.get(), 1);
    }
}

#[test]
fn transfers_back_and_forth_free_each_memory_once() {
    let (store, drops) = counted(vec![3; 16]);
    in_own_context(|ctx| {
        ctx.globals().set("b", store.expose(ctx).unwrap()).unwrap();
        drop(store);
        run(
            ctx,
            "for (let n = 1; n < 200; n++) {
               globalThis.b = b.transfer(n % 3 ? n * 8 : 16);
               const bytes = new Uint8Array(b);
               if (bytes[0] !== 3 || bytes.length > 16 && bytes[bytes.length - 1] !== 0) throw n;
             }",
        );
    });
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_moved_buffer_is_let_go_of_when_its_runtime_ends() {
    let mut kept = Vec::new();
    in_own_context(|ctx| {
        for n in 0..8 {
            ctx.globals().set("b", numbered(16).expose(ctx).unwrap()).unwrap();
            run(ctx, &format!("globalThis.k{n} = b.transfer({}); k{n}.self = k{n}", 64 + n));
            kept.push(BackingStore::externalize(ctx, &global(ctx, &format!("k{n}"))).unwrap());
        }
    });
    for (n, store) in kept.into_iter().enumerate() {
        assert_eq!(store.reference_count(), 1);
        assert_eq!(store.exposure(), None);
        assert_eq!(store.try_into_unique().unwrap().byte_length(), 64 + n);
    }
}

#[test]
fn a_part_is_exposed_as_its_bytes_and_comes_back_as_the_part() {
    let store = numbered(64);
    in_own_context(|ctx| {
        let part = store.slice(8..24).unwrap();
        ctx.globals().set("b", part.expose(ctx).unwrap()).unwrap();
        run(ctx, "const v = new Uint8Array(b); if (v.length !== 16 || v[0] !== 8 || v[15] !== 23) throw 1; v[0] = 99");
        assert_eq!(BackingStore::externalize(ctx, &global(ctx, "b")).unwrap(), part);
        assert_eq!(store.to_vec().unwrap()[8], 99);
        run(
            ctx,
            "globalThis.c = b.transfer(32); const w = new Uint8Array(c); if (w[15] !== 23 || w[16] !== 0) throw 1",
        );
        assert_eq!(store.exposure(), None);
        let unaligned = store.slice(4..8).unwrap().expose(ctx).unwrap_err();
        assert!(matches!(unaligned, Error::Misaligned { byte_offset: 4, alignment: 8, .. }), "{unaligned}");
    });
}

#[test]
fn no_buffer_is_made_over_a_part_of_resizable_memory() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(64, { maxByteLength: 64 })").unwrap();
        let store = scope.externalize(&buffer).unwrap();
        scope.detach(&buffer, None).unwrap();
        for range in [8..16, 0..16, 64..64] {
            let error = scope.expose(&store.slice(range).unwrap()).unwrap_err();
            assert!(matches!(error, Error::Unsupported { .. }), "{error}");
            assert_eq!(store.exposure(), None);
        }
        let again = scope.expose(&store).unwrap();
        assert!(scope.state(&again).unwrap().resizable);
        scope.resize(&again, 8).unwrap();
        assert_eq!(scope.externalize(&again).unwrap(), store);
    });
}

#[test]
fn empty_stores_and_empty_parts_keep_their_identity_and_their_hold() {
    let (empty, drops) = counted(Vec::new());
    let store = numbered(16);
    in_own_context(|ctx| {
        let parts = [empty.clone(), store.slice(8..8).unwrap(), store.slice(16..).unwrap(), store.slice(..0).unwrap()];
        for part in &parts {
            let buffer = part.expose(ctx).unwrap();
            assert_eq!(buffer.len(), 0);
            let back = BackingStore::externalize(buffer.ctx(), buffer.as_value()).unwrap();
            assert_eq!((back.id(), back.byte_offset()), (part.id(), part.byte_offset()));
            assert_eq!(&back, part);
            assert_eq!(part.exposure().unwrap().1, 1);
            ctx.globals().set("b", buffer).unwrap();
            run(ctx, "const v = new Float64Array(b); v[0] = 1; v.fill(2); if (v.length !== 0) throw 1");
            run(ctx, "globalThis.b = b.transfer(24); if (new Float64Array(b)[2] !== 0) throw 1");
            assert_eq!(part.exposure(), None);
            assert!(!BackingStore::externalize(ctx, &global(ctx, "b")).unwrap().as_ptr().is_null());
        }
        let buffer = empty.expose(ctx).unwrap();
        detach(ctx, buffer.as_value(), None).unwrap();
        assert_eq!(empty.exposure(), None);
    });
    assert_eq!(drops.get(), 0);
    drop(empty);
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_detached_buffer_has_no_store() {
    in_own_context(|ctx| {
        run(ctx, "globalThis.b = new ArrayBuffer(8); b.transfer()");
        let error = BackingStore::externalize(ctx, &global(ctx, "b")).unwrap_err();
        assert!(matches!(error, Error::Detached { .. }), "{error}");
        assert!(error.to_string().contains("detached"), "{error}");
    });
}

#[test]
fn a_transfer_to_0_gives_script_a_buffer_that_is_not_the_stores() {
    let store = numbered(16);
    in_own_context(|ctx| {
        ctx.globals().set("b", store.expose(ctx).unwrap()).unwrap();
        run(ctx, "globalThis.c = b.transfer(0)");
        assert_eq!(store.exposure(), None);
        assert_ne!(BackingStore::externalize(ctx, &global(ctx, "c")).unwrap().id(), store.id());
        assert_eq!(store.to_vec().unwrap()[15], 15);
    });
}

#[test]
fn a_resizable_buffer_with_a_maximum_of_0_keeps_its_store() {
    in_own_context(|ctx| {
        run(ctx, "globalThis.b = new ArrayBuffer(0, { maxByteLength: 0 })");
        let store = BackingStore::externalize(ctx, &global(ctx, "b")).unwrap();
        run(ctx, "b.resize(0); if (!b.resizable || b.maxByteLength !== 0) throw 1");
        assert_eq!(BackingStore::externalize(ctx, &global(ctx, "b")).unwrap(), store);
        run(ctx, "globalThis.c = b.transferToFixedLength(1); new Uint8Array(c)[0] = 7");
        assert_eq!(BackingStore::externalize(ctx, &global(ctx, "c")).unwrap().to_vec().unwrap(), [7]);
    });
}

#[test]
fn more_than_2_gib_minus_1_is_refused_before_the_engine_sees_it() {
    // SAFETY: no code reads the bytes, because the length is refused first.
    let store = unsafe { UniqueStore::from_raw_parts(8 as *mut u8, 1 << 31, |_, _| ()) }.unwrap();
    let store = BackingStore::from(store);
    in_own_context(|ctx| {
        let error = store.expose(ctx).unwrap_err();
        assert!(
            matches!(error, Error::TooLargeForEngine { byte_length: 0x8000_0000, limit: 0x7fff_ffff, .. }),
            "{error}"
        );
        assert_eq!(store.exposure(), None);
        let most = store.slice(..(1 << 31) - 1).unwrap().expose(ctx).unwrap();
        assert_eq!(most.len(), i32::MAX as usize);
    });
    assert_eq!(store.exposure(), None);
}

#[test]
fn a_frozen_part_is_exposed_where_it_is_aligned() {
    static WORDS: [u64; 4] = [1, 2, 3, 4];
    let store = BackingStore::from(FrozenStore::from_owner(&WORDS[..]).unwrap());
    Isolate::new().unwrap().enter(|scope| {
        let part = scope.expose(&store.slice(8..24).unwrap()).unwrap();
        scope.set_global("p", &part).unwrap();
        assert_eq!(scope.eval::<f64>("Number(new BigUint64Array(p)[1])").unwrap(), 3.0);
        assert_eq!(scope.externalize(&part).unwrap(), store.slice(8..24).unwrap());
    });
}

#[test]
fn memory_of_another_library_keeps_its_length_and_the_error_says_so() {
    Isolate::new().unwrap().enter(|scope| {
        scope.with_ctx(|ctx| {
            let buffer = ArrayBuffer::from_source(ctx.clone(), vec![7_u8; 16]).unwrap();
            ctx.globals().set("b", buffer).unwrap();
        });
        let transfer = "try { b.transfer(20) } catch (error) { String(error) }";
        let error: String = scope.eval(transfer).unwrap();
        assert!(error.starts_with("TypeError: ") && error.contains("memory of another library"), "{error}");
        let rest =
            "b = b.transfer(16); [b.byteLength, new Uint8Array(b)[15], b.slice().transfer(20).byteLength].join()";
        assert_eq!(scope.eval::<String>(rest).unwrap(), "16,7,20");
    });
}
