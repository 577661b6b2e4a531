//! Uses of detached buffers, which the observer is told of with the places of the use and of the detach.

use std::cell::RefCell;

use offheap::Site;
use offheap::adapter::{self, note_refused};
use offheap::observe::Refusal;

use crate::Error;

/// The places that detached buffers, by the slots of their handles. They are only noted while there is an observer.
#[derive(Default)]
pub(crate) struct DetachPlaces(RefCell<Vec<(usize, Site)>>);

/// At most so many places are kept: the last ones.
const KEPT: usize = 64;

impl DetachPlaces {
    /// Notes that the buffer in this slot was detached at `at`.
    pub(crate) fn note(&self, slot: usize, at: Site) {
        let mut places = self.0.borrow_mut();
        places.retain(|(there, _)| *there != slot);
        if places.len() == KEPT {
            places.remove(0);
        }
        if places.try_reserve(1).is_ok() {
            places.push((slot, at));
        }
    }

    /// Forgets a slot, which another object may get.
    pub(crate) fn forget(&self, slot: usize) {
        let mut places = self.0.borrow_mut();
        if !places.is_empty() {
            places.retain(|(there, _)| *there != slot);
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
        let earlier = self.0.borrow().iter().find(|(there, _)| *there == slot).map(|(_, at)| *at);
        refusal.earlier = earlier;
        note_refused(&refusal);
    }
}
