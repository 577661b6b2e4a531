//! Ends: of isolates with live handles and stores, of stores after all runtimes, of owners inside a finalizer.

use std::process::Command;
use std::sync::mpsc;
use std::thread;

use offheap_quickjs::offheap::{BackingStore, UniqueStore};
use offheap_quickjs::rquickjs::{Context, Ctx, Function, Runtime};
use offheap_quickjs::{BackingStoreExt, Error, Isolate, ManuallyExternalizedBuffer, ScopeExt};

use crate::common::{Count, counted, in_own_context, run};

#[test]
fn an_isolate_ends_with_live_handles_and_stores() {
    let (store, drops) = counted(vec![7; 64]);
    let mut isolate = Isolate::new().unwrap();
    let (handle, external) = isolate.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("b", &buffer).unwrap();
        scope.eval::<u32>("b.self = { b }; 0").unwrap();
        let made = scope.eval_buffer("globalThis.m = new ArrayBuffer(100); new Uint8Array(m).fill(5); m").unwrap();
        (buffer.into_handle(), ManuallyExternalizedBuffer::new(made.into_handle()).unwrap())
    });
    let again = handle.clone();
    drop(isolate);
    assert_eq!(store.exposure(), None);
    assert_eq!(external.store().to_vec().unwrap(), [5; 100]);
    let late = handle.clone();
    drop((again, late));
    let error = ManuallyExternalizedBuffer::new(handle).unwrap_err();
    assert!(matches!(error.error(), Error::IsolateGone));
    drop((error, external));
    assert_eq!(drops.get(), 0);
    drop(store);
    assert_eq!(drops.get(), 1);
}

#[test]
fn leaks_a_forgotten_handle_and_a_forgotten_local_do_not_upset_the_end() {
    let (store, drops) = counted(vec![7; 64]);
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        for _ in 0..100 {
            std::mem::forget(scope.expose(&store).unwrap());
        }
        std::mem::forget(scope.expose(&store).unwrap().into_handle());
        assert_eq!(store.exposure().unwrap().1, 101);
    });
    drop(isolate);
    assert_eq!(store.exposure(), None);
    drop(store);
    assert_eq!(drops.get(), 1);
}

#[test]
fn handles_kept_by_script_and_by_loops_of_references_end_with_the_isolate() {
    let (store, drops) = counted(vec![7; 64]);
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let handle = scope.expose(&store).unwrap().into_handle();
        scope.with_ctx(|ctx| {
            // The function keeps the handle, the handle's root keeps the buffer, and the buffer keeps the function.
            let id = handle.isolate();
            let keeps = Function::new(ctx.clone(), move || handle.isolate() == id).unwrap();
            ctx.globals().set("keeps", keeps).unwrap();
            assert!(ctx.eval::<bool, _>("keeps()").unwrap());
        });
    });
    drop(isolate);
    drop(store);
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_handle_whose_end_ends_another_is_let_go_of_in_a_scope() {
    let (store, drops) = counted(vec![7; 64]);
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let kept = scope.expose(&store).unwrap().into_handle();
        let keeper = scope.eval_buffer("globalThis.keeper = new ArrayBuffer(1)").unwrap();
        scope.with_ctx(|ctx| {
            let id = kept.isolate();
            let keeps = Function::new(ctx.clone(), move || kept.isolate() == id).unwrap();
            ctx.globals().set("keeps", keeps).unwrap();
            run(&ctx, "keeper.keeps = keeps; delete globalThis.keeps; delete globalThis.keeper");
        });
        drop(keeper);
        scope.collect();
        scope.collect();
        assert_eq!(store.exposure(), None);
    });
    drop(store);
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_store_outlives_all_runtimes_and_is_dropped_once_on_another_thread() {
    let (send, receive) = mpsc::channel();
    let here = thread::current().id();
    let store: BackingStore = UniqueStore::from_owner_with_deleter(vec![1_u8, 2, 3], move |_, length| {
        send.send((thread::current().id(), length)).unwrap();
    })
    .unwrap()
    .into();
    in_own_context(|ctx| {
        ctx.globals().set("b", store.expose(ctx).unwrap()).unwrap();
        run(ctx, "new Uint8Array(b)[0] = 9");
    });
    thread::spawn(move || {
        assert_eq!(store.to_vec().unwrap(), [9, 2, 3]);
        drop(store);
    })
    .join()
    .unwrap();
    let (thread, length) = receive.try_recv().unwrap();
    assert_ne!(thread, here);
    assert_eq!(length, 3);
    assert!(receive.try_recv().is_err());
}

#[test]
fn the_last_reference_of_script_drops_the_owner_on_the_isolates_thread() {
    for end in ["delete globalThis.b", "b.transfer(0)", "b.transfer(128)", "b.self = { b }; delete globalThis.b", ""] {
        let (store, drops) = counted(vec![1; 64]);
        let mut isolate = Isolate::new().unwrap();
        isolate.enter(|scope| {
            let buffer = scope.expose(&store).unwrap();
            scope.set_global("b", &buffer).unwrap();
            drop(buffer);
            drop(store);
            assert_eq!(drops.get(), 0);
            scope.eval::<u32>(&format!("{end}; 0")).unwrap();
            scope.collect();
        });
        assert_eq!(drops.get(), usize::from(!end.is_empty()), "{end}");
        drop(isolate);
        assert_eq!(drops.get(), 1, "{end}");
    }
}

