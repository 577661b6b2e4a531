//! The stores over an engine's own blocks that one shard of a table has.

use std::collections::HashMap;
use std::mem::{ManuallyDrop, offset_of};
use std::ops::Deref;
use std::ptr;

use offheap::{Error, WeakStore};
use rustc_hash::FxBuildHasher;

use super::super::Block;
use super::super::block::references;
use super::PLACES;

/// The stores of one shard over an engine's own blocks, by address. Most of them are in the slots, so that a new one touches one
/// cache line, which is known from the address.
pub(super) struct MadeStores<B> {
    slots: [Slot<B>; SLOTS],
    /// Those whose slot was taken by another address.
    more: HashMap<usize, MadeByEngine<B>, FxBuildHasher>,
}

/// Eight places next to each other have one slot, so that a page of the system's has the slots of two shards. `malloc` rarely gives
/// two buffers with their blocks in 128 bytes.
const SLOTS: usize = PLACES.div_ceil(PLACES_OF_SLOT);
const PLACES_OF_SLOT: usize = 8;

/// One cache line.
#[repr(align(64))]
struct Slot<B>(Option<At<B>>);

struct At<B> {
    address: usize,
    made: MadeByEngine<B>,
}

/// The store over an engine's own block.
pub(super) struct MadeByEngine<B> {
    pub(super) owner: OwnerNumber,
    pub(super) store: WeakStore,
    pub(super) block: BlockOfOwner<B>,
}

/// The number of a store's owner, and whether the store counts as exposed until the table finds that a host has released the
/// block. It is one word: more would not fit into the cache line of a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::memory) struct OwnerNumber(u64);

impl OwnerNumber {
    pub(in crate::memory) fn new(number: u64, is_of_host: bool) -> Self {
        OwnerNumber(number << 1 | u64::from(is_of_host))
    }

    fn is_of_host(self) -> bool {
        self.0 & 1 != 0
    }
}

/// The block of a store's owner, without a reference of its own.
pub(in crate::memory) struct BlockOfOwner<B>(ManuallyDrop<B>);

impl<B> BlockOfOwner<B> {
    /// # Safety
    /// It is used while the owner of a store has this block. If it is in a table, the owner removes it there before it drops the
    /// block, or finds that it was replaced.
    pub(in crate::memory) unsafe fn new(block: &B) -> Self {
        // SAFETY: I-FREE-ONCE: this copy is never dropped, and not used after the owner's, as the caller promises.
        BlockOfOwner(ManuallyDrop::new(unsafe { ptr::read(block) }))
    }
}

impl<B> Deref for BlockOfOwner<B> {
    type Target = B;

    fn deref(&self) -> &B {
        &self.0
    }
}

/// The references of this crate to the block of a host's store: one, in the store's owner.
const KEPT_OF_HOST: usize = 1;

impl<B: Block> MadeByEngine<B> {
    /// The store of a host over its own block, if the host has released the block: only references of this crate are left.
    pub(super) fn released(&self) -> Option<&WeakStore> {
        (self.owner.is_of_host() && references(&*self.block) <= KEPT_OF_HOST).then_some(&self.store)
    }
}

impl<B> MadeStores<B> {
    #[cfg(not(loom))]
    pub(super) const fn new() -> Self {
        MadeStores { slots: [const { Slot(None) }; SLOTS], more: HashMap::with_hasher(FxBuildHasher) }
    }

    #[cfg(loom)]
    pub(super) fn new() -> Self {
        MadeStores { slots: std::array::from_fn(|_| Slot(None)), more: HashMap::default() }
    }

    fn slot(place: usize) -> usize {
        place / PLACES_OF_SLOT
    }

    /// Where the slot of a place is, in bytes from the beginning of this value.
    pub(super) fn offset_of_slot(place: usize) -> usize {
        offset_of!(Self, slots) + Self::slot(place) * size_of::<Slot<B>>()
    }

