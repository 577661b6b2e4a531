//! What is kept for the process.

use std::sync::{Arc, OnceLock};

use offheap::IsolateId;
use offheap::adapter::{IsolateRegistration, in_finalizer};

use crate::sys::TABLE;
use crate::{Error, engine};

/// What is kept for the process. Node moves buffers between its environments untold, so all of them are one host to the
/// core.
pub(crate) struct Process {
    /// It never ends.
    registration: Arc<IsolateRegistration>,
}

static PROCESS: OnceLock<Process> = OnceLock::new();

impl Process {
    /// What is kept for this process. The first call makes it.
    ///
    /// # Errors
    /// [`Error::Memory`] if there are too many isolates, or no memory.
    #[inline]
    pub(crate) fn get() -> Result<&'static Self, Error> {
        if let Some(process) = PROCESS.get() {
            return Ok(process);
        }
        let registration = Arc::new(IsolateRegistration::host(engine())?);
        Ok(PROCESS.get_or_init(|| Process { registration }))
    }

    /// The one registration of this process.
    #[inline]
    pub(crate) fn registration(&self) -> &Arc<IsolateRegistration> {
        &self.registration
    }
}

/// Ends the exposure of the stores over script's own memory whose buffers V8 has collected, in all environments. Stores over
/// memory of Rust need no such call: V8 itself ends their exposure.
///
/// V8 does not tell when it has collected such a buffer. [`expose`](crate::expose) finds it out for its store. Call this before a
/// program asks for the exposure of such a store, or promises [`assume_host_is_done`](offheap::BackingStore::assume_host_is_done). No
/// memory waits for it: a store is freed with its last handle, and V8 frees its memory after that. Any thread may call it. It does
/// nothing in the modes *external* and *copy*, where script's own memory is copied.
pub fn release_collected() {
    if !in_finalizer() {
        TABLE.end_released();
    }
}

/// The isolate as which stores that script of this process has count as exposed, in all environments.
///
/// # Errors
/// [`Error::Memory`] if it cannot be registered, because there are too many.
pub fn isolate() -> Result<IsolateId, Error> {
    Ok(Process::get()?.registration().id())
}
