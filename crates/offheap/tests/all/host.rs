//! Memory that a host such as Node has, or ever had: safe code never gets its bytes to itself.

use std::io::{Read, Write};

use offheap::adapter::{self, Hold, IsolateRegistration};
use offheap::{
    BackingStore, Error, FrozenStore, Holder, ManualHeap, ManualMemory, ManualOptions, SharedStore, Site, UniqueStore,
};

fn host() -> IsolateRegistration {
    IsolateRegistration::host("Node").unwrap()
}

fn isolate() -> IsolateRegistration {
    IsolateRegistration::new("Test").unwrap()
}

/// A store that the host had.
fn had(host: &IsolateRegistration) -> BackingStore {
    let store = BackingStore::from_owner(vec![1_u8, 2, 3, 4]).unwrap();
    drop(Hold::new(&store, host.id()).unwrap());
    store
}

/// Checks that the error is that of memory which this host has through so many buffers.
#[track_caller]
fn check(error: Error, host: &IsolateRegistration, live: u16) {
    match error {
        Error::HostMayWrite { host: of, buffers, .. } => assert_eq!((of, buffers), (host.id(), live)),
        other => panic!("{other:?}"),
    }
}

/// Checks that safe code gets the bytes neither as a slice, nor alone, nor in another isolate.
#[track_caller]
fn check_all(store: &BackingStore, host: &IsolateRegistration, live: u16) {
    let mut handle = store.clone();
    assert_eq!(handle.host(), Some(host.id()));
    check(handle.bytes().unwrap_err(), host, live);
    check(handle.bytes_mut().unwrap_err(), host, live);
    check(handle.slice(1..).unwrap().bytes().unwrap_err(), host, live);
    check(handle.slice(..1).unwrap().bytes_mut().unwrap_err(), host, live);
    check(Hold::new(&handle, isolate().id()).unwrap_err(), host, live);
    check(handle.clone().try_into_unique().unwrap_err().into_parts().0, host, live);
    let written = handle.cursor().write(&[9]).unwrap_err();
    assert!(written.to_string().contains("host Node"), "{written}");
    let other = BackingStore::from_owner(vec![5_u8, 6]).unwrap();
    check(handle.copy_from_store(0, &other, ..).unwrap_err(), host, live);
    check(handle.copy_from_store(0, &handle, 1..2).unwrap_err(), host, live);
    // Copies out tolerate writers.
    let bytes = store.to_vec().unwrap();
    let mut read = Vec::new();
    store.cursor().read_to_end(&mut read).unwrap();
    other.copy_from_store(0, store, ..2).unwrap();
    assert_eq!((&read[..], &other.to_vec().unwrap()[..]), (&bytes[..], &bytes[..2]));
}

#[test]
fn an_id_tells_whether_it_is_a_hosts() {
    let (host, isolate) = (host(), isolate());
    assert!(host.id().is_host() && !isolate.id().is_host());
    assert_eq!((host.id().engine(), host.id().to_string()), ("Node", "host Node".to_owned()));
    host.set_name("main").unwrap();
    assert_eq!(host.id().to_string(), "host Node \"main\"");
}

#[test]
fn memory_that_no_host_has_yet_is_as_anywhere() {
    let _host = host();
    let mut store = BackingStore::from_owner(vec![1_u8, 2]).unwrap();
    assert_eq!(store.host(), None);
    store.bytes_mut().unwrap()[0] = 7;
    assert_eq!(store.bytes().unwrap()[..], [7, 2]);
    assert_eq!(&store.try_into_unique().unwrap()[..], [7, 2]);
}

#[test]
fn memory_of_a_host_is_copied_and_not_lent_also_after_its_last_buffer() {
    let host = host();
    let store = BackingStore::from_owner(vec![1_u8, 2, 3, 4]).unwrap();
    let hold = Hold::new(&store, host.id()).unwrap();
    assert_eq!(store.exposure(), Some((host.id(), 1)));
    check_all(&store, &host, 1);
    std::thread::spawn(move || drop(hold)).join().unwrap();
    assert_eq!(store.exposure(), None);
    check_all(&store, &host, 0);
}

