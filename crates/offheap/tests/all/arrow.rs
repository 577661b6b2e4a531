//! Arrow's buffers as stores, and stores as Arrow's buffers, without a copy.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use arrow_buffer::{Buffer, ScalarBuffer};
use offheap::{BackingStore, Error, FrozenStore, MapMode, Mapped, NotUnique, SharedStore, StoreKind, UniqueStore};

#[test]
fn a_buffer_is_a_frozen_store_at_its_own_address() {
    let buffer = Buffer::from_vec(vec![1u32, 2, 3]);
    let (address, other) = (buffer.as_ptr(), buffer.clone());
    let store = FrozenStore::try_from(buffer).unwrap();
    assert_eq!((store.as_ptr(), store.byte_length(), store.as_store().kind()), (address, 12, StoreKind::FROZEN));
    assert!(store.site().to_string().contains("arrow.rs"), "{}", store.site());
    assert_eq!(other.strong_count(), 2);
    assert!(other.clone().into_mutable().is_err(), "nobody writes it while the store lives");
    drop(store);
    assert_eq!(other.strong_count(), 1);
}

#[test]
fn a_sliced_buffer_is_the_part_that_it_shows() {
    let whole = Buffer::from_vec((0..64u8).collect());
    for (offset, length) in [(0, 64), (8, 16), (1, 3), (63, 1), (64, 0)] {
        let part = whole.slice_with_length(offset, length);
        let address = part.as_ptr();
        let store = FrozenStore::from_owner(part).unwrap();
        assert_eq!((store.as_ptr(), store.byte_offset()), (address, 0));
        assert_eq!(store[..], whole[offset..offset + length]);
    }
    let store = FrozenStore::from_owner(whole.slice(3)).unwrap();
    assert_eq!(store.slice(1..3).unwrap()[..], [4, 5]);
    assert!(matches!(store.slice(..62), Err(Error::OutOfRange { .. })));
    assert_eq!(FrozenStore::from_owner(Buffer::default()).unwrap().byte_length(), 0);
}

#[test]
fn a_frozen_store_is_a_buffer_at_its_own_address_and_back() {
    let store = FrozenStore::from_owner(vec![10i64, 20, 30, 40]).unwrap();
    let buffer = Buffer::from(store.slice(8..).unwrap());
    assert_eq!((buffer.as_ptr(), buffer.len()), (store[8..].as_ptr(), 24));
    assert_eq!(ScalarBuffer::<i64>::from(buffer.clone())[..], [20, 30, 40]);
    assert_eq!(store.reference_count(), 2);
    let back = FrozenStore::try_from(buffer.slice_with_length(8, 8)).unwrap();
    assert_eq!((back.as_ptr(), &back[..]), (store[16..].as_ptr(), &30i64.to_ne_bytes()[..]));
    drop(buffer);
    assert_eq!(store.reference_count(), 2, "the slice keeps its reference");
    drop(back);
    assert_eq!(store.reference_count(), 1);
}

#[test]
fn the_last_buffer_drops_the_owner_once_on_any_thread() {
    static DROPS: AtomicUsize = AtomicUsize::new(0);
    let store = UniqueStore::from_owner_with_deleter(vec![7u8; 16], |_, _| _ = DROPS.fetch_add(1, Ordering::SeqCst));
    let buffer = Buffer::try_from(store.map_err(|_| "refused").unwrap()).unwrap();
    let others = [buffer.slice(3), buffer.slice_with_length(1, 2)];
    drop(buffer);
    for other in others {
        assert_eq!(DROPS.load(Ordering::SeqCst), 0);
        thread::spawn(move || assert!(other.iter().all(|&byte| byte == 7))).join().unwrap();
    }
    assert_eq!(DROPS.load(Ordering::SeqCst), 1);
}

#[test]
fn a_buffer_over_a_store_is_never_writable() {
    let buffer = Buffer::from(FrozenStore::from_owner(vec![1u64, 2]).unwrap());
    let buffer = buffer.into_mutable().unwrap_err();
    let buffer = buffer.into_vec::<u64>().unwrap_err();
    assert_eq!(buffer.typed_data::<u64>(), [1, 2]);
}

#[test]
fn a_vec_that_script_had_is_a_buffer_once_it_was_taken_back() {
    let vec = vec![0.5f64, 1.5];
    let address = vec.as_ptr().cast();
    let store = BackingStore::from_owner(vec).unwrap();
    let other = store.clone();
    let rejected = store.try_into_unique().unwrap_err();
    assert!(matches!(rejected.error(), Error::NotUnique { reason: NotUnique::References(2), .. }));
    drop(other);
    let unique = rejected.into_inner().try_into_unique().unwrap();
    let buffer = Buffer::try_from(unique).unwrap();
    assert_eq!((buffer.as_ptr(), buffer.typed_data::<f64>()), (address, &[0.5, 1.5][..]));
}

#[test]
fn memory_that_somebody_may_write_is_not_frozen() {
    let path = std::env::temp_dir().join(format!("offheap-arrow-{}", std::process::id()));
    std::fs::write(&path, "bytes").unwrap();
    let mapped = BackingStore::from(Mapped::open(&path, MapMode::ReadOnly).unwrap());
    std::fs::remove_file(&path).unwrap();
    let shared = BackingStore::from(SharedStore::zeroed(8).unwrap());
    let plain = BackingStore::from(UniqueStore::zeroed(8).unwrap());
    for store in [mapped, shared, plain] {
        let rejected = FrozenStore::try_from(store).unwrap_err();
        assert!(matches!(rejected.error(), Error::OtherKind { .. }), "{rejected}");
    }
}

#[test]
fn alignment_is_that_of_the_store() {
    let aligned = UniqueStore::zeroed_aligned(64, 64).unwrap();
    assert!(Buffer::try_from(aligned).unwrap().as_ptr().addr().is_multiple_of(64));
    let store = FrozenStore::from_owner(vec![1u32, 2, 3]).unwrap();
    let buffer = Buffer::from(store.slice(2..10).unwrap());
    assert_eq!(buffer[..], store[2..10]);
    std::panic::catch_unwind(|| ScalarBuffer::<u32>::from(buffer)).unwrap_err();
}
