//! The owner of a store is dropped exactly once, with the last reference, on the thread that drops it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

use offheap::adapter::{Hold, IsolateRegistration};
use offheap::{BackingStore, Owner, UniqueStore};

/// A store of 4 bytes, and a count of its owner's drops.
fn counted() -> (BackingStore, Arc<AtomicUsize>) {
    let dropped = Arc::new(AtomicUsize::new(0));
    let counter = dropped.clone();
    let deleter = move |_, _| {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    let store = UniqueStore::from_owner_with_deleter(vec![1u8, 2, 3, 4], deleter).unwrap();
    (store.into(), dropped)
}

#[test]
fn the_owner_is_dropped_with_the_last_clone() {
    let (store, dropped) = counted();
    let clone = store.clone();
    assert_eq!(store.reference_count(), 2);
    drop(store);
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    assert_eq!(clone.to_vec().unwrap(), [1, 2, 3, 4]);
    drop(clone);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn a_unique_store_drops_its_owner() {
    let (store, dropped) = counted();
    let unique = store.try_into_unique().unwrap();
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(unique);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn a_part_keeps_the_whole_owner() {
    let (store, dropped) = counted();
    let part = store.slice(2..).unwrap();
    drop(store);
    assert_eq!(part.to_vec().unwrap(), [3, 4]);
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(part);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn a_guard_keeps_the_owner_of_a_store_that_is_dropped_elsewhere() {
    let (store, dropped) = counted();
    let clone = store.clone();
    let guard = store.bytes().unwrap();
    drop(clone);
    assert_eq!(&guard[..], [1, 2, 3, 4]);
    drop(guard);
    drop(store);
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn an_engines_hold_keeps_the_owner() {
    let (store, dropped) = counted();
    let isolate = IsolateRegistration::new("Test").unwrap();
    let raw = Hold::new(&store, isolate.id()).unwrap().into_raw();
    drop(store);
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    // SAFETY: taken back once.
    drop(unsafe { Hold::from_raw(raw) });
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
}

#[test]
fn of_many_threads_one_drops_the_owner() {
    for _ in 0..200 {
        let (store, dropped) = counted();
        let start = Arc::new(Barrier::new(4));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (store, start) = (store.clone(), start.clone());
                thread::spawn(move || {
                    start.wait();
                    let weak = store.downgrade();
                    let again = store.clone();
                    drop(store);
                    assert_eq!(again.to_vec().unwrap(), [1, 2, 3, 4]);
                    drop(again);
                    drop(weak.upgrade());
                })
            })
            .collect();
        drop(store);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn the_owner_is_dropped_on_the_thread_of_the_last_reference() {
    let (sender, receiver) = mpsc::channel();
    let deleter = move |_, _| sender.send(thread::current().id()).unwrap();
    let store = BackingStore::from(UniqueStore::from_owner_with_deleter(vec![0u8], deleter).unwrap());
    let elsewhere = thread::spawn(move || drop(store)).thread().id();
    assert_eq!(receiver.recv().unwrap(), elsewhere);
}

#[test]
fn a_deleter_is_told_address_and_length_before_its_owner_is_dropped() {
    struct Tells(Vec<u8>, mpsc::Sender<&'static str>);
    impl Drop for Tells {
        fn drop(&mut self) {
            self.1.send("owner").unwrap();
        }
    }
    // SAFETY: the memory of a `Vec` that no other code uses.
    unsafe impl Owner for Tells {
        fn memory(&mut self) -> NonNull<[u8]> {
            NonNull::from(self.0.as_mut_slice())
        }
    }
    let (sender, receiver) = mpsc::channel();
    let owner = Tells(vec![0; 24], sender.clone());
    let address = owner.0.as_ptr().addr();
    let deleter = move |data: *mut u8, byte_length| {
        assert_eq!((data.addr(), byte_length), (address, 24));
        sender.send("deleter").unwrap();
    };
    drop(UniqueStore::from_owner_with_deleter(owner, deleter).unwrap());
    assert_eq!(receiver.iter().collect::<Vec<_>>(), ["deleter", "owner"]);
}

#[test]
fn a_panic_in_an_owners_drop_reaches_the_caller_once() {
    let deleter = |_, _| panic!("no more");
    let store = BackingStore::from(UniqueStore::from_owner_with_deleter(vec![0u8; 8], deleter).unwrap());
    let weak = store.downgrade();
    let panic = catch_unwind(AssertUnwindSafe(|| drop(store))).unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"no more"));
    assert!(weak.upgrade().is_none());
}

#[test]
fn an_owner_that_panics_when_asked_for_its_memory_is_dropped_once() {
    struct Shy {
        _alive: Arc<()>,
    }
    // SAFETY: it never returns.
    unsafe impl Owner for Shy {
        fn memory(&mut self) -> NonNull<[u8]> {
            panic!("not yours")
        }
    }
    let alive = Arc::new(());
    let owner = Shy { _alive: alive.clone() };
    assert!(catch_unwind(AssertUnwindSafe(|| UniqueStore::from_owner(owner))).is_err());
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[test]
fn an_owner_is_asked_for_its_memory_where_it_stays() {
    // A box must not be moved between making a pointer to its content and using it.
    struct Boxed(Box<[u8]>);
    // SAFETY: the memory of a box that no other code uses.
    unsafe impl Owner for Boxed {
        fn memory(&mut self) -> NonNull<[u8]> {
            NonNull::from(&mut *self.0)
        }
    }
    let mut store = UniqueStore::from_owner(Boxed(vec![1, 2].into())).unwrap();
    store[1] = 9;
    assert_eq!(&*store.try_into_owner::<Boxed>().unwrap().0, [1, 9]);
}
