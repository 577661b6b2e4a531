//! The numbers of strong and weak references to a block, in one atomic number. A handle is a strong reference. A buffer is
//! not counted here but in the access word, which also decides when the block ends.
//!
//! With both in one number, one load tells whether a reference is unique. No other reference can be counted then, so a
//! store that was never shared is dropped without a locked instruction.

use crate::sync::{AtomicU64, Ordering, fence};

const STRONG: u64 = 1;
const WEAK: u64 = 1 << 32;
/// Set for good when manual memory is freed.
const CLOSED: u64 = 1 << 63;

/// A count beyond this ends the process, as `Arc`'s does: only a program that forgets handles in a loop reaches it. It is
/// half of the range of a count.
const MAX_REFERENCES: u32 = i32::MAX as u32 >> 1;

/// The lower half counts the strong references. The upper half, below `CLOSED`, counts the weak ones, and one more that all
/// strong references hold together.
pub(super) struct Counts(AtomicU64);

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

    /// Counts a weak reference. The caller has the only strong one, and there is no weak one yet, so nobody else counts.
    #[inline]
    pub(super) fn add_first_weak(&self) {
        self.0.store(STRONG | (2 * WEAK), Ordering::Relaxed);
    }

    pub(super) fn strong(&self) -> u32 {
        strong(self.0.load(Ordering::Acquire))
    }

    /// The number of weak references, without the one that the strong ones hold.
    pub(super) fn weak(&self) -> u32 {
        weak(self.0.load(Ordering::Acquire)).saturating_sub(1)
    }

    /// Counts one more strong reference. Returns whether there was none: then the caller begins a group.
    #[inline]
    pub(super) fn add_strong(&self) -> bool {
        let before = strong(self.0.fetch_add(STRONG, Ordering::Relaxed));
        // One comparison for both of the rare cases.
        if before.wrapping_sub(1) >= MAX_REFERENCES {
            abort_beyond_limit(before);
            return true;
        }
        false
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

    /// Removes a strong reference. Returns whether it was the last. If so, all uses through the others came before, and the
    /// caller ends their group.
    #[inline]
    pub(super) fn remove_strong(&self) -> bool {
        let last = strong(self.0.fetch_sub(STRONG, Ordering::Release)) == 1;
        if last {
            fence(Ordering::Acquire);
        }
        last
    }

    /// Removes a weak reference, or the one that all strong ones held. Returns whether it was the last, in which case all
    /// uses through the others came before.
    pub(super) fn remove_weak(&self) -> bool {
        // Without another weak reference there is no strong one either, so the count cannot change.
        let last = weak(self.0.load(Ordering::Relaxed)) == 1 || weak(self.0.fetch_sub(WEAK, Ordering::Release)) == 1;
        if last {
            fence(Ordering::Acquire);
        }
        last
    }

    /// Whether there is one strong reference, and no weak one beside it. No other can be counted then, except by a buffer.
    #[inline]
    pub(super) fn is_unique(&self) -> bool {
        self.0.load(Ordering::Acquire) == STRONG | WEAK
    }

    /// The number of references besides `own_strong` strong and `own_weak` weak ones.
    pub(super) fn others(&self, own_strong: u32, own_weak: u32) -> u32 {
        let word = self.0.load(Ordering::Acquire);
        // All strong references hold one weak reference together.
        strong(word).saturating_sub(own_strong) + weak(word).saturating_sub(1 + own_weak)
    }

    /// Removes the strong reference if there is no other one. The caller does not end the group yet.
    pub(super) fn take_only_strong(&self) -> bool {
        let mut word = self.0.load(Ordering::Acquire);
        while strong(word) == 1 {
            match self.0.compare_exchange_weak(word, word - STRONG, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
        false
    }

    /// Whether no weak reference is left besides the one that the strong ones hold. All uses through weak ones came before.
    pub(super) fn has_no_weak(&self) -> bool {
        weak(self.0.load(Ordering::Acquire)) == 1
    }

    /// Marks the block as freed if it has at most `own` strong references. Otherwise returns how many more there are, or
    /// `None` if the block was marked before. A reference that is counted afterwards finds the mark, since both are in one
    /// number.
    pub(super) fn close(&self, own: u32) -> Result<(), Option<u32>> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            match word {
                _ if word & CLOSED != 0 => return Err(None),
                _ if strong(word) > own => return Err(Some(strong(word) - own)),
                _ => {}
            }
            // Uses through references that are gone come before.
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
