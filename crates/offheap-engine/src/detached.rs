//! Uses of detached buffers, which the observer is told of with the places of the use and of the detach.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

use offheap::adapter::{self, note_refused};
use offheap::observe::{Refusal, ScriptStack};
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

thread_local!(static IS_OF_SCRIPT: Cell<bool> = const { Cell::new(false) });

/// While the result lives, [`tell_use_after_detach`] tells nothing. A function whose argument is a buffer that script chose calls
/// this, if a detached one is a wrong argument like any other: script gets the error. For tools.
#[must_use = "it ends when it is dropped"]
pub fn detached_is_wrong_argument() -> DetachedIsWrongArgument {
    DetachedIsWrongArgument { outer: IS_OF_SCRIPT.replace(true), thread: PhantomData }
}

/// What [`detached_is_wrong_argument`] returns.
pub struct DetachedIsWrongArgument {
    outer: bool,
    // Not `Send`: it is dropped on the thread that made it.
    thread: PhantomData<*const ()>,
}

impl Drop for DetachedIsWrongArgument {
    fn drop(&mut self) {
        IS_OF_SCRIPT.set(self.outer);
    }
}

/// Tells the observer of the use of a detached buffer at `at`, if the error is that. For adapters, where a program uses its own
/// context or scope: which place detached the buffer is not known there. `script` gives the functions of script that wait. It is
/// called if the observer wants to know them, and may collect garbage.
#[cold]
#[inline(never)]
pub fn tell_use_after_detach(error: &Error, at: Site, script: impl FnOnce() -> ScriptStack) {
    if !matches!(error, Error::Detached { .. }) || !adapter::is_observed() || IS_OF_SCRIPT.get() {
        return;
    }
    let _script = adapter::wants_script_stack(usize::MAX).then(|| adapter::with_script_stack(script()));
    note_refused(&Refusal::new(error.code(), at, error));
}
