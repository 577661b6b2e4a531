//! `Budget`: a limit on the bytes of all stores together.

// Not through `crate::sync`: a static cannot be a loom atomic, and a sum under a limit needs no model.
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Error, StoreKind};

/// A limit on the bytes that the stores of this process have, off until it is set: [`Error::OverBudget`] instead of one
/// allocation too many, with the value back where one was handed over.
///
/// It is one for the process, as memory is: stores outlive whoever made them, change threads and isolates, and many are
/// made where nobody could pass a budget along, in an engine's `resize` or its allocation of a `SharedArrayBuffer`.
/// While none is set, making a store costs one load and one branch for it.
///
/// What counts is the length of memory that may be written: stores of one length whoever owned their memory before,
/// resizable and shared ones as long as they are at the time (not what they have reserved), manual memory until it was
/// freed, and where it was adopted until it went back to whoever frees it. Frozen memory and mapped files do not count: others have that too. What was made while
/// no budget was set never counts, and what counts once does so until it is freed, so that the sum is exact.
///
/// ```
/// use offheap::{Budget, Error, UniqueStore};
///
/// Budget::set(1000);
/// let store = UniqueStore::zeroed(600)?;
/// let rejected = UniqueStore::from_owner(vec![0u8; 500]).unwrap_err();
/// assert!(matches!(rejected.error(), Error::OverBudget { requested: 500, used: 600, limit: 1000 }));
/// assert_eq!(rejected.into_inner().len(), 500);
/// drop(store);
/// assert_eq!(Budget::used(), 0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Budget;

const NONE: usize = usize::MAX;

static LIMIT: AtomicUsize = AtomicUsize::new(NONE);
static USED: AtomicUsize = AtomicUsize::new(0);

impl Budget {
    /// Sets the limit, or changes it. Where more is in use already nothing is freed, and nothing can be made until less is.
    pub fn set(byte_limit: usize) {
        LIMIT.store(byte_limit.min(NONE - 1), Ordering::Relaxed);
    }

    /// Takes the limit away. What counts already goes on counting until it is freed.
    pub fn clear() {
        LIMIT.store(NONE, Ordering::Relaxed);
    }

    /// The limit in bytes, where one is set.
    pub fn limit() -> Option<usize> {
        Some(LIMIT.load(Ordering::Relaxed)).filter(|&limit| limit != NONE)
    }

    /// How many bytes count at this moment.
    pub fn used() -> usize {
        USED.load(Ordering::Relaxed)
    }
}

/// Whether memory of this kind counts.
pub(crate) fn counts(kind: StoreKind) -> bool {
    // The heap of manual memory charges for what has one length and is not shared.
    let is_charged_elsewhere = kind == StoreKind::MANUAL || kind.is_of_engine();
    !kind.is_read_only() && !kind.is_file() && !is_charged_elsewhere
}

/// Counts so many bytes, where a budget is set; says whether it did.
#[inline]
pub(crate) fn take(byte_length: usize) -> Result<bool, Error> {
    if LIMIT.load(Ordering::Relaxed) == NONE { Ok(false) } else { take_more(byte_length).map(|()| true) }
}

/// Refuses early what `take` would refuse, before anything is allocated.
#[inline]
pub(crate) fn check(byte_length: usize) -> Result<(), Error> {
    let limit = LIMIT.load(Ordering::Relaxed);
    if limit == NONE { Ok(()) } else { room(byte_length, Budget::used(), limit).map(drop) }
}

/// Counts so many bytes more of memory that counts, whether or not a budget is still set.
pub(crate) fn take_more(byte_length: usize) -> Result<(), Error> {
    let mut used = USED.load(Ordering::Relaxed);
    loop {
        let new = room(byte_length, used, LIMIT.load(Ordering::Relaxed))?;
        match USED.compare_exchange_weak(used, new, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return Ok(()),
            Err(seen) => used = seen,
        }
    }
}

fn room(requested: usize, used: usize, limit: usize) -> Result<usize, Error> {
    let new = used.checked_add(requested).filter(|&new| new <= limit);
    new.ok_or(Error::OverBudget { requested, used, limit })
}

pub(crate) fn give_back(byte_length: usize) {
    let before = USED.fetch_sub(byte_length, Ordering::Relaxed);
    debug_assert!(before >= byte_length, "given back more than was taken");
}

/// Bytes that count until this value is dropped.
pub(crate) struct Charge {
    // 0 where none do.
    byte_length: usize,
}

impl Charge {
    pub(crate) fn new(byte_length: usize) -> Result<Self, Error> {
        let counts = take(byte_length)?;
        Ok(Charge::of(if counts { byte_length } else { 0 }))
    }

    /// Of bytes that count already.
    pub(crate) fn of(byte_length: usize) -> Self {
        Charge { byte_length }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if self.byte_length != 0 {
            give_back(self.byte_length);
        }
    }
}
