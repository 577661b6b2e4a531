//! Whether an isolate may lend the bytes of a store. The check is in `offheap_engine::memory`; this file gives it the
//! handles.

use offheap::{BackingStore, IsolateId};
use offheap_engine::memory::Lender;
use offheap_engine::{Rooted, Roots, UseOfBytes};

use super::block::{Block, TABLE};
use super::engine_memory::{drop_released, find};
use super::guards::{ADVICE, check_not_held};
use super::object::Buffer;
use super::own_isolate::{OwnIsolate, Root};
use crate::Error;

/// An isolate of ours with its handles. The handle `first` is asked before all others.
struct Handles<'a> {
    own: &'a OwnIsolate,
    first: Option<Rooted<'a, Root>>,
    all: Roots<'a, Root>,
}

impl Lender<Block> for Handles<'_> {
    fn isolate(&self) -> IsolateId {
        self.own.state().isolate()
    }

    fn was_lent(&self) -> bool {
        self.own.state().was_lent()
    }

    fn any_block(&self, store: &BackingStore, is_enough: &mut dyn FnMut(Block) -> bool) -> Result<bool, Error> {
        Ok(self.own.any_object(self.first, self.all, |scope, object| {
            let Ok(buffer) = Buffer::of(scope, object.into()) else { return false };
            find(&buffer).is_some_and(|there| there.id() == store.id()) && is_enough(buffer.block())
        }))
    }

    fn drop_released(&self) {
        drop_released(self.own.state());
    }
}

/// Refuses to lend the bytes of `store` unless no other code has them. `first` may be a buffer over them.
pub(crate) fn check_lendable(
    own: &OwnIsolate,
    store: &BackingStore,
    first: Option<Rooted<'_, Root>>,
    all: Roots<'_, Root>,
    use_of_bytes: UseOfBytes,
) -> Result<(), Error> {
    let attempted = use_of_bytes.attempted();
    TABLE.check_lendable(&Handles { own, first, all }, &ADVICE, store, first.is_some(), attempted)?;
    match use_of_bytes {
        UseOfBytes::CopyIn => check_not_held(store, own.state().isolate(), attempted),
        UseOfBytes::Read | UseOfBytes::Write => Ok(()),
    }
}
