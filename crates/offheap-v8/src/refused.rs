//! Misuse that the compiler refuses, as documentation tests. Each module has a program that compiles and runs, followed
//! by programs that the compiler refuses. `.ci/run` compares their error codes, because stable Rust does not.

/// Script can keep memory for any length of time, so a store cannot borrow its memory.
///
/// ```
/// use offheap_v8::Isolate;
/// use offheap_v8::offheap::{BackingStore, FrozenStore};
///
/// fn main() {
///     let local: std::sync::Arc<[u64]> = vec![1, 2].into();
///     let store = FrozenStore::from_owner(local).unwrap();
///     Isolate::new().unwrap().enter(|scope| drop(scope.expose(&BackingStore::from(store)).unwrap()));
/// }
/// ```
/// ```compile_fail,E0597
/// use offheap_v8::Isolate;
/// use offheap_v8::offheap::{BackingStore, FrozenStore};
///
/// fn main() {
///     let local = vec![1_u64, 2];
///     let store = FrozenStore::from_owner(&local[..]).unwrap();
///     Isolate::new().unwrap().enter(|scope| drop(scope.expose(&BackingStore::from(store)).unwrap()));
/// }
/// ```
mod borrowed_owner {}

/// A slice must be dropped before a collection.
///
/// ```
/// use offheap_v8::Isolate;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         let bytes = scope.bytes(&buffer).unwrap();
///         assert_eq!(bytes.len(), 4);
///         drop(bytes);
///         scope.collect();
///     });
/// }
/// ```
/// ```compile_fail,E0502
/// use offheap_v8::Isolate;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         let bytes = scope.bytes(&buffer).unwrap();
///         scope.collect();
///         assert_eq!(bytes.len(), 4);
///     });
/// }
/// ```
mod collecting_during_bytes {}

/// A slice ends with its scope; a handle does not.
///
/// ```
/// use offheap_v8::Isolate;
///
/// fn main() {
///     let mut isolate = Isolate::new().unwrap();
///     let handle = isolate.enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         buffer.into_handle()
///     });
///     assert_eq!(isolate.enter(|scope| scope.bytes(&handle).unwrap().len()), 4);
/// }
/// ```
/// ```compile_fail
/// use offheap_v8::Isolate;
///
/// fn main() {
///     let mut isolate = Isolate::new().unwrap();
///     let bytes = isolate.enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         scope.bytes(&buffer).unwrap()
///     });
///     assert_eq!(bytes.len(), 4);
/// }
/// ```
mod guard_kept {}

/// A slice stays on the thread of its isolate.
///
/// ```
/// use offheap_v8::Isolate;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         let store = scope.externalize(&buffer).unwrap();
///         std::thread::scope(|threads| {
///             threads.spawn(|| assert_eq!(store.byte_length(), 4));
///         });
///     });
/// }
/// ```
/// ```compile_fail,E0277
/// use offheap_v8::Isolate;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         let bytes = scope.bytes(&buffer).unwrap();
///         std::thread::scope(|threads| {
///             threads.spawn(|| assert_eq!(bytes.len(), 4));
///         });
///     });
/// }
/// ```
mod guard_on_another_thread {}

/// An isolate stays on its thread.
///
/// ```
/// use offheap_v8::Isolate;
///
/// fn main() {
///     let isolate = Isolate::new().unwrap();
///     std::thread::spawn(move || drop(Isolate::new().unwrap())).join().unwrap();
///     drop(isolate);
/// }
/// ```
/// ```compile_fail,E0277
/// use offheap_v8::Isolate;
///
/// fn main() {
///     let isolate = Isolate::new().unwrap();
///     std::thread::spawn(move || drop(isolate)).join().unwrap();
/// }
/// ```
mod isolate_on_another_thread {}

