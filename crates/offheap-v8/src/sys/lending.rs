//! Whether an isolate may lend the bytes of a store. The check is in `offheap_engine::memory`; this file gives it the
//! handles.

use std::ffi::c_void;
use std::ptr::NonNull;

use offheap::{BackingStore, IsolateId, adapter};
use offheap_engine::memory::Lender;
use offheap_engine::{Rooted, Roots, UseOfBytes};

use super::allocator::is_unsettled;
use super::block::{Block, TABLE};
use super::engine_memory::{drop_released, find};
use super::guards::{ADVICE, check_not_held};
use super::object::Buffer;
use super::own_isolate::OwnIsolate;
use super::root::{Root, buffer_of};
use super::state::State;
use crate::{ENGINE, Error};

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

/// The bytes of a buffer, or of the whole buffer of a view, that are lent without a store: memory of our allocator that is
/// in no store. No other isolate has it, because a program needs a scope to take V8's block out of this isolate, or into
/// it. V8 frees it only when it collects, which no code does while a guard lives.
pub(crate) fn lend(own: &OwnIsolate, object: Rooted<'_, Root>) -> Option<NonNull<[u8]>> {
    if own.state().was_lent() {
        return None;
    }
    let (data, byte_length) = own.array_buffer_bytes(object).or_else(|| view_bytes(own, object))?;
    // SAFETY: I-FREE-ONCE: the root keeps the buffer, which is not detached because it has data.
    let is_unsettled = unsafe { is_unsettled(data) };
    is_unsettled.then(|| NonNull::slice_from_raw_parts(data.cast(), byte_length))
}

/// The address and the length of the bytes of a view's ArrayBuffer.
#[cold]
fn view_bytes(own: &OwnIsolate, view: Rooted<'_, Root>) -> Option<(NonNull<c_void>, usize)> {
    own.with_scope(|scope| match buffer_of(scope, view) {
        Ok((Buffer::Unshared(buffer), _)) => Some((buffer.data()?, buffer.byte_length())),
        Ok((Buffer::Shared(_), _)) | Err(_) => None,
    })
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

/// Refuses to take the memory of `buffer` if anything besides `store` and the buffer refers to it.
pub(crate) fn check_only_buffer(state: &State, buffer: &Buffer<'_>, store: &BackingStore) -> Result<(), Error> {
    // Buffers that V8 has dropped still count until they are released here.
    drop_released(state);
    let block = buffer.block();
    // The table has a weak handle to a store over V8's own block.
    let weak = u32::from(TABLE.is_made_by_engine(&block));
    adapter::check_only_buffer(store, state.isolate(), weak)?;
    if TABLE.has_one_buffer(&block) {
        return Ok(());
    }
    let (store, here) = (store.id(), state.isolate());
    Err(Error::NotLent { engine: ENGINE, attempted: "take", store, here, why: ADVICE.held })
}
