//! `Budget`: a limit on the bytes of all stores together.

// Not through `crate::sync`: a static cannot be a loom atomic, and a sum under a limit needs no model.
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Error, StoreKind};

/// A limit on the bytes of all stores of this process. It is off until it is set. An allocation beyond it is
/// [`Error::OverBudget`]; a value that was handed over comes back.
///
/// A process has one budget, as it has one memory: stores outlive the code that made them, change threads and isolates, and
/// are made where no budget could be passed along, such as in an engine's `resize` or its allocation of a
/// `SharedArrayBuffer`. While no budget is set, making a store costs one load and one branch for it.
///
/// Memory that may be written counts, with its present length: a resizable or growable store counts without the bytes that
/// it has only reserved. Manual memory counts until it is freed, and adopted memory until its `free_fn` is called. Frozen
/// memory and mapped files do not count, since other code has them too. A store that was made while no budget was set never
/// counts. A store that counts does so until it is freed, so the sum is exact.
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
    /// Sets the limit, or changes it. If more is in use already, nothing is freed, and no store can be made until enough is
    /// dropped.
    pub fn set(byte_limit: usize) {
        LIMIT.store(byte_limit.min(NONE - 1), Ordering::Relaxed);
    }

    /// Removes the limit. Stores that count already go on counting until they are freed.
    pub fn clear() {
        LIMIT.store(NONE, Ordering::Relaxed);
    }

    /// The limit in bytes; `None` if none is set.
    pub fn limit() -> Option<usize> {
        Some(LIMIT.load(Ordering::Relaxed)).filter(|&limit| limit != NONE)
    }

    /// The number of bytes that count at this moment.
    pub fn used() -> usize {
        USED.load(Ordering::Relaxed)
    }
}

/// Whether memory of this kind counts.
pub(crate) fn counts(kind: StoreKind) -> bool {
    // The heap of manual memory itself charges for unshared memory of fixed length.
    let is_charged_elsewhere = kind == StoreKind::MANUAL || kind.is_of_engine();
    !kind.is_read_only() && !kind.is_file() && !is_charged_elsewhere
}

/// Charges the budget, if one is set. Returns whether it did.
#[inline]
pub(crate) fn take(byte_length: usize) -> Result<bool, Error> {
    if LIMIT.load(Ordering::Relaxed) == NONE { Ok(false) } else { take_more(byte_length).map(|()| true) }
}

/// Fails where [`take`] would, before anything is allocated.
#[inline]
pub(crate) fn check(byte_length: usize) -> Result<(), Error> {
    let limit = LIMIT.load(Ordering::Relaxed);
    if limit == NONE { Ok(()) } else { room(byte_length, Budget::used(), limit).map(drop) }
}

/// Charges the budget for growth of memory that counts, even if no limit is set any more.
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
    debug_assert!(before >= byte_length, "returned more than was charged");
}

/// A charge to the budget, which is returned when this value is dropped.
pub(crate) struct Charge {
    // 0 if nothing was charged.
    byte_length: usize,
}

impl Charge {
    pub(crate) fn new(byte_length: usize) -> Result<Self, Error> {
        let counts = take(byte_length)?;
        Ok(Charge::of(if counts { byte_length } else { 0 }))
    }

    /// Takes over a charge for bytes that count already.
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
