//! A small table of each thread, in front of one that all threads share.

use std::cell::Cell;

/// Remembers `N` entries, each in the one slot that its key names. It needs no drop, so that a thread that is ending may use
/// it.
pub(crate) struct ThreadCache<T: 'static, const N: usize> {
    /// Whose entries they are: the number of a ledger.
    owner: Cell<u32>,
    slots: [Cell<Option<(u64, &'static T)>>; N],
}

impl<T, const N: usize> ThreadCache<T, N> {
    pub(crate) const fn new() -> Self {
        ThreadCache { owner: Cell::new(0), slots: [const { Cell::new(None) }; N] }
    }

    /// The entry with this key, unless `is_it` denies it; from `find` if it is not remembered, which may find none.
    #[inline]
    pub(crate) fn get_or(
        &self,
        owner: u32,
        key: u64,
        is_it: impl FnOnce(&T) -> bool,
        find: impl FnOnce() -> Option<&'static T>,
    ) -> Option<&'static T> {
        if self.owner.get() != owner {
            self.slots.iter().for_each(|slot| slot.set(None));
            self.owner.set(owner);
        }
        // The upper bits of a product depend on all bits of the key.
        let slot = &self.slots[(key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % N];
        if let Some((known, entry)) = slot.get()
            && known == key
            && is_it(entry)
        {
            return Some(entry);
        }
        let entry = find()?;
        slot.set(Some((key, entry)));
        Some(entry)
    }
}
