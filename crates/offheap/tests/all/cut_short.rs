//! A file that is truncated while it is mapped ends the process with a message and the chosen status, and a fault elsewhere
//! goes to the earlier handler. Each case runs in a child process, which is this test started again.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use offheap::{BackingStore, MapMode, Mapped, exit_when_a_mapped_file_is_cut_short};

/// Names the file in the child process.
const FILE: &str = "OFFHEAP_TEST_FILE";

fn file(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("offheap-cut-{}-{name}", std::process::id()));
    fs::write(&path, vec![1u8; 64 << 10]).unwrap();
    path
}

/// Runs `child` in a child process, and returns how that ended.
fn in_a_process_of_its_own(test: &str, child: impl FnOnce(PathBuf)) -> (PathBuf, Output) {
    if let Some(path) = std::env::var_os(FILE) {
        child(path.into());
        eprintln!("not reached");
        std::process::exit(111);
    }
    let path = file(test);
    let program = std::env::current_exe().unwrap();
    let test = format!("cut_short::{test}");
    let output = Command::new(program).args([&test, "--exact", "--nocapture"]).env(FILE, &path).output();
    let _ = fs::remove_file(&path);
    (path, output.unwrap())
}

fn map_and_cut(path: &Path, mode: MapMode) -> BackingStore {
    let store = Mapped::open(path, mode).unwrap().store().clone();
    assert_eq!(store.slice(40_000..40_001).unwrap().to_vec().unwrap(), [1]);
    File::options().write(true).open(path).unwrap().set_len(5000).unwrap();
    store
}

#[test]
fn a_read_past_the_cut_ends_the_process_with_name_and_status() {
    const TEST: &str = "a_read_past_the_cut_ends_the_process_with_name_and_status";
    let (path, output) = in_a_process_of_its_own(TEST, |path| {
        exit_when_a_mapped_file_is_cut_short(1);
        exit_when_a_mapped_file_is_cut_short(2);
        let store = map_and_cut(&path, MapMode::ReadOnly);
        assert_eq!(store.slice(..4096).unwrap().to_vec().unwrap(), [1; 4096], "the rest is read");
        let _ = store.to_vec();
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let name = path.to_str().unwrap();
    assert!(stderr.contains(&format!("offheap: the file {name} was cut short while it was mapped")), "{stderr}");
    assert!(!stderr.contains("not reached"), "{stderr}");
}

#[test]
fn a_write_past_the_cut_ends_the_process_with_name_and_status() {
    const TEST: &str = "a_write_past_the_cut_ends_the_process_with_name_and_status";
    let (path, output) = in_a_process_of_its_own(TEST, |path| {
        exit_when_a_mapped_file_is_cut_short(7);
        let mapped = Mapped::open(&path, MapMode::ReadWrite).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(1).unwrap();
        mapped.copy_from_slice(60_000, b"gone").unwrap();
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{stderr}");
    assert!(stderr.contains(path.to_str().unwrap()), "{stderr}");
}

#[test]
fn without_the_handler_the_process_dies_by_the_signal() {
    const TEST: &str = "without_the_handler_the_process_dies_by_the_signal";
    let (_, output) = in_a_process_of_its_own(TEST, |path| {
        let store = map_and_cut(&path, MapMode::ReadOnly);
        let _ = store.to_vec();
    });
    assert_eq!(output.status.signal(), Some(libc::SIGBUS));
}

#[test]
fn a_fault_elsewhere_goes_to_the_handler_that_was_there_before() {
    const TEST: &str = "a_fault_elsewhere_goes_to_the_handler_that_was_there_before";
    extern "C" fn before(_: libc::c_int) {
        // SAFETY: ends the process.
        unsafe { libc::_exit(99) };
    }
    let (_, output) = in_a_process_of_its_own(TEST, |path| {
        // SAFETY: the handler is safe in a signal.
        unsafe { libc::signal(libc::SIGBUS, before as extern "C" fn(_) as libc::sighandler_t) };
        exit_when_a_mapped_file_is_cut_short(2);
        drop(map_and_cut(&path, MapMode::ReadOnly));
        // SAFETY: raises a signal.
        unsafe { libc::raise(libc::SIGBUS) };
    });
    assert_eq!(output.status.code(), Some(99), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_fault_in_another_mapping_ends_as_it_did_before() {
    const TEST: &str = "a_fault_in_another_mapping_ends_as_it_did_before";
    let (_, output) = in_a_process_of_its_own(TEST, |path| {
        exit_when_a_mapped_file_is_cut_short(2);
        let store = map_and_cut(&path, MapMode::ReadOnly);
        File::options().write(true).open(&path).unwrap().set_len(40_000).unwrap();
        let theirs = memmap2::MmapOptions::new().map_raw_read_only(&File::open(&path).unwrap()).unwrap();
        File::options().write(true).open(&path).unwrap().set_len(1).unwrap();
        // SAFETY: inside the mapping. The file has no such byte any more, which is the point of the test.
        let byte = unsafe { theirs.as_ptr().add(30_000) };
        // SAFETY: as above.
        eprintln!("not reached: {}", unsafe { byte.read_volatile() });
        drop(store);
    });
    assert_eq!(output.status.signal(), Some(libc::SIGBUS));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("cut short"));
}
