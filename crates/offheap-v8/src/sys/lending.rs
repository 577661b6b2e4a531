//! Whether an isolate may lend the bytes of a store: in `offheap_engine::memory`, which is told of the handles here.

use offheap::{BackingStore, IsolateId};
use offheap_engine::memory::{Lender, LendingAdvice};

use super::block::{Block, TABLE};
use super::engine_memory::{find, release_let_go};
use super::object::Buffer;
use super::roots::Roots;
use crate::Error;

const ADVICE: LendingAdvice = LendingAdvice {
    unknown: "since `with_v8` lent a scope a program may have taken the memory to another isolate, and V8 does not \
        say who has it; keep a handle to each of its buffers, let go of what else refers to their `v8::BackingStore`s, or copy \
        the bytes",
    moved: "its buffer was moved here by means of V8's own, and it counts as exposed where it was until V8 lets go \
        of the memory; copy the bytes, and move the store instead: externalize and detach there, expose here",
    held: "something beside its buffer refers to its `v8::BackingStore`, which may be a buffer in another isolate; \
        let go of that, or copy the bytes",
};

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

/// Refuses to touch bytes of V8's memory as they are, where something beside one buffer refers to it.
pub(super) fn check_not_held(store: &BackingStore, here: IsolateId, attempted: &'static str) -> Result<(), Error> {
    // To memory of WebAssembly its buffer and its `WebAssembly.Memory` refer.
    TABLE.check_not_held(&ADVICE, store, here, 2, attempted)
}
