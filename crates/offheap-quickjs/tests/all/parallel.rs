//! rquickjs's feature `parallel`: a runtime and its contexts move between threads, which take turns by a lock.
#![cfg(feature = "parallel")]

use std::sync::Barrier;
use std::thread;

use offheap_quickjs::offheap::{BackingStore, SharedStore, UniqueStore};
use offheap_quickjs::prelude::*;
use offheap_quickjs::rquickjs::{self, ArrayBuffer, Coerced, Context, Function, Runtime, Value};
use offheap_quickjs::{Error, copy_of, detach};

use crate::common::{Count, counted, numbered, run};

fn on_another_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|threads| threads.spawn(work).join().unwrap())
}

fn context() -> Context {
    Context::full(&Runtime::new().unwrap()).unwrap()
}

#[test]
fn a_store_stays_with_its_runtime_on_whatever_thread_that_is() {
    let context = context();
    let (store, count) = counted(vec![1; 64]);
    context.with(|ctx| ctx.globals().set("buffer", store.expose(&ctx).unwrap()).unwrap());
    let again = on_another_thread(|| {
        context.with(|ctx| {
            let buffer: Value<'_> = ctx.eval("buffer").unwrap();
            store.expose(&ctx).unwrap();
            store.cells(&ctx).unwrap()[0].set(9);
            assert_eq!(copy_of::<u8>(&ctx, &buffer).unwrap()[0], 9);
            BackingStore::externalize(buffer.ctx(), &buffer).unwrap()
        })
    });
    assert!(again == store);
    // The count of bytes is that of the runtime, not of the thread.
    let isolate = store.exposure().unwrap().0;
    let before = isolate.external_bytes();
    on_another_thread(|| context.with(|ctx| detach(&ctx, &ctx.eval("buffer").unwrap(), None).unwrap()));
    assert_eq!(before - isolate.external_bytes(), 64);
    drop((again, store));
    assert_eq!(count.get(), 1);
}

#[test]
fn a_buffer_of_script_becomes_a_store_on_another_thread() {
    let context = context();
    context.with(|ctx| run(&ctx, "globalThis.own = new Uint8Array([1, 2, 3])"));
    let store = on_another_thread(|| {
        context.with(|ctx| BackingStore::externalize(&ctx, &ctx.eval("own.buffer").unwrap()).unwrap())
    });
    context.with(|ctx| run(&ctx, "own[0] = 7"));
    assert_eq!(store.to_vec().unwrap(), [7, 2, 3]);
}

#[test]
fn a_runtime_that_ends_on_another_thread_releases_its_stores() {
    let (store, count) = counted(vec![0; 64]);
    let context = context();
    context.with(|ctx| {
        ctx.globals().set("buffer", store.expose(&ctx).unwrap()).unwrap();
        // In a cycle, so that only the end of the runtime frees it.
        run(&ctx, "globalThis.cycle = { buffer }; cycle.cycle = cycle; globalThis.buffer = undefined");
    });
    on_another_thread(move || drop(context));
    assert!(store.exposure().is_none());
    on_another_thread(move || drop(store));
    assert_eq!(count.get(), 1);
}

/// A runtime at the address of an ended one is another isolate, also for a thread that used the ended one last.
#[test]
fn a_thread_does_not_take_a_new_runtime_for_the_one_it_used_last() {
    for _ in 0..50 {
        let context = context();
        let store = numbered(8);
        context.with(|ctx| ctx.globals().set("buffer", store.expose(&ctx).unwrap()).unwrap());
        on_another_thread(move || {
            let second = Context::full(&Runtime::new().unwrap()).unwrap();
            let refused = second.with(|ctx| store.expose(&ctx).map(drop)).unwrap_err();
            assert_eq!(refused.code(), "EXPOSED");
            drop(context);
            // The memory of the ended runtime may be that of the next one.
            let third = Context::full(&Runtime::new().unwrap()).unwrap();
            let isolate = third.with(|ctx| {
                ctx.globals().set("buffer", store.expose(&ctx).unwrap()).unwrap();
                store.exposure().unwrap().0
            });
            let refused = second.with(|ctx| store.expose(&ctx).map(drop)).unwrap_err();
            assert!(refused.to_string().contains(&format!("exposed in {isolate}")), "{refused}");
        });
    }
}

fn sum(Buffer(store): Buffer) -> rquickjs::Result<u32> {
    Ok(store.to_vec()?.iter().map(|&byte| u32::from(byte)).sum())
}

