//! Mapped files: their bytes are read and written by copies, and the error for a file that cannot be mapped says why.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use offheap::adapter::{self, Hold, IsolateRegistration};
use offheap::{Error, Length, MapMode, MapProblem, Mapped, NotUnique, SharedStore, Sharing};

/// A directory that is removed with its content when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("offheap-mapped-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, content: &[u8]) -> PathBuf {
        let path = self.0.join("file");
        fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn problem(result: Result<Mapped, Error>) -> MapProblem {
    match result {
        Err(Error::Map { problem, .. }) => problem,
        Err(error) => panic!("{error}"),
        Ok(mapped) => panic!("mapped: {mapped:?}"),
    }
}

const MODES: [MapMode; 3] = [MapMode::ReadOnly, MapMode::CopyOnWrite, MapMode::ReadWrite];

#[test]
fn a_file_is_read_in_every_mode() {
    let folder = Folder::new("read");
    let path = folder.file(b"some bytes");
    for mode in MODES {
        let mapped = Mapped::open(&path, mode).unwrap();
        assert_eq!((mapped.path(), mapped.mode(), mapped.byte_length()), (path.as_path(), mode, 10));
        let kind = mapped.store().kind();
        let sharing = if mode == MapMode::ReadOnly { Sharing::ReadOnly } else { Sharing::Shared };
        assert_eq!((kind.is_file(), kind.sharing(), kind.length()), (true, sharing, Length::Fixed));
        assert_eq!(mapped.store().to_vec().unwrap(), b"some bytes");
        assert_eq!(mapped.store().slice(5..).unwrap().to_vec().unwrap(), b"bytes");
    }
}

#[test]
fn a_file_of_whole_pages_is_read_to_its_last_byte() {
    let folder = Folder::new("pages");
    for byte_length in [1, 4095, 4096, 4097, 65536] {
        let path = folder.file(&vec![9; byte_length]);
        let mapped = Mapped::open(&path, MapMode::ReadOnly).unwrap();
        assert_eq!(mapped.store().to_vec().unwrap(), vec![9; byte_length]);
    }
}

/// The lengths of the maps of the file at `path` in this process.
#[cfg(target_os = "linux")]
fn lengths_of_maps(path: &Path) -> Vec<usize> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let name = path.to_str().unwrap();
    let addresses = maps.lines().filter(|line| line.ends_with(name)).map(|line| line.split_once(' ').unwrap().0);
    addresses
        .map(|range| {
            let (start, end) = range.split_once('-').unwrap();
            let number = |text| usize::from_str_radix(text, 16).unwrap();
            number(end) - number(start)
        })
        .collect()
}

#[test]
fn a_part_maps_only_its_pages() {
    let folder = Folder::new("part");
    let content: Vec<u8> = (0..100_000).map(|index| (index / 7) as u8).collect();
    let path = folder.file(&content);
    for mode in MODES {
        for range in [0..1, 8..24, 4095..4097, 4096..8192, 50_001..50_002, 99_999..100_000, 0..100_000] {
            let part = Mapped::open_part(&path, mode, range.clone()).unwrap();
            assert_eq!(part.store().to_vec().unwrap(), content[range.clone()], "{mode} {range:?}");
            assert_eq!(part.byte_length(), range.len());
            assert_eq!(part.store().as_ptr().addr() % 4096, range.start % 4096);
            #[cfg(target_os = "linux")]
            assert_eq!(lengths_of_maps(&path), [range.end.next_multiple_of(4096) - range.start / 4096 * 4096]);
        }
    }
    let tail = Mapped::open_part(&path, MapMode::ReadWrite, 99_990..).unwrap();
    tail.copy_from_slice(3, b"new").unwrap();
    tail.flush().unwrap();
    assert_eq!(fs::read(&path).unwrap()[99_990..], [&content[99_990..99_993], b"new", &content[99_996..]].concat());
}

