//! Two owners of one pointer are refused, because V8 itself does not notice them (pitfall F2).
#![allow(unsafe_code, reason = "only unsafe code makes two stores of one memory")]

use offheap_v8::offheap::{BackingStore, UniqueStore};
use offheap_v8::{BackingStoreExt, Error};

use crate::common::{in_own_scope, isolate};

/// Makes a second store over the memory of `store`, which outlives it.
fn twin(store: &BackingStore) -> BackingStore {
    let keeps = store.clone();
    // SAFETY: I-MAPPED: the deleter keeps the memory. The tests write through neither store.
    let twin =
        unsafe { UniqueStore::from_raw_parts(store.as_ptr().cast(), store.byte_length(), move |_, _| drop(keeps)) };
    twin.unwrap().into()
}

#[test]
fn a_second_owner_of_a_pointer_is_refused() {
    let mut isolate = isolate();
    let store = BackingStore::from(UniqueStore::zeroed(64).unwrap());
    let twin = twin(&store);
    isolate.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        let error = scope.expose(&twin).unwrap_err();
        assert!(
            matches!(error, Error::AddressTaken { store: refused, other, .. } if (refused, other) == (twin.id(), store.id())),
            "{error}"
        );
        assert_eq!(twin.exposure(), None);
        scope.detach(&buffer, None).unwrap();
        let buffer = scope.expose(&twin).unwrap();
        assert_eq!(scope.externalize(&buffer).unwrap(), twin);
    });
}

#[test]
fn a_second_owner_of_memory_of_v8_is_refused() {
    let mut isolate = isolate();
    isolate.enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(64)").unwrap();
        let store = scope.externalize(&buffer).unwrap();
        let error = scope.expose(&twin(&store)).unwrap_err();
        assert!(matches!(error, Error::AddressTaken { .. }), "{error}");
        // The store itself can be exposed.
        let again = scope.expose(&store).unwrap();
        assert_eq!(scope.externalize(&again).unwrap(), store);
    });
}

#[test]
fn neighbours_and_parts_are_told_apart() {
    in_own_scope(|scope| {
        let whole = BackingStore::from(UniqueStore::zeroed(64).unwrap());
        let parts = [0..64, 0..8, 8..16, 8..64, 16..16, 64..64, 0..0].map(|range| whole.slice(range).unwrap());
        let buffers: Vec<_> = parts.iter().map(|part| part.expose(scope).unwrap()).collect();
        for (part, buffer) in parts.iter().zip(&buffers) {
            assert_eq!(BackingStore::externalize(scope, (*buffer).into()).unwrap(), *part);
        }
        assert_eq!(whole.exposure().unwrap().1, 7);
        for buffer in buffers {
            offheap_v8::detach(scope, buffer.into(), None).unwrap();
        }
        assert_eq!(whole.exposure(), None);
    });
}
