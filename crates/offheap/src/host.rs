//! Memory that a host such as Node has, or had: its calls may write it while no script runs.

use std::ffi::c_void;

use crate::raw::{self, Denied};
use crate::{BackingStore, Error, IsolateId, ManualHeap};

/// What is attempted here, for errors.
const ENDING: &str = "end a host's use of";

impl BackingStore {
    /// The host that has this memory, or had it and may still write it; see
    /// [`IsolateRegistration::host`](crate::adapter::IsolateRegistration::host). Slices of such memory, and taking it back, are
    /// [`Error::HostMayWrite`].
    pub fn host(&self) -> Option<IsolateId> {
        self.raw().host()
    }

    /// Ends the care for calls of a host, once its last buffer over this memory is gone. From then on the memory is as
    /// memory that no host ever had: it may be lent as slices, taken back as a [`UniqueStore`](crate::UniqueStore), exposed
    /// in any isolate, and manual memory may be freed. Does nothing if no host had it.
    ///
    /// ```
    /// use offheap::adapter::{Hold, IsolateRegistration};
    /// use offheap::{BackingStore, Error};
    ///
    /// let node = IsolateRegistration::host("Node")?;
    /// let store = BackingStore::from_owner(vec![1u8, 2, 3])?;
    /// drop(Hold::new(&store, node.id())?);          // a buffer came and went
    /// assert!(matches!(store.bytes(), Err(Error::HostMayWrite { .. })));
    /// assert_eq!(store.to_vec()?, [1, 2, 3]);       // copies always work
    ///
    /// // SAFETY: no script ran, so no call of Node is pending.
    /// unsafe { store.assume_host_is_done() }?;
    /// assert_eq!(store.bytes()?[..], [1, 2, 3]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Safety
    /// No call of the host is pending on this memory, and none begins. In Node, for example, each `fs.read` into it has called
    /// back, and each stream that writes into it has ended. For shared memory, whose buffers are not counted, the host has no
    /// buffer over it either.
    ///
    /// # Errors
    /// [`Error::Exposed`] while the host has a live buffer.
    #[allow(unsafe_code, reason = "declares the contract; the word that it is about is in `raw`")]
    pub unsafe fn assume_host_is_done(&self) -> Result<(), Error> {
        // SAFETY: I-HOST: the caller's promise, passed on.
        unsafe { self.raw().end_host() }.map_err(|denied| match denied {
            Denied::Exposed { isolate, buffers } => {
                Error::Exposed { store: self.id(), attempted: ENDING, isolate, buffers }
            }
            denied => self.denied(ENDING, None, denied),
        })
    }
}

impl ManualHeap {
    /// Ends the care for calls of a host, for the manual memory that begins at `data`; see
    /// [`BackingStore::assume_host_is_done`]. Use it if there is no handle to the memory any more, so that
    /// [`free`](Self::free) can free it. Does nothing if no host had it, or no manual memory begins there.
    ///
    /// # Safety
    /// No call of the host is pending on the memory, and none begins.
    ///
    /// # Errors
    /// [`Error::Exposed`] while the host has a live buffer.
    #[allow(unsafe_code, reason = "declares the contract; the word that it is about is in `raw`")]
    pub unsafe fn assume_host_is_done(data: *mut c_void) -> Result<(), Error> {
        // SAFETY: I-HOST: the caller's promise, passed on.
        unsafe { raw::end_host_at(data.addr(), ENDING) }
    }
}
