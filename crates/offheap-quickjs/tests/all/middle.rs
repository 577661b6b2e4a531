//! Externalizing while QuickJS is busy: while it detaches a buffer, frees values, or collects. No buffer gets other
//! memory then. Native functions that script calls can still externalize their arguments.

use std::cell::RefCell;
use std::rc::Rc;

use offheap_quickjs::offheap::BackingStore;
use offheap_quickjs::rquickjs::ArrayBufferSource;
use offheap_quickjs::rquickjs::class::{JsClass, Readable, Trace, Tracer};
use offheap_quickjs::rquickjs::function::Constructor;
use offheap_quickjs::rquickjs::{Array, ArrayBuffer, Class, Ctx, Function, JsLifetime, Object, Persistent, Value};
use offheap_quickjs::{BackingStoreExt, Handle, Isolate, JsArrayBuffer, ManuallyExternalizedBuffer, Scope, ScopeExt};

use crate::common::{Count, in_own_context};

thread_local! {
    static HANDLES: RefCell<Vec<Handle<JsArrayBuffer>>> = const { RefCell::new(Vec::new()) };
    /// The results of externalizing: the bytes, or the text of the error.
    static TOLD: RefCell<Vec<Result<Vec<u8>, String>>> = const { RefCell::new(Vec::new()) };
}

fn tell(result: Result<BackingStore, impl ToString>) {
    TOLD.with_borrow_mut(|told| {
        told.push(result.map(|store| store.to_vec().unwrap()).map_err(|error| error.to_string()))
    });
}

fn externalize_the_handles() {
    for handle in HANDLES.take() {
        tell(ManuallyExternalizedBuffer::new(handle).map(|external| external.store().clone()));
    }
}

/// A value whose `Drop` externalizes the buffers of the handles.
struct Externalizes;

impl Drop for Externalizes {
    fn drop(&mut self) {
        externalize_the_handles();
    }
}

/// Memory of a library that knows nothing of stores. When its owner is dropped, it externalizes. The bytes are
/// freed before that.
struct Foreign {
    bytes: Vec<u8>,
    last: Externalizes,
    drops: Count,
}

