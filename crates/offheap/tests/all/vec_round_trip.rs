//! A `Vec` in, the same `Vec` out.

use bytemuck::{Pod, Zeroable};
use offheap::{BackingStore, Error, UniqueStore};

fn round_trip<T: Pod + Send + PartialEq + std::fmt::Debug>(elements: &[T], capacity: usize) {
    let mut vec = Vec::with_capacity(capacity);
    vec.extend_from_slice(elements);
    let (address, capacity) = (vec.as_ptr(), vec.capacity());
    let shared = BackingStore::from(UniqueStore::from_owner(vec).unwrap());
    assert_eq!(shared.byte_length(), size_of_val(elements));
    assert_eq!(shared.as_ptr().cast_const(), address.cast());
    let back: Vec<T> = shared.try_into_unique().unwrap().try_into_owner().unwrap();
    assert_eq!((back.as_ptr(), back.capacity()), (address, capacity));
    assert_eq!(back, elements);
}

#[test]
fn a_vec_of_bytes_comes_back_with_its_address_and_capacity() {
    round_trip::<u8>(&[1, 2, 3], 1000);
}

#[test]
fn a_vec_of_u32_comes_back_with_its_address_and_capacity() {
    round_trip::<u32>(&[1, 2, 3], 7);
}

#[test]
fn a_vec_of_f64_comes_back_with_its_address_and_capacity() {
    round_trip::<f64>(&[0.5, -1.0, f64::INFINITY], 3);
}

#[test]
fn an_empty_vec_comes_back_with_its_capacity() {
    round_trip::<u16>(&[], 9);
    round_trip::<u16>(&[], 0);
}

#[test]
fn a_vec_of_elements_without_bytes_is_an_empty_store() {
    round_trip(&[(); 5], 0);
    let most = UniqueStore::from_owner(vec![(); usize::MAX]).unwrap();
    assert_eq!(most.byte_length(), 0);
}

#[test]
fn a_vec_of_a_struct_comes_back() {
    #[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
    #[repr(C)]
    struct Point {
        x: f32,
        y: f32,
    }
    round_trip(&[Point { x: 1.0, y: 2.0 }, Point { x: 3.0, y: 4.0 }], 4);
}

#[test]
fn bytes_written_to_the_store_are_in_the_vec() {
    let mut store = UniqueStore::from_owner(vec![0u32; 2]).unwrap();
    store[4..].copy_from_slice(&7u32.to_ne_bytes());
    assert_eq!(store.try_into_owner::<Vec<u32>>().unwrap(), [0, 7]);
}

#[test]
fn an_owner_asked_for_by_another_type_stays_in_the_store() {
    let store = UniqueStore::from_owner(vec![1u32, 2]).unwrap();
    let rejected = store.try_into_owner::<Vec<u8>>().unwrap_err();
    assert!(matches!(rejected.error(), Error::OtherOwner { .. }));
    assert_eq!(rejected.into_inner().try_into_owner::<Vec<u32>>().unwrap(), [1, 2]);
}

#[test]
fn a_zeroed_store_has_no_vec_to_give_back() {
    let rejected = UniqueStore::zeroed(4).unwrap().try_into_owner::<Vec<u8>>().unwrap_err();
    assert!(matches!(rejected.error(), Error::OtherOwner { .. }));
}

#[test]
fn bytes_are_copied_out_as_elements_whatever_their_alignment() {
    let bytes: Vec<u8> = (0..9).collect();
    let store = BackingStore::from(UniqueStore::from_owner(bytes).unwrap());
    let part = store.slice(1..9).unwrap();
    assert_eq!(part.copy_out::<u32>().unwrap(), [u32::from_ne_bytes([1, 2, 3, 4]), u32::from_ne_bytes([5, 6, 7, 8])]);
    assert!(matches!(store.copy_out::<u32>(), Err(Error::PartialElement { byte_length: 9, element_size: 4, .. })));
    assert!(matches!(store.copy_out::<()>(), Err(Error::PartialElement { .. })));
}
