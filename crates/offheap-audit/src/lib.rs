//! The library that `offheap audit` preloads into a program. It follows the external buffers that addons make through
//! Node-API, in Node, Deno and Bun, and writes a line for each thing that happens to one. Neither the program nor its addons
//! are recompiled. `docs/audit.md` says what it sees and what it does not.
//!
//! ```text
//!  the host's dlopen ──► preload.rs ──► imports.rs: slots of the addon's import table point at the wrappers
//!  an addon's dlsym  ──► preload.rs ──► the address of a wrapper
//!  an addon's call   ──► wrappers.rs ─► table.rs: a record for each live buffer ──► stream.rs: lines of JSON
//!                            └────────► place.rs, v8.rs: the line of script, and who else has the memory
//! ```
//!
//! It is loaded into every process that the program starts, and does nothing in those without Node-API. It has no
//! dependencies, so the command's build script compiles it with one call of rustc.
#![deny(unsafe_code)]
#![cfg_attr(test, allow(dead_code, reason = "a test's program interposes nothing"))]
#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]

mod stack;
mod stream;
mod sys;
mod table;