// SAFETY: the vector's memory does not move when its owner moves.
unsafe impl ArrayBufferSource for Foreign {
    fn as_ptr(&self) -> *mut u8 {
        self.bytes.as_ptr().cast_mut()
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = &self.last;
        self.drops.add();
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Made {
    Source,
    Immutable,
    Shared,
}

/// Makes a buffer over foreign memory the global `b`, and returns how often its owner was dropped. The handles are
/// for `b`, for a buffer that script made, and for a buffer over a store.
fn define(scope: &mut Scope<'_>, made: Made) -> Count {
    let drops = Count::default();
    let source = Foreign { bytes: vec![5; 64], last: Externalizes, drops: drops.clone() };
    scope.with_ctx(|ctx| {
        let make = match made {
            Made::Source => ArrayBuffer::from_source,
            Made::Immutable => ArrayBuffer::from_source_immutable,
            Made::Shared => ArrayBuffer::from_source_shared,
        };
        ctx.globals().set("b", make(ctx.clone(), source).unwrap()).unwrap();
    });
    let b = scope.eval_buffer("b").unwrap().into_handle();
    let scripts = scope.eval_buffer("globalThis.s = new Uint8Array(8).fill(6).buffer").unwrap().into_handle();
    let over_store = scope.expose(&crate::common::numbered(4)).unwrap().into_handle();
    HANDLES.set(vec![b, scripts, over_store]);
    TOLD.take();
    drops
}

fn check(drops: &Count, what: &str) {
    let told = TOLD.take();
    assert_eq!((told.len(), drops.get()), (3, 1), "{what}: {told:?}");
    for refused in &told[..2] {
        let message = refused.as_ref().unwrap_err();
        assert!(message.contains("`BackingStore::externalize`"), "{what}: {message}");
    }
    // A buffer that is over a store needs no move.
    assert_eq!(told[2], Ok(vec![0, 1, 2, 3]), "{what}");
}

#[test]
fn a3_a_foreign_owner_does_not_get_other_memory_for_the_buffer_that_is_being_detached() {
    for source in ["b.transfer(0)", "b.transfer(0); b = undefined"] {
        Isolate::new().unwrap().enter(|scope| {
            let drops = define(scope, Made::Source);
            scope.eval::<()>(&format!("{source}; undefined")).unwrap();
            check(&drops, source);
        });
    }
    for made in [Made::Source, Made::Immutable] {
        let mut isolate = Isolate::new().unwrap();
        isolate.enter(|scope| {
            let drops = define(scope, made);
            scope.with_ctx(|ctx| ctx.globals().get::<_, ArrayBuffer<'_>>("b").unwrap().detach());
            check(&drops, "rquickjs's detach");
        });
    }
    Isolate::new().unwrap().enter(|scope| {
        let drops = define(scope, Made::Source);
        let b = HANDLES.with_borrow(|handles| handles[0].clone());
        scope.detach(&b, None).unwrap();
        check(&drops, "our detach");
    });
}

#[test]
fn a3_a_foreign_owner_that_goes_with_its_buffer_moves_nothing() {
    for made in [Made::Source, Made::Immutable, Made::Shared] {
        // Freed by script, by a collection, by the next call after a handle was dropped, and by a handle that is
        // dropped outside.
        for way in 0..4 {
            let mut isolate = Isolate::new().unwrap();
            let handle = isolate.enter(|scope| {
                let drops = define(scope, made);
                let b = HANDLES.with_borrow_mut(|handles| handles.remove(0));
                // One more handle, so there are three.
                HANDLES.with_borrow_mut(|handles| handles.insert(0, handles[0].clone()));
                match way {
                    0 => {
                        drop(b);
                        scope.eval::<()>("b = undefined").unwrap();
                    }
                    1 => {
                        drop(b);
                        scope.eval::<()>("{ const o = { b }; o.o = o; } b = undefined").unwrap();
                        scope.collect();
                    }
                    2 => {
                        scope.eval::<()>("b = undefined").unwrap();
                        drop(b);
                        scope.eval::<()>("undefined").unwrap();
                    }
                    _ => {
                        scope.eval::<()>("b = undefined").unwrap();
                        return Some((b, drops));
                    }
                }
                check(&drops, &format!("{made:?} {way}"));
                None
            });
            if let Some((b, drops)) = handle {
                drop(b);
                check(&drops, &format!("{made:?} outside"));
            }
        }
    }
}

#[test]
fn a3_a_captured_value_that_goes_in_a_collection_moves_nothing() {
    // Dropped by a collection, by its last reference, and by a `Persistent` that is dropped outside.
    for way in 0..3 {
        let mut isolate = Isolate::new().unwrap();
        let persistent = isolate.enter(|scope| {
            let held = define(scope, Made::Source);
            HANDLES.with_borrow_mut(|handles| handles.truncate(2));
            let persistent = scope.with_ctx(|ctx| {
                let captured = Externalizes;
                let function = Function::new(ctx.clone(), move || {
                    let _ = &captured;
                });
                let function: Object<'_> = function.unwrap().into_inner();
                if way == 0 {
                    function.set("itself", function.clone()).unwrap();
                }
                (way == 2).then(|| Persistent::save(&ctx, function))
            });
            if way == 0 {
                assert!(TOLD.with_borrow(Vec::is_empty));
                scope.collect();
            }
            assert_eq!(held.get(), 0);
            persistent
        });
        drop(persistent);
        let told = TOLD.take();
        assert_eq!(told.len(), 2, "{way}");
        assert!(told.iter().all(Result::is_err), "{way}: {told:?}");
        // What was refused during the drop works afterwards.
        isolate.enter(|scope| {
            let b = scope.eval_buffer("b").unwrap();
            assert_eq!(scope.externalize(&b).unwrap().to_vec().unwrap(), [5; 64]);
            let s = scope.eval_buffer("s").unwrap().into_handle();
            assert_eq!(ManuallyExternalizedBuffer::new(s).unwrap().store().to_vec().unwrap(), [6; 8]);
        });
    }
}

/// A buffer made by script. It is externalized when a function that holds it is dropped.
struct HeldByAFunction<'js>(Value<'js>);

impl Drop for HeldByAFunction<'_> {
    fn drop(&mut self) {
        tell(BackingStore::externalize(self.0.ctx(), &self.0));
    }
}

fn function_that_holds<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Object<'js> {
    let held = HeldByAFunction(value);
    let function = Function::new(ctx.clone(), move || {
        let _ = &held.0;
    });
    function.unwrap().into_inner()
}

#[test]
fn a3_from_js_moves_nothing_while_quickjs_frees_or_collects() {
    for known in [false, true] {
        for collected in [false, true] {
            in_own_context(|ctx| {
                let value: Value<'_> = ctx.eval("globalThis.b = new Uint8Array([1, 2, 3]).buffer").unwrap();
                if known {
                    // This makes the adapter's private context.
                    BackingStore::externalize(ctx, &ctx.eval::<Value<'_>, _>("new ArrayBuffer(1)").unwrap()).unwrap();
                }
                let function = function_that_holds(ctx, value.clone());
                if collected {
                    function.set("itself", function.clone()).unwrap();
                }
                TOLD.take();
                drop(function);
                if collected {
                    ctx.run_gc();
                }
                let told = TOLD.take();
                assert_eq!(told.len(), 1, "{known} {collected}");
                assert!(told[0].as_ref().is_err_and(|message| message.contains("afterwards")), "{told:?}");
                // Nothing is left of that: it works now. It also works while QuickJS is busy, if there is a store
                // already.
                let store = BackingStore::externalize(value.ctx(), &value).unwrap();
                let function = function_that_holds(ctx, value.clone());
                function.set("itself", function.clone()).unwrap();
                drop(function);
                ctx.run_gc();
                assert_eq!(TOLD.take(), [Ok(vec![1, 2, 3])]);
                assert_eq!(store.to_vec().unwrap(), [1, 2, 3]);
                crate::common::run(ctx, "new Uint8Array(b)[0] = 9");
                assert_eq!(store.to_vec().unwrap(), [9, 2, 3]);
                ctx.run_gc();
            });
        }
    }
}

/// A class whose objects hold a value that the collector knows of. They externalize that value when they are
/// dropped, when it may already be gone.
struct Holds<'js>(RefCell<Option<Value<'js>>>);

