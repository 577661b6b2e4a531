//! Compiles and runs `docs/cookbook.md` on V8. The recipes say `offheap_quickjs`, which is V8's adapter here, so the same
//! text is tested on both engines.

#[cfg(doctest)]
#[doc = include_str!("../../../../docs/cookbook.md")]
mod cookbook {}
