//! Manual memory whose length changes, and manual memory that is shared.

use std::sync::Barrier;
use std::sync::atomic::Ordering;
use std::thread;

use offheap::adapter::{Hold, IsolateRegistration};
use offheap::{Error, Holder, ManualHeap, ManualMemory, ManualOptions, NotUnique, SharedStore};

fn resizable(byte_length: usize, max_byte_length: usize) -> ManualMemory {
    let options = ManualOptions { max_byte_length: Some(max_byte_length), ..ManualOptions::default() };
    ManualMemory::allocate_with(byte_length, options).unwrap()
}

fn shared(byte_length: usize, max_byte_length: Option<usize>) -> ManualMemory {
    let options = ManualOptions { shared: true, max_byte_length, ..ManualOptions::default() };
    ManualMemory::allocate_with(byte_length, options).unwrap()
}

#[test]
fn resizable_memory_is_freed_at_the_length_that_it_has_then() {
    let memory = resizable(10, 1 << 20);
    let mut store = memory.store().clone();
    assert!(store.kind().is_manual() && store.kind().is_resizable_by_rust(), "{:?}", store.kind());
    assert_eq!((store.byte_length(), store.max_byte_length()), (10, 1 << 20));
    store.resize(100_000).unwrap();
    store.bytes_mut().unwrap().fill(1);
    let unfreed = ManualHeap::unfreed().unwrap();
    assert_eq!(unfreed.iter().find(|unfreed| unfreed.store == store.id()).unwrap().byte_length, 100_000);
    memory.free().unwrap();
    assert!(matches!(store.resize(5), Err(Error::Freed { .. })));
    assert!(matches!(store.to_vec(), Err(Error::Freed { .. })));
    assert!(matches!(store.bytes(), Err(Error::Freed { .. })));
    assert_eq!(store.byte_length(), 0);
    assert!(matches!(memory.free(), Err(Error::DoubleFree { byte_length: 100_000, .. })));
    assert!(matches!(ManualHeap::free(memory.as_ptr()), Err(Error::DoubleFree { byte_length: 100_000, .. })));
}

#[test]
fn resizable_memory_in_use_is_not_freed_and_never_handed_back() {
    let memory = resizable(10, 20);
    let store = memory.store().clone();
    let guard = store.bytes().unwrap();
    assert!(matches!(memory.free(), Err(Error::FreeInUse { holder: Holder::Readers(1), .. })));
    drop(guard);
    let isolate = IsolateRegistration::new("Test").unwrap();
    let buffer = Hold::new(&store, isolate.id()).unwrap();
    assert_eq!(isolate.id().external_bytes(), 0, "what its letting go would not free");
    buffer.resize(15).unwrap();
    assert!(matches!(Hold::new(&store, isolate.id()), Err(Error::OneBuffer { .. })));
    assert!(matches!(memory.free(), Err(Error::FreeInUse { byte_length: 15, holder: Holder::Isolate { .. }, .. })));
    drop(buffer);
    let rejected = store.try_into_unique().unwrap_err();
    assert!(matches!(rejected.error(), Error::NotUnique { reason: NotUnique::Kind, .. }));
    memory.free().unwrap();
}

#[test]
fn resizable_and_shared_memory_stays_when_every_handle_is_dropped() {
    for memory in [resizable(8, 16), shared(8, Some(16)), shared(8, None)] {
        let (address, id) = (memory.as_ptr(), memory.store().id());
        drop(memory);
        let unfreed = ManualHeap::unfreed().unwrap();
        assert_eq!(unfreed.iter().find(|unfreed| unfreed.store == id).unwrap().byte_length, 8);
        ManualHeap::free(address).unwrap();
        assert!(matches!(ManualHeap::free(address), Err(Error::DoubleFree { byte_length: 8, .. })));
    }
}