#[test]
fn the_mark_stays_when_the_host_has_ended() {
    let (store, node) = {
        let host = host();
        (had(&host), host.id())
    };
    assert_eq!(store.host(), Some(node));
    assert!(matches!(store.bytes(), Err(Error::HostMayWrite { .. })));
    assert!(store.try_into_unique().is_err());
}

#[test]
fn memory_that_came_from_a_host_is_marked_from_the_start() {
    let host = host();
    let hold = Hold::of_owner(vec![1_u8, 2, 3], host.id(), Site::here()).unwrap();
    let store = hold.store(hold.data().as_ptr(), 3);
    check_all(&store, &host, 1);
    drop(hold);
    check_all(&store, &host, 0);
}

#[test]
fn a_store_is_not_taken_back_beside_weak_handles_either() {
    let host = host();
    let store = had(&host);
    let weak = store.downgrade();
    let store = store.try_into_unique().unwrap_err().into_inner();
    check_all(&store, &host, 0);
    drop(store);
    assert!(weak.upgrade().is_none());

    // The handle that is left was made by the buffer.
    let store = BackingStore::from_owner(vec![1_u8, 2]).unwrap();
    let hold = Hold::new(&store, host.id()).unwrap();
    let weak = store.downgrade();
    drop(store);
    let store = weak.upgrade().unwrap();
    drop((hold, weak));
    assert_eq!(store.reference_count(), 1);
    check_all(&store, &host, 0);
}

#[test]
fn an_adapter_is_told_that_a_buffer_of_a_host_cannot_be_taken() {
    let host = host();
    let hold = Hold::of_owner(vec![1_u8, 2, 3], host.id(), Site::here()).unwrap();
    let store = hold.store(hold.data().as_ptr(), 3);
    check(adapter::check_only_buffer(&store, host.id(), 0).unwrap_err(), &host, 1);
}

#[test]
fn an_unshared_store_has_one_live_buffer_in_hosts() {
    let (first, second) = (host(), host());
    let store = had(&first);
    let hold = Hold::new(&store, first.id()).unwrap();
    let again = Hold::new(&store, first.id()).unwrap_err();
    assert!(again.to_string().ends_with("host Node; give script that buffer, or a copy of the bytes"), "{again}");
    assert!(matches!(Hold::new(&store.slice(2..).unwrap(), first.id()), Err(Error::OneBuffer { .. })));
    assert!(matches!(Hold::new(&store, second.id()), Err(Error::OtherIsolate { .. })));
    drop(hold);
    // Another host lends nothing either.
    let hold = Hold::new(&store, second.id()).unwrap();
    check_all(&store, &second, 1);
    drop(hold);
    check_all(&store, &second, 0);
}

#[test]
fn a_host_waits_for_guards_and_for_other_isolates() {
    let (host, isolate) = (host(), isolate());
    let mut store = BackingStore::from_owner(vec![1_u8]).unwrap();
    let handle = store.clone();
    let guard = store.bytes_mut().unwrap();
    assert!(matches!(Hold::new(&handle, host.id()), Err(Error::Busy { .. })));
    drop(guard);
    let guard = store.bytes().unwrap();
    assert!(matches!(Hold::new(&handle, host.id()), Err(Error::Busy { .. })));
    drop(guard);
    let hold = Hold::new(&store, isolate.id()).unwrap();
    assert!(matches!(Hold::new(&handle, host.id()), Err(Error::OtherIsolate { .. })));
    drop(hold);
    // None of these attempts gave the host the memory.
    assert_eq!(store.host(), None);
    store.bytes_mut().unwrap()[0] = 2;
}

#[test]
fn resizable_memory_of_a_host_keeps_its_length() {
    let host = host();
    let mut store = BackingStore::from(UniqueStore::resizable(4, 4096).unwrap());
    let hold = Hold::new(&store, host.id()).unwrap();
    check(store.resize(8).unwrap_err(), &host, 1);
    drop(hold);
    for byte_length in [0, 8] {
        check(store.resize(byte_length).unwrap_err(), &host, 0);
    }
    check_all(&store, &host, 0);
}

