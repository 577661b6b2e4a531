//! What is kept for the process.

use std::sync::{Arc, Mutex, OnceLock};

use offheap::IsolateId;
use offheap::adapter::{IsolateRegistration, in_finalizer};
use offheap_engine::memory::{EndedIsolates, EngineMade, EngineMadeStores};

use crate::sys::Block;
use crate::{Error, engine};

/// What is kept for the process. Node moves buffers between its environments untold, so all of them are one host to the
/// core.
pub(crate) struct Process {
    /// It never ends.
    registration: Arc<IsolateRegistration>,
    /// The stores over script's own memory that V8 has not released yet.
    engine_made: Mutex<EngineMadeStores<Block>>,
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
        Ok(PROCESS.get_or_init(|| Process { registration, engine_made: Mutex::default() }))
    }

    /// The one registration of this process.
    #[inline]
    pub(crate) fn registration(&self) -> &Arc<IsolateRegistration> {
        &self.registration
    }

    /// Notes a store over script's own memory until V8 has released the memory.
    pub(crate) fn note_engine_made(&self, made: EngineMade<Block>) {
        EngineMadeStores::note(&self.engine_made, &ENDED, made);
    }

    /// Ends the exposure of stores over script's own memory that V8 has released.
    pub(crate) fn drop_released(&self) {
        EngineMadeStores::drop_released(&self.engine_made, &ENDED);
    }
}

/// Ends the exposure of the stores over script's own memory whose buffers V8 has collected, in all environments, and frees
/// the memory that nobody else has. Stores over memory of Rust need no such call: V8 itself ends their exposure.
///
/// The library does this from time to time, as more buffers come in: at the latest when they are twice as many as were left,
/// or have 64 MiB. Call it when a program is done with large buffers and none come in for a while. Any thread may call it.
/// It does nothing in the modes *external* and *copy*, where script's own memory is copied.
pub fn release_collected() {
    if !in_finalizer()
        && let Some(process) = PROCESS.get()
    {
        process.drop_released();
    }
}

/// No environment is an isolate of its own, so none ends.
static ENDED: EndedIsolates<Block> = EndedIsolates::new();

/// The isolate as which stores that script of this process has count as exposed, in all environments.
///
/// # Errors
/// [`Error::Memory`] if it cannot be registered, because there are too many.
pub fn isolate() -> Result<IsolateId, Error> {
    Ok(Process::get()?.registration().id())
}