#[test]
fn owners_are_dropped_in_the_order_in_which_script_lets_go() {
    let (send, receive) = mpsc::channel();
    in_own_context(|ctx| {
        for name in ["x", "y", "z"] {
            let send = send.clone();
            let unique = UniqueStore::from_owner_with_deleter(vec![0_u8; 8], move |_, _| send.send(name).unwrap());
            let store = BackingStore::from(unique.unwrap());
            ctx.globals().set(name, store.expose(ctx).unwrap()).unwrap();
        }
        run(ctx, "delete globalThis.y; globalThis.z = 1; x.transfer(0)");
        assert_eq!(receive.try_iter().collect::<Vec<_>>(), ["y", "z", "x"]);
    });
}

#[test]
fn an_owners_drop_may_use_other_stores_and_other_runtimes() {
    let (inner, drops) = counted(vec![1; 8]);
    let told = Count::default();
    let tell = told.clone();
    let outer = UniqueStore::from_owner_with_deleter(vec![0_u8; 8], move |_, _| {
        assert_eq!(inner.to_vec().unwrap(), [1; 8]);
        drop(inner);
        tell.add();
    });
    in_own_context(|ctx| {
        ctx.globals().set("b", BackingStore::from(outer.unwrap()).expose(ctx).unwrap()).unwrap();
        run(ctx, "globalThis.c = b.transfer(4096)");
        assert_eq!((told.get(), drops.get()), (1, 1));
    });
}

#[test]
fn runtimes_come_and_go_at_the_same_addresses_without_being_taken_for_each_other() {
    let (store, drops) = counted(vec![1; 64]);
    let mut ids = std::collections::HashSet::new();
    for round in 0..50 {
        let (a, b) = (Runtime::new().unwrap(), Runtime::new().unwrap());
        let (first, second) = (Context::full(&a).unwrap(), Context::full(&b).unwrap());
        let use_it = |ctx: Ctx<'_>| {
            ctx.globals().set("b", store.expose(&ctx).unwrap()).unwrap();
            store.exposure().unwrap().0
        };
        let id = first.with(use_it);
        second.with(|ctx| assert!(store.expose(&ctx).is_err()));
        drop((first, a));
        assert_eq!(store.exposure(), None, "round {round}");
        let other = second.with(use_it);
        assert_ne!(id, other);
        ids.extend([id, other]);
    }
    assert_eq!(store.reference_count(), 1);
    drop(store);
    assert_eq!(drops.get(), 1);
}

#[test]
fn leaks_an_isolate_that_is_forgotten_keeps_what_it_has() {
    let (store, drops) = counted(vec![1; 64]);
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("b", &buffer).unwrap();
    });
    let id = isolate.id();
    std::mem::forget(isolate);
    assert_eq!(store.exposure(), Some((id, 1)));
    assert_eq!(drops.get(), 0);
}

#[test]
fn threads_with_isolates_of_their_own_free_everything_once() {
    let drops = Count::default();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let drops = drops.clone();
            thread::spawn(move || {
                let mut kept = Vec::new();
                for round in 0..20 {
                    let told = drops.clone();
                    let size = 8 * (1 + round * 37 % 200);
                    let unique = UniqueStore::from_owner_with_deleter(vec![thread as u8; size], move |_, _| told.add());
                    let store = BackingStore::from(unique.unwrap());
                    let mut isolate = Isolate::new().unwrap();
                    isolate.enter(|scope| {
                        let buffer = scope.expose(&store).unwrap();
                        scope.set_global("b", &buffer).unwrap();
                        scope.eval::<u32>("globalThis.c = b.transfer(b.byteLength + 8); 0").unwrap();
                        let made = scope.eval_buffer("new ArrayBuffer(1000)").unwrap();
                        kept.push(scope.externalize(&made).unwrap());
                    });
                }
                kept
            })
        })
        .collect();
    for thread in threads {
        for store in thread.join().unwrap() {
            assert_eq!((store.exposure(), store.reference_count()), (None, 1));
        }
    }
    assert_eq!(drops.get(), 80);
}

const CHILD: &str = "OFFHEAP_TEST_CHILD";

/// Runs the test of this name again in a separate process, in which it does something that may not return.
fn in_child(name: &str) -> std::process::Output {
    let program = std::env::current_exe().unwrap();
    let name = format!("teardown::{name}");
    Command::new(program).args(["--exact", &name, "--nocapture"]).env(CHILD, "1").output().unwrap()
}

#[test]
fn child_an_owners_panic_inside_a_finalizer_ends_the_process_with_a_message() {
    if std::env::var_os(CHILD).is_some() {
        let panics = UniqueStore::from_owner_with_deleter(vec![0_u8; 8], |_, _| panic!("the owner's own panic"));
        in_own_context(|ctx| {
            let store = BackingStore::from(panics.unwrap());
            let buffer = store.expose(ctx).unwrap();
            drop(store);
            drop(buffer);
        });
        unreachable!("the process ended");
    }
    let output = in_child("child_an_owners_panic_inside_a_finalizer_ends_the_process_with_a_message");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(stderr.contains("offheap: an owner's drop or an observer panicked"), "{stderr}");
    assert!(stderr.contains("the owner's own panic"), "{stderr}");
    assert!(!stderr.contains("the process ended"), "{stderr}");
}