#[test]
fn read_only_memory_is_not_exposed_in_a_host() {
    let host = host();
    let frozen = FrozenStore::from_owner(vec![1_u8, 2]).unwrap();
    let error = Hold::new(frozen.as_store(), host.id()).unwrap_err();
    assert!(matches!(error, Error::ReadOnlyInHost { .. }), "{error}");
    assert!(error.to_string().ends_with("give script a copy of the bytes (`to_vec`)"), "{error}");
    assert_eq!((frozen.as_store().host(), frozen.reference_count()), (None, 1));
    assert!(Hold::new(frozen.as_store(), isolate().id()).is_ok());
}

#[test]
fn memory_of_a_host_never_becomes_frozen() {
    let host = host();
    let hold = Hold::of_owner(vec![1_u8, 2], host.id(), Site::here()).unwrap();
    // SAFETY: there is no script.
    let hold = unsafe { hold.into_frozen() }.unwrap_err();
    assert!(!hold.is_read_only());
}

#[test]
fn shared_memory_is_as_safe_in_a_host_as_anywhere() {
    let (host, isolate) = (host(), isolate());
    let shared = SharedStore::zeroed(4).unwrap();
    let holds = [&host, &host, &isolate].map(|one| Hold::new(shared.as_store(), one.id()).unwrap());
    assert_eq!(shared.as_store().host(), Some(host.id()));
    assert!(matches!(shared.as_store().bytes(), Err(Error::SharedSlice { .. })));
    assert!(BackingStore::from(shared.clone()).try_into_unique().is_err());
    shared.copy_from_slice(0, &[7]).unwrap();
    assert_eq!(shared.as_atomics()[0].load(std::sync::atomic::Ordering::Relaxed), 7);
    drop(holds);
    let _hold = Hold::new(shared.as_store(), isolate.id()).unwrap();
}

#[test]
fn manual_memory_that_a_host_had_is_not_freed() {
    let host = host();
    for options in [
        ManualOptions::default(),
        ManualOptions { max_byte_length: Some(4096), ..Default::default() },
        ManualOptions { shared: true, ..Default::default() },
        ManualOptions { shared: true, max_byte_length: Some(4096), ..Default::default() },
    ] {
        let memory = ManualMemory::allocate_with(64, options).unwrap();
        let hold = Hold::new(memory.store(), host.id()).unwrap();
        assert!(matches!(memory.free(), Err(Error::FreeInUse { .. })));
        drop(hold);
        for refused in [memory.free(), ManualHeap::free(memory.as_ptr())] {
            let Err(Error::FreeInUse { holder: Holder::Host(of), .. }) = refused else { panic!("{refused:?}") };
            assert_eq!(of, host.id());
        }
        let text = memory.free().unwrap_err().to_string();
        assert!(text.contains("pending calls of host Node, which had it, may still write its bytes"), "{text}");
        assert!(text.ends_with("call the unsafe `assume_host_is_done` when no call of the host is pending on it"));
        // SAFETY: there is no script.
        unsafe { memory.store().assume_host_is_done() }.unwrap();
        memory.free().unwrap();
    }
}

#[test]
fn manual_memory_without_a_handle_keeps_the_mark() {
    let host = host();
    for options in [ManualOptions::default(), ManualOptions { shared: true, ..Default::default() }] {
        let memory = ManualMemory::allocate_with(64, options).unwrap();
        let data = memory.as_ptr();
        let hold = Hold::new(memory.store(), host.id()).unwrap();
        drop(memory);
        if !options.shared {
            // SAFETY: there is no script.
            let refused = unsafe { ManualHeap::assume_host_is_done(data) };
            assert!(matches!(refused, Err(Error::Exposed { buffers: 1, .. })), "{refused:?}");
        }
        drop(hold);
        assert!(matches!(ManualHeap::free(data), Err(Error::FreeInUse { holder: Holder::Host(_), .. })));
        // SAFETY: there is no script.
        unsafe { ManualHeap::assume_host_is_done(data) }.unwrap();
        ManualHeap::free(data).unwrap();
    }
    // SAFETY: nothing begins there.
    unsafe { ManualHeap::assume_host_is_done(std::ptr::dangling_mut()) }.unwrap();
}

