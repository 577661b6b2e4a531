//! The unsafe code of the test addon.
#![allow(unsafe_code)]

pub(crate) mod allocated;
pub(crate) mod mapped;
pub(crate) mod plain;
pub(crate) mod poisoned;
