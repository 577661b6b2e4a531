//! Uses of detached buffers, which the observer is told of with the places of the use and of the detach.

use std::cell::RefCell;

use offheap::adapter::{self, note_refused};
use offheap::observe::Refusal;
use offheap::{Site, StoreId};

use crate::Error;

/// The places that detached buffers, by the slots of their handles. They are only noted while there is an observer.
#[derive(Default)]
pub(crate) struct DetachPlaces(RefCell<Vec<Detached>>);

struct Detached {
    slot: usize,
    at: Site,
    store: Option<StoreId>,
}

/// At most so many places are kept: the last ones.
const KEPT: usize = 64;

impl DetachPlaces {
    /// Notes that the buffer in this slot, over this store, was detached at `at`.
    pub(crate) fn note(&self, slot: usize, at: Site, store: Option<StoreId>) {
        let mut places = self.0.borrow_mut();
        places.retain(|detached| detached.slot != slot);
        if places.len() == KEPT {
            places.remove(0);
        }
        if places.try_reserve(1).is_ok() {
            places.push(Detached { slot, at, store });
        }
    }

    /// Forgets a slot, which another object may get.
    pub(crate) fn forget(&self, slot: usize) {
        let mut places = self.0.borrow_mut();
        if !places.is_empty() {
            places.retain(|detached| detached.slot != slot);
        }
    }

    /// Tells the observer of the use of a detached buffer at `at`, if the error is that.
    #[cold]
    #[inline(never)]
    pub(crate) fn tell(&self, slot: usize, error: &Error, at: Site) {
        if !matches!(error, Error::Detached { .. }) || !adapter::is_observed() {
            return;
        }
        let mut refusal = Refusal::new(error.code(), at, error);
        // A separate statement, which ends the borrow: the observer may drop handles.
        let known = self.0.borrow().iter().find(|detached| detached.slot == slot).map(|known| (known.at, known.store));
        refusal.earlier = known.map(|(at, _)| at);
        refusal.store = known.and_then(|(_, store)| store);
        note_refused(&refusal);
    }
}
