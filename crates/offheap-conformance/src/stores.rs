//! Stores for the tests of adapters.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use offheap_engine::offheap::{BackingStore, UniqueStore};

/// Counts drops, on all threads.
#[derive(Clone, Debug, Default)]
pub struct Count(Arc<AtomicUsize>);

impl Count {
    /// How many drops there were.
    #[must_use]
    pub fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Adds a drop.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Makes a store over these bytes, and counts the drops of its owner.
///
/// # Panics
/// If there is no memory for it.
#[must_use]
pub fn counted(bytes: Vec<u8>) -> (BackingStore, Count) {
    let count = Count::default();
    let told = count.clone();
    let unique = UniqueStore::from_owner_with_deleter(bytes, move |_, _| told.add()).unwrap();
    (unique.into(), count)
}

/// Makes a store of this many bytes: 0, 1, 2 and so on.
///
/// # Panics
/// If there is no memory for it.
#[must_use]
pub fn numbered(byte_length: usize) -> BackingStore {
    let filled = UniqueStore::filled(byte_length, |bytes| {
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = index as u8;
        }
    });
    filled.unwrap().into()
}
