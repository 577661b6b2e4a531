//! In a context of the program's own: transfers, copies that are reported, and typed arrays over all of a store.

use offheap_quickjs::offheap::{self, BackingStore, FrozenStore, MapMode, Mapped, SharedStore, UniqueStore};
use offheap_quickjs::rquickjs::{ArrayBuffer, Ctx, Value};
use offheap_quickjs::{
    BackingStoreExt, CopyReason, Error, Exposure, FrozenStoreExt, Isolate, ScopeExt, SharedStoreExt, detach, transfer,
};

use crate::common::{counted, in_own_context, numbered, run};

fn value<'js>(ctx: &Ctx<'js>, source: &str) -> Value<'js> {
    ctx.eval(source).unwrap()
}

fn bytes(buffer: &ArrayBuffer<'_>) -> Vec<u8> {
    BackingStore::externalize(buffer.ctx(), buffer.as_value()).unwrap().to_vec().unwrap()
}

#[test]
fn a_transfer_moves_the_store_to_a_buffer_of_the_same_length() {
    let (store, drops) = counted(vec![1, 2, 3, 4]);
    in_own_context(|ctx| {
        let old = store.expose(ctx).unwrap();
        ctx.globals().set("old", old.clone()).unwrap();
        run(ctx, "globalThis.view = new Uint8Array(old); ArrayBuffer.prototype.transfer = () => { throw 1 }");
        let new = transfer(ctx, old.as_value(), None).unwrap();
        assert_eq!(BackingStore::externalize(new.ctx(), new.as_value()).unwrap(), store);
        assert_eq!(store.exposure().unwrap().1, 1);
        ctx.globals().set("fresh", new.clone()).unwrap();
        run(ctx, "if (!old.detached || view.length !== 0) throw 2; new Uint8Array(fresh)[0] = 9");
        run(ctx, "if (!(fresh instanceof ArrayBuffer) || fresh.resizable) throw 3");
        assert_eq!(store.to_vec().unwrap(), [9, 2, 3, 4]);
        let again = transfer(ctx, &value(ctx, "new Uint8Array(fresh, 2, 1)"), Some(4)).unwrap();
        assert_eq!(BackingStore::externalize(again.ctx(), again.as_value()).unwrap(), store);
        detach(ctx, again.as_value(), None).unwrap();
        assert_eq!((store.exposure(), drops.get()), (None, 0));
    });
    drop(store);
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_transfer_to_another_length_gives_script_new_memory() {
    for (byte_length, expected) in [(6, &[1, 2, 3, 4, 0, 0][..]), (2, &[1, 2]), (0, &[])] {
        let (store, drops) = counted(vec![1, 2, 3, 4]);
        in_own_context(|ctx| {
            let old = store.expose(ctx).unwrap();
            let new = transfer(ctx, old.as_value(), Some(byte_length)).unwrap();
            assert_eq!(bytes(&new), expected);
            assert_eq!((store.exposure(), store.reference_count()), (None, 1), "{byte_length}");
            let made = value(ctx, "Uint8Array.of(1, 2, 3, 4).buffer");
            assert_eq!(bytes(&transfer(ctx, &made, Some(byte_length)).unwrap()), expected);
        });
        assert_eq!(store.to_vec().unwrap(), [1, 2, 3, 4]);
        drop(store);
        assert_eq!(drops.get(), 1);
    }
}

#[test]
fn a_resizable_buffer_stays_resizable() {
    in_own_context(|ctx| {
        run(ctx, "globalThis.old = new ArrayBuffer(4, { maxByteLength: 8 }); new Uint8Array(old).fill(5)");
        let error = transfer(ctx, &value(ctx, "old"), Some(9)).unwrap_err();
        assert!(matches!(error, Error::InvalidLength { attempted: "transfer", requested: 9, limit: 8, .. }), "{error}");
        assert_eq!(ctx.eval::<u32, _>("old.byteLength").unwrap(), 4, "unchanged");
        let new = transfer(ctx, &value(ctx, "old"), Some(6)).unwrap();
        ctx.globals().set("fresh", new).unwrap();
        run(ctx, "if (!fresh.resizable || fresh.maxByteLength !== 8 || !old.detached) throw 1; fresh.resize(8)");
        let store = BackingStore::from(UniqueStore::resizable(4, 64).unwrap());
        let old = store.expose(ctx).unwrap();
        let new = transfer(ctx, old.as_value(), Some(32)).unwrap();
        assert_eq!(BackingStore::externalize(new.ctx(), new.as_value()).unwrap(), store);
        assert_eq!(store.byte_length(), 32);
    });
}

#[test]
fn what_is_not_transferred_says_why_and_does_not_change() {
    in_own_context(|ctx| {
        run(ctx, "globalThis.gone = new ArrayBuffer(4); gone.transfer(); globalThis.fixed = new ArrayBuffer(4)");
        for other in ["1", "({})", "null", "new Proxy(fixed, {})"] {
            let error = transfer(ctx, &value(ctx, other), None).unwrap_err();
            assert!(matches!(error, Error::NotAnArrayBuffer { .. }), "{other}: {error}");
        }
        let error = transfer(ctx, &value(ctx, "gone"), None).unwrap_err();
        assert!(matches!(error, Error::Detached { attempted: "transfer", .. }), "{error}");
        assert!(error.to_string().contains("detached"), "{error}");
        let error = transfer(ctx, &value(ctx, "new SharedArrayBuffer(4)"), None).unwrap_err();
        assert!(matches!(error, Error::NotDetachable { attempted: "transfer", .. }), "{error}");
        let error = transfer(ctx, &value(ctx, "fixed.sliceToImmutable()"), None).unwrap_err();
        assert!(matches!(error, Error::Immutable { attempted: "transfer", .. }), "{error}");
        let error = transfer(ctx, &value(ctx, "fixed"), Some(1 << 31)).unwrap_err();
        assert!(matches!(error, Error::InvalidLength { limit: 0x7fff_ffff, .. }), "{error}");
        assert_eq!(ctx.eval::<u32, _>("fixed.byteLength").unwrap(), 4);
    });
}

#[test]
fn a_buffer_with_a_key_is_not_transferred() {
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.locked = new ArrayBuffer(4)").unwrap();
        scope.set_detach_key(&buffer, Some("key")).unwrap();
        scope.with_ctx(|ctx| {
            let error = transfer(&ctx, &value(&ctx, "locked"), None).unwrap_err();
            assert!(matches!(error, Error::WrongDetachKey { attempted: "transfer", .. }), "{error}");
        });
        scope.set_detach_key(&buffer, None).unwrap();
        scope.with_ctx(|ctx| assert_eq!(bytes(&transfer(&ctx, &value(&ctx, "locked"), Some(2)).unwrap()), [0, 0]));
        assert!(scope.state(&buffer).unwrap().detached);
    });
}

