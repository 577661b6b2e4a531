//! Memory that an adapter allocates for an engine, which script makes buffers of.

use super::exposed::{Withdrawn, claim};
use super::{Hold, Memory, Owner, RawStore};
use crate::{IsolateId, Rejected, Site, StoreKind};

impl Hold {
    /// A hold on a new store over the memory of `owner`, exposed in `isolate` from its beginning: what an adapter's
    /// allocator has for a buffer that script makes. The observer is told by [`tell_made`](Self::tell_made), once the
    /// adapter has noted the hold: it may panic.
    ///
    /// # Errors
    /// The owner comes back with [`Error::OutOfMemory`](crate::Error::OutOfMemory), or
    /// [`Error::OverBudget`](crate::Error::OverBudget).
    pub fn of_owner<O: Owner>(owner: O, isolate: IsolateId, site: Site) -> Result<Self, Rejected<O>> {
        match RawStore::untold(owner, StoreKind::FIXED, site, |owner| Memory::from(owner.memory())) {
            Ok(raw) => {
                claim(&raw, isolate).expect("nobody else has the store yet");
                Ok(Hold(raw))
            }
            Err((error, owner)) => Err(Rejected::new(error, owner)),
        }
    }

    /// Tells the observer of the store that [`of_owner`](Self::of_owner) made.
    pub fn tell_made(&self, isolate: IsolateId) {
        self.0.tell_created();
        self.tell(isolate);
    }

    /// This hold, on shared memory from now on, where nobody else has a reference to its store: an allocator is not
    /// told whether it is a `SharedArrayBuffer` that script makes.
    ///
    /// # Errors
    /// The hold as it was, where there are references, or the store is of another kind than [`StoreKind::FIXED`].
    pub fn into_shared(self) -> Result<Self, Self> {
        self.into_kind(StoreKind::SHARED)
    }

    /// This hold, on frozen memory from now on, where nobody else has a reference to its store.
    ///
    /// # Safety
    /// Nobody writes the memory any more.
    ///
    /// # Errors
    /// The hold as it was, where there are references, or the store is of another kind than [`StoreKind::FIXED`].
    pub unsafe fn into_frozen(self) -> Result<Self, Self> {
        self.into_kind(StoreKind::FROZEN)
    }

    fn into_kind(mut self, kind: StoreKind) -> Result<Self, Self> {
        if self.0.kind() != StoreKind::FIXED || !self.0.is_only() {
            return Err(self);
        }
        // Memory of these kinds counts no buffers.
        drop(Withdrawn(&self.0));
        self.0.set_kind(kind);
        Ok(self)
    }
}
