//! Stores of every size: they work or give a clear error, and never abort.

use offheap::{BackingStore, Error, ManualMemory, UniqueStore};

/// Pages of 4 KiB and of 16 KiB (Apple), and the size from which manual memory is whole pages.
const BORDERS: [usize; 4] = [4096, 16384, 65536, 1 << 20];

fn sizes() -> impl Iterator<Item = usize> {
    let around = BORDERS.into_iter().flat_map(|border| [border - 1, border, border + 1]);
    [0, 1, 2, 3, 7, 15, 16, 17, 33, 511, 513, 1023].into_iter().chain(around)
}

#[test]
fn a_zeroed_store_of_any_size_is_zero_and_writable_to_its_last_byte() {
    for byte_length in sizes() {
        let mut store = UniqueStore::zeroed(byte_length).unwrap();
        assert_eq!(store.byte_length(), byte_length);
        assert!(store.iter().all(|&byte| byte == 0), "{byte_length}");
        if let Some(last) = store.last_mut() {
            *last = 7;
        }
        let shared = BackingStore::from(store);
        assert_eq!(shared.to_vec().unwrap().last().copied(), (byte_length != 0).then_some(7));
    }
}

#[test]
fn a_manual_memory_of_any_size_is_zero_and_writable_to_its_last_byte() {
    for byte_length in sizes() {
        let memory = ManualMemory::allocate(byte_length).unwrap();
        let mut store = memory.store().clone();
        assert_eq!((memory.byte_length(), store.byte_length()), (byte_length, byte_length));
        let mut bytes = store.bytes_mut().unwrap();
        assert!(bytes.iter().all(|&byte| byte == 0), "{byte_length}");
        bytes.fill(1);
        drop(bytes);
        memory.free().unwrap();
    }
}

#[test]
fn every_store_is_aligned_to_sixteen_and_not_null() {
    for byte_length in sizes() {
        let store = BackingStore::from(UniqueStore::zeroed(byte_length).unwrap());
        assert!(!store.as_ptr().is_null());
        assert_eq!(store.as_ptr().addr() % 16, 0, "{byte_length}");
        let memory = ManualMemory::allocate(byte_length).unwrap();
        assert_eq!(memory.as_ptr().addr() % 16, 0, "{byte_length}");
        memory.free().unwrap();
    }
}

#[test]
fn every_empty_manual_memory_has_an_address_of_its_own() {
    let first = ManualMemory::allocate(0).unwrap();
    let second = ManualMemory::allocate(0).unwrap();
    assert_ne!(first.as_ptr(), second.as_ptr());
    first.free().unwrap();
    second.free().unwrap();
}

#[test]
fn more_than_half_the_address_space_is_too_large() {
    for requested in [isize::MAX as usize + 1, isize::MAX as usize + 2, usize::MAX - 1, usize::MAX] {
        let unique = UniqueStore::zeroed(requested).unwrap_err();
        assert!(matches!(unique, Error::TooLarge { requested: r, .. } if r == requested), "{unique}");
        let filled = UniqueStore::filled(requested, |_| panic!("nothing to fill")).unwrap_err();
        assert!(matches!(filled, Error::TooLarge { requested: r, .. } if r == requested), "{filled}");
        let manual = ManualMemory::allocate(requested).unwrap_err();
        assert!(matches!(manual, Error::TooLarge { requested: r, .. } if r == requested), "{manual}");
    }
}

#[test]
fn the_largest_sizes_that_might_be_are_out_of_memory() {
    for requested in [isize::MAX as usize - 4096, isize::MAX as usize - 15] {
        let unique = UniqueStore::zeroed(requested).unwrap_err();
        assert!(matches!(unique, Error::OutOfMemory { requested: r } if r == requested), "{unique}");
        let manual = ManualMemory::allocate(requested).unwrap_err();
        assert!(matches!(manual, Error::OutOfMemory { requested: r } if r == requested), "{manual}");
    }
}

#[test]
fn an_error_about_a_size_says_what_to_do() {
    let error = UniqueStore::zeroed(usize::MAX).unwrap_err().to_string();
    assert!(error.contains(&usize::MAX.to_string()) && error.contains("ask for less"), "{error}");
}

#[test]
fn filled_writes_every_byte_before_the_store_exists() {
    let store = UniqueStore::filled(5, |bytes| bytes.copy_from_slice(b"abcde")).unwrap();
    assert_eq!(&store[..], b"abcde");
}

#[test]
fn a_range_past_the_end_of_numbers_is_out_of_range() {
    let store = BackingStore::from(UniqueStore::zeroed(8).unwrap());
    let mut byte = [0];
    for offset in [8, usize::MAX, isize::MAX as usize] {
        assert!(matches!(store.copy_to_slice(offset, &mut byte), Err(Error::OutOfRange { .. })), "{offset}");
    }
    assert!(matches!(store.slice(usize::MAX..), Err(Error::OutOfRange { .. })));
    assert!(matches!(store.slice(..=usize::MAX), Err(Error::OutOfRange { .. })));
    assert!(matches!(store.slice(0..9), Err(Error::OutOfRange { .. })));
    store.copy_to_slice(8, &mut []).unwrap();
}
