//! What is kept of one store while it lives.

use offheap::observe::{Event, EventKind};
use offheap::{Site, StoreId, StoreKind};

/// A store that lives, and how often what happened to it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Record {
    /// The store.
    pub store: StoreId,
    /// Its kind.
    pub kind: StoreKind,
    /// The length in bytes that it had when its last event was told.
    pub byte_length: usize,
    /// The greatest of these lengths so far.
    pub greatest_byte_length: usize,
    /// Where it was made.
    pub created: Site,
    /// How many buffers over it engines got.
    pub exposed: u64,
    /// How many of those the engines let go.
    pub released: u64,
    /// How often native code took a reference to it from an engine's buffer.
    pub externalized: u64,
    /// How many buffers over it native code detached.
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

    /// Counts an event; returns by how many bytes the store is longer than it ever was.
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
