//! Memory that native code and JavaScript engines share without copying, leaking, freeing twice or dangling.
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(all(any(target_os = "linux", target_os = "macos"), any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("offheap runs on Linux and macOS, on x86-64 and aarch64");

mod access;
mod error;
mod frozen;
mod id;
mod interop;
mod isolate;
mod kind;
mod manual;
mod mapped;
pub mod observe;
mod raw;
mod site;
mod store;
mod sync;
mod sys;
mod unique;

pub use error::{Error, Holder, MapProblem, NotUnique, Rejected};
pub use frozen::FrozenStore;
pub use id::StoreId;
pub use isolate::{IsolateId, IsolateRegistration};
pub use kind::{MapMode, StoreKind};
pub use manual::{ManualHeap, ManualMemory, Unfreed};
pub use mapped::Mapped;
pub use raw::{Bytes, BytesMut, CONTROL_BLOCK_BYTES, Cells, DeleterCallback, Exposed, FrozenOwner, Owner};
pub use site::{ScriptPlace, Site};
pub use store::{BackingStore, WeakStore};
pub use sys::exit_when_a_mapped_file_is_cut_short;
pub use unique::UniqueStore;
