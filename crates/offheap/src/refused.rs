//! Misuse that the compiler refuses, as documentation tests. Each module has a corrected twin, which runs, and after it the
//! programs that are refused. Their error codes are compared in `.ci/run`: stable Rust does not do that by itself.

/// The deleter runs whenever the last reference goes, so it cannot borrow.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// use offheap::UniqueStore;
///
/// fn main() {
///     let calls = Arc::new(AtomicUsize::new(0));
///     let counter = calls.clone();
///     let deleter = move |_, _| {
///         counter.fetch_add(1, Ordering::Relaxed);
///     };
///     let store = UniqueStore::from_owner_with_deleter(vec![0u8], deleter).unwrap();
///     drop(store);
///     println!("{}", calls.load(Ordering::Relaxed));
/// }
/// ```
/// ```compile_fail,E0373,E0502
/// use offheap::UniqueStore;
///
/// fn main() {
///     let mut calls = 0;
///     let store = UniqueStore::from_owner_with_deleter(vec![0u8], |_, _| calls += 1).unwrap();
///     drop(store);
///     println!("{calls}");
/// }
/// ```
mod borrowed_deleter {}

/// An engine may keep the store for as long as it likes, so its memory cannot be borrowed.
///
/// ```
/// use std::sync::Arc;
///
/// use offheap::FrozenStore;
///
/// fn main() {
///     let bytes: Arc<[u8]> = vec![1u8, 2, 3].into();
///     let store = FrozenStore::from_owner(bytes.clone()).unwrap();
///     drop(bytes);
///     println!("{}", store[0]);
/// }
/// ```
/// ```compile_fail,E0505,E0597
/// use offheap::FrozenStore;
///
/// fn main() {
///     let bytes = vec![1u8, 2, 3];
///     let store = FrozenStore::from_owner(&bytes[..]).unwrap();
///     drop(bytes);
///     println!("{}", store[0]);
/// }
/// ```
mod borrowed_owner {}

/// Text that is frozen is owned or `'static`, like other bytes.
///
/// ```
/// use offheap::FrozenStore;
///
/// fn main() {
///     let text = String::from("text");
///     let store = FrozenStore::from_owner(text.clone()).unwrap();
///     drop(text);
///     println!("{}", store[0]);
/// }
/// ```
/// ```compile_fail,E0505,E0597
/// use offheap::FrozenStore;
///
/// fn main() {
///     let text = String::from("text");
///     let store = FrozenStore::from_owner(text.as_str()).unwrap();
///     drop(text);
///     println!("{}", store[0]);
/// }
/// ```
mod borrowed_text {}

/// Bytes of a frozen store are lent for as long as the handle lives; a part is a handle.
///
/// ```
/// use offheap::FrozenStore;
///
/// fn main() {
///     let store = FrozenStore::from_owner("text").unwrap();
///     let part = store.slice(1..).unwrap();
///     drop(store);
///     println!("{}", part[0]);
/// }
/// ```
/// ```compile_fail,E0505
/// use offheap::FrozenStore;
///
/// fn main() {
///     let store = FrozenStore::from_owner("text").unwrap();
///     let part = &store.as_ref()[1..];
///     drop(store);
///     println!("{}", part[0]);
/// }
/// ```
mod frozen_bytes_outlive_their_store {}

/// Frozen memory has no slice that may be written.
///
/// ```
/// use offheap::{FrozenStore, UniqueStore};
///
/// fn main() {
///     let frozen = FrozenStore::from_owner(&[1u8, 2][..]).unwrap();
///     let mut store = UniqueStore::from_owner(frozen.to_vec()).unwrap();
///     store[0] = 3;
/// }
/// ```
/// ```compile_fail,E0594
/// use offheap::FrozenStore;
///
/// fn main() {
///     let store = FrozenStore::from_owner(&[1u8, 2][..]).unwrap();
///     store[0] = 3;
/// }
/// ```
mod frozen_bytes_written {}

/// Frozen memory is written by nobody, also not through a shared reference.
///
/// ```
/// use std::sync::Arc;
///
/// use offheap::FrozenStore;
///
/// fn main() {
///     let _ = FrozenStore::from_owner(Arc::<[u8]>::from(vec![1]));
/// }
/// ```
/// ```compile_fail,E0277
/// use std::cell::Cell;
/// use std::sync::Arc;
///
/// use offheap::FrozenStore;
///
/// fn main() {
///     let _ = FrozenStore::from_owner(Arc::<[Cell<u8>]>::from(vec![Cell::new(1)]));
/// }
/// ```
/// ```compile_fail,E0277
/// use std::sync::Arc;
/// use std::sync::atomic::AtomicU8;
///
/// use offheap::FrozenStore;
///
/// fn main() {
///     let _ = FrozenStore::from_owner(Arc::new(vec![AtomicU8::new(1)]));
/// }
/// ```
mod frozen_owner_with_cells {}

