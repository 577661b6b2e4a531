//! Growing and shrinking beside readers: no reader goes past committed memory, and no slice is zeroed.

use loom::sync::Arc;
use loom::thread;
use std::ptr::NonNull;

use super::super::{Memory, RawStore};
use super::{Plain, Watched};
use crate::raw::access::Denied;
use crate::{Error, Holder, IsolateId, Site, StoreKind};

/// A store whose bytes stand for one page each. Committing and clearing write a page, and readers read the pages below the
/// length that they saw.
#[derive(Clone)]
struct Pages {
    store: RawStore,
    pages: [Arc<Plain>; 3],
}

const COMMITTED: u32 = 1;
const CLEARED: u32 = 2;

impl Pages {
    fn new(byte_length: usize) -> Pages {
        let memory = move |_: &mut Watched| Memory { data: NonNull::dangling(), byte_length };
        let Ok(store) = RawStore::new(Watched(Plain::new()), StoreKind::FIXED, Site::here(), memory) else {
            panic!("out of memory")
        };
        let pages = [0; 3].map(|_| Plain::new());
        pages[..byte_length].iter().for_each(|page| page.write(COMMITTED));
        Pages { store, pages }
    }

    fn resize(&self, byte_length: usize) -> Result<(), Denied> {
        let before = self.store.byte_length();
        let commit = |end: usize| {
            // Pages below the earlier length are committed already.
            self.pages[before.min(end)..end].iter().for_each(|page| page.write(COMMITTED));
            Ok::<(), Error>(())
        };
        let clear = |from: usize, end: usize| self.pages[from..end].iter().for_each(|page| page.write(CLEARED));
        match self.store.resize_with(None, byte_length, commit, clear) {
            Ok(()) => Ok(()),
            Err(crate::raw::Refused::Denied(denied)) => Err(denied),
            Err(crate::raw::Refused::Error(error)) => panic!("{error}"),
        }
    }

    /// Reads as a guard does. Returns how many pages it saw.
    fn read(&self, scope: Option<IsolateId>) -> Result<usize, Denied> {
        self.store.access().begin_read(scope)?;
        let byte_length = self.store.byte_length();
        self.pages[..byte_length].iter().for_each(|page| assert_ne!(page.read(), 0, "not committed"));
        self.store.access().end_read();
        Ok(byte_length)
    }

    /// Reads as a copy does while the store grows: only below the length.
    fn copy(&self) -> Result<usize, Denied> {
        self.store.access().begin_copy()?;
        let byte_length = self.store.byte_length();
        self.pages[..byte_length].iter().for_each(|page| assert_ne!(page.read(), 0, "not committed"));
        self.store.access().end_copy();
        Ok(byte_length)
    }
}

fn grows_beside(look: fn(&Pages) -> Result<usize, Denied>) {
    loom::model(move || {
        let grows = Pages::new(1);
        let pages = grows.clone();
        let other = thread::spawn(move || look(&pages));
        assert_eq!(grows.resize(3), Ok(()), "growing waits for nobody");
        assert!(matches!(other.join().unwrap(), Ok(1 | 3)));
        assert_eq!(grows.read(None), Ok(3));
    });
}

#[test]
fn growth_a_guard_never_goes_past_what_is_committed() {
    grows_beside(|pages| pages.read(None));
}

#[test]
fn growth_a_copy_never_goes_past_what_is_committed() {
    grows_beside(Pages::copy);
}

#[test]
fn growth_two_who_grow_go_one_after_the_other() {
    loom::model(|| {
        let grows = Pages::new(0);
        let pages = grows.clone();
        let other = thread::spawn(move || pages.resize(1));
        let grown = grows.resize(1);
        let other = other.join().unwrap();
        for result in [grown, other] {
            assert!(matches!(result, Ok(()) | Err(Denied::Busy(Holder::Resizing))));
        }
        assert!(grown.is_ok() || other.is_ok());
        assert_eq!(grows.read(None), Ok(1));
    });
}

#[test]
fn shrinking_and_a_guard_never_meet() {
    loom::model(|| {
        let shrinks = Pages::new(2);
        let pages = shrinks.clone();
        let other = thread::spawn(move || pages.read(None));
        let shrunk = shrinks.resize(1);
        let read = other.join().unwrap();
        match (shrunk, read) {
            (Ok(()), Ok(1 | 2) | Err(Denied::Busy(Holder::Resizing))) => {}
            (Err(Denied::Busy(Holder::Readers(1))), Ok(2)) => {}
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn shrinking_and_growing_leave_cleared_pages_behind_the_length() {
    loom::model(|| {
        let shrinks = Pages::new(2);
        let pages = shrinks.clone();
        let other = thread::spawn(move || pages.resize(0));
        let grown = shrinks.resize(3);
        let shrunk = other.join().unwrap();
        assert!(grown.is_ok() || shrunk.is_ok());
        let byte_length = shrinks.read(None).unwrap();
        assert!(matches!((grown, shrunk, byte_length), (Ok(()), _, 3 | 0) | (Err(_), Ok(()), 0)));
    });
}
