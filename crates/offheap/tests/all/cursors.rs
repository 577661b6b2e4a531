//! Stores as `Read`, `Write` and `Seek`.

use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom, Write};

use offheap::adapter::{Hold, IsolateRegistration};
use offheap::{BackingStore, Error, FrozenStore, ManualMemory, MapMode, Mapped, SharedStore, UniqueStore};

/// The core's error in an error of std.
fn inside(error: &std::io::Error) -> &Error {
    error.get_ref().and_then(|error| error.downcast_ref()).expect("an error of the core")
}

#[test]
fn std_cursors_read_frozen_stores_and_write_unique_ones() {
    let mut reader = Cursor::new(FrozenStore::from_owner("some text").unwrap());
    reader.seek(SeekFrom::End(-4)).unwrap();
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "text");

    let mut unique = UniqueStore::zeroed(6).unwrap();
    let mut writer = Cursor::new(&mut unique[..]);
    writer.seek(SeekFrom::Start(2)).unwrap();
    writer.write_all(b"ab").unwrap();
    assert_eq!(writer.write_all(b"cde").unwrap_err().kind(), ErrorKind::WriteZero);
    let mut reader = Cursor::new(unique);
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"\0\0abcd");
}

#[test]
fn a_cursor_reads_writes_and_seeks() {
    let store = BackingStore::from(UniqueStore::zeroed(8).unwrap());
    let mut cursor = store.cursor();
    cursor.write_all(&[1, 2, 3]).unwrap();
    assert_eq!(cursor.position(), 3);
    assert_eq!(cursor.seek(SeekFrom::Current(-2)).unwrap(), 1);
    let mut two = [0; 2];
    cursor.read_exact(&mut two).unwrap();
    assert_eq!(two, [2, 3]);
    assert_eq!(cursor.seek(SeekFrom::End(-1)).unwrap(), 7);
    assert_eq!(cursor.write(&[9, 9]).unwrap(), 1);
    assert_eq!(cursor.write(&[9]).unwrap(), 0);
    assert_eq!(cursor.write_all(&[9]).unwrap_err().kind(), ErrorKind::WriteZero);
    assert_eq!(cursor.read(&mut two).unwrap(), 0);
    cursor.rewind().unwrap();
    let mut all = Vec::new();
    assert_eq!(cursor.read_to_end(&mut all).unwrap(), 8);
    assert_eq!(all, [1, 2, 3, 0, 0, 0, 0, 9]);
    drop(store);
    assert_eq!(cursor.store().to_vec().unwrap(), all);
}

#[test]
fn a_place_beyond_the_end_has_no_bytes_and_one_before_the_start_is_an_error() {
    let mut cursor = BackingStore::from(UniqueStore::zeroed(4).unwrap()).cursor();
    for position in [5, u64::MAX] {
        assert_eq!(cursor.seek(SeekFrom::Start(position)).unwrap(), position);
        assert_eq!((cursor.read(&mut [0]).unwrap(), cursor.write(&[1]).unwrap()), (0, 0));
    }
    assert_eq!(cursor.seek(SeekFrom::Current(1)).unwrap_err().kind(), ErrorKind::InvalidInput);
    let error = cursor.seek(SeekFrom::End(-5)).unwrap_err();
    assert_eq!(error.to_string(), "cannot seek before the start of a store");
    assert_eq!(cursor.position(), u64::MAX);
}

#[test]
fn a_cursor_of_a_part_stays_inside_of_it() {
    let store = BackingStore::from_owner(vec![1u8, 2, 3, 4, 5]).unwrap();
    let mut cursor = store.slice(1..4).unwrap().cursor();
    let mut bytes = Vec::new();
    cursor.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, [2, 3, 4]);
    cursor.rewind().unwrap();
    assert_eq!(cursor.write(&[7; 5]).unwrap(), 3);
    assert_eq!(store.to_vec().unwrap(), [1, 7, 7, 7, 5]);
}

