//! Misuse that the compiler refuses, as documentation tests. Each module has a correct program, which runs,
//! followed by programs that do not compile. `.ci/run` compares their error codes, because stable Rust does not.

/// Script may keep its memory for any time, so a store cannot borrow memory.
///
/// ```
/// use std::sync::Arc;
///
/// use offheap_quickjs::FrozenStoreExt;
/// use offheap_quickjs::offheap::FrozenStore;
/// use offheap_quickjs::rquickjs::{Context, Runtime};
///
/// fn main() {
///     let context = Context::full(&Runtime::new().unwrap()).unwrap();
///     let shared: Arc<[u64]> = vec![1, 2].into();
///     let store = FrozenStore::from_owner(shared).unwrap();
///     context.with(|ctx| drop(store.expose(&ctx).unwrap()));
/// }
/// ```
/// ```compile_fail,E0597
/// use offheap_quickjs::FrozenStoreExt;
/// use offheap_quickjs::offheap::FrozenStore;
/// use offheap_quickjs::rquickjs::{Context, Runtime};
///
/// fn main() {
///     let context = Context::full(&Runtime::new().unwrap()).unwrap();
///     let local = vec![1_u64, 2];
///     let store = FrozenStore::from_owner(&local[..]).unwrap();
///     context.with(|ctx| drop(store.expose(&ctx).unwrap()));
/// }
/// ```
mod borrowed_owner {}

/// Cells stay on the thread of their runtime.
///
/// ```
/// use offheap_quickjs::BackingStoreExt;
/// use offheap_quickjs::offheap::{BackingStore, UniqueStore};
/// use offheap_quickjs::rquickjs::{Context, Runtime};
///
/// fn main() {
///     let context = Context::full(&Runtime::new().unwrap()).unwrap();
///     let store = BackingStore::from(UniqueStore::zeroed(4).unwrap());
///     context.with(|ctx| {
///         let cells = store.cells(&ctx).unwrap();
///         cells[0].set(1);
///         drop(cells);
///         std::thread::scope(|threads| {
///             threads.spawn(|| assert_eq!(store.to_vec().unwrap()[0], 1));
///         });
///     });
/// }
/// ```
/// ```compile_fail,E0277
/// use offheap_quickjs::BackingStoreExt;
/// use offheap_quickjs::offheap::{BackingStore, UniqueStore};
/// use offheap_quickjs::rquickjs::{Context, Runtime};
///
/// fn main() {
///     let context = Context::full(&Runtime::new().unwrap()).unwrap();
///     let store = BackingStore::from(UniqueStore::zeroed(4).unwrap());
///     context.with(|ctx| {
///         let cells = store.cells(&ctx).unwrap();
///         std::thread::scope(|threads| {
///             threads.spawn(|| cells[0].set(1));
///         });
///     });
/// }
/// ```
mod cells_on_another_thread {}

/// Collecting, running microtasks and detaching are refused while a slice lives.
///
/// ```
/// use offheap_quickjs::Isolate;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         assert_eq!(scope.bytes(&buffer).unwrap()[0], 0);
///         scope.collect();
///         scope.run_microtasks().unwrap();
///         scope.detach(&buffer, None).unwrap();
///     });
/// }
/// ```
/// ```compile_fail,E0502
/// use offheap_quickjs::Isolate;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         let bytes = scope.bytes(&buffer).unwrap();
///         scope.collect();
///         assert_eq!(bytes[0], 0);
///     });
/// }
/// ```
/// ```compile_fail,E0502
/// use offheap_quickjs::Isolate;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         let bytes = scope.bytes(&buffer).unwrap();
///         scope.run_microtasks().unwrap();
///         assert_eq!(bytes[0], 0);
///     });
/// }
/// ```
/// ```compile_fail,E0502
/// use offheap_quickjs::Isolate;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         let bytes = scope.bytes(&buffer).unwrap();
///         scope.detach(&buffer, None).unwrap();
///         assert_eq!(bytes[0], 0);
///     });
/// }
/// ```
mod collecting_during_bytes {}

