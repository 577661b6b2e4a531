//! Script memory: an adapter allocates it for an engine, and script makes buffers of it.

use super::Hold;
use crate::raw::{Claim, Owner};
use crate::{IsolateId, Rejected, Site};

impl Hold {
    /// A hold on a new store over the memory of `owner`, exposed in `isolate` from its beginning: what an adapter's
    /// allocator has for a buffer that script makes. The observer is told by [`tell_made`](Self::tell_made), once the
    /// adapter has noted the hold: it may panic.
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

    /// This hold, on shared memory from now on, where nobody else has a reference to its store: an allocator is not
    /// told whether it is a `SharedArrayBuffer` that script makes.
    ///
    /// # Errors
    /// The hold as it was, where there are references, or the store is of another kind than [`StoreKind::FIXED`](crate::StoreKind::FIXED).
    pub fn into_shared(self) -> Result<Self, Self> {
        self.map(Claim::into_shared)
    }

    /// This hold, on frozen memory from now on, where nobody else has a reference to its store.
    ///
    /// # Safety
    /// Nobody writes the memory any more.
    ///
    /// # Errors
    /// The hold as it was, where there are references, or the store is of another kind than [`StoreKind::FIXED`](crate::StoreKind::FIXED).
    pub unsafe fn into_frozen(self) -> Result<Self, Self> {
        // SAFETY: I-BORROW: the caller's promise, passed on.
        self.map(|claim| unsafe { claim.into_frozen() })
    }

    fn map(self, change: impl FnOnce(Claim) -> Result<Claim, Claim>) -> Result<Self, Self> {
        change(self.0).map(Hold).map_err(Hold)
    }
}
