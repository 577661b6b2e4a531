//! One part of the records. The stores of one batch of numbers are in one part, so threads that make stores do not meet.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;
use offheap::StoreId;

use crate::record::Record;
use crate::stream::Told;

/// The number of parts.
const SHARDS: usize = 256;
/// The number of parts where samples are rare. Threads that take samples hardly ever meet in one, and a sample finds its part in
/// the processor's caches.
const FEW_SHARDS: usize = 16;
/// The bytes between two samples from which on they are rare.
const RARE_BYTES: u64 = 64 << 10;
const _: () = assert!(SHARDS.is_power_of_two() && FEW_SHARDS.is_power_of_two());
/// Records come in blocks of this many, so that growing moves none.
const CHUNK: usize = 32;

/// A part with its lock, on cache lines of its own. Nothing that the program wrote runs while the lock is held.
#[repr(align(128))]
#[derive(Default)]
pub(crate) struct Locked {
    shard: Mutex<Shard>,
    /// The stream has taken what was told.
    pub(crate) has_room: Condvar,
}

impl Locked {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Shard> {
        self.shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The records of some stores, and sums over those that were freed.
#[derive(Default)]
pub(crate) struct Shard {
    index: HashTable<u32>,
    #[expect(clippy::vec_box, reason = "the list grows without moving the records")]
    chunks: Vec<Box<[Option<Record>; CHUNK]>>,
    unused: Vec<u32>,
    pub(crate) sums: Sums,
    /// What the stream has not taken yet; nothing while there is no stream.
    pub(crate) told: Option<Vec<Told>>,
}

/// Sums over all stores of a part, those that were freed included.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) stores: f64,
    pub(crate) resizable: f64,
    pub(crate) shared: f64,
    pub(crate) external_bytes: f64,
    pub(crate) freed: f64,
}

impl Sums {
    pub(crate) fn add(&mut self, other: &Sums) {
        self.stores += other.stores;
        self.resizable += other.resizable;
        self.shared += other.shared;
        self.external_bytes += other.external_bytes;
        self.freed += other.freed;
    }
}

/// The parts of a ledger.
pub(crate) struct Shards(Box<[Locked]>);

impl Shards {
    /// The parts of a ledger that records each store, or one sample in so many bytes.
    pub(crate) fn new(sample_bytes: Option<u64>) -> Self {
        let count = if sample_bytes.is_some_and(|bytes| bytes >= RARE_BYTES) { FEW_SHARDS } else { SHARDS };
        Shards((0..count).map(|_| Locked::default()).collect())
    }

    /// The part in which the record of a store is.
    #[inline]
    pub(crate) fn of(&self, store: StoreId) -> &Locked {
        &self.0[store.batch() as usize & (self.0.len() - 1)]
    }

    /// A part for what has no store.
    pub(crate) fn of_none(&self) -> &Locked {
        &self.0[0]
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Locked> {
        self.0.iter()
    }
}

#[inline]
fn hash(store: StoreId) -> u64 {
    store.get().wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl Shard {
    #[inline]
    fn at(chunks: &[Box<[Option<Record>; CHUNK]>], slot: u32) -> &Option<Record> {
        &chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    pub(crate) fn get_mut(&mut self, store: StoreId) -> Option<&mut Record> {
        let chunks = &self.chunks;
        let is_it = |&slot: &u32| Self::at(chunks, slot).as_ref().is_some_and(|record| record.store == store);
        let slot = *self.index.find(hash(store), is_it)? as usize;
        self.chunks[slot / CHUNK][slot % CHUNK].as_mut()
    }

    pub(crate) fn insert(&mut self, record: Record) -> &mut Record {
        if self.unused.is_empty() {
            let first = (self.chunks.len() * CHUNK) as u32;
            self.chunks.push(Box::new([const { None }; CHUNK]));
            self.unused.extend((first..first + CHUNK as u32).rev());
        }
        let slot = self.unused.pop().expect("there are some now");
        let chunks = &self.chunks;
        let rehash = |&slot: &u32| Self::at(chunks, slot).as_ref().map_or(0, |record| hash(record.store));
        self.index.insert_unique(hash(record.store), slot, rehash);
        self.chunks[slot as usize / CHUNK][slot as usize % CHUNK].insert(record)
    }

    pub(crate) fn remove(&mut self, store: StoreId) -> Option<Record> {
        let chunks = &self.chunks;
        let is_it = |&slot: &u32| Self::at(chunks, slot).as_ref().is_some_and(|record| record.store == store);
        let (slot, _) = self.index.find_entry(hash(store), is_it).ok()?.remove();
        self.unused.push(slot);
        self.chunks[slot as usize / CHUNK][slot as usize % CHUNK].take()
    }

    /// The live stores, in no order.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().flatten())
    }
}
