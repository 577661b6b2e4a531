//! Growing shared memory: several who grow at once, and readers beside them.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread;
use std::ptr::NonNull;

use super::super::{Memory, RawStore};
use super::{Plain, Watched};
use crate::{Error, Site, StoreKind};

/// Shared memory of which each byte stands for a page. Committing one twice is allowed, as it is in the system, so it is
/// an atomic; loads and stores are relaxed: what orders them is the length alone.
#[derive(Clone)]
struct Pages {
    store: RawStore,
    committed: Arc<[AtomicU32; 3]>,
}

impl Pages {
    fn new() -> Pages {
        let memory = |_: &mut Watched| Memory { data: NonNull::dangling(), byte_length: 0 };
        let Ok(store) = RawStore::new(Watched(Plain::new()), StoreKind::Shared, Site::here(), memory) else {
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

#[test]
fn shared_readers_never_go_past_what_is_committed_and_never_back() {
    loom::model(|| {
        let pages = Pages::new();
        let (first, second) = (pages.clone(), pages.clone());
        let growers = [(first, 2), (second, 3)].map(|(pages, end)| thread::spawn(move || drop(pages.grow(end))));
        let before = pages.read();
        assert!(pages.read() >= before, "it never shrinks");
        growers.into_iter().for_each(|grower| grower.join().unwrap());
        assert_eq!(pages.read(), 3);
    });
}
