//! In a scope of the program's own: transfers, copies that are reported, and typed arrays over all of a store.

use offheap_v8::offheap::{self, BackingStore, FrozenStore, MapMode, Mapped, SharedStore, UniqueStore};
use offheap_v8::{
    BackingStoreExt, CopyReason, Error, Exposure, FrozenStoreExt, ScopeExt, SharedStoreExt, detach, transfer, v8,
};

use crate::common::{counted, in_child, in_own_scope, isolate, numbered, run, set};

fn bytes<'s>(scope: &mut v8::PinScope<'s, '_>, buffer: v8::Local<'s, v8::ArrayBuffer>) -> Vec<u8> {
    let store = BackingStore::externalize(scope, buffer.into()).unwrap();
    let mut bytes = vec![0; store.byte_length()];
    store.copy_to(scope, 0, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_transfer_moves_the_store_to_a_buffer_of_the_same_length() {
    let (store, drops) = counted(vec![1, 2, 3, 4]);
    in_own_scope(|scope| {
        let old = store.expose(scope).unwrap();
        set(scope, "old", old.into());
        run(scope, "globalThis.view = new Uint8Array(old); ArrayBuffer.prototype.transfer = () => { throw 1 }");
        let new = transfer(scope, old.into(), None).unwrap();
        assert_eq!(BackingStore::externalize(scope, new.into()).unwrap(), store);
        assert_eq!(store.exposure().unwrap().1, 1);
        set(scope, "fresh", new.into());
        assert!(run(scope, "old.detached && view.length === 0 && (new Uint8Array(fresh)[0] = 9) === 9").is_true());
        assert!(run(scope, "fresh instanceof ArrayBuffer && !fresh.resizable && !fresh.detached").is_true());
        assert_eq!(store.to_vec().unwrap(), [9, 2, 3, 4]);
        let view = run(scope, "new Uint8Array(fresh, 2, 1)");
        let again = transfer(scope, view, Some(4)).unwrap();
        assert_eq!(BackingStore::externalize(scope, again.into()).unwrap(), store);
        detach(scope, again.into(), None).unwrap();
        assert_eq!((store.exposure(), drops.get()), (None, 0));
    });
    drop(store);
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_transfer_to_another_length_gives_script_new_memory() {
    for (byte_length, expected) in [(6, &[1, 2, 3, 4, 0, 0][..]), (2, &[1, 2]), (0, &[])] {
        let (store, drops) = counted(vec![1, 2, 3, 4]);
        in_own_scope(|scope| {
            let old = store.expose(scope).unwrap();
            let new = transfer(scope, old.into(), Some(byte_length)).unwrap();
            assert_eq!(bytes(scope, new), expected);
            assert_eq!((store.exposure(), store.reference_count()), (None, 1), "{byte_length}");
            let made = run(scope, "Uint8Array.of(1, 2, 3, 4).buffer");
            let new = transfer(scope, made, Some(byte_length)).unwrap();
            assert_eq!(bytes(scope, new), expected);
        });
        assert_eq!(store.to_vec().unwrap(), [1, 2, 3, 4]);
        drop(store);
        assert_eq!(drops.get(), 1);
    }
}

#[test]
fn a_resizable_buffer_stays_resizable() {
    in_own_scope(|scope| {
        let old =
            run(scope, "globalThis.old = new ArrayBuffer(4, { maxByteLength: 8 }); new Uint8Array(old).fill(5); old");
        let store = BackingStore::externalize(scope, old).unwrap();
        let error = transfer(scope, old, Some(9)).unwrap_err();
        assert!(matches!(error, Error::InvalidLength { attempted: "transfer", requested: 9, limit: 8, .. }), "{error}");
        assert!(run(scope, "old.byteLength === 4").is_true(), "unchanged");
        let new = transfer(scope, old, None).unwrap();
        assert_ne!(BackingStore::externalize(scope, new.into()).unwrap(), store, "V8 copies resizable memory");
        set(scope, "fresh", new.into());
        let same = "fresh.resizable && fresh.maxByteLength === 8 && old.detached && fresh instanceof ArrayBuffer";
        assert!(run(scope, same).is_true());
        assert!(run(scope, "fresh.resize(8); const a = new Uint8Array(fresh); a[3] === 5 && a.length === 8").is_true());
        assert!(run(scope, "fresh.resize(1); fresh.resize(8); a[0] === 5 && a[3] === 0").is_true());
    });
}

#[test]
fn what_is_not_transferred_says_why_and_does_not_change() {
    in_own_scope(|scope| {
        run(scope, "globalThis.gone = new ArrayBuffer(4); gone.transfer(); globalThis.fixed = new ArrayBuffer(4)");
        let mut error = |source: &str, byte_length| {
            let value = run(scope, source);
            transfer(scope, value, byte_length).unwrap_err()
        };
        for other in ["1", "({})", "null", "new Proxy(fixed, {})"] {
            assert!(matches!(error(other, None), Error::NotAnArrayBuffer { .. }), "{other}");
        }
        let detached = error("gone", None);
        assert!(matches!(detached, Error::Detached { attempted: "transfer", .. }), "{detached}");
        assert!(detached.to_string().contains("detached"), "{detached}");
        let shared = error("new SharedArrayBuffer(4)", None);
        assert!(matches!(shared, Error::NotDetachable { attempted: "transfer", .. }), "{shared}");
        assert!(matches!(error("fixed.sliceToImmutable()", None), Error::Immutable { attempted: "transfer", .. }));
        let too_long = error("fixed", Some(usize::MAX));
        assert!(matches!(too_long, Error::InvalidLength { attempted: "transfer", .. }), "{too_long}");
        assert!(run(scope, "fixed.byteLength === 4").is_true());
    });
}

#[test]
fn a_buffer_of_wasm_is_not_transferred() {
    in_own_scope(|scope| {
        let buffer = run(scope, "new WebAssembly.Memory({ initial: 1 }).buffer");
        let error = transfer(scope, buffer, None).unwrap_err();
        assert!(matches!(error, Error::NotDetachable { attempted: "transfer", .. }), "{error}");
    });
}

#[test]
fn a_buffer_with_a_key_is_not_transferred() {
    in_own_scope(|scope| {
        let buffer = numbered(4).expose(scope).unwrap();
        let key = v8::String::new(scope, "key").unwrap().into();
        buffer.set_detach_key(key);
        let error = transfer(scope, buffer.into(), None).unwrap_err();
        assert!(matches!(error, Error::WrongDetachKey { attempted: "transfer", .. }), "{error}");
        assert_eq!(bytes(scope, buffer), [0, 1, 2, 3]);
    });
    isolate().enter(|scope| {
        scope.with_v8(|scope| {
            let made = run(scope, "globalThis.made = Uint8Array.of(7, 8).buffer");
            let new = transfer(scope, made, None).unwrap();
            set(scope, "moved", new.into());
            assert!(run(scope, "made.detached && moved instanceof ArrayBuffer && moved.byteLength === 2").is_true());
        });
    });
}

#[test]
fn a_program_that_ends_an_isolate_after_a_transfer_has_dropped_its_owners() {
    let (store, drops) = counted(vec![1; 100]);
    in_own_scope(|scope| {
        let mut buffer = store.expose(scope).unwrap();
        for _ in 0..100 {
            buffer = transfer(scope, buffer.into(), None).unwrap();
        }
        assert_eq!(store.exposure().unwrap().1, 1);
        assert_eq!(bytes(scope, buffer), [1; 100]);
    });
    assert_eq!((store.reference_count(), store.exposure()), (1, None));
    drop(store);
    assert_eq!(drops.get(), 1);
}

fn mapped(name: &str, content: &[u8]) -> Mapped {
    let path = std::env::temp_dir().join(format!("offheap-own-scope-{name}-{}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    let mapped = Mapped::open(&path, MapMode::ReadOnly).unwrap();
    std::fs::remove_file(&path).unwrap();
    mapped
}

#[test]
fn read_only_memory_is_exposed_as_it_is_where_v8_has_immutable_buffers() {
    let file = mapped("external", b"0123456789");
    in_own_scope(|scope| {
        let (buffer, exposure) = file.store().expose_or_copy(scope).unwrap();
        assert!(exposure.is_external());
        assert_eq!(BackingStore::externalize(scope, buffer.into()).unwrap(), *file.store());
        let part = file.store().slice(3..7).unwrap();
        let (buffer, exposure) = part.expose_or_copy(scope).unwrap();
        assert_eq!(exposure, Exposure::Copied { reason: CopyReason::Misaligned });
        assert_eq!(bytes(scope, buffer), b"3456");
        set(scope, "part", buffer.into());
        assert!(run(scope, "part.immutable && part.byteLength === 4").is_true());
        let store = numbered(16);
        let (buffer, exposure) = store.expose_or_copy(scope).unwrap();
        assert!(exposure.is_external());
        assert_eq!(BackingStore::externalize(scope, buffer.into()).unwrap(), store);
        let error = store.slice(1..).unwrap().expose_or_copy(scope).unwrap_err();
        assert!(matches!(error, Error::Misaligned { .. }), "{error}");
        let shared = BackingStore::from(SharedStore::zeroed(8).unwrap());
        assert!(matches!(shared.expose_or_copy(scope).unwrap_err(), Error::Unsupported { .. }));
        let resizable = BackingStore::from(UniqueStore::resizable(8, 64).unwrap());
        assert!(matches!(resizable.expose_or_copy(scope).unwrap_err(), Error::Unsupported { .. }));
    });
    isolate().enter(|scope| {
        let (buffer, exposure) = scope.expose_or_copy(&file.store().slice(1..).unwrap()).unwrap();
        assert_eq!(exposure, Exposure::Copied { reason: CopyReason::Misaligned });
        assert_eq!(scope.bytes(&buffer).unwrap()[..], b"123456789"[..]);
        assert!(scope.state(&buffer).unwrap().immutable);
    });
}

#[test]
fn a_program_that_started_v8_itself_has_copies_of_maps() {
    let Some(output) = in_child("own_scope::a_program_that_started_v8_itself_has_copies_of_maps") else {
        v8::V8::initialize_platform(v8::new_default_platform(0, false).make_shared());
        v8::V8::initialize();
        offheap_v8::started_by_the_program();
        let file = mapped("copied", b"0123456789");
        let isolate = &mut v8::Isolate::new(v8::CreateParams::default());
        v8::scope!(let scope, isolate);
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        let scope = &mut v8::ContextScope::new(scope, context);
        let advice = file.store().expose(scope).unwrap_err().to_string();
        assert!(advice.ends_with("or let `expose_or_copy` make a copy of its bytes"), "{advice}");
        let (buffer, exposure) = file.store().expose_or_copy(scope).unwrap();
        assert_eq!(exposure, Exposure::Copied { reason: CopyReason::ImmutableNotEnforced });
        assert_eq!(bytes(scope, buffer), b"0123456789");
        set(scope, "copy", buffer.into());
        assert!(run(scope, "(new Uint8Array(copy)[0] = 1) === 1").is_true());
        assert_eq!(file.store().to_vec().unwrap(), b"0123456789");
        let (_, exposure) = FrozenStore::from_owner("text").unwrap().expose(scope).unwrap();
        assert!(!exposure.is_external());
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_typed_array_over_all_of_a_store() {
    let store = BackingStore::from_owner(vec![1.5f32, 2.5]).unwrap();
    in_own_scope(|scope| {
        let array = store.expose_as::<f32>(scope).unwrap();
        assert_eq!(array.length(), 2);
        set(scope, "a", array.into());
        run(scope, "a[0] = 7");
        assert!(run(scope, "a instanceof Float32Array && a[1] === 2.5 && a.byteOffset === 0").is_true());
        let odd = numbered(9);
        let error = odd.expose_as::<u32>(scope).unwrap_err();
        let Error::Memory(inner) = &error else { panic!("{error}") };
        assert!(matches!(inner, offheap::Error::PartialElement { byte_length: 9, element_size: 4, .. }), "{error}");
        assert_eq!(odd.exposure(), None);
        let shared = SharedStore::zeroed(8).unwrap();
        let array = shared.expose_as::<i32>(scope).unwrap();
        set(scope, "s", array.into());
        run(scope, "Atomics.add(s, 1, 5)");
        assert_eq!(shared.atomic_slice::<i32>().unwrap().fetch_add(1, 1), 5);
        assert!(run(scope, "Atomics.load(s, 1) === 6 && s.length === 2").is_true());
    });
    assert_eq!(store.copy_out::<f32>().unwrap(), [7.0, 2.5]);
    isolate().enter(|scope| {
        let view = scope.expose_as::<f64>(&store).unwrap();
        scope.set_global("a", &view).unwrap();
        assert_eq!(scope.eval::<u32>("a.length").unwrap(), 1);
        let error = scope.expose_as::<f64>(&store.slice(..4).unwrap()).unwrap_err();
        assert!(matches!(error, Error::Memory(offheap::Error::PartialElement { .. })), "{error}");
    });
}
