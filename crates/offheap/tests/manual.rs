//! Manual memory: every refused free names the earlier event, and leaves the memory untouched.

use std::ffi::c_void;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use offheap::adapter;
use offheap::{BackingStore, Error, Holder, ManualHeap, ManualMemory, ManualOptions, NotUnique, Site, StoreKind};

/// A process has one heap, and the tests below rely on what it remembers.
static ALONE: Mutex<()> = Mutex::new(());

fn turn() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn line(site: Site) -> u32 {
    let Site::Native(place) = site else { panic!("a line of Rust, not {site}") };
    place.line()
}

#[test]
fn it_is_zeroed_and_writable_and_then_freed() {
    let _turn = turn();
    let memory = ManualMemory::allocate(100).unwrap();
    let mut store = memory.store().clone();
    assert_eq!(store.kind(), StoreKind::MANUAL);
    assert!(store.bytes().unwrap().iter().all(|&byte| byte == 0));
    store.bytes_mut().unwrap().fill(1);
    assert_eq!(memory.freed(), None);
    memory.free().unwrap();
    assert!(memory.freed().is_some());
}

#[test]
fn dropping_every_handle_frees_nothing() {
    let _turn = turn();
    let memory = ManualMemory::allocate(100).unwrap();
    let address = memory.as_ptr();
    let id = memory.store().id();
    drop(memory);
    let unfreed = ManualHeap::unfreed().unwrap().into_iter().find(|unfreed| unfreed.store == id).unwrap();
    assert_eq!((unfreed.address, unfreed.byte_length), (address.addr(), 100));
    assert!(unfreed.allocated.to_string().contains("manual.rs"));
    ManualHeap::free(address).unwrap();
    assert!(ManualHeap::unfreed().unwrap().iter().all(|unfreed| unfreed.store != id));
}

#[test]
fn a_double_free_names_three_lines_and_touches_nothing() {
    let _turn = turn();
    let allocated_line = line!() + 1;
    let memory = ManualMemory::allocate(1024).unwrap();
    let first_line = line!() + 1;
    memory.free().unwrap();
    let second_line = line!() + 1;
    let error = memory.free().unwrap_err();
    let Error::DoubleFree { byte_length, allocated, first, second, .. } = &error else { panic!("{error}") };
    assert_eq!(*byte_length, 1024);
    assert_eq!([*allocated, *first, *second].map(line), [allocated_line, first_line, second_line]);
    let message = error.to_string();
    for line in [allocated_line, first_line, second_line] {
        assert!(message.contains(&format!("manual.rs:{line}:")), "{message}");
    }
}

#[test]
fn a_double_free_by_address_names_both_lines() {
    let _turn = turn();
    let address = ManualMemory::allocate(64).unwrap().as_ptr();
    let first_line = line!() + 1;
    ManualHeap::free(address).unwrap();
    let second_line = line!() + 1;
    let error = ManualHeap::free(address).unwrap_err();
    let Error::DoubleFree { first, second, .. } = error else { panic!("{error}") };
    assert_eq!([first, second].map(line), [first_line, second_line]);
}

#[test]
fn a_free_by_address_and_one_by_handle_are_two_frees() {
    let _turn = turn();
    let memory = ManualMemory::allocate(64).unwrap();
    ManualHeap::free(memory.as_ptr()).unwrap();
    assert!(matches!(memory.free(), Err(Error::DoubleFree { .. })));
    let memory = ManualMemory::allocate(64).unwrap();
    memory.free().unwrap();
    assert!(matches!(ManualHeap::free(memory.as_ptr()), Err(Error::DoubleFree { .. })));
}

#[test]
fn a_free_while_a_guard_lives_is_refused_and_the_memory_stays() {
    let _turn = turn();
    let memory = ManualMemory::allocate(64).unwrap();
    let store = memory.store().clone();
    let guard = store.bytes().unwrap();
    assert!(matches!(memory.free(), Err(Error::FreeInUse { holder: Holder::Readers(1), .. })));
    assert!(matches!(ManualHeap::free(memory.as_ptr()), Err(Error::FreeInUse { .. })));
    assert_eq!(guard[63], 0);
    drop(guard);
    memory.free().unwrap();
}

#[test]
fn after_its_free_no_path_leads_to_the_bytes() {
    let _turn = turn();
    let memory = ManualMemory::allocate(64).unwrap();
    let mut store = memory.store().clone();
    let mut part = store.slice(1..2).unwrap();
    let weak = store.downgrade();
    let freed_line = line!() + 1;
    memory.free().unwrap();
    fn refused<T>(result: Result<T, Error>) -> Site {
        match result {
            Err(Error::Freed { freed, .. }) => freed,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("not refused"),
        }
    }
    for site in [
        refused(store.bytes()),
        refused(store.bytes_mut()),
        refused(store.to_vec()),
        refused(store.copy_to_slice(0, &mut [])),
        refused(part.bytes()),
        refused(part.bytes_mut()),
        refused(part.to_vec()),
        refused(weak.upgrade().unwrap().bytes()),
        refused(store.slice(..).unwrap().to_vec()),
    ] {
        assert_eq!(line(site), freed_line);
    }
    assert_eq!(store.exposure(), None);
}

