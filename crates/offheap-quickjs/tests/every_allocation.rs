//! The operations of the adapter, with the n-th allocation of Rust failing, for every n. Each time there is an
//! error, nothing leaks, and nothing aborts. `out_of_memory.rs` does this for QuickJS's own allocations. The
//! allocations of rquickjs, when it makes a runtime or evaluates a text, end the process, so they are left out. The
//! test prints how many n were reached.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use offheap_quickjs::offheap::{self, BackingStore, FrozenStore, SharedStore, UniqueStore};
use offheap_quickjs::prelude::*;
use offheap_quickjs::rquickjs::{FromJs, IntoJs, Value};
use offheap_quickjs::{
    CopyReason, Error, Exposure, Isolate, JsArrayBuffer, JsArrayBufferView, Local, Scope, ScopeExt, detach, transfer,
};

/// If fewer allocations than this fail, the scenario no longer tests what it should.
const LEAST: usize = 30;

/// Bytes of which only the first has an address that is a multiple of 8.
#[repr(align(8))]
struct Odd([u8; 8]);
static ODD: Odd = Odd([0; 8]);

thread_local! {
    /// The number of this thread's allocations that succeed before one fails; `None` if all succeed.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    /// `LEFT`, for the next call of a native function.
    static IN_FUNCTION: Cell<Option<usize>> = const { Cell::new(None) };
    /// The number of blocks that this thread has allocated and not freed.
    static BLOCKS: Cell<isize> = const { Cell::new(0) };
}

struct Failing;

fn fails() -> bool {
    match LEFT.get() {
        None => false,
        Some(0) => {
            LEFT.set(None);
            true
        }
        Some(left) => {
            LEFT.set(Some(left - 1));
            false
        }
    }
}

fn counted(data: *mut u8) -> *mut u8 {
    BLOCKS.set(BLOCKS.get() + isize::from(!data.is_null()));
    data
}

