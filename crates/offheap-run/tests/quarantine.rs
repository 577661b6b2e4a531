//! A stale pointer to memory that script freed ends the process, and the line names the places in the script. The case runs in a
//! child process, which is this test started again.
#![cfg(any(feature = "quickjs", feature = "v8"))]

use std::error::Error;
use std::process::Command;

use offheap::{ManualHeap, quarantine};
use offheap_ledger::Level;
use offheap_run::{NativeModule, Runner, Script, Scripts};

/// Set in the child process.
const CHILD: &str = "OFFHEAP_TEST_QUARANTINE";

fn free_and_read<H: Scripts>() -> Result<(), Box<dyn Error>> {
    quarantine(1 << 30)?;
    let mut runner =
        Runner::<H>::new(NativeModule::new(offheap_ledger::install(Level::Sites)?), H::Builder::default())?;
    runner.run(&Script::new("make.js", "\nvar memory = nativeModule.allocateMemory(100)"))?;
    let address = ManualHeap::unfreed()?[0].address;
    runner.run(&Script::new("free.js", "\n\nnativeModule.free(memory)"))?;
    let stale = std::ptr::with_exposed_provenance::<u8>(address).wrapping_add(42);
    // SAFETY: none: the memory was freed, which is the point of the test.
    eprintln!("not reached: {}", unsafe { stale.read_volatile() });
    Ok(())
}

fn names_the_script<H: Scripts>(test: &str) -> Result<(), Box<dyn Error>> {
    if std::env::var_os(CHILD).is_some() {
        return free_and_read::<H>();
    }
    let mut child = Command::new(std::env::current_exe()?);
    let output = child.args([test, "--exact", "--nocapture"]).env(CHILD, "1").output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.starts_with("offheap: ")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains(": byte 42 of store ") && line.contains(" (100 bytes), made at make.js:2:"), "{line}");
    assert!(line.contains(", freed at free.js:3:"), "{line}");
    assert_eq!(output.status.code(), None, "ended by the signal: {text}");
    Ok(())
}

#[cfg(feature = "quickjs")]
#[test]
fn on_quickjs() -> Result<(), Box<dyn Error>> {
    names_the_script::<offheap_quickjs::QuickJs>("on_quickjs")
}

#[cfg(feature = "v8")]
#[test]
fn on_v8() -> Result<(), Box<dyn Error>> {
    names_the_script::<offheap_v8::V8>("on_v8")
}