#[test]
fn it_is_never_unique() {
    let _turn = turn();
    let memory = ManualMemory::allocate(64).unwrap();
    let store = memory.store().clone();
    memory.free().unwrap();
    drop(memory);
    let rejected = store.try_into_unique().unwrap_err();
    assert!(matches!(rejected.error(), Error::NotUnique { reason: NotUnique::Kind, .. }));
}

#[test]
fn a_free_by_an_address_inside_is_unknown_and_touches_nothing() {
    let _turn = turn();
    let memory = ManualMemory::allocate(64).unwrap();
    let inside = memory.as_ptr().wrapping_byte_add(8);
    assert!(matches!(ManualHeap::free(inside), Err(Error::UnknownAddress { remembered: 1024, .. })));
    assert!(matches!(ManualHeap::free(std::ptr::null_mut()), Err(Error::UnknownAddress { .. })));
    memory.free().unwrap();
}

#[test]
fn of_many_threads_one_frees() {
    let _turn = turn();
    for _ in 0..50 {
        let memory = ManualMemory::allocate(32).unwrap();
        let freed = AtomicUsize::new(0);
        thread::scope(|scope| {
            for thread in 0..4 {
                let (memory, freed) = (&memory, &freed);
                scope.spawn(move || {
                    let result = if thread % 2 == 0 { memory.free() } else { ManualHeap::free(memory.as_ptr()) };
                    match result {
                        Ok(()) => drop(freed.fetch_add(1, Ordering::SeqCst)),
                        Err(error) => assert!(matches!(error, Error::DoubleFree { .. }), "{error}"),
                    }
                    assert!(matches!(memory.store().to_vec(), Err(Error::Freed { .. })));
                });
            }
        });
        assert_eq!(freed.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn an_address_is_not_used_again_while_it_is_remembered() {
    let _turn = turn();
    for byte_length in [48, 100_000] {
        let stale = ManualMemory::allocate(byte_length).unwrap();
        stale.free().unwrap();
        let others: Vec<_> = (0..600).map(|_| ManualMemory::allocate(byte_length).unwrap()).collect();
        assert!(others.iter().all(|other| other.as_ptr() != stale.as_ptr()));
        others.iter().for_each(|other| other.free().unwrap());
        assert!(matches!(ManualHeap::free(stale.as_ptr()), Err(Error::DoubleFree { .. })));
    }
}

#[test]
fn the_last_1024_freed_addresses_are_remembered() {
    let _turn = turn();
    let first = ManualMemory::allocate(16).unwrap();
    first.free().unwrap();
    // Kept alive, so that none of them gets the address of the first.
    let others: Vec<_> = (0..1024).map(|_| ManualMemory::allocate(16).unwrap()).collect();
    others[..1023].iter().for_each(|other| other.free().unwrap());
    assert!(matches!(ManualHeap::free(first.as_ptr()), Err(Error::DoubleFree { .. })));
    others[1023].free().unwrap();
    assert!(matches!(ManualHeap::free(first.as_ptr()), Err(Error::UnknownAddress { .. })));
    assert!(matches!(first.free(), Err(Error::DoubleFree { .. })), "its handle remembers for ever");
}

#[test]
fn a_place_in_a_script_is_named() {
    let _turn = turn();
    let site = Some(adapter::script_site("seed.js", 3, 14));
    let memory = ManualMemory::allocate_with(16, ManualOptions { site, ..ManualOptions::default() }).unwrap();
    memory.free_at(adapter::script_site("seed.js", 8, 1)).unwrap();
    let message = memory.free_at(adapter::script_site("seed.js", 9, 1)).unwrap_err().to_string();
    for place in ["seed.js:3:14", "seed.js:8:1", "seed.js:9:1"] {
        assert!(message.contains(place), "{message}");
    }
}

/// The addresses that the function below was called with.
static FREED_BY_C: Mutex<Vec<usize>> = Mutex::new(Vec::new());

fn times_freed(data: *mut c_void) -> usize {
    FREED_BY_C.lock().unwrap().iter().filter(|&&address| address == data.addr()).count()
}

unsafe extern "C" fn counting_free(data: *mut c_void) {
    FREED_BY_C.lock().unwrap().push(data.addr());
    // SAFETY: from `malloc`, freed once.
    unsafe { libc::free(data) };
}

/// Zeroed memory of C, for the caller to adopt.
fn calloc(byte_length: usize) -> *mut c_void {
    // SAFETY: any size may be asked for.
    let data = unsafe { libc::calloc(byte_length, 1) };
    assert!(!data.is_null());
    data
}

#[test]
fn memory_of_malloc_is_adopted_freed_once_and_kept_taken_for_a_while() {
    let _turn = turn();
    let data = calloc(1024);
    let before = times_freed(data);
    // SAFETY: 1,024 bytes that no other code uses; the function frees them.
    let memory = unsafe { ManualMemory::adopt(data, 1024, counting_free) }.unwrap();
    assert_eq!(memory.as_ptr(), data);
    memory.store().clone().bytes_mut().unwrap().fill(3);
    memory.free().unwrap();
    assert!(matches!(ManualHeap::free(data), Err(Error::DoubleFree { .. })));
    assert_eq!(times_freed(data), before, "not yet");
    for _ in 0..1024 {
        ManualMemory::allocate(1).unwrap().free().unwrap();
    }
    assert_eq!(times_freed(data), before + 1);
}

#[test]
fn adopted_bytes_beyond_64_mib_go_back_early_and_stay_remembered() {
    let _turn = turn();
    let [first, second] = [40 << 20, 40 << 20].map(|byte_length| {
        // SAFETY: bytes that nobody else uses; the function frees them.
        unsafe { ManualMemory::adopt(calloc(byte_length), byte_length, counting_free) }.unwrap()
    });
    let before = times_freed(first.as_ptr());
    first.free().unwrap();
    assert_eq!(times_freed(first.as_ptr()), before);
    second.free().unwrap();
    assert_eq!(times_freed(first.as_ptr()), before + 1);
    assert!(matches!(ManualHeap::free(first.as_ptr()), Err(Error::DoubleFree { .. })));
}

#[test]
fn an_address_that_came_back_is_never_freed_for_its_predecessor() {
    let _turn = turn();
    unsafe extern "C" fn not_at_all(_: *mut c_void) {}
    let mut memory = vec![0u8; 65 << 20];
    let data = memory.as_mut_ptr().cast();
    // SAFETY: bytes that nobody else uses, and that outlive their adoption.
    let first = unsafe { ManualMemory::adopt(data, memory.len(), not_at_all) }.unwrap();
    // More than the heap keeps, so it is freed at once, and the allocator may give it out again.
    first.free().unwrap();
    // SAFETY: as above.
    let second = unsafe { ManualMemory::adopt(data, memory.len(), not_at_all) }.unwrap();
    let error = ManualHeap::free(data).unwrap_err();
    assert!(matches!(error, Error::AddressReused { .. }), "{error}");
    assert!(matches!(first.free(), Err(Error::DoubleFree { .. })));
    assert_eq!(second.store().to_vec().unwrap().len(), memory.len());
    second.free().unwrap();
}

#[test]
fn an_adoption_that_is_refused_leaves_the_memory_with_its_caller() {
    let _turn = turn();
    unsafe extern "C" fn never(_: *mut c_void) {
        std::process::abort();
    }
    let data = calloc(16);
    // SAFETY: refused.
    let null = unsafe { ManualMemory::adopt(std::ptr::null_mut(), 0, never) };
    assert!(matches!(null, Err(Error::NullData { byte_length: 0 })));
    // SAFETY: refused.
    let large = unsafe { ManualMemory::adopt(data, usize::MAX, never) };
    assert!(matches!(large, Err(Error::TooLarge { .. })));
    // SAFETY: 16 bytes that nobody else uses; the function frees them.
    let memory = unsafe { ManualMemory::adopt(data, 16, counting_free) }.unwrap();
    // SAFETY: refused.
    let twice = unsafe { ManualMemory::adopt(data, 16, never) };
    assert!(matches!(twice, Err(Error::AlreadyManual { .. })));
    memory.free().unwrap();
    // SAFETY: refused, since the heap still keeps it.
    let late = unsafe { ManualMemory::adopt(data, 16, never) };
    assert!(matches!(late, Err(Error::Freed { attempted: "adopt", .. })));
}

#[test]
fn a_store_over_it_compares_by_identity() {
    let _turn = turn();
    let memory = ManualMemory::allocate(0).unwrap();
    let store: BackingStore = memory.store().clone();
    assert_eq!(&store, memory.clone().store());
    memory.free().unwrap();
    assert_eq!(&store, memory.store());
}

#[test]
fn d19_one_byte_is_one_byte() {
    let memory = ManualMemory::allocate(1).unwrap();
    let outside = memory.store().slice(0..2).unwrap_err().to_string();
    assert!(outside.contains("which has 1 byte; "), "{outside}");
    memory.free().unwrap();
    let again = memory.free().unwrap_err().to_string();
    assert!(again.starts_with("double free of 1 byte at "), "{again}");
}
