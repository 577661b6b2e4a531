//! What the compiler refuses: each of these differs by one line from the one that is not.
//!
//! ```
//! use offheap_v8::ScopeExt;
//! let mut isolate = offheap_v8::Isolate::new().unwrap();
//! let length = isolate.enter(|scope| {
//!     let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
//!     let length = scope.bytes(buffer.as_handle()).unwrap().len();
//!     scope.bytes_mut(buffer.as_handle()).unwrap().fill(1);
//!     scope.with_v8(|scope| drop(scope.get_current_context()));
//!     scope.collect();
//!     length
//! });
//! assert_eq!(length, 4);
//! ```
//!
//! Collecting waits for a slice:
//! ```compile_fail,E0502
//! let mut isolate = offheap_v8::Isolate::new().unwrap();
//! isolate.enter(|scope| {
//!     let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
//!     let bytes = scope.bytes(buffer.as_handle()).unwrap();
//!     scope.collect();
//!     assert_eq!(bytes.len(), 4);
//! });
//! ```
//! So does the crate `v8`:
//! ```compile_fail,E0499
//! use offheap_v8::ScopeExt;
//! let mut isolate = offheap_v8::Isolate::new().unwrap();
//! isolate.enter(|scope| {
//!     let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
//!     let mut bytes = scope.bytes_mut(buffer.as_handle()).unwrap();
//!     scope.with_v8(|scope| drop(scope.get_current_context()));
//!     bytes.fill(1);
//! });
//! ```
//! A slice does not leave its scope:
//! ```compile_fail
//! let mut isolate = offheap_v8::Isolate::new().unwrap();
//! let bytes = isolate.enter(|scope| {
//!     let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
//!     scope.bytes(buffer.as_handle()).unwrap()
//! });
//! assert_eq!(bytes.len(), 4);
//! ```
//! Nor does the scope:
//! ```compile_fail,E0521
//! let mut isolate = offheap_v8::Isolate::new().unwrap();
//! let mut kept = None;
//! isolate.enter(|scope| kept = Some(scope));
//! ```
//! Nor what `with_v8` lends:
//! ```compile_fail,E0521
//! use offheap_v8::ScopeExt;
//! let mut isolate = offheap_v8::Isolate::new().unwrap();
//! isolate.enter(|scope| {
//!     let mut kept = None;
//!     scope.with_v8(|scope| kept = Some(scope.get_current_context()));
//! });
//! ```
//! A local is one of its scope:
//! ```compile_fail,E0521
//! let (mut outer, mut inner) = (offheap_v8::Isolate::new().unwrap(), offheap_v8::Isolate::new().unwrap());
//! outer.enter(|scope| {
//!     let mut local = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
//!     inner.enter(|other| local = other.eval_buffer("new ArrayBuffer(4)").unwrap());
//! });
//! ```
//! An isolate stays on its thread:
//! ```compile_fail,E0277
//! let isolate = offheap_v8::Isolate::new().unwrap();
//! std::thread::spawn(move || drop(isolate));
//! ```
//! So does a slice:
//! ```compile_fail,E0277
//! let mut isolate = offheap_v8::Isolate::new().unwrap();
//! isolate.enter(|scope| {
//!     let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
//!     let bytes = scope.bytes(buffer.as_handle()).unwrap();
//!     std::thread::scope(|threads| drop(threads.spawn(|| bytes.len())));
//! });
//! ```
//! Memory is not borrowed to script:
//! ```compile_fail,E0597
//! let mut isolate = offheap_v8::Isolate::new().unwrap();
//! let local = vec![1_u64, 2];
//! let store = offheap_v8::offheap::FrozenStore::from_owner(&local[..]).unwrap();
//! isolate.enter(|scope| drop(scope.expose_or_copy(&store.clone().into()).unwrap()));
//! ```
