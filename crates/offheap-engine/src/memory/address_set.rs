//! A lock-free set of addresses.

use std::ptr::{NonNull, null_mut};

use crate::sync::{AtomicPtr, AtomicU64, Ordering};

/// Addresses in an [`AddressSet`] are multiples of this number.
pub const GRANULE: usize = 1 << GRANULE_SHIFT;

const GRANULE_SHIFT: u32 = 4;
#[cfg(not(loom))]
const LEAF_SHIFT: u32 = 24;
#[cfg(not(loom))]
const BRANCH_SHIFT: u32 = 36;
/// A process has addresses of at most 48 bits, unless it asks for more.
#[cfg(not(loom))]
const ADDRESS_BITS: u32 = 48;

/// A loom model has two words in a leaf, two leaves in a branch, and two branches.
#[cfg(loom)]
const LEAF_SHIFT: u32 = 11;
#[cfg(loom)]
const BRANCH_SHIFT: u32 = 12;
#[cfg(loom)]
const ADDRESS_BITS: u32 = 13;

/// One bit for each granule of 16 MiB.
struct Leaf([AtomicU64; 1 << (LEAF_SHIFT - GRANULE_SHIFT - u64::BITS.trailing_zeros())]);

/// The leaves of 64 GiB of addresses.
struct Branch([AtomicPtr<Leaf>; 1 << (BRANCH_SHIFT - LEAF_SHIFT)]);

/// The addresses of an allocator's live allocations. Any thread adds or removes an address with one atomic
/// instruction and without waiting. A table behind a lock would add a tenth to the time that script needs to make a
/// buffer.
///
/// The set has one bit for every 16 bytes of the address space. The bits are in nodes of 128 KiB, one for each 16
/// MiB of addresses, which are allocated when they are first needed and never freed. The system provides only the
/// pages of a node that are touched. A set is a `static`, because it never frees its nodes.
///
/// A thread that finds an address sees everything that was written before the address was added. A thread that no
/// longer finds an address sees everything that was done before it was removed.
pub struct AddressSet([AtomicPtr<Branch>; 1 << (ADDRESS_BITS - BRANCH_SHIFT)]);

impl AddressSet {
    /// An empty set.
    #[cfg(not(loom))]
    #[allow(clippy::new_without_default, reason = "a set is a static")]
    pub const fn new() -> Self {
        AddressSet([const { AtomicPtr::new(null_mut()) }; 1 << (ADDRESS_BITS - BRANCH_SHIFT)])
    }

    /// Adds an address, which must be a multiple of [`GRANULE`] and not in the set. Returns `false` if there is no
    /// memory for the address's node, or if the address has more than 48 bits.
    #[inline]
    pub fn insert(&'static self, address: usize) -> bool {
        match self.0.get(address >> BRANCH_SHIFT) {
            Some(branch) => insert_in(branch, address),
            None => false,
        }
    }

    /// Removes an address, which must be in the set. Call it before the memory goes back to the allocator.
    #[inline]
    pub fn remove(&'static self, address: usize) {
        if let Some((word, bit)) = self.bit(address) {
            // A thread that no longer finds the address comes after all uses of its memory.
            let before = word.fetch_and(!bit, Ordering::Release);
            debug_assert_ne!(before & bit, 0, "an address is removed once");
        }
    }

    /// Whether the address is in the set.
    #[inline]
    pub fn contains(&'static self, address: usize) -> bool {
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
    // A thread that finds the address comes after all that was written before.
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

/// The node behind a slot, if it exists.
#[inline]
fn made<T: Node>(slot: &'static AtomicPtr<T>) -> Option<&'static T> {
    let there = NonNull::new(slot.load(Ordering::Acquire))?;
    // SAFETY: I-LAYOUT: stored by `make`, and never freed.
    Some(unsafe { there.as_ref() })
}

/// Creates the node behind a slot, unless another thread does it first.
#[cold]
#[inline(never)]
fn make<T: Node>(slot: &'static AtomicPtr<T>) -> Option<&'static T> {
    let fresh = T::allocate()?;
    if slot.compare_exchange(null_mut(), fresh.as_ptr(), Ordering::AcqRel, Ordering::Acquire).is_err() {
        // SAFETY: I-LAYOUT: `fresh` was allocated above, and the slot did not take it.
        unsafe { T::deallocate(fresh) };
    }
    made(slot)
}

/// A node of the set. In a new node, all bits are 0 or all pointers are null.
///
/// # Safety
/// Zeroed bytes are a valid value of the type, and the type is not zero-sized.
unsafe trait Node: Sized {
    #[cfg(not(loom))]
    fn allocate() -> Option<NonNull<Self>> {
        // SAFETY: I-LAYOUT: a node is not zero-sized (`Node`).
        NonNull::new(unsafe { std::alloc::alloc_zeroed(std::alloc::Layout::new::<Self>()) }).map(NonNull::cast)
    }

    /// # Safety
    /// `node` came from [`allocate`](Self::allocate), and no other code has it.
    #[cfg(not(loom))]
    unsafe fn deallocate(node: NonNull<Self>) {
        // SAFETY: I-LAYOUT: `allocate` used this layout; the caller promises that no other code has the node.
        unsafe { std::alloc::dealloc(node.as_ptr().cast(), std::alloc::Layout::new::<Self>()) };
    }

    /// An empty node; loom's atomics are not zeros.
    #[cfg(loom)]
    fn empty() -> Self;

    #[cfg(loom)]
    fn allocate() -> Option<NonNull<Self>> {
        Some(NonNull::from(Box::leak(Box::new(Self::empty()))))
    }

    #[cfg(loom)]
    unsafe fn deallocate(node: NonNull<Self>) {
        // SAFETY: I-LAYOUT: `allocate` made the box; the caller promises that no other code has the node.
        drop(unsafe { Box::from_raw(node.as_ptr()) });
    }
}

// SAFETY: I-LAYOUT: the fields are atomic integers, which may be zero.
unsafe impl Node for Leaf {
    #[cfg(loom)]
    fn empty() -> Self {
        Leaf(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

// SAFETY: I-LAYOUT: the fields are atomic pointers, which may be null.
unsafe impl Node for Branch {
    #[cfg(loom)]
    fn empty() -> Self {
        Branch(std::array::from_fn(|_| AtomicPtr::new(null_mut())))
    }
}

#[cfg(all(test, loom))]
mod loom_tests;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn it_contains_the_added_addresses_and_no_others() {
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