/// Nothing from the scope that `with_v8` lends can outlive the call.
///
/// ```
/// use offheap_v8::{Isolate, ScopeExt};
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let has_global = scope.with_v8(|scope| {
///             let context = scope.get_current_context();
///             !context.global(scope).is_undefined()
///         });
///         assert!(has_global);
///     });
/// }
/// ```
/// ```compile_fail,E0521
/// use offheap_v8::{Isolate, ScopeExt};
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let mut kept = None;
///         scope.with_v8(|scope| kept = Some(scope.get_current_context()));
///         assert!(kept.is_some());
///     });
/// }
/// ```
mod lent_scope_kept {}

/// A local can only be used with the scope that made it.
///
/// ```
/// use offheap_v8::Isolate;
///
/// fn main() {
///     let (mut outer, mut inner) = (Isolate::new().unwrap(), Isolate::new().unwrap());
///     outer.enter(|scope| {
///         let mut local = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         inner.enter(|other| drop(other.eval_buffer("new ArrayBuffer(4)").unwrap()));
///         local = scope.open(local.into_handle()).unwrap();
///         assert_eq!(scope.state(&local).unwrap().byte_length, 4);
///     });
/// }
/// ```
/// ```compile_fail,E0521
/// use offheap_v8::Isolate;
///
/// fn main() {
///     let (mut outer, mut inner) = (Isolate::new().unwrap(), Isolate::new().unwrap());
///     outer.enter(|scope| {
///         let mut local = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         inner.enter(|other| local = other.eval_buffer("new ArrayBuffer(4)").unwrap());
///         assert_eq!(scope.state(&local).unwrap().byte_length, 4);
///     });
/// }
/// ```
mod local_of_another_isolate {}

/// A scope cannot outlive the call that lent it.
///
/// ```
/// use offheap_v8::{Isolate, Scope};
///
/// fn main() {
///     let mut isolate = Isolate::new().unwrap();
///     let work = |scope: &mut Scope<'_>| scope.collect();
///     isolate.enter(work);
/// }
/// ```
/// ```compile_fail,E0521
/// use offheap_v8::{Isolate, Scope};
///
/// fn main() {
///     let mut isolate = Isolate::new().unwrap();
///     let mut kept: Option<&mut Scope<'_>> = None;
///     isolate.enter(|scope| kept = Some(scope));
///     kept.unwrap().collect();
/// }
/// ```
mod scope_kept {}

/// `with_v8` cannot be called while a slice lives.
///
/// ```
/// use offheap_v8::{Isolate, ScopeExt};
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         let mut bytes = scope.bytes_mut(&buffer).unwrap();
///         bytes.fill(1);
///         drop(bytes);
///         scope.with_v8(|scope| {
///             let _ = scope.get_current_context();
///         });
///     });
/// }
/// ```
/// ```compile_fail,E0499
/// use offheap_v8::{Isolate, ScopeExt};
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         let mut bytes = scope.bytes_mut(&buffer).unwrap();
///         scope.with_v8(|scope| {
///             let _ = scope.get_current_context();
///         });
///         bytes.fill(1);
///     });
/// }
/// ```
mod v8_during_bytes_mut {}

/// What V8 calls a function with ends with the call, and the function keeps no slice.
///
/// ```
/// use std::cell::RefCell;
///
/// use offheap_v8::{Isolate, v8};
///
/// fn main() {
///     let kept = RefCell::new(None);
///     let builder = Isolate::builder().rejection_tracker(move |scope, _, reason, _| {
///         *kept.borrow_mut() = Some(v8::Global::new(scope, reason));
///     });
///     drop(builder.build().unwrap());
/// }
/// ```
/// ```compile_fail,E0521
/// use std::cell::RefCell;
///
/// use offheap_v8::{Isolate, v8};
///
/// fn main() {
///     let kept = RefCell::new(None);
///     let builder = Isolate::builder().rejection_tracker(move |_scope, _, reason, _| {
///         *kept.borrow_mut() = Some(reason);
///     });
///     drop(builder.build().unwrap());
/// }
/// ```
/// ```compile_fail,E0521
/// use offheap_v8::Isolate;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         let bytes = scope.bytes(&buffer).unwrap();
///         let builder = Isolate::builder().rejection_tracker(move |_, _, _, _| assert_eq!(bytes.len(), 4));
///         drop(builder.build().unwrap());
///     });
/// }
/// ```
mod callbacks {}

/// The bytes that a function borrowed, and its arguments, end with its call. While the bytes are borrowed, the function
/// runs no script.
///
/// ```
/// use std::cell::RefCell;
///
/// use offheap_v8::{Handle, Isolate, JsArrayBuffer, Local};
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let kept = RefCell::new(None::<Handle<JsArrayBuffer>>);
///         let f = scope.function("f", move |scope, arguments| {
///             let buffer: Local<JsArrayBuffer> = arguments.get(scope, 0)?;
///             let sum: u32 = scope.bytes(&buffer)?.iter().map(|&byte| u32::from(byte)).sum();
///             scope.eval::<()>("undefined")?;
///             *kept.borrow_mut() = Some(buffer.into_handle());
///             Ok(sum.into())
///         });
///         scope.set_global("f", f.unwrap()).unwrap();
///         assert_eq!(scope.eval::<u32>("f(new Uint8Array([1, 2]).buffer)").unwrap(), 3);
///     });
/// }
/// ```
/// A guard kept beyond its function:
/// ```compile_fail,E0521
/// use std::cell::RefCell;
///
/// use offheap_v8::offheap::ReadGuard;
/// use offheap_v8::{Isolate, JsArrayBuffer, Local};
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let kept = RefCell::new(None::<ReadGuard<'static>>);
///         let f = scope.function("f", move |scope, arguments| {
///             let buffer: Local<JsArrayBuffer> = arguments.get(scope, 0)?;
///             *kept.borrow_mut() = Some(scope.bytes(&buffer)?);
///             Ok(().into())
///         });
///         drop(f);
///     });
/// }
/// ```
/// An argument kept beyond its function:
/// ```compile_fail,E0521
/// use std::cell::RefCell;
///
/// use offheap_v8::{Arguments, Isolate};
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let kept = RefCell::new(None::<Arguments<'static>>);
///         let f = scope.function("f", move |_, arguments| {
///             *kept.borrow_mut() = Some(arguments);
///             Ok(().into())
///         });
///         drop(f);
///     });
/// }
/// ```
/// Script that runs, and arguments that are converted, while bytes are borrowed:
/// ```compile_fail,E0502
/// use offheap_v8::{Isolate, JsArrayBuffer, Local};
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let f = scope.function("f", |scope, arguments| {
///             let buffer: Local<JsArrayBuffer> = arguments.get(scope, 0)?;
///             let bytes = scope.bytes(&buffer)?;
///             let index: usize = arguments.get(scope, 1)?;
///             Ok(bytes[index].into())
///         });
///         drop(f);
///     });
/// }
/// ```
/// A function that borrows the scope in which it is made:
/// ```compile_fail,E0373
/// use offheap_v8::Isolate;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let local = 5;
///         let f = scope.function("f", |_, _| Ok(local.into()));
///         drop(f);
///     });
/// }
/// ```
mod functions {}