#[test]
fn shared_memory_is_in_use_while_it_has_another_reference() {
    let memory = shared(8, Some(1 << 20));
    let same = memory.clone();
    let store = SharedStore::try_from(memory.store().clone()).unwrap();
    assert!(store.is_growable());
    store.grow(100).unwrap();
    let atomics = store.as_atomics();
    let error = memory.free().unwrap_err();
    assert!(matches!(error, Error::FreeInUse { byte_length: 100, holder: Holder::References(1), .. }), "{error}");
    assert!(error.to_string().ends_with("drop the references first, and let the buffers be collected"));
    atomics[99].store(1, Ordering::Relaxed);
    drop(store);

    let isolates = [(); 2].map(|()| IsolateRegistration::new("Test").unwrap());
    let buffers = isolates.each_ref().map(|isolate| Hold::new(memory.store(), isolate.id()).unwrap());
    let error = ManualHeap::free(memory.as_ptr()).unwrap_err();
    assert!(matches!(error, Error::FreeInUse { holder: Holder::References(2), .. }), "{error}");
    drop(buffers);
    same.free().unwrap();
    assert!(matches!(memory.free(), Err(Error::DoubleFree { byte_length: 100, .. })));

    let store = SharedStore::try_from(memory.store().clone()).unwrap();
    assert!(matches!(store.to_vec(), Err(Error::Freed { attempted: "read", .. })));
    assert!(matches!(store.copy_from_slice(0, &[1]), Err(Error::Freed { attempted: "write", .. })));
    assert!(matches!(store.grow(200), Err(Error::Freed { attempted: "grow", .. })));
    assert!(matches!(Hold::new(memory.store(), isolates[0].id()), Err(Error::Freed { .. })));
    assert_eq!(store.as_atomics().len(), 0);
}

#[test]
fn shared_memory_of_one_length_does_not_grow() {
    let memory = shared(100, None);
    let store = SharedStore::try_from(memory.store().clone()).unwrap();
    assert!(!store.is_growable());
    assert!(matches!(store.grow(101), Err(Error::NotResizable { .. })));
    drop(store);
    memory.free().unwrap();
}

#[test]
fn a_maximum_below_the_length_is_refused() {
    for shared in [false, true] {
        let options = ManualOptions { shared, max_byte_length: Some(9), ..ManualOptions::default() };
        let refused = ManualMemory::allocate_with(10, options);
        assert!(matches!(refused, Err(Error::MaximumTooSmall { byte_length: 10, max_byte_length: 9 })));
    }
}

#[test]
fn copies_of_shared_memory_that_is_being_freed_are_errors() {
    for spins in 0..1000 {
        let memory = shared(64, None);
        let handle = memory.clone();
        let begun = Barrier::new(2);
        let copy = || {
            begun.wait();
            let error = loop {
                if let Err(error) = handle.store().copy_to_slice(8, &mut [0; 8]) {
                    break error;
                }
            };
            assert!(matches!(error, Error::Freed { attempted: "read", .. }), "{error}");
        };
        thread::scope(|scope| {
            scope.spawn(copy);
            begun.wait();
            (0..spins % 300).for_each(|_| std::hint::spin_loop());
            // A copy counts as a use while it runs.
            while let Err(error) = memory.free() {
                assert!(matches!(error, Error::FreeInUse { holder: Holder::References(1), .. }), "{error}");
                thread::yield_now();
            }
        });
    }
}

/// How many bytes of address space the process has mapped.
#[cfg(target_os = "linux")]
fn mapped_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').next().unwrap().parse::<usize>().unwrap() * page_size()
}

#[cfg(target_os = "linux")]
fn page_size() -> usize {
    // SAFETY: asks the system for a number.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

#[cfg(target_os = "linux")]
#[test]
fn b15_a_free_gives_addresses_back_too_while_handles_live() {
    // Larger ones can exhaust the addresses: each kept page may leave a gap that is too short for the next one.
    const ROOM: usize = 8 << 30;
    let before = mapped_bytes();
    let mut freed = Vec::new();
    // More frees than are remembered.
    for round in 0..1100 {
        let memory = if round % 2 == 0 { resizable(4096, ROOM) } else { shared(4096, Some(ROOM)) };
        memory.free().unwrap();
        freed.push(memory);
    }
    for memory in &freed {
        assert!(matches!(memory.free(), Err(Error::DoubleFree { byte_length: 4096, .. })));
    }
    assert!(freed.iter().all(|memory| freed.iter().filter(|other| other.as_ptr() == memory.as_ptr()).count() == 1));
    let large = ManualMemory::allocate(ROOM >> 3).unwrap();
    large.free().unwrap();
    assert!(mapped_bytes().saturating_sub(before) < 1 << 30);
    drop(freed);
    assert!(matches!(large.free(), Err(Error::DoubleFree { .. })));
}