#[test]
fn the_program_may_say_that_the_host_is_done() {
    let (host, isolate) = (host(), isolate());
    let store = BackingStore::from_owner(vec![1_u8, 2, 3, 4]).unwrap();
    let hold = Hold::new(&store, host.id()).unwrap();
    // SAFETY: there is no script.
    let refused = unsafe { store.assume_host_is_done() }.unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!(
            "cannot end a host's use of store {}: it is exposed in host Node through 1 live buffer; detach or collect first",
            store.id()
        )
    );
    drop(hold);
    // SAFETY: there is no script.
    let done = |store: &BackingStore| unsafe { store.assume_host_is_done() };
    done(&store).unwrap();
    assert_eq!((store.host(), store.bytes().unwrap().len()), (None, 4));
    drop(Hold::new(&store, isolate.id()).unwrap());
    assert_eq!(&store.try_into_unique().unwrap()[..], [1, 2, 3, 4]);

    // It begins anew with the next buffer, and does nothing for memory that no host had.
    let store = had(&host);
    done(&store).unwrap();
    drop(Hold::new(&store, host.id()).unwrap());
    check_all(&store, &host, 0);
    let other = BackingStore::from_owner(vec![1_u8]).unwrap();
    let _hold = Hold::new(&other, isolate.id()).unwrap();
    done(&other).unwrap();
    assert_eq!(other.exposure(), Some((isolate.id(), 1)));
}

#[test]
fn an_adapter_lends_in_a_host_by_its_own_promise_and_writers_exclude_each_other() {
    let (host, other) = (host(), isolate());
    let store = BackingStore::from_owner(vec![1_u8, 2]).unwrap();
    let hold = Hold::new(&store, host.id()).unwrap();
    for hold in [Some(hold), None] {
        // SAFETY: there is no script.
        let mut writer = unsafe { adapter::bytes_mut_in(&store, host.id()) }.unwrap();
        writer[0] += 1;
        // SAFETY: as above.
        assert!(matches!(unsafe { adapter::bytes_in(&store, host.id()) }, Err(Error::Busy { .. })));
        assert!(matches!(store.to_vec(), Err(Error::Busy { .. })));
        drop(writer);
        // SAFETY: as above.
        let reader = unsafe { adapter::bytes_in(&store, host.id()) }.unwrap();
        // SAFETY: as above.
        assert!(matches!(unsafe { adapter::bytes_mut_in(&store, host.id()) }, Err(Error::Busy { .. })));
        // SAFETY: as above.
        check(unsafe { adapter::bytes_in(&store, other.id()) }.unwrap_err(), &host, u16::from(hold.is_some()));
        drop(reader);
        // SAFETY: as above.
        check(unsafe { adapter::cells_in(&store, other.id()) }.unwrap_err(), &host, u16::from(hold.is_some()));
        drop(hold);
    }
    assert_eq!(store.to_vec().unwrap(), [3, 2]);
}

#[test]
fn no_conversion_takes_the_memory_back() {
    let host = host();
    let store = had(&host);
    let address = store.as_ptr();
    let store = UniqueStore::try_from(store).unwrap_err().into_inner();
    let store = SharedStore::try_from(store).unwrap_err().into_inner();
    let store = FrozenStore::try_from(store).unwrap_err().into_inner();
    assert_eq!(store.as_ptr(), address);
    check_all(&store, &host, 0);

    // A part, a clone and an upgraded handle carry the mark, since it is the memory's.
    let part = store.slice(2..).unwrap();
    let found = store.downgrade().upgrade().unwrap();
    drop(store);
    check_all(&found, &host, 0);
    drop(found);
    check(part.bytes().unwrap_err(), &host, 0);
    assert!(part.try_into_unique().is_err());
}