#[test]
fn eight_threads_take_turns_in_two_runtimes() {
    // valgrind runs one thread at a time, and takes long to hand a lock over.
    let rounds = if std::env::var_os("OFFHEAP_TEST_STRIDE").is_some() { 5 } else { 100 };
    let contexts = [context(), context()];
    for context in &contexts {
        context.with(|ctx| {
            ctx.globals().set("sum", Function::new(ctx.clone(), sum).unwrap()).unwrap();
            run(&ctx, "globalThis.kept = []");
        });
    }
    let shared = SharedStore::zeroed(64).unwrap();
    let (drops, start) = (Count::default(), Barrier::new(8));
    let use_runtimes = |index: usize| {
        start.wait();
        for round in 0..rounds {
            let told = drops.clone();
            let unique = UniqueStore::from_owner_with_deleter(vec![1_u8; 64], move |_, _| told.add());
            let store = BackingStore::from(unique.unwrap());
            contexts[(index + round) % 2].with(|ctx| {
                ctx.globals().set("buffer", store.expose(&ctx).unwrap()).unwrap();
                ctx.globals().set("shared", shared.expose(&ctx).unwrap()).unwrap();
                run(
                    &ctx,
                    "new Uint8Array(buffer)[0] = 3; Atomics.add(new Uint8Array(shared), 0, 1); kept.push(buffer)",
                );
                assert_eq!(ctx.eval::<u32, _>("sum(buffer)").unwrap(), 66);
                if round % 10 == 9 {
                    run(&ctx, "kept.length = 0; buffer = undefined");
                }
            });
            // Another thread may be in the runtime now; a copy and the last drop need no runtime.
            assert_eq!(store.to_vec().unwrap()[..2], [3, 1]);
        }
    };
    thread::scope(|threads| {
        for index in 0..8 {
            let use_runtimes = &use_runtimes;
            threads.spawn(move || use_runtimes(index));
        }
    });
    assert_eq!(usize::from(shared.as_store().to_vec().unwrap()[0]), 8 * rounds % 256);
    drop(contexts);
    assert_eq!(drops.get(), 8 * rounds);
}

#[test]
fn a_guard_of_one_thread_is_respected_on_the_others() {
    let context = context();
    let store = numbered(16);
    context.with(|ctx| {
        let cells = store.cells(&ctx).unwrap();
        on_another_thread(|| {
            assert_eq!(store.to_vec().unwrap_err().code(), "BUSY");
            let other = Context::full(&Runtime::new().unwrap()).unwrap();
            let refused = other.with(|ctx| store.expose(&ctx).map(drop)).unwrap_err();
            assert!(matches!(refused, Error::Memory(_)), "{refused}");
        });
        cells[0].set(1);
    });
    assert_eq!(store.to_vec().unwrap()[0], 1);
}

#[test]
fn a_store_that_a_function_captured_is_dropped_where_the_runtime_ends() {
    let context = context();
    let (store, count) = counted(vec![0; 8]);
    context.with(|ctx| {
        let length = move || store.byte_length();
        ctx.globals().set("length", Function::new(ctx.clone(), length).unwrap()).unwrap();
    });
    on_another_thread(move || drop(context));
    assert_eq!(count.get(), 1);
}

#[cfg(feature = "futures")]
#[test]
fn an_async_function_goes_on_on_another_thread() {
    use std::time::Duration;

    use offheap_quickjs::rquickjs::prelude::Async;
    use offheap_quickjs::rquickjs::{AsyncContext, AsyncRuntime, Promise};

    async fn later(Buffer(store): Buffer) -> rquickjs::Result<TypedArrayOf<u8>> {
        let work = tokio::spawn(async move {
            tokio::task::yield_now().await;
            store.to_vec()
        });
        Ok(TypedArrayOf(work.await.unwrap()?))
    }

    async fn work(context: AsyncContext) -> Result<String, Error> {
        context
            .async_with(async |ctx| {
                let promise: Promise<'_> = ctx.eval("later(new Uint8Array([1, 2, 3]).subarray(0))").caught(&ctx)?;
                let value: Value<'_> = promise.into_future().await.caught(&ctx)?;
                Ok(value.get::<Coerced<String>>().caught(&ctx)?.0)
            })
            .await
    }

    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    threads.block_on(async {
        let runtime = AsyncRuntime::new().unwrap();
        let context = AsyncContext::full(&runtime).await.unwrap();
        // Without it, an async function goes on only while an `async_with` of the same task is polled. rquickjs wakes the task that
        // polled last, which may have ended, so this one polls again and again.
        let driver = tokio::spawn(async move {
            loop {
                let _ = tokio::time::timeout(Duration::from_millis(1), runtime.drive()).await;
            }
        });
        context
            .with(|ctx| ctx.globals().set("later", Function::new(ctx.clone(), Async(later)).unwrap()))
            .await
            .unwrap();
        let tasks: Vec<_> = (0..32).map(|_| tokio::spawn(work(context.clone()))).collect();
        for task in tasks {
            assert_eq!(task.await.unwrap().unwrap(), "1,2,3");
        }
        driver.abort();
    });
}

#[test]
fn a_runtime_that_many_threads_end_at_once_ends_once() {
    for _ in 0..20 {
        let context = context();
        let (store, count) = counted(vec![0; 8]);
        context.with(|ctx| {
            let buffer: ArrayBuffer<'_> = store.expose(&ctx).unwrap();
            ctx.globals().set("buffer", buffer).unwrap();
        });
        drop(store);
        thread::scope(|threads| {
            for _ in 0..4 {
                let context = context.clone();
                threads
                    .spawn(move || context.with(|ctx| assert_eq!(ctx.eval::<u32, _>("buffer.byteLength").unwrap(), 8)));
            }
            drop(context);
        });
        assert_eq!(count.get(), 1);
    }
}