#[test]
fn an_empty_part_has_no_map_and_a_part_beyond_the_file_is_an_error() {
    let folder = Folder::new("beyond");
    let path = folder.file(b"some bytes");
    for range in [0..0, 5..5, 10..10] {
        assert!(Mapped::open_part(&path, MapMode::ReadOnly, range).unwrap().store().to_vec().unwrap().is_empty());
    }
    #[expect(clippy::reversed_empty_ranges, reason = "it is refused")]
    for range in [0..11, 11..11, 11..12, 5..4, usize::MAX - 1..usize::MAX] {
        let error = Mapped::open_part(&path, MapMode::ReadOnly, range.clone()).unwrap_err();
        assert_eq!(error.code(), "OUT_OF_RANGE", "{range:?}");
        assert!(error.to_string().ends_with("but 10 bytes; map a part inside it"), "{error}");
    }
    let gone = Mapped::open_part(&path, MapMode::ReadOnly, 11..).unwrap_err();
    assert!(matches!(gone, Error::Map { problem: MapProblem::OutOfRange { start: 11, end: 10, .. }, .. }), "{gone}");
}

#[test]
fn no_mode_lends_a_slice() {
    let folder = Folder::new("slice");
    let path = folder.file(b"some bytes");
    for mode in MODES {
        let mut store = Mapped::open(&path, mode).unwrap().store().clone();
        for refused in [store.bytes().err(), store.bytes_mut().err()] {
            assert!(matches!(refused, Some(Error::MappedSlice { .. } | Error::SharedSlice { .. })), "{refused:?}");
        }
        let rejected = store.try_into_unique().unwrap_err();
        assert!(matches!(rejected.error(), Error::NotUnique { reason: NotUnique::Kind, .. }));
    }
}

#[test]
fn read_only_is_not_written() {
    let folder = Folder::new("ro");
    let mapped = Mapped::open(folder.file(b"some bytes"), MapMode::ReadOnly).unwrap();
    assert!(matches!(mapped.copy_from_slice(0, b"x"), Err(Error::ReadOnly { .. })));
}

#[test]
fn copy_on_write_writes_the_mapping_and_not_the_file() {
    let folder = Folder::new("cow");
    let path = folder.file(b"some bytes");
    let mapped = Mapped::open(&path, MapMode::CopyOnWrite).unwrap();
    mapped.copy_from_slice(0, b"more").unwrap();
    assert_eq!(mapped.store().to_vec().unwrap(), b"more bytes");
    mapped.flush().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"some bytes");
}

#[test]
fn read_write_writes_the_file() {
    let folder = Folder::new("rw");
    let path = folder.file(b"some bytes");
    let mapped = Mapped::open(&path, MapMode::ReadWrite).unwrap();
    mapped.copy_from_slice(5, b"BYTES").unwrap();
    mapped.flush().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"some BYTES");
    assert!(matches!(mapped.copy_from_slice(6, b"BYTES"), Err(Error::OutOfRange { .. })));
}

#[test]
fn b11_a_mapping_that_may_be_written_is_shared_memory_with_atomics() {
    let folder = Folder::new("exposed");
    let isolates = [(); 2].map(|()| IsolateRegistration::new("Test").unwrap());
    for mode in [MapMode::CopyOnWrite, MapMode::ReadWrite] {
        let mapped = Mapped::open(folder.file(b"some bytes"), mode).unwrap();
        let exposed = isolates.each_ref().map(|isolate| Hold::new(mapped.store(), isolate.id()).unwrap());
        assert!(exposed.iter().all(|hold| hold.kind().is_shared() && !hold.is_growable()));
        mapped.copy_from_slice(0, b"x").unwrap();
        let shared = SharedStore::try_from(mapped.store().slice(..4).unwrap()).unwrap();
        shared.as_atomics()[1].store(b'y', Ordering::Relaxed);
        assert_eq!(mapped.store().to_vec().unwrap(), b"xyme bytes");
        assert!(matches!(shared.grow(5), Err(Error::NotResizable { .. })));
        assert!(!adapter::frees_bytes(mapped.store()));
    }
}

