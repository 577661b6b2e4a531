//! Types for `#[napi]` functions, with the names that JavaScript has for them.