#[test]
fn exposed_memory_is_read_and_not_written() {
    let isolate = IsolateRegistration::new("test").unwrap();
    let store = BackingStore::from_owner(vec![1u8, 2]).unwrap();
    let exposed = Hold::new(&store, isolate.id()).unwrap();
    let mut cursor = store.cursor();
    let mut two = [0; 2];
    cursor.read_exact(&mut two).unwrap();
    assert_eq!(two, [1, 2]);
    cursor.rewind().unwrap();
    let error = cursor.write(&[3]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    assert!(matches!(inside(&error), Error::Exposed { buffers: 1, .. }), "{error}");
    drop(exposed);
    cursor.write_all(&[3]).unwrap();
    assert_eq!(store.to_vec().unwrap(), [3, 2]);
}

#[test]
fn memory_in_use_that_is_read_only_or_freed_is_an_error() {
    let mut store = BackingStore::from_owner(vec![1u8, 2]).unwrap();
    let mut cursor = store.cursor();
    let guard = store.bytes_mut().unwrap();
    let error = cursor.read(&mut [0]).unwrap_err();
    assert!(matches!(inside(&error), Error::Busy { .. }) && error.kind() == ErrorKind::ResourceBusy, "{error}");
    drop(guard);
    assert_eq!(cursor.read(&mut [0]).unwrap(), 1);

    let mut frozen = FrozenStore::from_owner("abc").unwrap().as_store().cursor();
    let error = frozen.write(b"d").unwrap_err();
    assert!(matches!(inside(&error), Error::ReadOnly { .. }) && error.kind() == ErrorKind::PermissionDenied, "{error}");
    let mut text = String::new();
    frozen.read_to_string(&mut text).unwrap();
    assert_eq!(text, "abc");

    let memory = ManualMemory::allocate(4).unwrap();
    let mut cursor = memory.store().cursor();
    memory.free().unwrap();
    assert!(matches!(inside(&cursor.read(&mut [0]).unwrap_err()), Error::Freed { .. }));
    assert!(matches!(inside(&cursor.write(&[0]).unwrap_err()), Error::Freed { .. }));
}

#[test]
fn a_part_that_is_out_of_bounds_is_an_error_and_not_an_end() {
    let mut store = BackingStore::from(UniqueStore::resizable(8, 8).unwrap());
    let mut cursor = store.slice(4..8).unwrap().cursor();
    store.resize(2).unwrap();
    assert!(matches!(inside(&cursor.read(&mut [0]).unwrap_err()), Error::OutOfRange { .. }));
    store.resize(8).unwrap();
    assert_eq!(cursor.read(&mut [0; 9]).unwrap(), 4);
}

#[test]
fn shared_memory_that_grows_has_more_to_read() {
    let store = SharedStore::growable(2, 4096).unwrap();
    let mut cursor = store.as_store().cursor();
    cursor.write_all(&[1, 2]).unwrap();
    assert_eq!(cursor.read(&mut [0]).unwrap(), 0);
    store.grow(3).unwrap();
    assert_eq!(cursor.read(&mut [0; 4]).unwrap(), 1);
    assert_eq!(cursor.seek(SeekFrom::End(0)).unwrap(), 3);
}

#[test]
fn a_mapped_file_is_read_by_lines_and_written_if_its_mode_allows() {
    let path = std::env::temp_dir().join(format!("offheap-cursor-{}", std::process::id()));
    std::fs::write(&path, "first\nsecond\n").unwrap();
    let mapped = Mapped::open(&path, MapMode::ReadOnly).unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::with_capacity(4, mapped.store().cursor()));
    assert_eq!(lines.map(Result::unwrap).collect::<Vec<_>>(), ["first", "second"]);
    let error = mapped.store().cursor().write(b"x").unwrap_err();
    assert!(matches!(inside(&error), Error::ReadOnly { .. }), "{error}");
    drop(mapped);
    let mapped = Mapped::open(&path, MapMode::ReadWrite).unwrap();
    mapped.store().cursor().write_all(b"FIRST").unwrap();
    mapped.flush().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "FIRST\nsecond\n");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn errors_become_errors_of_std() {
    let missing = Mapped::open("/nowhere/at/all", MapMode::ReadOnly).unwrap_err();
    assert_eq!(std::io::Error::from(missing).kind(), ErrorKind::NotFound);
    let too_large = SharedStore::zeroed(usize::MAX).unwrap_err();
    let message = too_large.to_string();
    let error = std::io::Error::from(too_large);
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::OutOfMemory, message));
}
