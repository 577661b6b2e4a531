//! Frozen memory: it is read anywhere and written nowhere.

use std::num::NonZeroU8;
use std::sync::Arc;
use std::thread;

use offheap::{BackingStore, Error, FrozenStore, NotUnique, StoreKind, UniqueStore};

#[test]
fn a_static_is_lent_where_it_is() {
    static PRIMES: [u16; 3] = [2, 3, 5];
    let frozen = FrozenStore::from_owner(&PRIMES[..]).unwrap();
    assert_eq!(frozen.as_ptr(), PRIMES.as_ptr().cast());
    assert_eq!(frozen.byte_length(), 6);
    assert_eq!(bytemuck::cast_slice::<u8, u16>(&frozen), PRIMES);
}

#[test]
fn a_static_of_no_elements_is_an_empty_store() {
    let frozen = FrozenStore::from_owner(&[0u64; 0][..]).unwrap();
    assert_eq!((frozen.byte_length(), &frozen[..]), (0, &[][..]));
}

#[test]
fn an_arc_is_kept_once_and_its_clones_stay_readable() {
    let numbers: Arc<[u32]> = vec![1, 2, 3].into();
    let frozen = FrozenStore::from_owner(numbers.clone()).unwrap();
    assert_eq!(Arc::strong_count(&numbers), 2);
    assert_eq!(frozen.as_ptr(), numbers.as_ptr().cast());
    let elsewhere = frozen.clone();
    assert_eq!(thread::spawn(move || elsewhere[0]).join().unwrap(), frozen[0]);
    drop(frozen);
    assert_eq!(Arc::strong_count(&numbers), 1);
}

#[test]
fn an_arcs_other_holders_cannot_write_it() {
    let mut numbers: Arc<[u32]> = vec![1, 2, 3].into();
    let frozen = FrozenStore::from_owner(numbers.clone()).unwrap();
    assert!(Arc::get_mut(&mut numbers).is_none());
    Arc::make_mut(&mut numbers)[0] = 9;
    assert_eq!(bytemuck::cast_slice::<u8, u32>(&frozen), [1, 2, 3]);
}

#[test]
fn a_type_that_not_every_byte_fits_may_be_frozen() {
    let bytes: Arc<[NonZeroU8]> = vec![NonZeroU8::MIN; 2].into();
    assert_eq!(FrozenStore::from_owner(bytes).unwrap()[..], [1, 1]);
    let flags: Arc<[bool]> = vec![true, false].into();
    assert_eq!(FrozenStore::from_owner(flags).unwrap()[..], [1, 0]);
}

#[test]
fn as_a_backing_store_it_is_read_and_not_written() {
    let frozen = FrozenStore::from_owner(&[1u8, 2, 3][..]).unwrap();
    let mut store = BackingStore::from(frozen);
    assert_eq!(store.kind(), StoreKind::FROZEN);
    assert_eq!(store.bytes().unwrap()[..], [1, 2, 3]);
    assert_eq!(store.slice(1..).unwrap().to_vec().unwrap(), [2, 3]);
    assert!(matches!(store.bytes_mut(), Err(Error::ReadOnly { .. })));
}

#[test]
fn it_is_never_unique_also_as_the_only_handle() {
    let frozen = FrozenStore::from_owner(vec![1u8].into_iter().collect::<Arc<[u8]>>()).unwrap();
    let rejected = BackingStore::from(frozen).try_into_unique().unwrap_err();
    assert!(matches!(rejected.error(), Error::NotUnique { reason: NotUnique::Kind, .. }));
}

#[test]
fn the_way_back_is_for_handles_to_all_of_frozen_memory() {
    let store = BackingStore::from(FrozenStore::from_owner(&[1u8, 2][..]).unwrap());
    let part = store.slice(1..).unwrap();
    assert_eq!(FrozenStore::try_from(part.clone()).unwrap_err().into_inner(), part);
    assert_eq!(FrozenStore::try_from(store).unwrap()[..], [1, 2]);
    let writable = BackingStore::from(UniqueStore::zeroed(2).unwrap());
    assert_eq!(FrozenStore::try_from(writable.clone()).unwrap_err().into_inner(), writable);
}

#[cfg(feature = "bytes")]
#[test]
fn bytes_are_lent_where_they_are_and_kept_once() {
    let bytes = bytes::Bytes::from(vec![1, 2, 3, 4]);
    let frozen = FrozenStore::from_owner(bytes.slice(1..)).unwrap();
    assert_eq!(frozen.as_ptr(), bytes[1..].as_ptr());
    assert_eq!(frozen[..], [2, 3, 4]);
    let bytes = bytes.try_into_mut().expect_err("two clones live");
    drop(frozen);
    assert!(bytes.try_into_mut().is_ok());
}

#[cfg(feature = "bytes")]
#[test]
fn empty_bytes_are_an_empty_store() {
    assert_eq!(FrozenStore::from_owner(bytes::Bytes::new()).unwrap()[..], []);
}
