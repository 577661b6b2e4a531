//! Stores over memory that an engine owns, and may make longer or shorter.

use super::Hold;
use crate::raw::{Claim, EngineMemory, Owner, RawStore};
use crate::{BackingStore, IsolateId, Rejected, SharedStore, Site, StoreKind, WeakStore};

impl Hold {
    /// A hold on a new store over an engine's unshared memory, which is exposed in `isolate` from the start.
    /// [`store`](Self::store) gives references to it.
    ///
    /// It stands for one live buffer at a time; script may transfer the memory from one buffer to the next. The adapter
    /// keeps the hold until the engine has released the memory, and then drops it. From then on the store's length is
    /// fixed.
    ///
    /// The store's kind is [`StoreKind::ENGINE_RESIZABLE`] with `may_shrink`, and [`StoreKind::ENGINE_GROWABLE`] without.
    ///
    /// # Safety
    /// While there is no `Hold` of the store, nothing changes the length of the memory, and neither script nor the engine
    /// accesses it. While there is one, only code in that isolate does, on one thread at a time. Without `may_shrink` the
    /// length only rises. In a host it only rises, and only its isolates that have the buffer access the memory, or its calls.
    ///
    /// # Errors
    /// The memory comes back with [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    pub unsafe fn engine_memory<M: EngineMemory>(
        memory: M,
        isolate: IsolateId,
        may_shrink: bool,
        site: Site,
    ) -> Result<Self, Rejected<M>> {
        let kind = if may_shrink { StoreKind::ENGINE_RESIZABLE } else { StoreKind::ENGINE_GROWABLE };
        let raw = RawStore::of_engine(memory, kind, site)?;
        let hold = Hold(Claim::of_new(raw, isolate));
        hold.0.tell(isolate);
        Ok(hold)
    }
}

/// A store over memory of fixed length that an engine made for a buffer of its own. The store counts as exposed in `isolate`
/// from the start, until [`engine_released`]. The engine keeps the memory for its buffer, so that buffer does not keep the store:
/// it ends with its last handle, as other stores that are exposed nowhere. The weak handle is for [`engine_released`].
///
/// # Errors
/// The owner comes back with [`Error::OutOfMemory`](crate::Error::OutOfMemory).
///
/// # Safety
/// Until [`engine_released`], script and the engine use the memory only in that isolate, on one thread at a time, or in a host. Afterwards
/// they do not use it.
#[inline]
#[track_caller]
pub unsafe fn engine_store<O: Owner>(
    owner: O,
    isolate: IsolateId,
    site: Site,
) -> Result<(BackingStore, WeakStore), Rejected<O>> {
    let (raw, weak) =
        RawStore::of_engine_buffer(owner, isolate, site).map_err(|(error, owner)| Rejected::new(error, owner))?;
    Ok((BackingStore::over(raw), WeakStore::over(weak)))
}

/// A store as by [`engine_store`], over memory that the engine makes longer. The store's kind is
/// [`StoreKind::ENGINE_GROWABLE`].
///
/// # Errors
/// The memory comes back with [`Error::OutOfMemory`](crate::Error::OutOfMemory).
///
/// # Safety
/// That of [`engine_store`]. The length only rises, and not after [`engine_released`].
#[track_caller]
pub unsafe fn growing_engine_store<M: EngineMemory>(
    memory: M,
    isolate: IsolateId,
    site: Site,
) -> Result<(BackingStore, WeakStore), Rejected<M>> {
    let (raw, weak) = RawStore::of_growing_buffer(memory, isolate, site)?;
    Ok((BackingStore::over(raw), WeakStore::over(weak)))
}

/// The engine has released its own buffers over the memory of a store of [`engine_store`], which therefore counts as exposed no
/// more. It does nothing if that was said before, and if the store has ended. No lock is held, since the observer is told, and this
/// may drop the last reference to the store.
///
/// # Safety
/// Neither script nor the engine uses the memory any more, except through buffers that an adapter makes of the store. All their uses
/// come before this call.
pub unsafe fn engine_released(store: &WeakStore) {
    if let Some(store) = store.upgrade() {
        // SAFETY: I-BORROW: the caller's promise.
        drop(unsafe { Claim::of_engine(store.raw()) });
    }
}

/// A store over an engine's shared memory: V8's growable `SharedArrayBuffer`s and shared WebAssembly memories. Only the
/// engine grows it.
///
/// # Safety
/// The length only rises, and all code that accesses the bytes allows for other writers.
///
/// # Errors
/// The memory comes back with [`Error::OutOfMemory`](crate::Error::OutOfMemory).
pub unsafe fn shared_engine_memory<M: EngineMemory>(memory: M, site: Site) -> Result<SharedStore, Rejected<M>> {
    RawStore::of_engine(memory, StoreKind::ENGINE_SHARED, site).map(SharedStore::over)
}