impl Drop for Holds<'_> {
    fn drop(&mut self) {
        let value = self.0.borrow();
        let value = value.as_ref().unwrap();
        tell(BackingStore::externalize(value.ctx(), value));
    }
}

impl<'js> Trace<'js> for Holds<'js> {
    fn trace<'a>(&self, tracer: Tracer<'a, 'js>) {
        self.0.borrow().trace(tracer);
    }
}

// SAFETY: the lifetime is that of the value, which changes with it.
unsafe impl<'js> JsLifetime<'js> for Holds<'js> {
    type Changed<'to> = Holds<'to>;
}

impl<'js> JsClass<'js> for Holds<'js> {
    const NAME: &'static str = "Holds";
    type Mutable = Readable;

    fn constructor(_: &Ctx<'js>) -> offheap_quickjs::rquickjs::Result<Option<Constructor<'js>>> {
        Ok(None)
    }
}

#[test]
fn a3_from_js_of_what_a_collection_has_finalized_already_is_an_error_at_the_worst() {
    let mut errors = 0;
    let stores = ["new ArrayBuffer(8)", "take(new ArrayBuffer(8))"];
    for (buffer, value) in
        stores.iter().flat_map(|buffer| ["b", "new Uint8Array(b)", "new DataView(b)"].map(|value| (buffer, value)))
    {
        in_own_context(|ctx| {
            let take = |value: Value<'_>| {
                BackingStore::externalize(value.ctx(), &value).unwrap();
            };
            ctx.globals().set("externalize", Function::new(ctx.clone(), take).unwrap()).unwrap();
            ctx.eval::<(), _>("globalThis.take = (b) => { externalize(b); return b }; undefined").unwrap();
            // QuickJS finalizes the buffer first, then the object that holds the view, then the view.
            ctx.eval::<(), _>(format!("globalThis.b = {buffer}; undefined")).unwrap();
            let holder = Class::instance(ctx.clone(), Holds(RefCell::new(None))).unwrap();
            let value: Object<'_> = ctx.eval(format!("{{ const v = {value}; delete globalThis.b; v }}")).unwrap();
            holder.borrow().0.replace(Some(value.clone().into_value()));
            let around = Array::new(ctx.clone()).unwrap();
            around.set(0, holder).unwrap();
            around.set(1, value.clone()).unwrap();
            value.set("around", around).unwrap();
            TOLD.take();
            drop(value);
            ctx.run_gc();
            let told = TOLD.take();
            assert_eq!(told.len(), 1, "{buffer}");
            errors += u32::from(told[0].is_err());
            assert!(told[0].as_ref().map_or(true, |bytes| bytes == &[0; 8]), "{told:?}");
            ctx.run_gc();
        });
    }
    assert!(errors > 0, "the object that was made first is finalized first");
}

#[test]
fn a3_native_functions_externalize_what_script_passes() {
    Isolate::new().unwrap().enter(|scope| {
        let handle = scope.eval_buffer("globalThis.b = new Uint8Array([1, 2, 3]).buffer").unwrap().into_handle();
        let taken = Rc::new(RefCell::new(Vec::new()));
        let into = Rc::clone(&taken);
        scope.with_ctx(|ctx| {
            let by_handle = handle.clone();
            let take = move |value: Value<'_>| {
                // A handle cannot tell whether QuickJS is about to free its buffer. A value that script passes is
                // alive.
                let refused = ManuallyExternalizedBuffer::new(by_handle.clone()).unwrap_err().to_string();
                assert!(refused.contains("`BackingStore::externalize`"), "{refused}");
                into.borrow_mut().push(BackingStore::externalize(value.ctx(), &value).unwrap());
                let external = ManuallyExternalizedBuffer::new(by_handle.clone()).unwrap();
                into.borrow_mut().push(external.store().clone());
            };
            ctx.globals().set("take", Function::new(ctx.clone(), take).unwrap()).unwrap();
        });
        scope.eval::<()>("take(b); new Uint8Array(b)[1] = 7; undefined").unwrap();
        for store in taken.take() {
            assert_eq!(store.to_vec().unwrap(), [1, 7, 3]);
        }
        assert_eq!(ManuallyExternalizedBuffer::new(handle).unwrap().store().to_vec().unwrap(), [1, 7, 3]);
    });
}
