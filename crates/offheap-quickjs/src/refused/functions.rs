//! The bytes that a function borrowed, and its arguments, end with its call. While the bytes are borrowed, the function
//! runs no script.
//!
//! ```
//! use std::cell::RefCell;
//!
//! use offheap_quickjs::{Handle, Isolate, JsArrayBuffer, Local};
//!
//! fn main() {
//!     Isolate::new().unwrap().enter(|scope| {
//!         let kept = RefCell::new(None::<Handle<JsArrayBuffer>>);
//!         let f = scope.function("f", move |scope, arguments| {
//!             let buffer: Local<JsArrayBuffer> = arguments.get(scope, 0)?;
//!             let sum: u32 = scope.bytes(&buffer)?.iter().map(|&byte| u32::from(byte)).sum();
//!             scope.eval::<()>("undefined")?;
//!             *kept.borrow_mut() = Some(buffer.into_handle());
//!             Ok(sum.into())
//!         });
//!         scope.set_global("f", f.unwrap()).unwrap();
//!         assert_eq!(scope.eval::<u32>("f(new Uint8Array([1, 2]).buffer)").unwrap(), 3);
//!     });
//! }
//! ```
//! A guard kept beyond its function:
//! ```compile_fail,E0521
//! use std::cell::RefCell;
//!
//! use offheap_quickjs::offheap::ReadGuard;
//! use offheap_quickjs::{Isolate, JsArrayBuffer, Local};
//!
//! fn main() {
//!     Isolate::new().unwrap().enter(|scope| {
//!         let kept = RefCell::new(None::<ReadGuard<'static>>);
//!         let f = scope.function("f", move |scope, arguments| {
//!             let buffer: Local<JsArrayBuffer> = arguments.get(scope, 0)?;
//!             *kept.borrow_mut() = Some(scope.bytes(&buffer)?);
//!             Ok(().into())
//!         });
//!         drop(f);
//!     });
//! }
//! ```
//! An argument kept beyond its function:
//! ```compile_fail,E0521
//! use std::cell::RefCell;
//!
//! use offheap_quickjs::{Arguments, Isolate};
//!
//! fn main() {
//!     Isolate::new().unwrap().enter(|scope| {
//!         let kept = RefCell::new(None::<Arguments<'static>>);
//!         let f = scope.function("f", move |_, arguments| {
//!             *kept.borrow_mut() = Some(arguments);
//!             Ok(().into())
//!         });
//!         drop(f);
//!     });
//! }
//! ```
//! Script that runs, and arguments that are converted, while bytes are borrowed:
//! ```compile_fail,E0502
//! use offheap_quickjs::{Isolate, JsArrayBuffer, Local};
//!
//! fn main() {
//!     Isolate::new().unwrap().enter(|scope| {
//!         let f = scope.function("f", |scope, arguments| {
//!             let buffer: Local<JsArrayBuffer> = arguments.get(scope, 0)?;
//!             let bytes = scope.bytes(&buffer)?;
//!             let index: usize = arguments.get(scope, 1)?;
//!             Ok(bytes[index].into())
//!         });
//!         drop(f);
//!     });
//! }
//! ```
//! A function that borrows the scope in which it is made:
//! ```compile_fail,E0373
//! use offheap_quickjs::Isolate;
//!
//! fn main() {
//!     Isolate::new().unwrap().enter(|scope| {
//!         let local = 5;
//!         let f = scope.function("f", |_, _| Ok(local.into()));
//!         drop(f);
//!     });
//! }
//! ```
