//! The few raw calls of Node-API that this crate needs, as small functions.

use napi::Env;
use napi::bindgen_prelude::{JsValue, Unknown};

/// The environment of a value.
pub(crate) fn env_of(value: &Unknown<'_>) -> Env {
    Env::from_raw(value.value().env)
}
