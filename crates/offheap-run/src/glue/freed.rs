//! The record of memory that was freed, for the errors of later uses and of a second free.
//!
//! The memory's object in script keeps the record, as numbers, so that both are collected together. Native code could
//! not drop it in time: while a script runs and never waits, no engine says which objects it has collected.

use std::collections::HashMap;
use std::num::NonZeroU64;

use offheap::{BackingStore, Error, Site, StoreId};

/// The record of memory that was freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FreedMemory {
    store: StoreId,
    byte_length: usize,
    address: usize,
    allocated: Site,
    freed: Site,
}

impl FreedMemory {
    /// How many numbers script keeps of a record.
    pub(crate) const NUMBERS: usize = 5;

    /// The record of memory that had `byte_length` bytes when it was freed.
    pub(crate) fn new(store: &BackingStore, byte_length: usize, freed: Site) -> Self {
        FreedMemory { store: store.id(), byte_length, address: store.as_ptr().addr(), allocated: store.site(), freed }
    }

    /// The error of a second free.
    pub(crate) fn again(&self, second: Site) -> Error {
        let FreedMemory { store, byte_length, address, allocated, freed: first } = *self;
        Error::DoubleFree { store, address, byte_length, allocated, first, second }
    }

    /// The store that was over it.
    pub(crate) fn store(&self) -> StoreId {
        self.store
    }

    /// Where it was allocated.
    pub(crate) fn allocated(&self) -> Site {
        self.allocated
    }

    /// Where it was freed.
    pub(crate) fn freed(&self) -> Site {
        self.freed
    }

    /// The error of a use other than a free.
    pub(crate) fn used(&self, attempted: &'static str) -> Error {
        Error::Freed { store: self.store, attempted, freed: self.freed }
    }

    /// The record as numbers, for script. All of them are below 2 ** 53.
    pub(crate) fn to_numbers(self, sites: &mut Sites) -> [f64; Self::NUMBERS] {
        let (allocated, freed) = (sites.number(self.allocated), sites.number(self.freed));
        [self.store.get() as f64, self.byte_length as f64, self.address as f64, allocated as f64, freed as f64]
    }

    /// The record that these numbers stand for.
    pub(crate) fn from_numbers(numbers: [f64; Self::NUMBERS], sites: &Sites) -> Self {
        let [store, byte_length, address, allocated, freed] = numbers.map(|number| number as u64);
        FreedMemory {
            store: NonZeroU64::new(store).expect("the number of a store").into(),
            byte_length: byte_length as usize,
            address: address as usize,
            allocated: sites.site(allocated as usize),
            freed: sites.site(freed as usize),
        }
    }
}

/// The places in scripts that records name, each with a number. There are at most as many as the scripts have calls.
#[derive(Default)]
pub(crate) struct Sites {
    sites: Vec<Site>,
    numbers: HashMap<Site, usize>,
}

impl Sites {
    fn number(&mut self, site: Site) -> usize {
        let Sites { sites, numbers } = self;
        *numbers.entry(site).or_insert_with(|| {
            sites.push(site);
            sites.len() - 1
        })
    }

    fn site(&self, number: usize) -> Site {
        self.sites[number]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_from_script_as_it_was() {
        let store = BackingStore::from(offheap::UniqueStore::zeroed(24).expect("memory"));
        let mut sites = Sites::default();
        for line in [1, 2, 1] {
            let freed = FreedMemory::new(&store, 24, offheap::adapter::script_site("a.js", line, 7));
            let numbers = freed.to_numbers(&mut sites);
            assert_eq!(FreedMemory::from_numbers(numbers, &sites), freed);
        }
        assert_eq!(sites.sites.len(), 3, "one for the store, two for the frees");
    }
}
