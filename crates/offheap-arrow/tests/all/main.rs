//! The public functions, from outside.

#[cfg(feature = "v8")]
mod aggregates;
#[cfg(feature = "v8")]
mod bad_aggregates;
#[cfg(feature = "v8")]
mod functions;
#[cfg(feature = "v8")]
mod hostile;
#[cfg(feature = "v8")]
mod kit;
#[cfg(feature = "v8")]
mod mistakes;
#[cfg(feature = "v8")]
mod nested;
#[cfg(feature = "v8")]
mod owners;
#[cfg(feature = "v8")]
mod pieces;
#[cfg(feature = "v8")]
mod random;
mod stores;
#[cfg(feature = "v8")]
mod types;