    /// The store at an address, which has this place.
    #[inline]
    pub(super) fn get(&self, address: usize, place: usize) -> Option<&MadeByEngine<B>> {
        match &self.slots[Self::slot(place)].0 {
            Some(at) if at.address == address => Some(&at.made),
            _ => self.more.get(&address),
        }
    }

    /// Adds the store at an address, which has none.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    #[inline]
    pub(super) fn insert(&mut self, address: usize, place: usize, made: MadeByEngine<B>) -> Result<(), Error> {
        let slot = &mut self.slots[Self::slot(place)].0;
        if slot.is_none() {
            *slot = Some(At { address, made });
        } else {
            let requested = size_of::<MadeByEngine<B>>();
            self.more.try_reserve(1).map_err(|_| Error::OutOfMemory { requested })?;
            self.more.insert(address, made);
        }
        Ok(())
    }

    /// Removes the store at an address, if there is one and `is_it`.
    #[inline]
    pub(super) fn remove_if(
        &mut self,
        address: usize,
        place: usize,
        is_it: impl Fn(&MadeByEngine<B>) -> bool,
    ) -> Option<MadeByEngine<B>> {
        let slot = &mut self.slots[Self::slot(place)].0;
        match slot {
            Some(at) if at.address == address => slot.take_if(|at| is_it(&at.made)).map(|at| at.made),
            _ if self.more.get(&address).is_some_and(is_it) => self.more.remove(&address),
            _ => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &MadeByEngine<B>> {
        self.slots.iter().filter_map(|slot| slot.0.as_ref()).map(|at| &at.made).chain(self.more.values())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use offheap::{BackingStore, UniqueStore};

    use super::super::super::NoBlock;
    use super::super::super::fake::FakeBlock;
    use super::*;

    /// The store over `block` that an owner with this number has.
    fn made(store: &BackingStore, block: &FakeBlock, number: u64) -> MadeByEngine<FakeBlock> {
        // SAFETY: I-FREE-ONCE: the tests keep the block longer.
        let block = unsafe { BlockOfOwner::new(block) };
        MadeByEngine { owner: OwnerNumber::new(number, false), store: store.downgrade(), block }
    }

    #[test]
    fn a_slot_is_one_cache_line() {
        assert_eq!((size_of::<Slot<[usize; 3]>>(), size_of::<Slot<NoBlock>>()), (64, 64));
    }

    #[test]
    fn addresses_with_one_slot_are_told_apart() {
        let (mut own, block) = (Box::new(MadeStores::new()), FakeBlock::new(8, 8));
        let stores = &mut *own;
        let store = BackingStore::from(UniqueStore::zeroed(8).unwrap());
        // Three in one slot, and one in another.
        let added = [(0x1000, 8), (0x2000, 8), (0x3000, 9), (0x4000, 16)];
        for (number, (address, place)) in (0..).zip(added) {
            stores.insert(address, place, made(&store, &block, number)).unwrap();
        }
        let owner_at =
            |stores: &MadeStores<FakeBlock>, (address, place)| stores.get(address, place).map(|it| it.owner.0 >> 1);
        assert_eq!(added.map(|at| owner_at(stores, at)), [0, 1, 2, 3].map(Some));
        assert_eq!((stores.iter().count(), owner_at(stores, (0x5000, 8))), (4, None));
        // The first one leaves its slot to the next one that comes.
        for (removed, left) in [(0, [None, Some(1), Some(2), Some(3)]), (2, [None, Some(1), None, Some(3)])] {
            let (address, place) = added[removed];
            let owner = OwnerNumber::new(removed as u64, false);
            assert!(stores.remove_if(address, place, |it| it.owner != owner).is_none());
            assert!(stores.remove_if(address, place, |it| it.owner == owner).is_some());
            assert_eq!(added.map(|at| owner_at(stores, at)), left);
        }
        stores.insert(0x3000, 9, made(&store, &block, 4)).unwrap();
        assert_eq!((owner_at(stores, added[1]), owner_at(stores, added[2])), (Some(1), Some(4)));
        assert_eq!(stores.iter().map(|it| it.owner.0 >> 1).collect::<Vec<_>>(), [4, 3, 1]);
    }
}