/// Nothing of a lent `Ctx` outlives the call that lends it.
///
/// ```
/// use offheap_quickjs::{Isolate, ScopeExt};
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         assert_eq!(scope.with_ctx(|ctx| ctx.eval::<u32, _>("1").unwrap()), 1);
///     });
/// }
/// ```
/// ```compile_fail
/// use offheap_quickjs::{Isolate, ScopeExt};
/// use offheap_quickjs::rquickjs::Value;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let ctx = scope.with_ctx(|ctx| ctx);
///         ctx.eval::<u32, _>("1").unwrap();
///     });
/// }
/// ```
/// ```compile_fail,E0521
/// use offheap_quickjs::{Isolate, ScopeExt};
/// use offheap_quickjs::rquickjs::Value;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let mut kept: Option<Value<'_>> = None;
///         scope.with_ctx(|ctx| kept = Some(ctx.globals().into_value()));
///         assert!(kept.is_some());
///     });
/// }
/// ```
mod ctx_kept {}

/// A function that script calls cannot borrow the scope.
///
/// ```
/// use offheap_quickjs::{Isolate, ScopeExt};
/// use offheap_quickjs::rquickjs::Function;
///
/// fn main() {
///     let (mut outer, mut inner) = (Isolate::new().unwrap(), Isolate::new().unwrap());
///     outer.enter(|scope| {
///         let isolate = scope.isolate();
///         inner.enter(|other| {
///             other.with_ctx(|ctx| {
///                 let collect = Function::new(ctx.clone(), move || isolate.external_bytes()).unwrap();
///                 ctx.globals().set("collect", collect).unwrap();
///             });
///         });
///     });
/// }
/// ```
/// ```compile_fail,E0521
/// use offheap_quickjs::{Isolate, ScopeExt};
/// use offheap_quickjs::rquickjs::Function;
///
/// fn main() {
///     let (mut outer, mut inner) = (Isolate::new().unwrap(), Isolate::new().unwrap());
///     outer.enter(|scope| {
///         inner.enter(|other| {
///             other.with_ctx(|ctx| {
///                 let collect = Function::new(ctx.clone(), || scope.isolate().external_bytes()).unwrap();
///                 ctx.globals().set("collect", collect).unwrap();
///             });
///         });
///     });
/// }
/// ```
mod function_with_a_borrowed_scope {}

/// A slice cannot be held across an `await`; a copy or a store can.
///
/// ```
/// use std::future::ready;
///
/// use offheap_quickjs::Isolate;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         let store = scope.externalize(&buffer).unwrap();
///         let waits = async move {
///             ready(()).await;
///             store.to_vec().unwrap()[0]
///         };
///         spawn(waits);
///     });
/// }
///
/// fn spawn<F: Future<Output = u8> + Send + 'static>(_future: F) {}
/// ```
/// ```compile_fail
/// use std::future::ready;
///
/// use offheap_quickjs::Isolate;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         let bytes = scope.bytes(&buffer).unwrap();
///         let waits = async move {
///             ready(()).await;
///             bytes[0]
///         };
///         spawn(waits);
///     });
/// }
///
/// fn spawn<F: Future<Output = u8> + Send + 'static>(_future: F) {}
/// ```
mod guard_across_await {}

/// A slice ends with its scope. Handles and stores may outlive it.
///
/// ```
/// use offheap_quickjs::Isolate;
///
/// fn main() {
///     let mut isolate = Isolate::new().unwrap();
///     let (handle, store) = isolate.enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         let store = scope.externalize(&buffer).unwrap();
///         (buffer.into_handle(), store)
///     });
///     assert_eq!(store.to_vec().unwrap(), [0; 4]);
///     assert_eq!(isolate.enter(|scope| scope.bytes(&handle).unwrap().len()), 4);
/// }
/// ```
/// ```compile_fail
/// use offheap_quickjs::Isolate;
///
/// fn main() {
///     let mut isolate = Isolate::new().unwrap();
///     let bytes = isolate.enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         scope.bytes(&buffer).unwrap()
///     });
///     assert_eq!(bytes[0], 0);
/// }
/// ```
mod guard_kept {}

