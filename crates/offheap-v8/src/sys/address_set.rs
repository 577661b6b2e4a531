//! A set of addresses that any thread adds to and takes from without waiting: two steps of one instruction each for a
//! buffer that script makes, where the table behind a lock would be a tenth of what making it costs.
//!
//! It is a bit for each 16 bytes of the address space, in pages that are made as they are needed and kept: 128 KiB for
//! each 16 MiB in which memory was ever allocated, of which the system provides what was touched.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

/// What the addresses are multiples of.
pub(super) const GRANULE: usize = 1 << GRANULE_SHIFT;

const GRANULE_SHIFT: u32 = 4;
const LEAF_SHIFT: u32 = 24;
const BRANCH_SHIFT: u32 = 36;
/// Programs have addresses of 48 bits at the most, unless they ask for more.
const ADDRESS_BITS: u32 = 48;

/// A bit for each granule of 16 MiB.
struct Leaf([AtomicU64; 1 << (LEAF_SHIFT - GRANULE_SHIFT - u64::BITS.trailing_zeros())]);

/// The leaves of 64 GiB.
struct Branch([AtomicPtr<Leaf>; 1 << (BRANCH_SHIFT - LEAF_SHIFT)]);

/// One set; as a static, since what it makes it keeps.
pub(super) struct AddressSet([AtomicPtr<Branch>; 1 << (ADDRESS_BITS - BRANCH_SHIFT)]);

/// What is made of zeros: atomics alone.
///
/// # Safety
/// Zeros are a value of the type.
unsafe trait Zeroed {}
// SAFETY: I-LAYOUT: atomic numbers.
unsafe impl Zeroed for Leaf {}
// SAFETY: I-LAYOUT: atomic pointers, which may be null.
unsafe impl Zeroed for Branch {}

impl AddressSet {
    pub(super) const fn new() -> Self {
        AddressSet([const { AtomicPtr::new(null_mut()) }; 1 << (ADDRESS_BITS - BRANCH_SHIFT)])
    }

    /// Adds an address, which is a multiple of [`GRANULE`]; `false` where there is no memory to do so.
    #[inline]
    pub(super) fn insert(&'static self, address: usize) -> bool {
        match self.0.get(address >> BRANCH_SHIFT) {
            Some(branch) => insert_in(branch, address),
            None => false,
        }
    }

    #[inline]
    pub(super) fn remove(&'static self, address: usize) {
        if let Some((word, bit)) = self.bit(address) {
            // What was done with the memory comes before whoever is next to have it there.
            let before = word.fetch_and(!bit, Ordering::Release);
            debug_assert_ne!(before & bit, 0, "an address is removed once");
        }
    }

    #[inline]
    pub(super) fn contains(&'static self, address: usize) -> bool {
        address.is_multiple_of(GRANULE)
            && self.bit(address).is_some_and(|(word, bit)| word.load(Ordering::Acquire) & bit != 0)
    }

    #[inline]
    fn bit(&'static self, address: usize) -> Option<(&'static AtomicU64, u64)> {
        let branch = made(self.0.get(address >> BRANCH_SHIFT)?)?;
        let leaf = made(&branch.0[leaf_index(address)])?;
        Some(bit_in(leaf, address))
    }
}

#[inline]
fn insert_in(branch: &'static AtomicPtr<Branch>, address: usize) -> bool {
    let Some(branch) = made(branch).or_else(|| make(branch)) else { return false };
    let leaf = &branch.0[leaf_index(address)];
    let Some(leaf) = made(leaf).or_else(|| make(leaf)) else { return false };
    let (word, bit) = bit_in(leaf, address);
    let before = word.fetch_or(bit, Ordering::Release);
    debug_assert_eq!(before & bit, 0, "one allocation begins at an address");
    true
}

#[inline]
fn leaf_index(address: usize) -> usize {
    (address >> LEAF_SHIFT) % (1 << (BRANCH_SHIFT - LEAF_SHIFT))
}

#[inline]
fn bit_in(leaf: &Leaf, address: usize) -> (&AtomicU64, u64) {
    let granule = (address >> GRANULE_SHIFT) % (1 << (LEAF_SHIFT - GRANULE_SHIFT));
    let bits = u64::BITS as usize;
    (&leaf.0[granule / bits], 1 << (granule % bits))
}

/// What is behind a slot, where it was made.
#[inline]
fn made<T: Zeroed>(slot: &'static AtomicPtr<T>) -> Option<&'static T> {
    let there = NonNull::new(slot.load(Ordering::Acquire))?;
    // SAFETY: I-LAYOUT: stored by `make`, and kept for good.
    Some(unsafe { there.as_ref() })
}

/// Makes what is behind a slot, unless another thread is faster.
#[cold]
#[inline(never)]
fn make<T: Zeroed>(slot: &'static AtomicPtr<T>) -> Option<&'static T> {
    let layout = Layout::new::<T>();
    // SAFETY: I-LAYOUT: both types have a size.
    let fresh = NonNull::new(unsafe { alloc_zeroed(layout) })?.cast::<T>();
    if slot.compare_exchange(null_mut(), fresh.as_ptr(), Ordering::AcqRel, Ordering::Acquire).is_err() {
        // SAFETY: I-LAYOUT: allocated above, with this layout, and nobody else has it.
        unsafe { dealloc(fresh.as_ptr().cast(), layout) };
    }
    made(slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_what_was_added_and_nothing_beside_it() {
        static SET: AddressSet = AddressSet::new();
        let addresses = [0x10, 0x20, 0x3f0, 0x400, 0xff_fff0, 0x100_0000, 0xf_ffff_fff0, 0x7fff_ffff_fff0];
        for address in addresses {
            assert!(!SET.contains(address));
            assert!(SET.insert(address));
        }
        assert!(addresses.into_iter().all(|address| SET.contains(address)));
        for absent in [0, 8, 0x18, 0x30, 0x410, 0x7fff_ffff_ffe0, usize::MAX, 1 << 48] {
            assert!(!SET.contains(absent), "{absent:#x}");
        }
        for address in addresses {
            SET.remove(address);
            assert!(!SET.contains(address));
        }
        assert!(!SET.insert(1 << 48));
    }

    #[test]
    fn threads_add_and_take_neighbours_at_the_same_time() {
        static SET: AddressSet = AddressSet::new();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for round in 0..1000 {
                        let address = (round % 64 * 4 + thread + 1) * GRANULE;
                        assert!(SET.insert(address) && SET.contains(address));
                        SET.remove(address);
                    }
                });
            }
        });
        assert!((0..512).all(|granule| !SET.contains(granule * GRANULE)));
    }
}
