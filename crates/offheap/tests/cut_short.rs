//! A file that is cut short while it is mapped ends the process with its name and the status that was chosen, and a
//! fault elsewhere goes to whoever handled it before. Each case runs in a process of its own: this one, started again.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use offheap::{BackingStore, MapMode, Mapped, exit_when_a_mapped_file_is_cut_short};

/// Names the file, in the process that is to fault.
const FILE: &str = "OFFHEAP_TEST_FILE";

fn file(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("offheap-cut-{}-{name}", std::process::id()));
    fs::write(&path, vec![1u8; 64 << 10]).unwrap();
    path
}

fn run(test: &str, path: &PathBuf) -> Output {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).args([test, "--exact", "--ignored", "--nocapture"]).env(FILE, path).output();
    let _ = fs::remove_file(path);
    output.unwrap()
}

fn map_and_cut(mode: MapMode) -> (PathBuf, BackingStore) {
    let path = PathBuf::from(std::env::var_os(FILE).expect("run by the test above"));
    let store = Mapped::open(&path, mode).unwrap().store().clone();
    assert_eq!(store.slice(40_000..40_001).unwrap().to_vec().unwrap(), [1]);
    File::options().write(true).open(&path).unwrap().set_len(5000).unwrap();
    (path, store)
}

#[test]
fn a_read_past_the_cut_ends_the_process_with_name_and_status() {
    let path = file("read");
    let output = run("read_past_the_cut", &path);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    let name = path.to_str().unwrap();
    assert!(stderr.contains(&format!("offheap: the file {name} was cut short while it was mapped")), "{stderr}");
    assert!(!stderr.contains("not reached"), "{stderr}");
}

#[test]
#[ignore = "faults; run by the test above in a process of its own"]
fn read_past_the_cut() {
    exit_when_a_mapped_file_is_cut_short(1);
    exit_when_a_mapped_file_is_cut_short(2);
    let (_, store) = map_and_cut(MapMode::ReadOnly);
    assert_eq!(store.slice(..4096).unwrap().to_vec().unwrap(), [1; 4096], "what is left is read");
    let _ = store.to_vec();
    eprintln!("not reached");
}

#[test]
fn a_write_past_the_cut_ends_the_process_with_name_and_status() {
    let path = file("write");
    let output = run("write_past_the_cut", &path);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{stderr}");
    assert!(stderr.contains(path.to_str().unwrap()), "{stderr}");
}

#[test]
#[ignore = "faults; run by the test above in a process of its own"]
fn write_past_the_cut() {
    exit_when_a_mapped_file_is_cut_short(7);
    let path = PathBuf::from(std::env::var_os(FILE).expect("run by the test above"));
    let mapped = Mapped::open(&path, MapMode::ReadWrite).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(1).unwrap();
    mapped.copy_from_slice(60_000, b"gone").unwrap();
    eprintln!("not reached");
}

#[test]
fn without_the_handler_the_process_dies_by_the_signal() {
    let output = run("no_handler", &file("none"));
    assert_eq!(output.status.signal(), Some(libc::SIGBUS));
}

#[test]
#[ignore = "faults; run by the test above in a process of its own"]
fn no_handler() {
    let (_, store) = map_and_cut(MapMode::ReadOnly);
    let _ = store.to_vec();
}

#[test]
fn a_fault_elsewhere_goes_to_the_handler_that_was_there_before() {
    let output = run("fault_elsewhere", &file("elsewhere"));
    assert_eq!(output.status.code(), Some(99), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "faults; run by the test above in a process of its own"]
fn fault_elsewhere() {
    extern "C" fn before(_: libc::c_int) {
        // SAFETY: ends the process.
        unsafe { libc::_exit(99) };
    }
    // SAFETY: the handler is safe in a signal.
    unsafe { libc::signal(libc::SIGBUS, before as extern "C" fn(_) as libc::sighandler_t) };
    exit_when_a_mapped_file_is_cut_short(2);
    let (_, store) = map_and_cut(MapMode::ReadOnly);
    drop(store);
    // SAFETY: raises a signal.
    unsafe { libc::raise(libc::SIGBUS) };
    eprintln!("not reached");
}

#[test]
fn a_fault_in_somebody_elses_mapping_ends_as_it_did_before() {
    let output = run("fault_in_somebody_elses_mapping", &file("theirs"));
    assert_eq!(output.status.signal(), Some(libc::SIGBUS));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("cut short"));
}

#[test]
#[ignore = "faults; run by the test above in a process of its own"]
fn fault_in_somebody_elses_mapping() {
    exit_when_a_mapped_file_is_cut_short(2);
    let (path, store) = map_and_cut(MapMode::ReadOnly);
    File::options().write(true).open(&path).unwrap().set_len(40_000).unwrap();
    let theirs = memmap2::MmapOptions::new().map_raw_read_only(&File::open(&path).unwrap()).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(1).unwrap();
    // SAFETY: inside the mapping; that the file has no such byte is what is tried.
    let byte = unsafe { theirs.as_ptr().add(30_000) };
    // SAFETY: as above.
    eprintln!("not reached: {}", unsafe { byte.read_volatile() });
    drop(store);
}