/// An isolate and its handles stay on their thread.
///
/// ```
/// use offheap_quickjs::Isolate;
///
/// fn main() {
///     std::thread::spawn(|| {
///         let mut isolate = Isolate::new().unwrap();
///         assert_eq!(isolate.enter(|scope| scope.eval::<u32>("1").unwrap()), 1);
///     })
///     .join()
///     .unwrap();
/// }
/// ```
/// ```compile_fail,E0277
/// use offheap_quickjs::Isolate;
///
/// fn main() {
///     let isolate = Isolate::new().unwrap();
///     std::thread::spawn(move || drop(isolate)).join().unwrap();
/// }
/// ```
/// ```compile_fail,E0277
/// use offheap_quickjs::{Handle, JsArrayBuffer};
///
/// fn main() {}
///
/// fn send(handle: Handle<JsArrayBuffer>) {
///     std::thread::spawn(move || drop(handle)).join().unwrap();
/// }
/// ```
mod isolate_on_another_thread {}

/// A local has the brand of its scope, so another isolate's scope refuses it.
///
/// ```
/// use offheap_quickjs::{Isolate, JsArrayBuffer, Local, Scope};
///
/// fn main() {
///     let (mut first, mut second) = (Isolate::new().unwrap(), Isolate::new().unwrap());
///     first.enter(|one| {
///         let local = one.eval_buffer("new ArrayBuffer(4)").unwrap();
///         assert_eq!(byte_length(one, &local), 4);
///         second.enter(|two| {
///             let own = two.eval_buffer("new ArrayBuffer(5)").unwrap();
///             assert_eq!(byte_length(two, &own), 5);
///         });
///     });
/// }
///
/// fn byte_length<'s>(scope: &mut Scope<'s>, buffer: &Local<'s, JsArrayBuffer>) -> usize {
///     scope.state(&buffer).unwrap().byte_length
/// }
/// ```
/// ```compile_fail,E0521
/// use offheap_quickjs::{Isolate, JsArrayBuffer, Local, Scope};
///
/// fn main() {
///     let (mut first, mut second) = (Isolate::new().unwrap(), Isolate::new().unwrap());
///     first.enter(|one| {
///         let local = one.eval_buffer("new ArrayBuffer(4)").unwrap();
///         second.enter(|two| {
///             byte_length(two, &local);
///         });
///     });
/// }
///
/// fn byte_length<'s>(scope: &mut Scope<'s>, buffer: &Local<'s, JsArrayBuffer>) -> usize {
///     scope.state(&buffer).unwrap().byte_length
/// }
/// ```
mod local_of_another_isolate {}

/// A store itself is not an argument of rquickjs's functions, because neither it nor rquickjs's trait belongs to this
/// crate. `Buffer` is one.
///
/// ```
/// use offheap_quickjs::prelude::*;
/// use offheap_quickjs::rquickjs::{Context, Function, Runtime};
///
/// fn main() {
///     Context::full(&Runtime::new().unwrap()).unwrap().with(|ctx| {
///         Function::new(ctx, |Buffer(store): Buffer| store.byte_length()).unwrap();
///     });
/// }
/// ```
/// ```compile_fail,E0277
/// use offheap_quickjs::offheap::BackingStore;
/// use offheap_quickjs::rquickjs::{Context, Function, Runtime};
///
/// fn main() {
///     Context::full(&Runtime::new().unwrap()).unwrap().with(|ctx| {
///         Function::new(ctx, |store: BackingStore| store.byte_length()).unwrap();
///     });
/// }
/// ```
mod store_as_argument {}

/// Script may free memory on any thread, so an owner must be `Send`.
///
/// ```
/// use std::sync::Arc;
///
/// use offheap_quickjs::BackingStoreExt;
/// use offheap_quickjs::offheap::{BackingStore, UniqueStore};
/// use offheap_quickjs::rquickjs::{Context, Runtime};
///
/// fn main() {
///     let context = Context::full(&Runtime::new().unwrap()).unwrap();
///     let told = Arc::new(());
///     let store = UniqueStore::from_owner_with_deleter(vec![0_u8; 8], move |_, _| drop(told)).unwrap();
///     context.with(|ctx| drop(BackingStore::from(store).expose(&ctx).unwrap()));
/// }
/// ```
/// ```compile_fail,E0277
/// use std::rc::Rc;
///
/// use offheap_quickjs::BackingStoreExt;
/// use offheap_quickjs::offheap::{BackingStore, UniqueStore};
/// use offheap_quickjs::rquickjs::{Context, Runtime};
///
/// fn main() {
///     let context = Context::full(&Runtime::new().unwrap()).unwrap();
///     let told = Rc::new(());
///     let store = UniqueStore::from_owner_with_deleter(vec![0_u8; 8], move |_, _| drop(told)).unwrap();
///     context.with(|ctx| drop(BackingStore::from(store).expose(&ctx).unwrap()));
/// }
/// ```
mod non_send_owner {}

