//! The functions that the scenarios call.
#![deny(unsafe_code)]

pub mod bench;
pub mod scenarios;
mod sys;

pub mod load;
pub mod observed;
pub mod safe;

use napi::Env;
use napi_derive::napi;

/// The mode of the host and its reason, as text.
#[napi]
pub fn mode(env: Env) -> String {
    offheap_node::mode(&env).to_string()
}
