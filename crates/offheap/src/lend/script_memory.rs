//! Script memory: an adapter allocates it for an engine, and script makes buffers of it.

use super::Hold;
use crate::raw::{Claim, Owner};
use crate::{IsolateId, Rejected, Site};

impl Hold {
    /// A hold on a new store over the memory of `owner`, which is exposed in `isolate` from the start. An adapter's
    /// allocator makes it for a buffer of script. The adapter calls [`tell_made`](Self::tell_made) once it has noted the
    /// hold, since the observer may panic.
    ///
    /// # Errors
    /// The owner comes back with [`Error::OutOfMemory`](crate::Error::OutOfMemory), or
    /// [`Error::OverBudget`](crate::Error::OverBudget).
    pub fn of_owner<O: Owner>(owner: O, isolate: IsolateId, site: Site) -> Result<Self, Rejected<O>> {
        match Claim::of_owner(owner, isolate, site) {
            Ok(claim) => Ok(Hold(claim)),
            Err((error, owner)) => Err(Rejected::new(error, owner)),
        }
    }

    /// Tells the observer of the store that [`of_owner`](Self::of_owner) made.
    pub fn tell_made(&self, isolate: IsolateId) {
        self.0.tell_made(isolate);
    }

    /// Makes the store shared, if there is no other reference to it. An allocator needs this because it is not told whether
    /// script makes a `SharedArrayBuffer`.
    ///
    /// # Errors
    /// The hold comes back unchanged if there are other references, or the store is not of the kind
    /// [`StoreKind::FIXED`](crate::StoreKind::FIXED).
    pub fn into_shared(self) -> Result<Self, Self> {
        self.map(Claim::into_shared)
    }

    /// Makes the store frozen, if there is no other reference to it.
    ///
    /// # Safety
    /// Nobody writes the memory any more.
    ///
    /// # Errors
    /// The hold comes back unchanged if there are other references, if the store is not of the kind
    /// [`StoreKind::FIXED`](crate::StoreKind::FIXED), or if it is exposed in a host.
    pub unsafe fn into_frozen(self) -> Result<Self, Self> {
        // SAFETY: I-BORROW: the caller's promise, passed on.
        self.map(|claim| unsafe { claim.into_frozen() })
    }

    fn map(self, change: impl FnOnce(Claim) -> Result<Claim, Claim>) -> Result<Self, Self> {
        change(self.0).map(Hold).map_err(Hold)
    }
}