/// A scope ends with the call that lends it.
///
/// ```
/// use offheap_quickjs::{Isolate, Scope};
///
/// fn main() {
///     let mut isolate = Isolate::new().unwrap();
///     let work = |scope: &mut Scope<'_>| scope.eval::<u32>("1").unwrap();
///     assert_eq!(isolate.enter(work) + isolate.enter(work), 2);
/// }
/// ```
/// ```compile_fail,E0521
/// use offheap_quickjs::{Isolate, Scope};
///
/// fn main() {
///     let mut isolate = Isolate::new().unwrap();
///     let mut kept: Option<&mut Scope<'_>> = None;
///     isolate.enter(|scope| kept = Some(scope));
///     kept.unwrap().eval::<u32>("1").unwrap();
/// }
/// ```
mod scope_kept {}

/// A scope stays on its thread.
///
/// ```
/// use offheap_quickjs::Isolate;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("new ArrayBuffer(4)").unwrap();
///         let store = scope.externalize(&buffer).unwrap();
///         std::thread::scope(|threads| {
///             threads.spawn(|| assert_eq!(store.to_vec().unwrap(), [0; 4]));
///         });
///     });
/// }
/// ```
/// ```compile_fail,E0277
/// use offheap_quickjs::Isolate;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         std::thread::scope(|threads| {
///             threads.spawn(|| scope.eval::<u32>("1").unwrap());
///         });
///     });
/// }
/// ```
mod scope_on_another_thread {}

/// Script cannot run while a slice of a buffer lives.
///
/// ```
/// use offheap_quickjs::Isolate;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(4)").unwrap();
///         let bytes = scope.bytes(&buffer).unwrap();
///         assert_eq!(bytes[0], 0);
///         drop(bytes);
///         scope.eval::<u32>("b.transfer(0); 1").unwrap();
///     });
/// }
/// ```
/// ```compile_fail,E0502
/// use offheap_quickjs::Isolate;
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(4)").unwrap();
///         let bytes = scope.bytes(&buffer).unwrap();
///         scope.eval::<u32>("b.transfer(0); 1").unwrap();
///         assert_eq!(bytes[0], 0);
///     });
/// }
/// ```
mod script_during_bytes {}

/// While a mutable slice lives, script cannot run, and no second slice can be borrowed.
///
/// ```
/// use offheap_quickjs::{Isolate, ScopeExt};
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(4)").unwrap();
///         scope.bytes_mut(&buffer).unwrap()[0] = 5;
///         scope.with_ctx(|ctx| ctx.eval::<(), _>("new Uint8Array(b)[0] = 1; undefined").unwrap());
///         assert_eq!(scope.bytes(&buffer).unwrap()[0], 1);
///     });
/// }
/// ```
/// ```compile_fail,E0499
/// use offheap_quickjs::{Isolate, ScopeExt};
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(4)").unwrap();
///         let mut bytes = scope.bytes_mut(&buffer).unwrap();
///         scope.with_ctx(|ctx| ctx.eval::<(), _>("new Uint8Array(b)[0] = 1; undefined").unwrap());
///         bytes[0] = 1;
///     });
/// }
/// ```
/// ```compile_fail,E0502
/// use offheap_quickjs::{Isolate, ScopeExt};
///
/// fn main() {
///     Isolate::new().unwrap().enter(|scope| {
///         let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(4)").unwrap();
///         let mut bytes = scope.bytes_mut(&buffer).unwrap();
///         let again = scope.bytes(&buffer).unwrap();
///         bytes[0] = again[0];
///     });
/// }
/// ```
mod script_during_bytes_mut {}

mod functions;