/// A guard that waits would keep everybody else away, and is bound to its thread.
///
/// ```
/// use offheap::{BackingStore, UniqueStore};
///
/// async fn read(store: BackingStore) -> u8 {
///     let byte = {
///         let bytes = store.bytes().unwrap();
///         bytes[0]
///     };
///     std::future::ready(()).await;
///     byte + store.bytes().unwrap()[0]
/// }
///
/// fn spawn(_: impl Future + Send) {}
///
/// fn main() {
///     spawn(read(UniqueStore::zeroed(1).unwrap().into()));
/// }
/// ```
/// ```compile_fail
/// use offheap::{BackingStore, UniqueStore};
///
/// async fn read(store: BackingStore) -> u8 {
///     let bytes = store.bytes().unwrap();
///     std::future::ready(()).await;
///     bytes[0]
/// }
///
/// fn spawn(_: impl Future + Send) {}
///
/// fn main() {
///     spawn(read(UniqueStore::zeroed(1).unwrap().into()));
/// }
/// ```
mod guard_across_await {}

/// A guard stays on its thread; the store moves, and is asked again there.
///
/// ```
/// use offheap::{BackingStore, UniqueStore};
///
/// fn main() {
///     let mut store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
///     std::thread::scope(|scope| {
///         scope.spawn(move || store.bytes_mut().unwrap()[0] = 1);
///     });
/// }
/// ```
/// ```compile_fail,E0277
/// use offheap::{BackingStore, UniqueStore};
///
/// fn main() {
///     let mut store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
///     let mut bytes = store.bytes_mut().unwrap();
///     std::thread::scope(|scope| {
///         scope.spawn(move || bytes[0] = 1);
///     });
/// }
/// ```
mod guard_moved_to_another_thread {}

/// A guard borrows the handle it was asked from.
///
/// ```
/// use offheap::{BackingStore, UniqueStore};
///
/// fn main() {
///     let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
///     let bytes = store.bytes().unwrap();
///     println!("{}", bytes[0]);
///     drop(bytes);
///     drop(store);
/// }
/// ```
/// ```compile_fail,E0505
/// use offheap::{BackingStore, UniqueStore};
///
/// fn main() {
///     let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
///     let bytes = store.bytes().unwrap();
///     drop(store);
///     println!("{}", bytes[0]);
/// }
/// ```
mod guard_outlives_its_store {}

/// A guard is not shared between threads either; a plain slice of it is, for as long as the guard lives.
///
/// ```
/// use offheap::{BackingStore, UniqueStore};
///
/// fn main() {
///     let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
///     let bytes = store.bytes().unwrap();
///     let slice = &bytes[..];
///     std::thread::scope(|scope| {
///         scope.spawn(|| println!("{}", slice[0]));
///     });
/// }
/// ```
/// ```compile_fail,E0277
/// use offheap::{BackingStore, UniqueStore};
///
/// fn main() {
///     let store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
///     let bytes = store.bytes().unwrap();
///     std::thread::scope(|scope| {
///         scope.spawn(|| println!("{}", bytes[0]));
///     });
/// }
/// ```
mod guard_shared_with_another_thread {}

/// What memory an owner gives is its author's promise.
///
/// ```
/// use std::ptr::NonNull;
///
/// use offheap::{Owner, UniqueStore};
///
/// struct Mine(Vec<u8>);
///
/// // SAFETY: the elements of a `Vec` that nobody else reaches.
/// unsafe impl Owner for Mine {
///     fn memory(&mut self) -> NonNull<[u8]> {
///         NonNull::from(self.0.as_mut_slice())
///     }
/// }
///
/// fn main() {
///     let _ = UniqueStore::from_owner(Mine(vec![1]));
/// }
/// ```
/// ```compile_fail,E0200
/// use std::ptr::NonNull;
///
/// use offheap::Owner;
///
/// struct Mine(Vec<u8>);
///
/// impl Owner for Mine {
///     fn memory(&mut self) -> NonNull<[u8]> {
///         NonNull::from(self.0.as_mut_slice())
///     }
/// }
///
/// fn main() {}
/// ```
mod implementing_owner_needs_unsafe {}

