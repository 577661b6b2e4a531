//! Frozen memory: it is read anywhere and written nowhere.

use std::io::{BufRead, Cursor, Read, Write};
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
fn the_way_back_is_for_handles_to_frozen_memory_and_keeps_their_part() {
    let store = BackingStore::from(FrozenStore::from_owner(&[1u8, 2, 3][..]).unwrap());
    let part = store.slice(1..2).unwrap();
    let frozen = FrozenStore::try_from(part.clone()).unwrap();
    assert_eq!((&frozen[..], frozen.byte_offset(), frozen.byte_length()), (&[2][..], 1, 1));
    assert_eq!(BackingStore::from(frozen), part);
    assert_eq!(FrozenStore::try_from(store).unwrap()[..], [1, 2, 3]);
    let writable = BackingStore::from(UniqueStore::zeroed(2).unwrap());
    assert_eq!(FrozenStore::try_from(writable.clone()).unwrap_err().into_inner(), writable);
}

#[test]
fn a_part_keeps_the_whole_and_shows_its_own_bytes() {
    let numbers: Arc<[u8]> = (0..10).collect();
    let store = FrozenStore::from_owner(numbers.clone()).unwrap();
    let part = store.slice(2..8).unwrap();
    let inner = part.slice(1..=2).unwrap();
    assert_eq!((inner.byte_offset(), inner.byte_length(), inner.id()), (3, 2, store.id()));
    assert_eq!(store.reference_count(), 3);
    drop((store, part));
    assert_eq!((&inner[..], inner.as_ptr()), (&[3, 4][..], numbers[3..].as_ptr()));
    assert_eq!(BackingStore::from(inner.clone()).to_vec().unwrap(), [3, 4]);
    assert!(inner.slice(2..).unwrap().is_empty());
    drop(inner);
    assert_eq!(Arc::strong_count(&numbers), 1);
}

#[test]
fn a_part_beyond_the_end_is_an_error() {
    let part = FrozenStore::from_owner(&[1u8, 2, 3]).unwrap().slice(1..).unwrap();
    for range in [0..3, 3..3, 0..usize::MAX] {
        assert!(matches!(part.slice(range.clone()), Err(Error::OutOfRange { .. })), "{range:?}");
    }
}

#[test]
fn owners_of_std_are_lent_where_they_are() {
    fn check<O: offheap::FrozenOwner>(owner: O, address: *const u8, expected: &[u8]) {
        let frozen = FrozenStore::from_owner(owner).unwrap();
        let frozen = thread::spawn(move || frozen).join().unwrap();
        assert_eq!((frozen.as_ptr(), &frozen[..]), (address, expected));
    }
    let vec = vec![0x0201u16.to_le(), 0x0403u16.to_le()];
    let address = vec.as_ptr().cast();
    check(vec, address, &[1, 2, 3, 4]);
    let boxed: Box<[u8]> = Box::new([5, 6]);
    let address = boxed.as_ptr();
    check(boxed, address, &[5, 6]);
    let text = String::from("text");
    let address = text.as_ptr();
    check(text, address, b"text");
    let text = "static text";
    check(text, text.as_ptr(), b"static text");
    static BYTES: &[u8; 3] = b"abc";
    check(BYTES, BYTES.as_ptr(), b"abc");
    let flags = Arc::new(vec![true, false]);
    check(flags.clone(), flags.as_ptr().cast(), &[1, 0]);
    assert_eq!(Arc::strong_count(&flags), 1);
}

#[test]
fn an_arc_of_a_vec_is_not_written_by_its_other_holders() {
    let mut numbers = Arc::new(vec![1u8, 2, 3]);
    let frozen = FrozenStore::from_owner(numbers.clone()).unwrap();
    assert!(Arc::get_mut(&mut numbers).is_none());
    Arc::make_mut(&mut numbers).push(9);
    assert!(Arc::try_unwrap(numbers).is_ok(), "a Vec of its own by now");
    assert_eq!(frozen[..], [1, 2, 3]);
}

#[test]
fn owners_of_no_bytes_are_empty_stores() {
    assert!(FrozenStore::from_owner(Vec::<u64>::new()).unwrap().is_empty());
    assert!(FrozenStore::from_owner(String::new()).unwrap().slice(..).unwrap().is_empty());
    assert!(FrozenStore::from_owner("").unwrap().is_empty());
    assert!(FrozenStore::from_owner(Box::<[u8]>::default()).unwrap().is_empty());
    assert!(FrozenStore::from_owner(&[0u8; 0]).unwrap().is_empty());
}

#[test]
fn a_part_is_read_as_a_file_is() {
    let part = FrozenStore::from_owner("one two three").unwrap().slice(4..).unwrap();
    let mut words = Cursor::new(part).split(b' ');
    assert_eq!(words.next().unwrap().unwrap(), b"two");
    assert_eq!(words.next().unwrap().unwrap(), b"three");
    let mut unique = UniqueStore::zeroed(4).unwrap();
    Cursor::new(unique.as_mut()).write_all(b"ab").unwrap();
    let mut read = Vec::new();
    Cursor::new(unique).read_to_end(&mut read).unwrap();
    assert_eq!(read, b"ab\0\0");
}

#[test]
fn guards_are_read_and_written_as_files_are() {
    let mut store = BackingStore::from(UniqueStore::zeroed(4).unwrap());
    let mut bytes = store.bytes_mut().unwrap();
    Cursor::new(bytes.as_mut()).write_all(b"ab").unwrap();
    drop(bytes);
    let mut text = String::new();
    Cursor::new(store.bytes().unwrap()).take(2).read_to_string(&mut text).unwrap();
    assert_eq!(text, "ab");
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

#[cfg(feature = "bytes")]
#[test]
fn a_frozen_store_is_bytes_where_it_is_and_kept_once() {
    let numbers: Arc<[u8]> = (0..10).collect();
    let store = FrozenStore::from_owner(numbers.clone()).unwrap();
    let bytes = bytes::Bytes::from(store.slice(2..8).unwrap());
    assert_eq!(store.reference_count(), 2);
    let part = bytes.slice(1..3);
    assert_eq!(store.reference_count(), 2, "clones of the `Bytes` are counted there");
    assert_eq!((part.as_ptr(), &part[..]), (numbers[3..].as_ptr(), &[3, 4][..]));
    drop(bytes);
    // Nobody gets it to write, and it may be frozen again.
    let part = part.try_into_mut().expect_err("the store may have other readers");
    let again = FrozenStore::from_owner(part).unwrap();
    assert_ne!(again.id(), store.id());
    thread::spawn(move || assert_eq!(again[..], [3, 4])).join().unwrap();
    assert_eq!(store.reference_count(), 1);
    assert!(bytes::Bytes::from(store.slice(3..3).unwrap()).is_empty());
}
