//! Conversions of each kind of owner into stores and back, and alignment on request.

use std::sync::Arc;

use offheap::{BackingStore, Error, FrozenStore, ManualHeap, ManualMemory, MapMode, Mapped, UniqueStore};

#[test]
fn a_vec_and_a_boxed_slice_turn_into_a_store_and_the_vec_back() {
    let vec = vec![1u32, 2, 3];
    let address = vec.as_ptr();
    let store = UniqueStore::try_from(vec).unwrap();
    let back = Vec::<u32>::try_from(store).unwrap();
    assert_eq!((back.as_ptr(), &back[..]), (address, &[1, 2, 3][..]));
    let boxed: Box<[u16]> = Box::new([4, 5]);
    let address = boxed.as_ptr();
    let store = UniqueStore::try_from(boxed).unwrap();
    let rejected = Vec::<u16>::try_from(store).unwrap_err();
    assert!(matches!(rejected.error(), Error::OtherOwner { .. }));
    let shared = BackingStore::from(rejected.into_inner());
    let store = UniqueStore::try_from(shared).unwrap();
    let boxed: Box<[u16]> = store.try_into_owner().unwrap();
    assert_eq!((boxed.as_ptr(), &boxed[..]), (address, &[4, 5][..]));
}

#[test]
fn a_vec_and_a_boxed_slice_turn_into_a_store_that_is_shared() {
    let vec = vec![1u32, 2];
    let address = vec.as_ptr();
    let store = BackingStore::from_owner(vec).unwrap();
    assert_eq!((store.as_ptr().cast_const(), store.byte_length()), (address.cast(), 8));
    assert!(store.site().to_string().contains("conversions.rs"), "{}", store.site());
    let vec: Vec<u32> = store.try_into_unique().unwrap().try_into_owner().unwrap();
    let store = BackingStore::try_from(vec).unwrap();
    assert_eq!((store.as_ptr().cast_const(), store.copy_out::<u32>().unwrap()), (address.cast(), vec![1, 2]));
    assert!(store.site().to_string().contains("conversions.rs"), "{}", store.site());
    let store = BackingStore::try_from(Box::<[u8]>::from([3])).unwrap();
    assert_eq!(store.to_vec().unwrap(), [3]);
}

#[test]
fn a_boxed_slice_is_written_in_place() {
    let mut store = UniqueStore::from_owner(vec![0u8; 4].into_boxed_slice()).unwrap();
    store.copy_from_slice(&[1, 2, 3, 4]);
    let store = BackingStore::from(store);
    store.clone().bytes_mut().unwrap()[0] = 9;
    let boxed: Box<[u8]> = store.try_into_unique().unwrap().try_into_owner().unwrap();
    assert_eq!(*boxed, [9, 2, 3, 4]);
    let empty: Box<[u64]> = Box::new([]);
    assert_eq!(UniqueStore::from_owner(empty).unwrap().byte_length(), 0);
}

#[test]
fn memory_that_is_not_written_any_more_turns_into_a_frozen_store() {
    assert_eq!(FrozenStore::try_from(&[1u8, 2][..]).unwrap()[..], [1, 2]);
    assert_eq!(FrozenStore::try_from(Arc::<[u8]>::from(vec![3])).unwrap()[..], [3]);
    assert_eq!(FrozenStore::try_from(vec![4u8]).unwrap()[..], [4]);
    assert_eq!(FrozenStore::try_from(Box::<[u8]>::from([5])).unwrap()[..], [5]);
    assert_eq!(FrozenStore::try_from(Arc::new(vec![6u8])).unwrap()[..], [6]);
    assert_eq!(FrozenStore::try_from(String::from("7")).unwrap()[..], *b"7");
    assert_eq!(FrozenStore::try_from("8").unwrap()[..], *b"8");
    assert_eq!(FrozenStore::try_from(b"9").unwrap()[..], *b"9");
}

#[test]
fn maps_and_manual_memory_turn_into_their_stores() {
    let path = std::env::temp_dir().join(format!("offheap-conversions-{}", std::process::id()));
    std::fs::write(&path, "text").unwrap();
    let store = BackingStore::from(Mapped::open(&path, MapMode::ReadOnly).unwrap());
    std::fs::remove_file(&path).unwrap();
    assert_eq!(store.to_vec().unwrap(), b"text");
    let store = BackingStore::from(ManualMemory::allocate(8).unwrap());
    ManualHeap::free(store.as_ptr()).unwrap();
    assert!(matches!(store.to_vec(), Err(Error::Freed { .. })));
}

#[test]
fn memory_is_aligned_as_was_asked_for() {
    for alignment in (0..=16).map(|bits| 1 << bits) {
        for byte_length in [0, 1, 63, 64, 65, 100_000] {
            let store = UniqueStore::zeroed_aligned(byte_length, alignment).unwrap();
            let store = BackingStore::from(store);
            assert!(store.as_ptr().addr().is_multiple_of(alignment.max(16)), "{byte_length} {alignment}");
            assert!(store.to_vec().unwrap().iter().all(|&byte| byte == 0));
        }
    }
}

#[test]
fn an_alignment_that_is_no_power_of_two_is_an_error() {
    for alignment in [0, 3, 48, usize::MAX] {
        let error = UniqueStore::zeroed_aligned(8, alignment).unwrap_err();
        assert!(matches!(error, Error::InvalidAlignment { alignment: a } if a == alignment), "{error}");
    }
    let error = UniqueStore::zeroed_aligned(isize::MAX as usize, 64).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    let error = UniqueStore::zeroed_aligned(64, 1 << 63).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. } | Error::OutOfMemory { .. }), "{error}");
}

#[test]
#[cfg(feature = "bytes")]
fn bytes_mut_comes_back_with_what_was_written() {
    let mut bytes = bytes::BytesMut::from(&b"one two"[..]);
    let rest = bytes.split_off(4);
    let store = BackingStore::try_from(bytes).unwrap();
    store.clone().bytes_mut().unwrap()[..3].copy_from_slice(b"six");
    let bytes: bytes::BytesMut = store.try_into_unique().unwrap().try_into_owner().unwrap();
    assert_eq!((&bytes[..], &rest[..]), (&b"six "[..], &b"two"[..]));
    assert_eq!(FrozenStore::try_from(bytes.freeze()).unwrap()[..], *b"six ");
}

#[test]
#[cfg(feature = "memmap2")]
fn an_anonymous_map_comes_back_with_what_was_written() {
    let store = BackingStore::try_from(memmap2::MmapMut::map_anon(4096).unwrap()).unwrap();
    store.clone().bytes_mut().unwrap().fill(7);
    let map: memmap2::MmapMut = store.try_into_unique().unwrap().try_into_owner().unwrap();
    assert!(map.iter().all(|&byte| byte == 7));
    assert_eq!(UniqueStore::from_owner(memmap2::MmapMut::map_anon(0).unwrap()).unwrap().byte_length(), 0);
}
