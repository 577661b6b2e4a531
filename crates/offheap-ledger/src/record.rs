//! The record of one store while it lives.

use offheap::observe::{Event, EventKind};
use offheap::{Site, StoreId, StoreKind};

/// A live store, with counts of its events.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Record {
    /// The store.
    pub store: StoreId,
    /// Its kind.
    pub kind: StoreKind,
    /// The length in bytes at the last event.
    pub byte_length: usize,
    /// The greatest length so far.
    pub greatest_byte_length: usize,
    /// The place where it was made.
    pub created: Site,
    /// The number of buffers that engines got over it.
    pub exposed: u64,
    /// The number of buffers over it that engines released.
    pub released: u64,
    /// The number of references that native code took from an engine's buffer.
    pub externalized: u64,
    /// The number of buffers over it that native code detached.
    pub detached: u64,
}

impl Record {
    pub(crate) fn new(event: &Event) -> Self {
        Record {
            store: event.store,
            kind: event.store_kind,
            byte_length: event.byte_length,
            greatest_byte_length: event.byte_length,
            created: event.created,
            exposed: 0,
            released: 0,
            externalized: 0,
            detached: 0,
        }
    }

    /// Counts an event. Returns the number of bytes by which the store exceeds its previous greatest length.
    pub(crate) fn count(&mut self, event: &Event) -> usize {
        match event.kind {
            EventKind::Exposed { .. } => self.exposed += 1,
            EventKind::Released { .. } => self.released += 1,
            EventKind::Externalized { .. } => self.externalized += 1,
            EventKind::Detached { .. } => self.detached += 1,
            _ => {}
        }
        let grown = event.byte_length.saturating_sub(self.greatest_byte_length);
        self.greatest_byte_length += grown;
        self.byte_length = event.byte_length;
        grown
    }
}
