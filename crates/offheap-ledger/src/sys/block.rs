//! Reading who holds a store, from its control block.

use offheap::observe::{self, BlockKey, Event, EventKind, Holders};

/// The control block of a store that has a record.
///
/// Only a record has one, and a record is only reached under the lock of its part. The ledger takes that lock in its
/// handling of the events after which the block is not there any more.
pub(crate) struct Block(BlockKey);

impl Block {
    /// The block of a store that was just made. `None` for other events, because the store may have another block
    /// by then.
    ///
    /// The event must be one that the core told the ledger itself, which then is told the store's end too.
    pub(crate) fn of_new(event: &Event) -> Option<Block> {
        matches!(event.kind, EventKind::Created).then(|| Block(event.block()))
    }

    /// The store has another block from now on.
    pub(crate) fn move_to(&mut self, event: &Event) {
        self.0 = event.block();
    }

    /// Who holds the store, as numbers.
    pub(crate) fn holders(&self) -> Holders {
        // SAFETY: I-OBSERVED: under the lock of the record's part, so neither the end of the store nor another block was
        // handled, and none will be before this has returned.
        unsafe { observe::holders(self.0) }
    }
}
