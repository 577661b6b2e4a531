//! The unsafe code of the test addon.
#![allow(unsafe_code)]

pub(crate) mod poisoned;