#[test]
fn handles_that_a_host_gave_on_another_thread_carry_the_mark() {
    let host = host();
    let store = BackingStore::from_owner(vec![1_u8, 2, 3]).unwrap();
    let hold = Hold::new(&store, host.id()).unwrap();
    drop(store);
    let given = std::thread::spawn(move || hold.store(hold.data().as_ptr(), 3)).join().unwrap();
    assert_eq!(given.reference_count(), 1);
    check_all(&given, &host, 0);
}

#[test]
fn guards_and_a_host_exclude_each_other_on_many_threads() {
    let (host, isolate) = (host(), isolate());
    for _ in 0..200 {
        let store = BackingStore::from_owner(vec![0_u8; 8]).unwrap();
        let had = std::thread::scope(|threads| {
            let (one, two, three) = (store.clone(), store.clone(), store.clone());
            let (host, isolate) = (host.id(), isolate.id());
            let lent = threads.spawn(move || (0..50).map(|_| one.bytes().is_ok()).collect::<Vec<_>>());
            let there = threads.spawn(move || (0..50).map(|_| Hold::new(&two, isolate).is_ok()).collect::<Vec<_>>());
            let had = threads.spawn(move || (0..50).any(|_| Hold::new(&three, host).is_ok()));
            drop((lent.join().unwrap(), there.join().unwrap()));
            had.join().unwrap()
        });
        assert_eq!(store.bytes().is_err(), had);
        assert_eq!(Hold::new(&store, isolate.id()).is_err(), had);
        assert_eq!(store.try_into_unique().is_err(), had);
    }
}

#[test]
fn manual_memory_is_freed_before_a_host_has_it_or_never() {
    let host = host();
    for shared in [true, false] {
        for _ in 0..200 {
            let memory = ManualMemory::allocate_with(64, ManualOptions { shared, ..Default::default() }).unwrap();
            let (had, freed) = std::thread::scope(|threads| {
                let (store, host) = (memory.store().clone(), host.id());
                let had = threads.spawn(move || Hold::new(&store, host).is_ok());
                let freed = (0..50).any(|_| memory.free().is_ok());
                (had.join().unwrap(), freed || memory.free().is_ok())
            });
            assert_ne!(had, freed);
            if had {
                // SAFETY: there is no script.
                unsafe { memory.store().assume_host_is_done() }.unwrap();
                memory.free().unwrap();
            }
        }
    }
}

#[test]
fn a_store_over_a_hosts_own_buffer_is_exposed_until_that_is_released_and_ends_with_its_last_handle() {
    let host = IsolateRegistration::host("Host").unwrap();
    let before = host.id().external_bytes();
    // SAFETY: there is no script that uses the memory.
    let (store, weak) = unsafe { adapter::engine_store(vec![7_u8; 8], host.id(), Site::here()) }.unwrap();
    assert_eq!(
        (store.exposure(), store.reference_count(), store.to_vec().unwrap()),
        (Some((host.id(), 1)), 2, vec![7; 8])
    );
    check(store.bytes().unwrap_err(), &host, 1);
    assert!(matches!(Hold::new(&store, host.id()), Err(Error::OneBuffer { .. })));
    assert!(store.try_into_unique().is_err());
    assert!(weak.upgrade().is_none(), "the host's own buffer keeps no store");

    // SAFETY: there is no script that uses the memory.
    let (store, weak) = unsafe { adapter::engine_store(vec![7_u8; 8], host.id(), Site::here()) }.unwrap();
    // SAFETY: there is no script that uses the memory.
    unsafe { adapter::engine_released(&weak) };
    assert_eq!((store.exposure(), host.id().external_bytes()), (None, before));
    check(store.bytes().unwrap_err(), &host, 0);
    let buffer = Hold::new(&store, host.id()).unwrap();
    // SAFETY: there is no script that uses the memory.
    unsafe { adapter::engine_released(&weak) };
    assert_eq!(store.exposure(), Some((host.id(), 1)), "another buffer of the store is not the host's own");
    drop(buffer);
    // SAFETY: there is no call of a host.
    unsafe { store.assume_host_is_done() }.unwrap();
    assert_eq!(store.try_into_unique().unwrap()[..], [7; 8]);
}
