//! Stores over memory that an engine owns, and may make longer or shorter.

use super::Hold;
use crate::raw::{Claim, EngineMemory, RawStore};
use crate::{IsolateId, Rejected, SharedStore, Site, StoreKind};

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
