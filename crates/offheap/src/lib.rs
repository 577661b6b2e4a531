//! Memory that native code and JavaScript engines share without copying, leaking, freeing twice or dangling.
//!
//! One reference-counted [`BackingStore`] can sit behind an `ArrayBuffer` in any engine and be held by any native code. Its
//! memory is freed exactly once, when the last reference is gone. This crate contains no engine: adapters
//! (`offheap-quickjs` and others) expose its stores, through the module [`adapter`].
//!
//! ```text
//!   Vec<T>, Bytes, a file,      the owner, inside the control block;
//!   memory of C + deleter       dropped once, with the last reference, on any thread
//!             ^
//!             |
//!   +---------+--------+
//!   |  control block   |  reference count, access word, address, length
//!   +--^-----^------^--+
//!      |     |      |
//!      |     |      +------ Hold: an engine's hold, one for each live ArrayBuffer
//!      |     +------------- BackingStore: clones, and handles to parts, on any thread
//!      +------------------- ReadGuard, WriteGuard: guards, which mark the access word
//! ```
//!
//! # A `Vec` in, the same `Vec` out
//! ```
//! use offheap::BackingStore;
//!
//! let samples: Vec<f32> = vec![0.5, 1.0, 1.5];
//! let address = samples.as_ptr();
//!
//! let store = BackingStore::from_owner(samples)?;                         // no copy
//! assert_eq!((store.byte_length(), store.as_ptr().cast_const()), (12, address.cast()));
//!
//! let mut elsewhere = store.clone();                                      // one more reference
//! std::thread::spawn(move || elsewhere.bytes_mut().unwrap()[..4].fill(0)).join().unwrap();
//! assert_eq!(store.copy_out::<f32>()?, [0.0, 1.0, 1.5]);
//!
//! let samples: Vec<f32> = store.try_into_unique()?.try_into_owner()?;     // the last reference
//! assert_eq!((samples.as_ptr(), &samples[..]), (address, &[0.0, 1.0, 1.5][..]));
//! # Ok::<(), offheap::Error>(())
//! ```
//!
//! # Which store to start from
//! | the memory | the store |
//! |---|---|
//! | is ready, and script may write it | [`BackingStore::from_owner`] |
//! | is allocated here, or written first | [`UniqueStore`], then `BackingStore::from(unique)` |
//! | is written by nobody from now on: `Vec`, `String`, `Arc<[T]>`, a static | [`FrozenStore::from_owner`] |
//! | is used by several threads at the same time | [`SharedStore`] |
//!
//! # Four states
//! These states differ, here and in every adapter:
//!
//! | state | meaning | result of a request |
//! |---|---|---|
//! | detached | an *ArrayBuffer* whose memory was taken from it (ECMAScript's `DetachArrayBuffer`); its store lives on while anything else refers to it | the engine's answer: length 0, a `TypeError` for a new view |
//! | zero-length | memory of no bytes, with an owner that is dropped like any other | slices of length 0, no error |
//! | null data | a null address, which only foreign memory of length 0 may have; its deleter is called (V8 would not call it), and engines see an address that is not null | [`Error::NullData`] if the length is not 0 |
//! | out-of-bounds view | a *typed array or part* that reaches beyond the present length of a resizable store | length 0, until the store has grown back; [`Error::OutOfRange`] for a request for bytes |
//!
//! # Who may touch the bytes
//! Script and Rust both write. An adapter stops script by borrowing its scope. The access word of a store, which all its
//! handles and parts share, stops Rust. Each refusal is an error that names the present user.
//!
//! | a store that is | Rust may |
//! |---|---|
//! | unique: [`UniqueStore`] | `&mut [u8]`, on any thread; the type says so |
//! | exposed nowhere | [`bytes`](BackingStore::bytes) and [`bytes_mut`](BackingStore::bytes_mut): many readers or one writer; [`resize`](BackingStore::resize), where it is [resizable](UniqueStore::resizable) |
//! | exposed, in its isolate's scope | take the same guards through the adapter |
//! | exposed, from anywhere else | copies out: [`copy_to_slice`](BackingStore::copy_to_slice), [`to_vec`](BackingStore::to_vec), [`copy_out`](BackingStore::copy_out), [`copy_from_store`](BackingStore::copy_from_store) |
//! | shared: [`SharedStore`] | [`AtomicSlice`], `&[AtomicU8]`, and copies in and out, on any thread, exposed in any number of isolates |
//! | frozen: [`FrozenStore`] | `&[u8]`, on any thread, exposed in any number of isolates |
//! | a mapped file: [`Mapped`] | copies, and never a slice, since other processes may write the file. A map that may be written is shared memory |
//! | an engine's, with a length that script may [shorten](StoreKind::ENGINE_RESIZABLE) | as in the rows for exposed memory, but no copies from elsewhere: the bytes behind a shorter length are unmapped at once |
//! | manual: [`ManualMemory`] | as in the rows for exposed memory, or for shared memory if [`ManualOptions`] ask for that; after the free every use is [`Error::Freed`] |
//!
//! A copy out of exposed memory tolerates script that writes at the same time: each byte of the copy is a value that was
//! stored there at some time, in no particular order.
//!
//! # Threads
//! Stores, weak handles and unique stores are `Send` and `Sync`; guards are neither. An owner is `Send + 'static`: it is
//! dropped by the thread that drops the last reference. That may be the thread of an engine's collector, or a thread that
//! is ending (use `try_with` for thread locals). An owner's `Drop` must not call an engine. This crate holds no lock while
//! it runs. A panic in it reaches the code that dropped the last reference, after the memory was freed.
//!
//! # Features
//! | feature | default | gives |
//! |---|---|---|
//! | `arrow` | no | [`FrozenOwner`] for `arrow_buffer::Buffer` (arrow 59), `Buffer::from(frozen)` and `Buffer::try_from(unique)`, all without a copy; turns on `bytes` |
//! | `bytes` | no | [`FrozenOwner`] for `bytes::Bytes`, [`Owner`] for `bytes::BytesMut`, `bytes::Bytes::from(frozen)` without a copy |
//! | `memmap2` | no | [`Owner`] for `memmap2::MmapMut`; mapping files with [`Mapped`] needs no feature |
//! | `rquickjs` | no | `?` in a function that returns `rquickjs::Result`; `offheap-quickjs` turns it on |
//! | `track-handles` | no | the observer hears of each native handle, with the place that took it and its range ([`Referenced`](observe::EventKind::Referenced), [`Dropped`](observe::EventKind::Dropped)); a handle is one word larger |
//!
//! # Platforms
//! Linux and macOS, on x86-64 and aarch64. After a `fork` the child may only call `exec`.
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(all(any(target_os = "linux", target_os = "macos"), any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("offheap runs on Linux and macOS, on x86-64 and aarch64");

pub mod adapter;
mod budget;
mod class;
mod cursor;
mod error;
mod event;
mod finalizer;
mod frozen;
mod host;
mod id;
mod interop;
mod isolate;
mod kind;
mod lend;
mod manual;
mod mapped;
pub mod observe;
mod raw;
mod reason;
#[cfg(doctest)]
mod refused;
mod rejected;
mod resizable;
mod script_stack;
mod shared;
mod site;
mod store;
mod sync;
mod sys;
mod unique;

pub use budget::Budget;
pub use class::ErrorClass;
pub use cursor::StoreCursor;
pub use error::Error;
pub use frozen::FrozenStore;
pub use id::StoreId;
pub use isolate::IsolateId;
pub use kind::{Length, MapMode, Sharing, StoreKind};
pub use lend::{AtomicElement, AtomicInteger, AtomicSlice, Cells, DeleterCallback, ReadGuard, WriteGuard};
pub use manual::{ManualHeap, ManualMemory, ManualOptions};
pub use mapped::Mapped;
pub use raw::{CONTROL_BLOCK_BYTES, FrozenOwner, Owner, Unfreed};
pub use reason::{Holder, MapProblem, NotUnique};
pub use rejected::Rejected;
pub use shared::SharedStore;
pub use site::{ScriptPlace, Site};
pub use store::{BackingStore, WeakStore};
pub use sys::{exit_when_a_mapped_file_is_cut_short, quarantine};
pub use unique::UniqueStore;

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../docs/quarantine.md")]
    mod quarantine {}
}