fn mapped(name: &str, content: &[u8]) -> Mapped {
    let path = std::env::temp_dir().join(format!("offheap-own-context-{name}-{}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    let mapped = Mapped::open(&path, MapMode::ReadOnly).unwrap();
    std::fs::remove_file(&path).unwrap();
    mapped
}

#[test]
fn read_only_memory_is_copied_and_says_so() {
    let file = mapped("copied", b"0123456789");
    let frozen = FrozenStore::from_owner(vec![1u8, 2, 3]).unwrap();
    const REPORTED: Exposure = Exposure::Copied { reason: CopyReason::ImmutableNotEnforced };
    in_own_context(|ctx| {
        let part = file.store().slice(3..7).unwrap();
        for (store, expected) in [(file.store(), &b"0123456789"[..]), (&part, b"3456"), (frozen.as_store(), &[1, 2, 3])]
        {
            let (buffer, exposure) = store.expose_or_copy(ctx).unwrap();
            assert_eq!(exposure, REPORTED);
            assert_eq!(bytes(&buffer), expected);
            ctx.globals().set("copy", buffer).unwrap();
            run(ctx, "if (!copy.immutable) throw 1; Atomics.store(new Uint8Array(copy), 0, 77)");
            assert_eq!(store.to_vec().unwrap(), expected, "the copy is apart");
            assert_eq!(store.exposure(), None);
        }
        let (buffer, exposure) = frozen.expose(ctx).unwrap();
        assert_eq!((exposure, bytes(&buffer)), (REPORTED, vec![1, 2, 3]));
        let empty = FrozenStore::from_owner("").unwrap();
        assert_eq!(bytes(&empty.as_store().expose_or_copy(ctx).unwrap().0), [0_u8; 0]);
    });
    assert_eq!(frozen.reference_count(), 1);
}

#[test]
fn other_memory_is_not_copied_and_keeps_its_errors() {
    let store = numbered(16);
    in_own_context(|ctx| {
        let (buffer, exposure) = store.expose_or_copy(ctx).unwrap();
        assert!(exposure.is_external());
        assert_eq!(BackingStore::externalize(buffer.ctx(), buffer.as_value()).unwrap(), store);
        let error = store.slice(1..).unwrap().expose_or_copy(ctx).unwrap_err();
        assert!(matches!(error, Error::Misaligned { .. }), "{error}");
        let shared = BackingStore::from(SharedStore::zeroed(8).unwrap());
        assert!(matches!(shared.expose_or_copy(ctx).unwrap_err(), Error::Unsupported { .. }));
    });
}

#[test]
fn an_isolate_copies_read_only_memory_only_if_it_is_misaligned() {
    let file = mapped("isolate", &[7; 64]);
    Isolate::new().unwrap().enter(|scope| {
        scope.with_ctx(|ctx| {
            let (buffer, exposure) = file.store().expose_or_copy(&ctx).unwrap();
            assert!(exposure.is_external());
            assert_eq!(BackingStore::externalize(buffer.ctx(), buffer.as_value()).unwrap(), *file.store());
        });
        let part = file.store().slice(1..5).unwrap();
        let (buffer, exposure) = scope.expose_or_copy(&part).unwrap();
        assert_eq!(exposure, Exposure::Copied { reason: CopyReason::Misaligned });
        scope.set_global("part", &buffer).unwrap();
        let source = "(() => { try { Atomics.store(new Uint8Array(part), 0, 1); return 'written' } catch { return part.byteLength } })()";
        assert_eq!(scope.eval::<u32>(source).unwrap(), 4);
        assert_eq!(scope.bytes(&buffer).unwrap()[..], [7; 4]);
    });
}

#[test]
fn a_map_that_is_longer_than_a_buffer_is_refused() {
    let path = std::env::temp_dir().join(format!("offheap-own-context-long-{}", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(1 << 31).unwrap();
    let mapped = Mapped::open(&path, MapMode::ReadOnly).unwrap();
    std::fs::remove_file(&path).unwrap();
    in_own_context(|ctx| {
        let error = mapped.store().expose_or_copy(ctx).unwrap_err();
        assert!(matches!(error, Error::TooLargeForEngine { store: Some(_), .. }), "{error}");
    });
}

#[test]
fn a_typed_array_over_all_of_a_store() {
    let store = BackingStore::from_owner(vec![1.5f32, 2.5]).unwrap();
    in_own_context(|ctx| {
        let array = store.expose_as::<f32>(ctx).unwrap();
        assert_eq!(array.len(), 2);
        ctx.globals().set("a", array).unwrap();
        run(ctx, "if (!(a instanceof Float32Array) || a[1] !== 2.5 || a.byteOffset !== 0) throw 1; a[0] = 7");
        let odd = numbered(9);
        let error = odd.expose_as::<u32>(ctx).unwrap_err();
        let Error::Memory(inner) = &error else { panic!("{error}") };
        assert!(matches!(inner, offheap::Error::PartialElement { byte_length: 9, element_size: 4, .. }), "{error}");
        assert!(error.to_string().ends_with("not a whole number of `u32`; slice it to a multiple of 4 bytes first"));
        assert_eq!(odd.exposure(), None);
        assert_eq!(odd.expose_as::<u8>(ctx).unwrap().len(), 9);
        let shared = SharedStore::growable(8, 4096).unwrap();
        let array = shared.expose_as::<i32>(ctx).unwrap();
        ctx.globals().set("s", array).unwrap();
        run(ctx, "Atomics.add(s, 1, 5)");
        assert_eq!(shared.atomic_slice::<i32>().unwrap().fetch_add(1, 1), 5);
        run(ctx, "if (Atomics.load(s, 1) !== 6 || s.length !== 2) throw 2");
    });
    assert_eq!(store.copy_out::<f32>().unwrap(), [7.0, 2.5]);
    Isolate::new().unwrap().enter(|scope| {
        let view = scope.expose_as::<f64>(&store).unwrap();
        scope.set_global("a", &view).unwrap();
        assert_eq!(scope.eval::<u32>("a.length").unwrap(), 1);
        let error = scope.expose_as::<f64>(&store.slice(..4).unwrap()).unwrap_err();
        assert!(matches!(error, Error::Memory(offheap::Error::PartialElement { .. })), "{error}");
    });
}
