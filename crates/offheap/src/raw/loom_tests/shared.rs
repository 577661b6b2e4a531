//! Growing shared memory: several threads that grow it, and readers beside them.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use std::ptr::NonNull;

use super::super::{Memory, RawStore};
use super::{Plain, Watched};
use crate::{Error, Site, StoreKind};

/// Shared memory whose bytes stand for one page each. A page may be committed twice, as in the system, so it is an atomic.
/// Loads and stores are relaxed, since only the length orders them.
#[derive(Clone)]
struct Pages {
    store: RawStore,
    committed: Arc<[AtomicU32; 3]>,
}

impl Pages {
    fn new() -> Pages {
        let memory = |_: &mut Watched| Memory { data: NonNull::dangling(), byte_length: 0 };
        let Ok(store) = RawStore::new(Watched(Plain::new()), StoreKind::SHARED_GROWABLE, Site::here(), memory) else {
            panic!("out of memory")
        };
        Pages { store, committed: Arc::new([0; 3].map(AtomicU32::new)) }
    }

    fn grow(&self, byte_length: usize) -> Result<(), Error> {
        self.store.grow_with(byte_length, true, |end| {
            self.committed[..end].iter().for_each(|page| page.store(1, Ordering::Relaxed));
            Ok(())
        })
    }

    fn read(&self) -> usize {
        let byte_length = self.store.byte_length_in_order();
        let read = &self.committed[..byte_length];
        read.iter().for_each(|page| assert_eq!(page.load(Ordering::Relaxed), 1, "not committed"));
        byte_length
    }
}

#[test]
fn shared_two_who_grow_leave_the_longer_length() {
    loom::model(|| {
        let pages = Pages::new();
        let others = pages.clone();
        let other = thread::spawn(move || others.grow(1));
        assert!(pages.grow(3).is_ok(), "nobody asked for more");
        assert!(matches!(other.join().unwrap(), Ok(()) | Err(Error::SharedShrink { byte_length: 3, .. })));
        assert_eq!(pages.read(), 3);
    });
}

// The reader has a thread of its own, and this thread grows. Loom remembers one load of an atomic at a time, so it would
// never move a reader that runs first behind a grower that loads the length before it replaces it.
#[test]
fn shared_a_reader_never_goes_past_what_is_committed_and_never_back() {
    loom::model(|| {
        let pages = Pages::new();
        let reads = pages.clone();
        let reader = thread::spawn(move || {
            let before = reads.read();
            assert!(reads.read() >= before, "it never shrinks");
        });
        assert!(pages.grow(1).is_ok());
        assert!(pages.grow(3).is_ok());
        reader.join().unwrap();
        assert_eq!(pages.read(), 3);
    });
}

#[test]
fn shared_a_reader_beside_two_who_grow_never_goes_past_what_is_committed() {
    // Three threads with any number of switches take half a minute. Four switches are enough to show a mistake.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(4);
    model.check(|| {
        let pages = Pages::new();
        let (reads, grows) = (pages.clone(), pages.clone());
        let reader = thread::spawn(move || reads.read());
        let grower = thread::spawn(move || drop(grows.grow(2)));
        assert!(pages.grow(3).is_ok());
        assert!(matches!(reader.join().unwrap(), 0 | 2 | 3));
        grower.join().unwrap();
        assert_eq!(pages.read(), 3);
    });
}