/// The last reference may be dropped on any thread, and the owner with it.
///
/// ```
/// use std::sync::Arc;
///
/// use offheap::UniqueStore;
///
/// fn main() {
///     let anywhere = Arc::new(());
///     let _ = UniqueStore::from_owner_with_deleter(vec![0u8], move |_, _| drop(anywhere));
/// }
/// ```
/// ```compile_fail,E0277
/// use std::rc::Rc;
///
/// use offheap::UniqueStore;
///
/// fn main() {
///     let here = Rc::new(());
///     let _ = UniqueStore::from_owner_with_deleter(vec![0u8], move |_, _| drop(here));
/// }
/// ```
mod non_send_owner {}

/// Script may write any byte, and a `bool` may not have any.
///
/// ```
/// use std::sync::Arc;
///
/// use offheap::{FrozenStore, UniqueStore};
///
/// fn main() {
///     let _ = UniqueStore::from_owner(vec![u8::from(true)]);
///     // Nobody writes this one.
///     let _ = FrozenStore::from_owner(Arc::<[bool]>::from(vec![true]));
/// }
/// ```
/// ```compile_fail,E0277
/// use offheap::UniqueStore;
///
/// fn main() {
///     let _ = UniqueStore::from_owner(vec![true]);
/// }
/// ```
mod owner_that_not_every_byte_fits {}

/// Nor may a reference.
///
/// ```
/// use offheap::UniqueStore;
///
/// fn main() {
///     let _ = UniqueStore::from_owner(Vec::from("text"));
/// }
/// ```
/// ```compile_fail,E0277
/// use offheap::UniqueStore;
///
/// fn main() {
///     let _ = UniqueStore::from_owner(vec!["text"]);
/// }
/// ```
mod owner_with_pointers {}

/// Atomics end with the handle that keeps the memory.
///
/// ```
/// use offheap::SharedStore;
///
/// fn main() {
///     let store = SharedStore::zeroed(4).unwrap();
///     let counter = store.atomic_slice::<u32>().unwrap();
///     counter.fetch_add(0, 1);
///     drop(store);
/// }
/// ```
/// ```compile_fail,E0505
/// use offheap::SharedStore;
///
/// fn main() {
///     let store = SharedStore::zeroed(4).unwrap();
///     let counter = store.atomic_slice::<u32>().unwrap();
///     drop(store);
///     counter.fetch_add(0, 1);
/// }
/// ```
/// Only integers are atomic.
/// ```compile_fail,E0277
/// use offheap::SharedStore;
///
/// fn main() {
///     let store = SharedStore::zeroed(4).unwrap();
///     let counter = store.atomic_slice::<f32>().unwrap();
/// }
/// ```
mod atomics_without_their_store {}

/// A `Buffer` of Arrow is never written, so memory that script may write does not turn into one.
///
/// ```
/// use arrow_buffer::Buffer;
/// use offheap::BackingStore;
///
/// fn main() {
///     let store = BackingStore::from_owner(vec![1u8]).unwrap();
///     let buffer = Buffer::try_from(store.try_into_unique().unwrap()).unwrap();
///     println!("{}", buffer[0]);
/// }
/// ```
/// ```compile_fail,E0277
/// use arrow_buffer::Buffer;
/// use offheap::BackingStore;
///
/// fn main() {
///     let store = BackingStore::from_owner(vec![1u8]).unwrap();
///     let buffer = Buffer::try_from(store).unwrap();
///     println!("{}", buffer[0]);
/// }
/// ```
#[cfg(feature = "arrow")]
mod writable_arrow_buffer {}

/// One handle does not read and write at a time; another handle's write is refused when it is tried.
///
/// ```
/// use offheap::{BackingStore, UniqueStore};
///
/// fn main() {
///     let mut store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
///     let reader = store.bytes().unwrap();
///     println!("{}", reader[0]);
///     drop(reader);
///     store.bytes_mut().unwrap()[0] = 1;
/// }
/// ```
/// ```compile_fail,E0502
/// use offheap::{BackingStore, UniqueStore};
///
/// fn main() {
///     let mut store = BackingStore::from(UniqueStore::zeroed(1).unwrap());
///     let reader = store.bytes().unwrap();
///     store.bytes_mut().unwrap()[0] = 1;
///     println!("{}", reader[0]);
/// }
/// ```
mod writer_while_a_reader_lives {}
