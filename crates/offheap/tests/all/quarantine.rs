//! A stale pointer into freed memory ends the process with a report, by the signal that would have ended it. Each case runs in
//! a child process, which is this test started again.

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use offheap::{BackingStore, Error, ManualHeap, ManualMemory, ManualOptions, SharedStore, UniqueStore, quarantine};

/// Set in the child process.
const CHILD: &str = "OFFHEAP_TEST_QUARANTINE";
const MANY: usize = 1 << 30;

/// Runs `child` in a child process, and returns how that ended.
fn in_a_process_of_its_own(test: &str, child: impl FnOnce()) -> Output {
    if std::env::var_os(CHILD).is_some() {
        child();
        eprintln!("reached the end");
        std::process::exit(111);
    }
    let test = format!("quarantine::{test}");
    let program = std::env::current_exe().unwrap();
    Command::new(program).args([&test, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap()
}

/// Asserts that the process died of a fault, and returns what it wrote.
#[track_caller]
fn died(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let fault = [Some(libc::SIGSEGV), Some(libc::SIGBUS)].contains(&output.status.signal());
    assert!(fault, "{:?}: {text}", output.status);
    text
}

/// What native code does with a pointer that it kept too long.
fn read(address: *mut libc::c_void, offset: usize) -> u8 {
    let byte = address.cast::<u8>().wrapping_add(offset);
    // SAFETY: none: the memory was freed, or the address was made up, which is the point of the tests.
    unsafe { byte.read_volatile() }
}

fn write(address: *mut libc::c_void) {
    // SAFETY: none, as for `read`.
    unsafe { address.cast::<u8>().write_volatile(1) }
}

#[test]
fn a_stale_read_names_the_store_the_places_and_the_threads() {
    let made = line!() + 3;
    let output = in_a_process_of_its_own("a_stale_read_names_the_store_the_places_and_the_threads", || {
        quarantine(MANY).unwrap();
        let memory = ManualMemory::allocate(1024).unwrap();
        let address = memory.as_ptr();
        eprintln!("expected {address:?} of {}", memory.store().id());
        std::thread::Builder::new().name("frees".into()).spawn(move || memory.free().unwrap()).unwrap().join().unwrap();
        let address = address.expose_provenance();
        let late = move || read(ptr::with_exposed_provenance_mut(address), 17);
        let late = std::thread::Builder::new().name("reads late".into()).spawn(late);
        late.unwrap().join().unwrap();
    });
    let text = died(&output);
    let expected = text.lines().find_map(|line| line.strip_prefix("expected 0x")).expect("the child's line");
    let (address, id) = expected.split_once(" of ").unwrap();
    let address = usize::from_str_radix(address, 16).unwrap() + 17;
    let line = text.lines().find(|line| line.starts_with("offheap: ")).unwrap_or_else(|| panic!("{text}"));
    assert!(line.contains(&format!("at {address:#x}, which is freed memory, by thread ")), "{line}");
    assert!(line.contains(&format!("\"reads late\": byte 17 of store {id} (1024 bytes), made at ")), "{line}");
    assert!(line.contains(&format!("quarantine.rs:{made}:22, freed at ")), "{line}");
    assert!(line.contains(&format!("quarantine.rs:{}:", made + 3)), "{line}");
    assert!(line.contains("by thread ") && line.contains("\"frees\"; the pointer is older than the free"), "{line}");
    assert_eq!(text.matches("offheap: ").count(), 1, "{text}");
    assert!(!text.contains("reached"), "{text}");
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    assert!(line.starts_with("offheap: a read at 0x"), "{line}");
}

#[test]
fn a_stale_write_is_named_as_one() {
    let output = in_a_process_of_its_own("a_stale_write_is_named_as_one", || {
        quarantine(MANY).unwrap();
        let memory = ManualMemory::allocate(0).unwrap();
        let address = memory.as_ptr();
        ManualHeap::free(address).unwrap();
        write(address);
    });
    let text = died(&output);
    assert!(text.contains("byte 0 of store ") && text.contains("(0 bytes, so beyond its end)"), "{text}");
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    assert!(text.contains("offheap: a write at 0x"), "{text}");
}

#[test]
fn every_page_of_freed_memory_is_named() {
    let output = in_a_process_of_its_own("every_page_of_freed_memory_is_named", || {
        quarantine(MANY).unwrap();
        let memory = ManualMemory::allocate(1_000_000).unwrap();
        let address = memory.as_ptr();
        memory.free().unwrap();
        read(address, 999_999);
    });
    assert!(died(&output).contains("byte 999999 of store "));
}

#[test]
fn memory_whose_length_changes_and_shared_memory_is_named() {
    let output = in_a_process_of_its_own("memory_whose_length_changes_and_shared_memory_is_named", || {
        quarantine(MANY).unwrap();
        let options = ManualOptions { shared: true, max_byte_length: Some(1 << 20), ..ManualOptions::default() };
        let memory = ManualMemory::allocate_with(70_000, options).unwrap();
        let address = memory.as_ptr();
        memory.free().unwrap();
        read(address, 69_999);
    });
    assert!(died(&output).contains("byte 69999 of store "));
}

#[test]
fn a_store_that_was_freed_with_its_last_reference_is_named() {
    let made = line!() + 4;
    let output = in_a_process_of_its_own("a_store_that_was_freed_with_its_last_reference_is_named", || {
        quarantine(MANY).unwrap();
        drop(SharedStore::growable(1, 1 << 20).unwrap());
        let store = BackingStore::from(UniqueStore::resizable(5000, 1 << 20).unwrap());
        let address = store.as_ptr();
        drop(store);
        read(address, 4999);
    });
    let text = died(&output);
    assert!(
        text.contains("byte 4999 of store ") && text.contains("freed with its last reference by thread "),
        "{text}"
    );
    assert!(text.contains(&format!("quarantine.rs:{made}:")), "{text}");
}

#[test]
fn memory_that_lives_is_used_and_errors_are_as_ever() {
    let output = in_a_process_of_its_own("memory_that_lives_is_used_and_errors_are_as_ever", || {
        quarantine(MANY).unwrap();
        let memory = ManualMemory::allocate(100).unwrap();
        assert_eq!(memory.store().to_vec().unwrap(), [0; 100]);
        memory.store().clone().bytes_mut().unwrap().fill(7);
        assert_eq!(memory.store().to_vec().unwrap(), [7; 100]);
        let address = memory.as_ptr();
        memory.free().unwrap();
        assert!(matches!(memory.store().to_vec(), Err(Error::Freed { .. })));
        assert!(matches!(memory.free(), Err(Error::DoubleFree { .. })));
        assert!(matches!(ManualHeap::free(address), Err(Error::DoubleFree { .. })));
    });
    assert_eq!(output.status.code(), Some(111), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Frees three times 40,000 bytes while 100,000 are kept, and reads from one of them.
fn free_three_and_read(which: usize) {
    quarantine(100_000).unwrap();
    let memory = [(); 3].map(|()| ManualMemory::allocate(40_000).unwrap());
    let addresses = memory.each_ref().map(ManualMemory::as_ptr);
    memory.iter().for_each(|memory| memory.free().unwrap());
    read(addresses[which], 0);
}

#[test]
fn a_fault_in_what_gave_way_has_no_line() {
    // Its first page has no access while its address is remembered.
    let output = in_a_process_of_its_own("a_fault_in_what_gave_way_has_no_line", || free_three_and_read(0));
    assert!(!died(&output).contains("offheap: "));
}

#[test]
fn the_oldest_gives_way_first() {
    let output = in_a_process_of_its_own("the_oldest_gives_way_first", || free_three_and_read(1));
    assert!(died(&output).contains("byte 0 of store "));
}

#[test]
fn what_is_too_large_to_be_kept_makes_nothing_give_way() {
    let output = in_a_process_of_its_own("what_is_too_large_to_be_kept_makes_nothing_give_way", || {
        quarantine(100_000).unwrap();
        let memory = [40_000, 200_000].map(|byte_length| ManualMemory::allocate(byte_length).unwrap());
        memory.iter().for_each(|memory| memory.free().unwrap());
        read(memory[0].as_ptr(), 7);
    });
    assert!(died(&output).contains("byte 7 of store "));
}

#[test]
fn turned_off_it_keeps_nothing() {
    let output = in_a_process_of_its_own("turned_off_it_keeps_nothing", || {
        quarantine(MANY).unwrap();
        let memory = [(); 2].map(|()| ManualMemory::allocate(100_000).unwrap());
        memory[0].free().unwrap();
        quarantine(0).unwrap();
        memory[1].free().unwrap();
        drop(BackingStore::from(UniqueStore::resizable(5000, 1 << 20).unwrap()));
        quarantine(MANY).unwrap();
        read(memory[0].as_ptr(), 0);
    });
    assert!(!died(&output).contains("offheap: "));
}

#[test]
fn more_frees_than_are_kept() {
    let output = in_a_process_of_its_own("more_frees_than_are_kept", || {
        quarantine(usize::MAX).unwrap();
        for _ in 0..9_000 {
            let memory = ManualMemory::allocate(1).unwrap();
            let beside = ManualMemory::allocate(1).unwrap();
            memory.free().unwrap();
            beside.free().unwrap();
        }
        let last = ManualMemory::allocate(1).unwrap();
        let address = last.as_ptr();
        last.free().unwrap();
        read(address, 0);
    });
    assert!(died(&output).contains("byte 0 of store "));
}

#[test]
fn a_fault_elsewhere_has_no_line() {
    let output = in_a_process_of_its_own("a_fault_elsewhere_has_no_line", || {
        quarantine(MANY).unwrap();
        ManualMemory::allocate(1).unwrap().free().unwrap();
        read(ptr::without_provenance_mut(16), 0);
    });
    assert!(!died(&output).contains("offheap: "));
}

#[test]
fn a_signal_that_a_process_sends_ends_the_process_as_before() {
    let output = in_a_process_of_its_own("a_signal_that_a_process_sends_ends_the_process_as_before", || {
        quarantine(MANY).unwrap();
        // The standard library's handler ignores the first, and puts the default back.
        for _ in 0..2 {
            // SAFETY: sends a signal.
            unsafe { libc::raise(libc::SIGSEGV) };
        }
        std::thread::sleep(std::time::Duration::from_secs(20));
    });
    assert_eq!(output.status.signal(), Some(libc::SIGSEGV));
    assert!(!died(&output).contains("offheap: "));
}

#[test]
fn a_stack_overflow_still_says_so() {
    let output = in_a_process_of_its_own("a_stack_overflow_still_says_so", || {
        quarantine(MANY).unwrap();
        #[expect(unconditional_recursion, reason = "overflows the stack")]
        fn deeper(depth: usize) -> usize {
            let room = black_box([depth; 100]);
            deeper(room[0] + 1) + black_box(room)[99]
        }
        deeper(0);
    });
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("has overflowed its stack"), "{text}");
    assert!(!text.contains("offheap: "), "{text}");
    assert_eq!(output.status.signal(), Some(libc::SIGABRT));
}

/// The page that [`repair`] makes accessible.
static PAGE: AtomicUsize = AtomicUsize::new(0);
static REPAIRED: AtomicUsize = AtomicUsize::new(0);

/// A handler that handles its own faults and goes on, as V8's does for WebAssembly. Others are for the system.
extern "C" fn repair(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t`.
    let info = unsafe { &*info };
    // SAFETY: a fault has an address.
    let address = unsafe { info.si_addr() }.addr();
    let page = PAGE.load(Ordering::Relaxed);
    if address == page {
        REPAIRED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: a page of the test's.
        unsafe { libc::mprotect(ptr::without_provenance_mut(page), 1, libc::PROT_READ) };
    } else {
        // SAFETY: puts the default back.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

#[test]
fn an_earlier_handler_that_handles_its_faults_goes_on_doing_so() {
    let output = in_a_process_of_its_own("an_earlier_handler_that_handles_its_faults_goes_on_doing_so", || {
        // SAFETY: a page of its own, without access.
        let page =
            unsafe { libc::mmap(ptr::null_mut(), 4096, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANON, -1, 0) };
        PAGE.store(page.addr(), Ordering::Relaxed);
        for signal in [libc::SIGSEGV, libc::SIGBUS] {
            // SAFETY: zeroes are an action, and the handler may be called at any time.
            let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
            action.sa_sigaction = repair as extern "C" fn(_, _, _) as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            // SAFETY: the action is complete.
            unsafe { libc::sigaction(signal, &action, ptr::null_mut()) };
        }
        quarantine(MANY).unwrap();
        for _ in 0..3 {
            read(page, 0);
            // SAFETY: the test's page.
            unsafe { libc::mprotect(page, 1, libc::PROT_NONE) };
        }
        eprintln!("repaired {} faults", REPAIRED.load(Ordering::Relaxed));
        let memory = ManualMemory::allocate(1).unwrap();
        let address = memory.as_ptr();
        memory.free().unwrap();
        read(address, 0);
    });
    let text = died(&output);
    assert!(text.contains("repaired 3 faults"), "{text}");
    assert_eq!(text.matches("offheap: ").count(), 1, "{text}");
}

/// A crash reporter that relies on the system to put the default action back.
extern "C" fn tell_once(_: libc::c_int) {
    let told = b"told\n";
    // SAFETY: the bytes are live.
    unsafe { libc::write(libc::STDERR_FILENO, told.as_ptr().cast(), told.len()) };
}

/// Reads from freed memory, or from elsewhere, where such a handler was there first.
fn read_where_a_handler_is_for_one_fault(is_kept: bool) {
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: zeroes are an action, and the handler may be called at any time.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = tell_once as extern "C" fn(_) as usize;
        action.sa_flags = libc::SA_RESETHAND | libc::SA_NODEFER;
        // SAFETY: the action is complete.
        unsafe { libc::sigaction(signal, &action, ptr::null_mut()) };
    }
    quarantine(MANY).unwrap();
    let memory = ManualMemory::allocate(1).unwrap();
    memory.free().unwrap();
    read(if is_kept { memory.as_ptr() } else { ptr::without_provenance_mut(16) }, 0);
}

#[test]
fn an_earlier_handler_that_is_for_one_fault_gets_one_report() {
    let test = "an_earlier_handler_that_is_for_one_fault_gets_one_report";
    let text = died(&in_a_process_of_its_own(test, || read_where_a_handler_is_for_one_fault(true)));
    assert_eq!((text.matches("told\n").count(), text.matches("offheap: ").count()), (1, 1), "{text}");
}

#[test]
fn an_earlier_handler_that_is_for_one_fault_gets_one_fault_elsewhere() {
    let test = "an_earlier_handler_that_is_for_one_fault_gets_one_fault_elsewhere";
    let text = died(&in_a_process_of_its_own(test, || read_where_a_handler_is_for_one_fault(false)));
    assert_eq!((text.matches("told\n").count(), text.matches("offheap: ").count()), (1, 0), "{text}");
}

#[test]
fn threads_that_fault_together_end_the_process_after_one_line() {
    let output = in_a_process_of_its_own("threads_that_fault_together_end_the_process_after_one_line", || {
        quarantine(MANY).unwrap();
        let memory = ManualMemory::allocate(1).unwrap();
        let address = memory.as_ptr().expose_provenance();
        memory.free().unwrap();
        let barrier = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    read(ptr::with_exposed_provenance_mut(address), 0)
                });
            }
        });
    });
    assert_eq!(died(&output).matches("offheap: ").count(), 1);
}