// SAFETY: every call either goes to the system's allocator or fails.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if fails() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of `alloc`.
        counted(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if fails() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        counted(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, data: *mut u8, layout: Layout, byte_length: usize) -> *mut u8 {
        if fails() {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(data, layout, byte_length) }
    }

    unsafe fn dealloc(&self, data: *mut u8, layout: Layout) {
        BLOCKS.set(BLOCKS.get() - 1);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(data, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Failing = Failing;

/// Runs `make` with allocations that do not count and do not fail.
fn spared<T>(make: impl FnOnce() -> T) -> T {
    let left = LEFT.take();
    let made = make();
    LEFT.set(left);
    made
}

fn of_script<'s>(scope: &mut Scope<'s>, source: &str) -> Local<'s, JsArrayBuffer> {
    spared(|| scope.eval_buffer(source).unwrap())
}

fn unshared(scope: &mut Scope<'_>) -> Result<(), Error> {
    let store = BackingStore::from(UniqueStore::zeroed(16)?);
    let buffer = scope.expose(&store)?;
    // More handles than there was room for; each of them may need memory.
    let again = [buffer.clone(), buffer.clone(), scope.open(offheap_quickjs::Handle::clone(&buffer))?];
    let more = [scope.expose(&store)?, scope.expose(&store)?, scope.expose(&store)?, scope.expose(&store)?];
    drop((again, more));
    scope.bytes_mut(&buffer)?.fill(1);
    assert_eq!(scope.bytes(&buffer)?[15], 1);
    scope.store_bytes(&store)?;
    scope.copy_in(&store, 0, &[7_u32])?;
    scope.set_global("b", &buffer)?;
    assert_eq!(scope.state(&buffer)?.byte_length, 16);
    scope.set_detach_key(&buffer, Some("key"))?;
    assert!(matches!(scope.detach(&buffer, None), Err(Error::WrongDetachKey { .. })));
    scope.set_detach_key(&buffer, None)?;
    let moved = scope.transfer(&buffer, None)?;
    let longer = scope.transfer(&moved, Some(1000))?;
    assert_ne!(scope.externalize(&longer)?, store);
    scope.detach(&longer, None)?;
    match scope.externalize(&longer).expect_err("it is detached") {
        Error::Detached { .. } => {}
        other => return Err(other),
    }
    let resizable = BackingStore::from(UniqueStore::resizable(16, 4096)?);
    let buffer = scope.expose(&resizable)?;
    scope.resize(&buffer, 4000)?;
    scope.collect();
    scope.run_microtasks()
}

fn typed_frozen_and_shared(scope: &mut Scope<'_>) -> Result<(), Error> {
    let store = BackingStore::from(UniqueStore::zeroed(16)?);
    let view = scope.expose_typed::<u32>(&store, 4, 2)?;
    assert_eq!(scope.bytes(&view)?.len(), 8);
    assert_eq!(scope.externalize_view(&view)?.byte_offset, 4);
    scope.set_global("v", &view)?;
    scope.expose_as::<u64>(&store)?;
    let frozen = FrozenStore::from_owner(&[1_u64, 2][..])?;
    let (buffer, _) = scope.expose_or_copy(&frozen.clone().into())?;
    assert!(scope.state(&buffer)?.immutable);
    let shared = SharedStore::growable(16, 4096)?;
    let buffer = scope.expose(shared.as_store())?;
    scope.resize(&buffer, 100)?;
    assert_eq!(scope.externalize(&buffer)?, *shared.as_store());
    let refused = scope.bytes(&buffer).map(drop).unwrap_err();
    assert!(matches!(refused, Error::Memory(offheap::Error::SharedSlice { .. })), "{refused}");
    Ok(())
}

fn of_scripts_own(scope: &mut Scope<'_>) -> Result<(), Error> {
    for source in [
        "new ArrayBuffer(N)",
        "new ArrayBuffer(N, { maxByteLength: 2 * N })",
        "new ArrayBuffer(N).transferToImmutable()",
        "new SharedArrayBuffer(N)",
        "new SharedArrayBuffer(N, { maxByteLength: 2 * N })",
    ] {
        // Small memory is copied, and large memory is taken where it is.
        for byte_length in [16, 4096] {
            let source = spared(|| source.replace('N', &byte_length.to_string()));
            let buffer = of_script(scope, &source);
            if !source.contains("Shared") {
                assert_eq!(scope.bytes(&buffer)?.len(), byte_length);
            }
            let store = scope.externalize(&buffer)?;
            assert_eq!((store.byte_length(), scope.externalize(&buffer)?), (byte_length, store));
        }
    }
    Ok(())
}

/// An error changes nothing, so the second attempt takes the memory.
fn taken(scope: &mut Scope<'_>) -> Result<(), Error> {
    let buffer = scope.expose(&BackingStore::from(UniqueStore::zeroed(16)?))?;
    for source in ["new ArrayBuffer(16)", "new ArrayBuffer(4096)", "new ArrayBuffer(16, { maxByteLength: 32 })"] {
        let made = of_script(scope, source);
        let byte_length = scope.state(&made)?.byte_length;
        let taken = scope.take(&made, None).or_else(|error| {
            assert!(!scope.state(&made)?.detached, "{error}");
            Err(error)
        })?;
        assert_eq!(taken.len(), byte_length);
    }
    assert_eq!(scope.take(&buffer, None)?.len(), 16);
    Ok(())
}

fn with_a_context(scope: &mut Scope<'_>) -> Result<(), Error> {
    let store = BackingStore::from(UniqueStore::zeroed(16)?);
    scope.with_ctx(|ctx| {
        let buffer: Value<'_> = store.expose(&ctx)?.into_value();
        store.cells(&ctx)?[0].set(1);
        store.copy_in(&ctx, 8, &[1_u8])?;
        assert_eq!(BackingStore::externalize(&ctx, &buffer)?, store);
        let moved = transfer(&ctx, &buffer, None)?.into_value();
        assert_eq!(BackingStore::externalize(&ctx, &moved)?, store);
        let longer = transfer(&ctx, &moved, Some(1000))?.into_value();
        detach(&ctx, &longer, None)?;
        store.expose_as::<f64>(&ctx)?;
        assert!(store.expose_or_copy(&ctx)?.1.is_external());
        store.expose_typed::<f64>(&ctx, 8, 1)?;
        let (_, exposure) = FrozenStore::from_owner(&ODD.0[1..])?.expose(&ctx)?;
        assert_eq!(exposure, Exposure::Copied { reason: CopyReason::Misaligned });
        SharedStore::zeroed(8)?.expose(&ctx)?;
        let number = Value::new_int(ctx.clone(), 1);
        match BackingStore::externalize(number.ctx(), &number).unwrap_err() {
            // If there is no memory for the text, the error has none.
            Error::NotAnArrayBuffer { found, .. } if found.is_empty() => Err(no_memory()),
            Error::NotAnArrayBuffer { .. } => Ok(()),
            other => Err(other),
        }
    })
}

/// Arguments and results of functions of rquickjs.
fn newtypes(scope: &mut Scope<'_>) -> Result<(), Error> {
    scope.with_ctx(|ctx| {
        let value = |source: &str| spared(|| ctx.eval::<Value<'_>, _>(source).unwrap());
        let (array, shared) = (value("new Float64Array([1, 2, 3])"), value("new SharedArrayBuffer(8)"));
        let Copied(copy) = Copied::<f64>::from_js(&ctx, array.clone()).caught(&ctx)?;
        assert_eq!(copy, [1.0, 2.0, 3.0]);
        let Copied(bytes) = Copied::<u8>::from_js(&ctx, array.clone()).caught(&ctx)?;
        assert_eq!(bytes.len(), 24);
        let buffer = Buffer::from_js(&ctx, array.clone()).caught(&ctx)?;
        buffer.into_js(&ctx).caught(&ctx)?;
        let shared = Shared::from_js(&ctx, shared).caught(&ctx)?;
        shared.into_js(&ctx).caught(&ctx)?;
        Taken::from_js(&ctx, value("new Uint8Array(3)")).caught(&ctx)?;
        TypedArrayOf(copy).into_js(&ctx).caught(&ctx)?;
        FrozenOrCopy(FrozenStore::from_owner(&ODD.0[1..])?).into_js(&ctx).caught(&ctx)?;
        Ok(())
    })
}

/// What a native function does when script calls it. Around it, `Rc` and `Vec` keep the closure and the arguments. Like
/// everywhere in Rust, these end the process if there is no memory.
fn functions(scope: &mut Scope<'_>) -> Result<(), Error> {
    let function = spared(|| {
        let function = scope.function("f", |scope, arguments| {
            LEFT.set(IN_FUNCTION.take());
            let made = (|| {
                let view: Local<'_, JsArrayBufferView> = arguments.get(scope, 0)?;
                scope.bytes_mut(&view)?[0] = 1;
                let part = scope.externalize(&view)?;
                let made = scope.expose(&part)?;
                assert_eq!(scope.state(&made)?.byte_length, 16);
                Ok(made.into())
            })();
            IN_FUNCTION.set(LEFT.take());
            made
        });
        function.unwrap()
    });
    for source in ["new Uint8Array(16)", "new Uint8Array(4096).subarray(8, 24)"] {
        let view: Local<'_, JsArrayBufferView> = spared(|| scope.eval(source).unwrap());
        IN_FUNCTION.set(LEFT.take());
        let made = scope.call::<Local<'_, JsArrayBuffer>>(&function, (&view,));
        LEFT.set(IN_FUNCTION.take());
        let made = made?;
        assert_eq!(scope.bytes(&made)?[0], 1);
    }
    Ok(())
}

fn no_memory() -> Error {
    Error::Memory(offheap::Error::OutOfMemory { requested: 0 })
}

/// Runs `step` with its first allocation failing, then with its second, until it needs no more. Returns how many
/// failed.
fn for_every_allocation(step: fn(&mut Scope<'_>) -> Result<(), Error>) -> usize {
    let mut isolate = Isolate::new().unwrap();
    // One run before, to allocate what is kept for the life of the process.
    isolate.enter(step).unwrap();
    drop(isolate);
    for count in 0.. {
        let before = BLOCKS.get();
        let mut isolate = Isolate::new().unwrap();
        LEFT.set(Some(count));
        let result = isolate.enter(step);
        let reached = LEFT.replace(None).is_none();
        let survives = isolate.enter(|scope| scope.eval::<u32>("new Uint8Array(new ArrayBuffer(3)).length"));
        assert_eq!(survives.unwrap(), 3);
        drop(isolate);
        match &result {
            Ok(()) if !reached => return count,
            // The allocation that failed was not needed, for example because it was for a stack that is not used.
            Ok(()) => {}
            Err(Error::Script(error)) => assert!(error.message().contains("out of memory"), "{count}: {error}"),
            Err(Error::Memory(offheap::Error::OutOfMemory { .. })) => {}
            Err(other) => panic!("allocation {count}: {other}"),
        }
        drop(result);
        assert_eq!(BLOCKS.get(), before, "allocation {count}: blocks are left");
    }
    unreachable!()
}

#[test]
fn whichever_allocation_fails_there_is_an_error_and_nothing_is_lost() {
    let mut reached = 0;
    for step in [unshared, typed_frozen_and_shared, of_scripts_own, with_a_context, newtypes, taken, functions] {
        reached += for_every_allocation(step);
    }
    println!("{reached} allocations of the scenario failed in turn");
    assert!(reached >= LEAST, "{reached} allocations are fewer than {LEAST}");
}

#[test]
fn handles_are_copied_and_end_without_memory() {
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let handles: Vec<_> = (0..100).map(|_| of_script(scope, "new ArrayBuffer(1)").into_handle()).collect();
        let mut copies = Vec::with_capacity(10_000);
        LEFT.set(Some(0));
        for handle in &handles {
            copies.extend(std::iter::repeat_n(handle, 100).cloned());
        }
        drop(handles);
        copies.iter().for_each(|copy| assert_eq!(scope.state(copy).unwrap().byte_length, 1));
        drop(copies);
        scope.collect();
        assert_eq!(LEFT.take(), Some(0), "nothing was allocated");
    });
}
