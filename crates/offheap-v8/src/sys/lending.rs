//! Whether an isolate may lend the bytes of a store: in `offheap_engine::memory`, which is told of the handles here.

use offheap::{BackingStore, IsolateId};
use offheap_engine::memory::Lender;

use super::block::{Block, TABLE};
use super::engine_memory::{find, release_let_go};
use super::guards::ADVICE;
use super::object::Buffer;
use super::roots::Roots;
use crate::Error;

/// An isolate of ours with its handles, that in `slot` before all others.
struct Handles<'a> {
    roots: &'a Roots,
    slot: Option<usize>,
}

impl Lender<Block> for Handles<'_> {
    fn isolate(&self) -> IsolateId {
        self.roots.state().isolate()
    }

    fn was_lent(&self) -> bool {
        self.roots.state().was_lent()
    }

    fn any_block(&self, store: &BackingStore, is_enough: &mut dyn FnMut(Block) -> bool) -> Result<bool, Error> {
        self.roots.any_object(self.slot, |scope, object| {
            let Ok(buffer) = Buffer::of(scope, object.into()) else { return false };
            find(&buffer).is_some_and(|there| there.id() == store.id()) && is_enough(buffer.block())
        })
    }

    fn release_let_go(&self) {
        release_let_go(self.roots.state());
    }
}

/// Refuses what would lend the bytes of `store`, of which `slot` may be a buffer, unless nobody else has them.
pub(crate) fn check_lendable(
    roots: &Roots,
    store: &BackingStore,
    slot: Option<usize>,
    attempted: &'static str,
) -> Result<(), Error> {
    TABLE.check_lendable(&Handles { roots, slot }, &ADVICE, store, slot.is_some(), attempted)
}
