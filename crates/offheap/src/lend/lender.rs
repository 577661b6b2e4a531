//! The count of guards over an engine's own memory, which is in no store.

use std::cell::Cell;
use std::rc::Rc;

/// Lends an engine's own memory, which is in no store, and counts the guards. An isolate has one.
///
/// Such memory has no access word in which a guard could mark it. So an adapter asks [`is_lending`](Self::is_lending)
/// before it moves or frees the memory, or gives anybody a store over it.
#[derive(Debug, Default)]
pub struct Lender(Rc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    guards: Cell<usize>,
    /// How often the guards were forgotten.
    round: Cell<u64>,
}

impl Lender {
    /// Whether a guard of this lender may live.
    #[inline]
    pub fn is_lending(&self) -> bool {
        self.0.guards.get() != 0
    }

    /// Stops counting all guards so far. The adapter calls this where the borrows of all guards have ended, so that those
    /// which were never dropped (`mem::forget`) do not count for ever. Those that are dropped later do not count either.
    #[inline]
    pub fn forget_guards(&self) {
        if self.is_lending() {
            self.0.guards.set(0);
            self.0.round.set(self.0.round.get() + 1);
        }
    }

    /// Counts one more guard.
    #[inline]
    pub(super) fn count(&self) -> LentGuard {
        self.0.guards.set(self.0.guards.get() + 1);
        LentGuard { counted: Rc::clone(&self.0), round: self.0.round.get() }
    }
}

/// One guard in the count, until this value is dropped. It has no lifetime, so a guard that is not used any more does not
/// keep its scope borrowed until its drop.
pub(super) struct LentGuard {
    counted: Rc<Counted>,
    round: u64,
}

impl Drop for LentGuard {
    #[inline]
    fn drop(&mut self) {
        if self.round == self.counted.round.get() {
            self.counted.guards.set(self.counted.guards.get() - 1);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::ptr::NonNull;

    use super::*;

    #[test]
    fn guards_are_counted_until_they_are_dropped_or_forgotten() {
        let lender = Lender::default();
        let mut memory = [1_u8, 2, 3];
        let bytes = NonNull::from(&mut memory[..]);
        // SAFETY: only the guards use the memory, and not at the same time.
        let [one, two] = [0, 1].map(|_| unsafe { lender.bytes(bytes) });
        assert_eq!((&one[..], lender.is_lending()), (&[1, 2, 3][..], true));
        drop(one);
        assert!(lender.is_lending());
        lender.forget_guards();
        assert!(!lender.is_lending());
        // SAFETY: as above.
        let mut three = unsafe { lender.bytes_mut(bytes) };
        three[0] = 7;
        drop(two);
        assert!(lender.is_lending());
        drop(three);
        assert!(!lender.is_lending());
        assert_eq!(memory, [7, 2, 3]);
    }
}