#[test]
fn a_read_only_mapping_is_exposed_in_many_isolates() {
    let folder = Folder::new("isolates");
    let isolates = [(); 2].map(|()| IsolateRegistration::new("Test").unwrap());
    let mapped = Mapped::open(folder.file(b"some bytes"), MapMode::ReadOnly).unwrap();
    let exposed = isolates.each_ref().map(|isolate| Hold::new(mapped.store(), isolate.id()).unwrap());
    assert!(exposed.iter().all(Hold::is_read_only));
}

#[test]
fn the_store_keeps_the_mapping() {
    let folder = Folder::new("keeps");
    let path = folder.file(b"some bytes");
    let store = Mapped::open(&path, MapMode::ReadOnly).unwrap().store().clone();
    fs::remove_file(&path).unwrap();
    assert_eq!(store.to_vec().unwrap(), b"some bytes");
}

#[test]
fn a_missing_file_is_named() {
    let folder = Folder::new("missing");
    let error = Mapped::open(folder.0.join("nothing-here"), MapMode::ReadOnly).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("nothing-here") && message.contains("No such file"), "{message}");
    assert!(matches!(problem(Err(error)), MapProblem::Io(_)));
}

#[test]
fn c22_an_empty_file_is_a_map_of_no_bytes() {
    let folder = Folder::new("empty");
    let path = folder.file(b"");
    for mode in MODES {
        let mapped = Mapped::open(&path, mode).unwrap();
        assert_eq!((mapped.byte_length(), mapped.store().byte_length()), (0, 0));
        assert_eq!(mapped.store().to_vec().unwrap(), b"");
        assert!(matches!(mapped.store().slice(0..1), Err(Error::OutOfRange { .. })));
        let isolate = IsolateRegistration::new("Test").unwrap();
        assert_eq!(Hold::new(mapped.store(), isolate.id()).unwrap().byte_length(), 0);
        mapped.flush().unwrap();
        assert!(mapped.mode() == MapMode::ReadOnly || mapped.copy_from_slice(0, b"").is_ok());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn c22_a_file_of_the_system_that_has_no_length_is_told_from_an_empty_one() {
    let error = Mapped::open("/proc/self/status", MapMode::ReadOnly).unwrap_err();
    let message = error.to_string();
    assert!(message.ends_with("so it has no length to map; copy it into a regular file first"), "{message}");
    assert!(matches!(problem(Err(error)), MapProblem::NoLength));
}

#[cfg(target_os = "linux")]
#[test]
fn d16_a_file_of_the_system_that_it_cannot_map_is_to_be_copied() {
    for mode in [MapMode::ReadOnly, MapMode::CopyOnWrite] {
        let error = Mapped::open("/sys/kernel/fscaps", mode).unwrap_err();
        let message = error.to_string();
        assert!(message.ends_with("the system cannot map this file; copy it into a regular file first"), "{message}");
        assert!(matches!(problem(Err(error)), MapProblem::Unmappable));
    }
}

#[test]
fn a_directory_is_refused() {
    let folder = Folder::new("directory");
    for mode in MODES {
        assert!(matches!(problem(Mapped::open(&folder.0, mode)), MapProblem::Directory));
    }
}

#[test]
fn a_device_is_refused() {
    assert!(matches!(problem(Mapped::open("/dev/null", MapMode::ReadOnly)), MapProblem::NotAFile));
}

#[test]
fn a_pipe_is_refused_without_waiting_for_its_other_end() {
    let folder = Folder::new("pipe");
    let path = folder.0.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert!(matches!(problem(Mapped::open(&path, MapMode::ReadOnly)), MapProblem::NotAFile));
}

#[test]
fn a_file_below_a_file_is_refused_by_the_system() {
    let folder = Folder::new("below");
    let path = folder.file(b"some bytes").join("below");
    assert!(matches!(problem(Mapped::open(path, MapMode::ReadOnly)), MapProblem::Io(_)));
}

#[test]
fn a_file_that_may_not_be_read_is_refused() {
    let folder = Folder::new("unreadable");
    let path = folder.file(b"some bytes");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        // A superuser may read all files, but not map the kernel's memory.
        return assert!(matches!(problem(Mapped::open("/proc/self/mem", MapMode::ReadOnly)), MapProblem::Io(_)));
    }
    for mode in MODES {
        assert!(matches!(problem(Mapped::open(&path, mode)), MapProblem::Io(_)));
    }
}

#[test]
fn a_program_that_runs_is_mapped_to_be_read_and_not_to_be_written() {
    // Refused even for a superuser.
    let program = std::env::current_exe().unwrap();
    assert!(Mapped::open(&program, MapMode::ReadOnly).is_ok());
    assert!(matches!(problem(Mapped::open(&program, MapMode::ReadWrite)), MapProblem::Io(_)));
}

fn in_both_modes(path: &Path, first: MapMode, second: MapMode) {
    let mapped = Mapped::open(path, first).unwrap();
    let problem = problem(Mapped::open(path, second));
    assert!(matches!(problem, MapProblem::OtherMode { requested, mapped } if (requested, mapped) == (second, first)));
    drop(mapped);
    assert!(Mapped::open(path, second).is_ok(), "the first is gone");
}

#[test]
fn a_file_mapped_read_write_is_not_mapped_otherwise() {
    let folder = Folder::new("rw-first");
    let path = folder.file(b"some bytes");
    in_both_modes(&path, MapMode::ReadWrite, MapMode::ReadOnly);
    in_both_modes(&path, MapMode::ReadWrite, MapMode::CopyOnWrite);
}

#[test]
fn a_file_mapped_otherwise_is_not_mapped_read_write() {
    let folder = Folder::new("rw-second");
    let path = folder.file(b"some bytes");
    in_both_modes(&path, MapMode::ReadOnly, MapMode::ReadWrite);
    in_both_modes(&path, MapMode::CopyOnWrite, MapMode::ReadWrite);
}

#[test]
fn another_name_of_the_same_file_is_the_same_file() {
    let folder = Folder::new("names");
    let path = folder.file(b"some bytes");
    let (hard, soft) = (folder.0.join("hard"), folder.0.join("soft"));
    fs::hard_link(&path, &hard).unwrap();
    std::os::unix::fs::symlink(&path, &soft).unwrap();
    let _mapped = Mapped::open(&path, MapMode::ReadWrite).unwrap();
    for other in [hard, soft] {
        assert!(matches!(problem(Mapped::open(other, MapMode::ReadOnly)), MapProblem::OtherMode { .. }));
    }
}

#[test]
fn the_mode_is_free_again_only_when_the_last_reference_is_gone() {
    let folder = Folder::new("last");
    let path = folder.file(b"some bytes");
    let first = Mapped::open(&path, MapMode::ReadOnly).unwrap();
    let second = Mapped::open(&path, MapMode::CopyOnWrite).unwrap().store().slice(1..).unwrap();
    drop(first);
    assert!(matches!(problem(Mapped::open(&path, MapMode::ReadWrite)), MapProblem::OtherMode { .. }));
    drop(second);
    Mapped::open(&path, MapMode::ReadWrite).unwrap();
}

#[test]
fn a_writable_map_is_a_shared_store_and_a_read_only_one_comes_back() {
    let path = std::env::temp_dir().join(format!("offheap-shared-map-{}", std::process::id()));
    std::fs::write(&path, "abcd").unwrap();
    let shared = SharedStore::try_from(Mapped::open(&path, MapMode::CopyOnWrite).unwrap()).unwrap();
    shared.copy_from_slice(1, b"X").unwrap();
    assert_eq!(shared.to_vec().unwrap(), b"aXcd");
    drop(shared);
    let rejected = SharedStore::try_from(Mapped::open(&path, MapMode::ReadOnly).unwrap()).unwrap_err();
    assert!(matches!(rejected.error(), Error::OtherKind { requested: "SharedStore", .. }), "{rejected}");
    assert_eq!(rejected.into_inner().path(), path);
    std::fs::remove_file(&path).unwrap();
}
