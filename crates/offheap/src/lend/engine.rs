//! Stores over memory that an engine owns, and may make longer or shorter.

use super::Hold;
use crate::raw::{Claim, EngineMemory, RawStore};
use crate::{IsolateId, Rejected, SharedStore, Site, StoreKind};

impl Hold {
    /// A hold on a new store over unshared memory of an engine, which is exposed in `isolate` from its beginning;
    /// [`store`](Self::store) gives references.
    ///
    /// It goes by one live buffer, whichever it is: script may transfer the memory from one to the next. The adapter keeps
    /// the hold until the engine has let go of the memory, and drops it then; from then on the store's length is fixed.
    ///
    /// With `may_shrink` the store is of the kind [`StoreKind::ENGINE_RESIZABLE`], and otherwise [`StoreKind::ENGINE_GROWABLE`].
    ///
    /// # Safety
    /// While there is no `Hold` of the store, nobody changes the length of the memory, and neither script nor anything
    /// else of the engine touches it. While there is one, only what runs in that isolate does, on one thread at a time.
    /// Without `may_shrink` the length only rises.
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

/// A store over shared memory of an engine: V8's growable `SharedArrayBuffer`s and shared WebAssembly memories. Its
/// length is the engine's, and so is growing it.
///
/// # Safety
/// The length only rises, and all who write the bytes reckon with others.
///
/// # Errors
/// The memory comes back with [`Error::OutOfMemory`](crate::Error::OutOfMemory).
pub unsafe fn shared_engine_memory<M: EngineMemory>(memory: M, site: Site) -> Result<SharedStore, Rejected<M>> {
    RawStore::of_engine(memory, StoreKind::ENGINE_SHARED, site).map(SharedStore::over)
}
