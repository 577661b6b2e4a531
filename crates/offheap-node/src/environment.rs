//! What is kept for the process and for each environment.

use std::sync::{Arc, OnceLock};

use offheap::adapter::IsolateRegistration;

use crate::{ENGINE, Error};

/// The one registration of this process: Node moves buffers between its environments without a word, so all of them are
/// one isolate to the core.
#[allow(dead_code, reason = "the modes use it")]
pub(crate) fn registration() -> Result<&'static Arc<IsolateRegistration>, Error> {
    static REGISTRATION: OnceLock<Arc<IsolateRegistration>> = OnceLock::new();
    if let Some(registration) = REGISTRATION.get() {
        return Ok(registration);
    }
    let made = Arc::new(IsolateRegistration::new(ENGINE)?);
    Ok(REGISTRATION.get_or_init(|| made))
}
