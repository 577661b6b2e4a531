//! Buffers as stores and back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_buffer::Buffer;
use offheap::{BackingStore, FrozenStore, UniqueStore};
use offheap_arrow::AlignedStore;

#[test]
fn a_slice_at_any_offset_is_not_copied() {
    let column = Buffer::from_vec((0..100u8).collect::<Vec<_>>());
    for offset in 0..=65 {
        let slice = column.slice(offset);
        let aligned = AlignedStore::of(&slice).unwrap();
        assert!(!aligned.is_copy);
        assert_eq!(aligned.store.as_ptr().addr() % 8, 0);
        assert_eq!(aligned.store[aligned.byte_offset..].as_ptr(), slice.as_ptr());
        assert_eq!(aligned.store[aligned.byte_offset..], *slice);
    }
}

#[test]
fn the_store_ends_where_the_slice_ends() {
    let slice = Buffer::from_vec(vec![7u8; 64]).slice_with_length(9, 4);
    let aligned = AlignedStore::of(&slice).unwrap();
    assert_eq!((aligned.byte_offset, aligned.store.byte_length()), (1, 5));
}

#[test]
fn an_empty_buffer_is_an_empty_store() {
    for buffer in [Buffer::from_vec(Vec::<u8>::new()), Buffer::from_vec(vec![1u8; 9]).slice(9)] {
        let aligned = AlignedStore::of(&buffer).unwrap();
        assert_eq!((aligned.byte_offset, aligned.store.byte_length(), aligned.is_copy), (0, 0, false));
    }
}

#[test]
fn memory_that_begins_between_two_multiples_of_8_is_copied() {
    let text = FrozenStore::from_owner(b"0123456789abcdef0123456789abcdef".to_vec()).unwrap();
    let from = 8 - text.as_ptr().addr() % 8 + 3;
    let buffer = Buffer::from(text.slice(from..).unwrap());
    assert_eq!(buffer.as_ptr().addr() % 8, 3);
    let aligned = AlignedStore::of(&buffer).unwrap();
    assert!(aligned.is_copy);
    assert_eq!((aligned.byte_offset, aligned.store.as_ptr().addr() % 8), (0, 0));
    assert_eq!(aligned.store[..], *buffer);
    // Farther on in it there is a multiple of 8, so nothing is copied.
    let aligned = AlignedStore::of(&buffer.slice(6)).unwrap();
    assert_eq!((aligned.byte_offset, aligned.is_copy), (1, false));
}

#[test]
fn the_allocation_lives_as_long_as_the_store() {
    struct Counted(Vec<u8>, Arc<AtomicUsize>);
    impl AsRef<[u8]> for Counted {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let owner = Counted(vec![5; 40], drops.clone());
    let bytes = bytes::Bytes::from_owner(owner);
    let aligned = AlignedStore::of(&Buffer::from(bytes).slice(11)).unwrap();
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    assert_eq!(aligned.store[aligned.byte_offset..], [5; 29]);
    drop(aligned);
    assert_eq!(drops.load(Ordering::Relaxed), 1);
}

#[test]
fn arrow_does_not_write_a_buffer_that_a_store_reads() {
    let buffer = Buffer::from_vec(vec![1u64, 2, 3]);
    let aligned = AlignedStore::of(&buffer).unwrap();
    let buffer = buffer.into_mutable().unwrap_err();
    drop(aligned);
    assert!(buffer.into_mutable().is_ok());
}

#[test]
fn a_vec_that_was_lent_comes_back_as_a_buffer_that_arrow_writes() {
    let lent = vec![0.5f64; 4];
    let address = lent.as_ptr();
    let store = BackingStore::from_owner(lent).unwrap();
    let clone = store.clone();
    let store = store.try_into_unique().unwrap_err().into_inner();
    drop(clone);
    let vec: Vec<f64> = store.try_into_unique().unwrap().try_into_owner().unwrap();
    let mut buffer = Buffer::from_vec(vec).into_mutable().unwrap();
    buffer.typed_data_mut::<f64>()[3] = 1.5;
    assert_eq!(buffer.as_ptr(), address.cast());
    assert_eq!(Buffer::from(buffer).typed_data::<f64>(), [0.5, 0.5, 0.5, 1.5]);
}

#[test]
fn stores_become_buffers_at_the_same_address() {
    let unique = UniqueStore::zeroed_aligned(64, 64).unwrap();
    let address = unique.as_ptr();
    let buffer = Buffer::try_from(unique).unwrap();
    assert_eq!(buffer.as_ptr(), address);
    let aligned = AlignedStore::of(&buffer.slice(5)).unwrap();
    let again = Buffer::from(aligned.store);
    assert_eq!(again.as_ptr(), address);
}
