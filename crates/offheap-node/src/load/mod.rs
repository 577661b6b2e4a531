//! The decision at load: which mode is used in this process.
//!
//! It goes from the harmless to the telling. First the host is asked what it is (`host`). Then V8's functions are looked
//! up by name (`crate::sys::symbols`). Then they are called, on buffers of our own (`crate::sys::selftest`): in this
//! process if the version is one of those that the tests run on, and otherwise first in a child process, which may crash
//! or hang (`probe`). `decide` has the order.

mod decide;
mod host;
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod probe;

pub(crate) use decide::{decision, known_host};
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
pub(crate) use probe::in_the_child;
