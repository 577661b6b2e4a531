//! The decision at load.

use napi::Env;

use crate::sys::use_v8;
use crate::{Decision, Mode};

/// Decides the mode of this process. Never ends the process.
pub(crate) fn decide(_env: &Env) -> Decision {
    match use_v8() {
        Ok(()) => Decision::new(Mode::Stores, "not decided yet".to_owned()),
        Err(missing) => Decision::new(Mode::External, missing.to_string()),
    }
}
