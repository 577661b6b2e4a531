//! QuickJS without memory: each allocation fails in turn, and nothing is lost, freed twice, or left half done.

use offheap_quickjs::offheap::{BackingStore, FrozenStore};
use offheap_quickjs::rquickjs::{ArrayBuffer, Context, Ctx, Function, Runtime, Value, qjs};
use offheap_quickjs::{BackingStoreExt, Error, Isolate, IsolateExt, ScopeExt, Throw, detach};

use crate::common::counted;

/// The end of the sweeps: with more memory than this, nothing fails.
const MOST: usize = 64 << 10;
/// The step between limits: QuickJS rounds up to at least this many bytes.
const STEP: usize = 8;

/// The step of a sweep. `OFFHEAP_TEST_STRIDE` makes it longer where each run takes long, under valgrind.
fn every(step: usize) -> usize {
    let stride = std::env::var("OFFHEAP_TEST_STRIDE").ok().and_then(|stride| stride.parse().ok());
    step * stride.unwrap_or(1_usize).max(1)
}

fn used(runtime: &Runtime) -> usize {
    runtime.memory_usage().malloc_size as usize
}

#[test]
fn exposing_fails_or_works_and_leaves_no_hold() {
    let (mut failures, mut successes) = (0, 0);
    let (store, drops) = counted(vec![1; 64]);
    let runtime = Runtime::new().unwrap();
    let context = Context::full(&runtime).unwrap();
    context.with(|ctx| drop(store.expose(&ctx).unwrap()));
    for more in (0..2048).step_by(every(STEP)) {
        runtime.set_memory_limit(used(&runtime) + more);
        context.with(|ctx| match store.expose(&ctx) {
            Ok(buffer) => {
                successes += 1;
                assert_eq!(store.exposure().unwrap().1, 1);
                detach(&ctx, buffer.as_value(), None).unwrap();
            }
            Err(error) => {
                failures += 1;
                assert!(matches!(error, Error::Script { .. } | Error::EngineFailed { .. }), "{error}");
            }
        });
        runtime.set_memory_limit(0);
        assert_eq!((store.exposure(), store.reference_count()), (None, 1), "limit {more}");
    }
    assert!(failures > 0 && successes > 0, "{failures} {successes}");
    drop((context, runtime, store));
    assert_eq!(drops.get(), 1);
}

#[test]
fn what_is_thrown_is_thrown_with_a_message_or_without() {
    let (mut errors, mut others) = (0, 0);
    let runtime = Runtime::new().unwrap();
    let context = Context::full(&runtime).unwrap();
    for more in (0..2048).step_by(every(STEP)) {
        runtime.set_memory_limit(used(&runtime) + more);
        context.with(|ctx| {
            Error::IsolateGone.throw(&ctx);
            assert!(ctx.has_exception(), "limit {more}");
            match ctx.catch() {
                thrown if thrown.is_error() => errors += 1,
                thrown => {
                    assert!(thrown.is_null(), "limit {more}: {thrown:?}");
                    others += 1;
                }
            }
        });
        runtime.set_memory_limit(0);
    }
    assert!(errors > 0 && others > 0, "{errors} {others}");
}

