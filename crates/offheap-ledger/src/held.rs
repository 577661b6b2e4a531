//! References that a program says it must release.

use std::collections::HashMap;

use offheap::{BackingStore, Site, StoreId};

/// A reference that must be released. It counts as leaked until it is passed to
/// [`Ledger::release`](crate::Ledger::release). Dropping it does not release the reference.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a hold that is dropped is a leak for good"]
pub struct Hold(u64);

impl Hold {
    /// The number of the reference in a stream. The core does not give such high numbers to handles.
    pub(crate) fn number_in_stream(&self) -> u64 {
        FIRST_IN_STREAM + self.0
    }
}

/// The number in a stream of the first reference that must be released. JavaScript reads it exactly.
pub(crate) const FIRST_IN_STREAM: u64 = 1 << 52;

/// The references that were not released yet.
#[derive(Default)]
pub(crate) struct Held {
    references: HashMap<u64, Reference>,
    next: u64,
}

/// A reference that was not released yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference {
    pub(crate) number: u64,
    pub(crate) store: StoreId,
    pub(crate) byte_length: usize,
    pub(crate) kind: offheap::StoreKind,
    pub(crate) created: Site,
    pub(crate) at: Site,
}

impl Held {
    pub(crate) fn hold(&mut self, store: &BackingStore, at: Site) -> Hold {
        let number = self.next;
        self.next += 1;
        let (byte_length, kind, created) = (store.byte_length(), store.kind(), store.site());
        self.references.insert(number, Reference { number, store: store.id(), byte_length, kind, created, at });
        Hold(number)
    }

    pub(crate) fn release(&mut self, hold: &Hold) -> Option<Reference> {
        self.references.remove(&hold.0)
    }

    pub(crate) fn len(&self) -> usize {
        self.references.len()
    }

    /// In the order in which they were taken.
    pub(crate) fn all(&self) -> Vec<Reference> {
        let mut all: Vec<Reference> = self.references.values().copied().collect();
        all.sort_unstable_by_key(|reference| reference.number);
        all
    }
}
