//! The decision at load.

use napi::Env;

use crate::{Decision, Mode};

/// Decides the mode of this process. Never ends the process.
pub(crate) fn decide(_env: &Env) -> Decision {
    Decision::new(Mode::Stores, "not decided yet".to_owned())
}
