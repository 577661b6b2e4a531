//! [`ModelEngine`]: an engine in plain Rust, for tests and tools.
#![deny(unsafe_code)]

mod bytes;
mod heap;
mod host;
mod options;
mod roots;
mod shared;

pub use host::{Model, ModelEngine};
pub use options::{ModelOptions, model};

const NAME: &str = "Model";
