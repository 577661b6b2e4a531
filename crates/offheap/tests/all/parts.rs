//! Handles to parts: they share count, guards and exposure with the whole, and refuse misaligned elements.

use offheap::adapter::{Hold, IsolateRegistration};
use offheap::{BackingStore, Error, FrozenStore, NotUnique, SharedStore, UniqueStore};

fn store() -> BackingStore {
    UniqueStore::from_owner(vec![1.0f32, 2.0, 3.0, 4.0]).unwrap().into()
}

#[test]
fn elements_are_a_part_of_their_bytes() {
    let store = store();
    let part = store.slice_elements::<f32>(4, 2).unwrap();
    assert_eq!((part.byte_offset(), part.byte_length()), (4, 8));
    assert_eq!(part.copy_out::<f32>().unwrap(), [2.0, 3.0]);
    let inner = part.slice_elements::<u16>(2, 3).unwrap();
    assert_eq!((inner.byte_offset(), inner.byte_length()), (6, 6));
    assert_eq!(store.slice_elements::<u64>(16, 0).unwrap().byte_length(), 0);
}

#[test]
fn elements_at_an_address_that_they_cannot_have_are_an_error_that_says_the_offset() {
    let store = store();
    for byte_offset in [1, 2, 3, 5] {
        let error = store.slice_elements::<f32>(byte_offset, 1).unwrap_err();
        assert!(
            matches!(error, Error::Misaligned { byte_offset: b, alignment: 4, element: "f32", .. } if b == byte_offset),
            "{error}"
        );
        assert!(error.to_string().contains(&format!("from byte {byte_offset} on as `f32`")), "{error}");
        store.slice_elements::<u8>(byte_offset, 1).unwrap();
    }
    let odd = store.slice(1..).unwrap();
    odd.slice_elements::<f32>(3, 1).unwrap();
    assert!(matches!(odd.slice_elements::<f32>(0, 1), Err(Error::Misaligned { byte_offset: 1, .. })));
}

#[test]
fn elements_beyond_the_end_are_an_error_also_beyond_all_numbers() {
    let store = store();
    for (byte_offset, element_count) in
        [(0, 5), (16, 1), (12, 2), (usize::MAX, 1), (4, usize::MAX), (usize::MAX - 3, usize::MAX / 4)]
    {
        let error = store.slice_elements::<f32>(byte_offset, element_count).unwrap_err();
        assert!(matches!(error, Error::OutOfRange { .. }), "{error}");
    }
}

#[test]
fn a_part_shares_the_exposure_of_the_whole() {
    let isolate = IsolateRegistration::new("Test").unwrap();
    let store = store();
    let mut part = store.slice_elements::<f32>(8, 2).unwrap();
    let hold = Hold::new(&part, isolate.id()).unwrap();
    assert_eq!(store.exposure(), Some((isolate.id(), 1)));
    assert!(matches!(store.bytes(), Err(Error::Exposed { .. })));
    assert!(matches!(part.bytes_mut(), Err(Error::Exposed { .. })));
    assert_eq!(part.copy_out::<f32>().unwrap(), [3.0, 4.0]);
    drop(hold);
    part.bytes_mut().unwrap().fill(0);
    assert_eq!(store.copy_out::<f32>().unwrap(), [1.0, 2.0, 0.0, 0.0]);
}

#[test]
fn a_part_keeps_the_whole_and_keeps_it_from_being_unique() {
    let store = store();
    let part = store.slice_elements::<f32>(0, 4).unwrap();
    let rejected = store.try_into_unique().unwrap_err();
    assert!(matches!(rejected.error(), Error::NotUnique { reason: NotUnique::References(2), .. }));
    drop(rejected);
    let rejected = part.try_into_unique().unwrap_err();
    assert!(matches!(rejected.error(), Error::NotUnique { reason: NotUnique::SubStore, .. }));
    assert_eq!(rejected.into_inner().copy_out::<f32>().unwrap(), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn parts_of_parts_are_counted_from_the_whole_and_hold_one_reference_each() {
    let store = store();
    let mut parts = vec![store.clone()];
    for _ in 0..8 {
        let last = parts.last().unwrap();
        parts.push(last.slice(1..).unwrap());
    }
    assert_eq!((parts[8].byte_offset(), parts[8].byte_length(), store.reference_count()), (8, 8, 10));
    drop(parts);
    assert_eq!(store.reference_count(), 1);
}

#[test]
fn a_part_as_long_as_its_store_stays_a_part_where_it_is_not_frozen() {
    let store = SharedStore::growable(8, 4096).unwrap();
    let part = BackingStore::from(store.slice(0..8).unwrap());
    let part = FrozenStore::try_from(part).expect_err("it is shared").into_inner();
    store.grow(64).unwrap();
    assert_eq!((part.byte_length(), part.max_byte_length()), (8, 8));
}

#[test]
fn c22_a_part_is_not_unique_whatever_other_handles_there_are() {
    let store = BackingStore::from(UniqueStore::zeroed(8).unwrap());
    let part = store.slice(2..4).unwrap();
    drop(store);
    let message = part.try_into_unique().unwrap_err().to_string();
    assert!(message.ends_with("this handle is to a part of it; use a handle to all of it"), "{message}");
    let shared = BackingStore::from(SharedStore::zeroed(8).unwrap());
    let message = shared.try_into_unique().unwrap_err().to_string();
    assert!(message.ends_with("memory of this kind cannot be taken back; copy its bytes instead"), "{message}");
}

#[test]
fn c22_a_range_of_an_empty_store_says_what_may_have_happened() {
    let empty = BackingStore::from(UniqueStore::zeroed(0).unwrap());
    let message = empty.slice(4..8).unwrap_err().to_string();
    assert!(message.starts_with("bytes 4..8 do not lie in store"), "{message}");
    assert!(
        message.ends_with(
            "which has no bytes; if it was taken from a detached buffer, take it before the buffer is detached"
        ),
        "{message}"
    );
    let message = BackingStore::from(UniqueStore::zeroed(3).unwrap()).slice(4..8).unwrap_err().to_string();
    assert!(message.ends_with("which has 3 bytes; ask for a range inside it"), "{message}");
}
