//! The interface for adapters to engines. Users of an adapter do not need this module.
//!
//! An adapter registers each isolate ([`IsolateRegistration`]). It takes a [`Hold`] for each buffer that it makes over a
//! store, and drops the hold when the engine releases the buffer. It marks each finalizer with [`InFinalizer`]. Its scopes
//! lend the bytes of exposed stores with [`bytes_in`], [`bytes_mut_in`] and [`cells_in`], whose contracts only an adapter
//! can keep. A program that runs script itself, such as Node, is a [host](IsolateRegistration::host).
//!
//! ```
//! use offheap::adapter::{self, Hold, IsolateRegistration};
//! use offheap::{BackingStore, UniqueStore};
//!
//! let isolate = IsolateRegistration::new("Mine")?;
//! let store = BackingStore::from(UniqueStore::zeroed(8)?);
//! let hold = Hold::new(&store, isolate.id())?;
//! // SAFETY: this isolate has no script.
//! unsafe { adapter::bytes_mut_in(&store, isolate.id()) }?.fill(7);
//! drop(hold);
//! assert_eq!(store.bytes()?[0], 7);
//! # Ok::<(), offheap::Error>(())
//! ```

pub use crate::error::type_name_without_paths;
pub use crate::event::{Refusal, is_observed};
pub use crate::finalizer::{InFinalizer, in_finalizer};
pub use crate::isolate::IsolateRegistration;
pub use crate::lend::{
    Hold, Lender, bytes_in, bytes_mut_in, cells_in, copy_from_slice_in, engine_released, engine_store, frees_bytes,
    growing_engine_store, shared_engine_memory,
};
pub use crate::raw::{EngineMemory, load_bytes};
pub use crate::script_stack::{
    WithScriptStack, WithoutScriptStack, script_frame, script_runs, with_script_stack, without_script_stack,
};
pub use crate::site::{on_behalf_of, on_behalf_of_caller, script_site};
pub use crate::sys::{stack_pointer, thread_stack};

use std::cell::Cell;

use crate::event::{self, EventKind};
use crate::site::OnBehalfOf;
use crate::{BackingStore, Error, IsolateId, SharedStore, StoreId};

/// With the feature `track-handles`, the observer is told that this function's caller took the handles that this thread
/// takes while the result lives. Without the feature nothing is noted. No code of a user's may run meanwhile.
///
/// It takes no closure, so that `#[track_caller]` sees through to the functions that take the handles.
#[inline]
#[track_caller]
#[must_use = "it ends when it is dropped"]
pub fn handles_of_caller() -> HandlesOfCaller {
    HandlesOfCaller(if event::TRACKS_HANDLES { Some(OnBehalfOf::enter_caller()) } else { None })
}

/// What [`handles_of_caller`] returns.
pub struct HandlesOfCaller(#[expect(dead_code, reason = "for its drop")] Option<OnBehalfOf>);

/// Whether the observer wants to know the functions of script that this thread is in, with the events of this store. An adapter
/// asks before it exposes the store, and then calls [`with_script_stack`].
#[inline]
pub fn wants_script_stack_of(store: &BackingStore) -> bool {
    event::wants_script_stacks() && store.raw().is_told()
}

/// Whether the observer wants to know the functions of script that this thread is in, with the events of a store that is about
/// to be made of a buffer with this length.
#[inline]
pub fn wants_script_stack(byte_length: usize) -> bool {
    event::wants_script_stacks() && !event::will_be_declined(byte_length)
}

/// Whether the observer wants to know the functions of script that wait for a native function, which script has just called. An
/// observer that samples is not told of them while it declines stores of any length: the engine would be asked for each call.
#[inline]
pub fn wants_script_stack_of_call() -> bool {
    wants_script_stack(1)
}

/// Tells the observer that native code took this reference from a buffer of `isolate`.
#[inline]
pub fn note_externalized(store: &BackingStore, isolate: IsolateId) {
    store.raw().tell(EventKind::Externalized { isolate });
}

/// Tells the observer that native code detached a buffer of `isolate` over this store.
pub fn note_detached(store: &BackingStore, isolate: IsolateId) {
    DETACHED.set(Some(store.id()));
    store.raw().tell(EventKind::Detached { isolate });
}

/// Tells the observer that the memory of this store moved from a buffer of `isolate` to a new one there.
pub fn note_transferred(store: &BackingStore, isolate: IsolateId) {
    DETACHED.set(Some(store.id()));
    store.raw().tell(EventKind::Transferred { isolate });
}

thread_local!(static DETACHED: Cell<Option<StoreId>> = const { Cell::new(None) });

/// The store of the last buffer that this thread detached ([`note_detached`]) or transferred ([`note_transferred`]), since the
/// last call of this function. A buffer over no store is not noted.
pub fn take_detached() -> Option<StoreId> {
    DETACHED.take()
}

/// Tells the observer that an operation was refused, before the caller gets the error: script or native code used a buffer
/// after its detach, for example. The core itself tells refused frees of manual memory. The caller holds no lock.
pub fn note_refused(refusal: &Refusal<'_>) {
    event::tell_refusal(refusal);
}

/// Checks that [`BackingStore::try_into_unique`] will succeed once the one live buffer over the memory of `store`, which is
/// in `isolate`, is detached: nothing else refers to the memory, not even a weak handle, except for `weak_of_engine` weak
/// handles that the adapter keeps and does not upgrade. Then no other thread can make a reference in between.
///
/// # Errors
/// [`Error::NotUnique`] with the reason.
pub fn check_only_buffer(store: &BackingStore, isolate: IsolateId, weak_of_engine: u32) -> Result<(), Error> {
    store.check_only_buffer(isolate, weak_of_engine)
}

/// Makes a growable store at least this long, for all its handles and buffers; new bytes are zero. A store that is longer
/// already is left as it is, where [`SharedStore::grow`] fails.
///
/// An adapter calls this with a length that it finds in a buffer. If an engine asks for memory before it says how much of
/// it is in use, the adapter makes the store with length 0 and publishes the length this way.
///
/// # Errors
/// [`Error::AboveMaximum`]; [`Error::OutOfMemory`]; [`Error::NotResizable`] unless this is a handle to all of a growable
/// store; [`Error::EngineResizes`] for an engine's memory that is shorter.
pub fn grow_to_at_least(store: &SharedStore, byte_length: usize) -> Result<(), Error> {
    store.grow_from(byte_length, false)
}