#[test]
fn externalizing_fails_or_works_and_the_buffer_is_whole_either_way() {
    for (made, length) in [
        ("new ArrayBuffer(64)", 64),
        ("new ArrayBuffer(4096)", 4096),
        ("new ArrayBuffer(64, { maxByteLength: 1024 })", 64),
    ] {
        let (mut failures, mut successes) = (0, 0);
        for warm in [false, true] {
            // If nothing was externalized yet, the adapter's private context must be made too.
            let (most, step) = if warm { (8 << 10, STEP * 8) } else { (256 << 10, STEP * 64) };
            for more in (0..most).step_by(every(step)) {
                let runtime = Runtime::new().unwrap();
                let context = Context::full(&runtime).unwrap();
                context.with(|ctx| {
                    if warm {
                        BackingStore::externalize(&ctx, &ctx.eval::<Value<'_>, _>("new ArrayBuffer(1)").unwrap())
                            .unwrap();
                    }
                    ctx.eval::<(), _>(format!(
                        "globalThis.b = {made}; globalThis.v = new Uint8Array(b); v.fill(3); undefined"
                    ))
                    .unwrap();
                });
                runtime.set_memory_limit(used(&runtime) + more);
                let store = context.with(|ctx| BackingStore::externalize(&ctx, &ctx.globals().get("b").unwrap()));
                runtime.set_memory_limit(0);
                context.with(|ctx| {
                    assert!(ctx.eval::<bool, _>(format!("v.length === {length} && v.every((x) => x === 3)")).unwrap());
                    match &store {
                        Ok(store) => {
                            successes += 1;
                            ctx.eval::<(), _>("v[5] = 9; undefined").unwrap();
                            assert_eq!(store.to_vec().unwrap()[5], 9);
                        }
                        Err(error) => {
                            failures += 1;
                            assert!(matches!(error, Error::Script { .. } | Error::EngineFailed { .. }), "{error}");
                            // Later there is memory.
                            let store = BackingStore::externalize(&ctx, &ctx.globals().get("b").unwrap()).unwrap();
                            assert_eq!(store.to_vec().unwrap(), vec![3; length]);
                        }
                    }
                });
                drop((context, runtime));
                if let Ok(store) = store {
                    assert_eq!((store.exposure(), store.reference_count()), (None, 1));
                }
            }
        }
        assert!(failures > 0 && successes > 0, "{made}: {failures} {successes}");
    }
}

#[test]
fn a_foreign_owner_is_dropped_once_wherever_externalizing_fails() {
    for more in (0..4096).step_by(every(STEP * 4)) {
        let drops = crate::common::Count::default();
        struct Source(Box<[u8]>, crate::common::Count);
        // SAFETY: the boxed bytes do not move, and no other code has them.
        unsafe impl offheap_quickjs::rquickjs::ArrayBufferSource for Source {
            fn as_ptr(&self) -> *mut u8 {
                self.0.as_ptr()
            }

            fn len(&self) -> usize {
                self.0.len()
            }
        }
        impl Drop for Source {
            fn drop(&mut self) {
                self.1.add();
            }
        }
        let runtime = Runtime::new().unwrap();
        let context = Context::full(&runtime).unwrap();
        context.with(|ctx| {
            let buffer = ArrayBuffer::from_source(ctx.clone(), Source(vec![1; 64].into(), drops.clone())).unwrap();
            ctx.globals().set("b", buffer).unwrap();
            BackingStore::externalize(&ctx, &ctx.eval::<Value<'_>, _>("new ArrayBuffer(1)").unwrap()).unwrap();
        });
        runtime.set_memory_limit(used(&runtime) + more);
        let store = context.with(|ctx| BackingStore::externalize(&ctx, &ctx.globals().get("b").unwrap()));
        runtime.set_memory_limit(0);
        // If there was no memory to detect that it is unused, it may be kept until the runtime ends.
        assert!(drops.get() <= usize::from(store.is_ok()));
        drop((context, runtime));
        assert_eq!(drops.get(), 1);
    }
}

#[test]
fn everything_an_isolate_does_may_run_out_of_memory() {
    static WORDS: [u64; 8] = [1; 8];
    let frozen = FrozenStore::from_owner(&WORDS[..]).unwrap();
    let mut finished = 0;
    let mut limits = 0;
    // From less than the set-up itself needed up to more than enough.
    for limit in (0..MOST).step_by(every(STEP * 8)) {
        limits += 1;
        let (store, drops) = counted(vec![1; 64]);
        let base = {
            let isolate = Isolate::new().unwrap();
            isolate.memory_usage().malloc_size as usize
        };
        let mut isolate = Isolate::builder().memory_limit(base - (8 << 10) + limit).build().unwrap();
        let done = isolate.enter(|scope| -> Result<(), Error> {
            let buffer = scope.expose(&store)?;
            scope.set_global("b", &buffer)?;
            scope.set_detach_key(&buffer, Some("key"))?;
            scope.set_detach_key(&buffer, None)?;
            let (ro, _) = scope.expose_or_copy(&frozen.clone().into())?;
            scope.set_global("ro", &ro)?;
            let made = scope.eval_buffer("globalThis.m = new ArrayBuffer(100)")?;
            scope.bytes_mut(&made)?.fill(1);
            scope.eval::<u32>("Promise.resolve().then(() => { globalThis.late = [m, b] }); 0")?;
            scope.run_microtasks()?;
            scope.collect();
            scope.eval::<u32>("try { Atomics.store(new Int32Array(ro), 0, 5) } catch (e) { if (!(e instanceof TypeError)) throw e } 0")?;
            scope.eval::<u32>("new Uint8Array(b).fill(2); 0")?;
            scope.detach(&made, None)?;
            Ok(())
        });
        finished += usize::from(done.is_ok());
        if let Err(error) = done {
            assert!(!error.to_string().is_empty());
        }
        assert_eq!(WORDS[0], 1);
        drop(isolate);
        assert_eq!((store.exposure(), store.reference_count()), (None, 1), "limit {limit}");
        drop(store);
        assert_eq!(drops.get(), 1);
    }
    assert_eq!(frozen.reference_count(), 1);
    assert!(finished > 0 && finished < limits, "{finished} of {limits}");
}

/// A bug of QuickJS: `transfer` detaches the source before it makes the new object. If there is no memory for that,
/// the memory of the source is lost. Nothing is freed twice, but one reference is never released.
#[test]
fn leaks_regress_quickjs_transfer_without_memory_loses_a_reference() {
    let mut lost = 0;
    for more in (0..1024).step_by(every(STEP)) {
        let (store, drops) = counted(vec![1; 64]);
        let runtime = Runtime::new().unwrap();
        let context = Context::full(&runtime).unwrap();
        context.with(|ctx| {
            ctx.globals().set("b", store.expose(&ctx).unwrap()).unwrap();
            ctx.eval::<(), _>("globalThis.f = () => { b.transfer() }; undefined").unwrap();
        });
        runtime.set_memory_limit(used(&runtime) + more);
        context.with(|ctx| {
            let transfer: offheap_quickjs::rquickjs::Function<'_> = ctx.globals().get("f").unwrap();
            if transfer.call::<_, ()>(()).is_err() {
                ctx.catch();
            }
        });
        runtime.set_memory_limit(0);
        drop((context, runtime));
        let count = store.reference_count();
        assert!(count <= 2);
        lost += count - 1;
        drop(store);
        assert_eq!(drops.get(), 2 - count);
    }
    println!("{lost} references lost");
}

/// Sets the memory limit of the runtime of `ctx`; 0 means no limit.
fn limit_memory(ctx: &Ctx<'_>, byte_length: usize) {
    // SAFETY: reads a field of a live context.
    let runtime = unsafe { qjs::JS_GetRuntime(ctx.as_raw().as_ptr()) };
    // SAFETY: sets a field of a live runtime.
    unsafe { qjs::JS_SetMemoryLimit(runtime, byte_length as _) };
}

#[test]
fn b16_a_transfer_without_memory_leaves_the_buffer_as_it_was() {
    for function in ["transfer()", "transfer(100)", "transfer(5)", "transfer(0)", "transferToFixedLength()"]
        .into_iter()
        .chain(["transferToImmutable()", "transferToImmutable(64)"])
    {
        let (mut failures, mut successes) = (0, 0);
        for more in (0..1024).step_by(every(STEP)) {
            let (store, drops) = counted(vec![7; 64]);
            let mut isolate = Isolate::new().unwrap();
            let buffer = isolate.enter(|scope| {
                let buffer = scope.expose(&store).unwrap();
                scope.set_global("b", &buffer).unwrap();
                scope
                    .eval::<()>(&format!(
                        "globalThis.go = () => {{ globalThis.c = b.{function} }}; go.x = 1; c = 0; undefined"
                    ))
                    .unwrap();
                buffer.into_handle()
            });
            let used = isolate.memory_usage().malloc_size as usize;
            isolate.enter(|scope| {
                let moved = scope.with_ctx(|ctx| {
                    let go: Function<'_> = ctx.globals().get("go").unwrap();
                    limit_memory(&ctx, used + more);
                    let moved = go.call::<_, ()>(()).is_ok();
                    limit_memory(&ctx, 0);
                    ctx.catch();
                    moved
                });
                let state = scope.state(&buffer).unwrap();
                assert_eq!(state.detached, moved, "{function}, {more} bytes");
                if moved {
                    successes += 1;
                } else {
                    failures += 1;
                    assert_eq!(scope.externalize(&buffer).unwrap(), store);
                    assert_eq!(store.to_vec().unwrap(), [7; 64]);
                    scope.eval::<()>(&format!("b.{function}; undefined")).unwrap();
                }
            });
            drop((isolate, buffer));
            assert_eq!((store.exposure(), store.reference_count()), (None, 1), "{function}, {more} bytes");
            drop(store);
            assert_eq!(drops.get(), 1);
        }
        assert!(failures > 0 && successes > 0, "{function}: {failures} {successes}");
    }
}
