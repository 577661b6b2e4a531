//! How many references a block has, of both sorts, in one atomic number.
//!
//! Both are in one number so that one load tells whether a reference is the only one of any sort. Nobody can count
//! another then, and the last reference of most stores goes without a locked instruction.

use crate::sync::{AtomicU64, Ordering, fence};

const STRONG: u64 = 1;
const WEAK: u64 = 1 << 32;
/// Manual memory was freed: for good, and whatever the counts become.
const CLOSED: u64 = 1 << 63;

/// Counts beyond this end the process, as `Arc`'s do: only a program that forgets handles in a loop gets there. It is half
/// of what a count has room for.
const MAX_REFERENCES: u32 = i32::MAX as u32 >> 1;

/// The strong references in the lower half; in the upper one the weak ones, and one that all strong ones hold together,
/// below `CLOSED`.
pub(super) struct Counts(AtomicU64);

/// The only strong reference of a block.
pub(super) enum Unique {
    /// There is no weak handle, so nobody else has the block.
    OfAnySort,
    /// Weak handles fail to upgrade until [`give_back`](Counts::give_back): the count of strong references is 0.
    Strong,
}

#[inline]
fn strong(word: u64) -> u32 {
    word as u32
}

#[inline]
fn weak(word: u64) -> u32 {
    ((word & !CLOSED) >> 32) as u32
}

impl Counts {
    /// One strong reference.
    pub(super) fn new() -> Self {
        Counts(AtomicU64::new(STRONG | WEAK))
    }

    pub(super) fn strong(&self) -> u32 {
        strong(self.0.load(Ordering::Acquire))
    }

    #[inline]
    pub(super) fn add_strong(&self) {
        abort_beyond_limit(strong(self.0.fetch_add(STRONG, Ordering::Relaxed)));
    }

    pub(super) fn add_weak(&self) {
        abort_beyond_limit(weak(self.0.fetch_add(WEAK, Ordering::Relaxed)));
    }

    /// Counts one more strong reference, unless there is none.
    pub(super) fn upgrade(&self) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        while strong(word) != 0 {
            match self.0.compare_exchange_weak(word, word + STRONG, Ordering::Acquire, Ordering::Relaxed) {
                Ok(before) => {
                    abort_beyond_limit(strong(before));
                    return true;
                }
                Err(seen) => word = seen,
            }
        }
        false
    }

    /// Takes a strong reference away, and says whether it was the last: then all that was done through the others came
    /// before.
    #[inline]
    pub(super) fn remove_strong(&self) -> bool {
        if self.is_unique() {
            return true;
        }
        let last = strong(self.0.fetch_sub(STRONG, Ordering::Release)) == 1;
        if last {
            fence(Ordering::Acquire);
        }
        last
    }

    /// Takes a weak reference away, or the one of all strong ones once these are gone; otherwise as
    /// [`remove_strong`](Self::remove_strong).
    pub(super) fn remove_weak(&self) -> bool {
        // With no other weak reference there is no strong one either, so nobody counts meanwhile.
        let last = weak(self.0.load(Ordering::Relaxed)) == 1 || weak(self.0.fetch_sub(WEAK, Ordering::Release)) == 1;
        if last {
            fence(Ordering::Acquire);
        }
        last
    }

    /// Whether there is one strong reference, and no weak one beside it. Nobody can count another then.
    #[inline]
    pub(super) fn is_unique(&self) -> bool {
        self.0.load(Ordering::Acquire) == STRONG | WEAK
    }

    /// Takes the strong reference away where it is the only one; or says how many there are.
    pub(super) fn take_unique(&self) -> Result<Unique, u32> {
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            match word {
                _ if strong(word) != 1 => return Err(strong(word)),
                _ if weak(word) == 1 => return Ok(Unique::OfAnySort),
                _ => {}
            }
            match self.0.compare_exchange_weak(word, word - STRONG, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Ok(Unique::Strong),
                Err(seen) => word = seen,
            }
        }
    }

    /// Marks the block where it has no more than `own` strong references; or says how many more there are, with `None` where
    /// it was marked before. Whoever counts one more afterwards finds the mark, since all of it is one number.
    pub(super) fn close(&self, own: u32) -> Result<(), Option<u32>> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            match word {
                _ if word & CLOSED != 0 => return Err(None),
                _ if strong(word) > own => return Err(Some(strong(word) - own)),
                _ => {}
            }
            // What was done through references that went comes before.
            match self.0.compare_exchange_weak(word, word | CLOSED, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(seen) => word = seen,
            }
        }
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.0.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Undoes [`take_unique`](Self::take_unique) where it left weak handles.
    pub(super) fn give_back(&self) {
        self.0.fetch_add(STRONG, Ordering::Release);
    }
}

#[cold]
fn too_many_references() -> ! {
    eprintln!("offheap: more than {MAX_REFERENCES} references to one store: handles are being forgotten");
    std::process::abort();
}

#[inline]
fn abort_beyond_limit(before: u32) {
    if before > MAX_REFERENCES {
        too_many_references();
    }
}
