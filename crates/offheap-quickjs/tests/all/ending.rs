//! A runtime that is being dropped drops its user data first. That may run script over memory that still belongs to
//! the runtime.

use std::cell::RefCell;

use offheap_quickjs::offheap::{BackingStore, IsolateId};
use offheap_quickjs::rquickjs::{Context, Ctx, JsLifetime, Runtime};
use offheap_quickjs::{BackingStoreExt, Isolate, ScopeExt, copy_of};

use crate::common::counted;

thread_local!(static SEEN: RefCell<Vec<Seen>> = const { RefCell::new(Vec::new()) });

/// The observations of user data when it is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    /// Whether a new isolate has the same id, and so the memory.
    is_anothers: bool,
    is_refused: bool,
}

/// User data that, when dropped, writes to the global `b`, which is over `store`. rquickjs does not define the
/// order in which user data is dropped, so there are many of them.
struct Writes<'js, const N: usize> {
    ctx: Ctx<'js>,
    store: BackingStore,
    isolate: IsolateId,
}

// SAFETY: the same type with another lifetime.
unsafe impl<'js, const N: usize> JsLifetime<'js> for Writes<'js, N> {
    type Changed<'to> = Writes<'to, N>;
}

impl<const N: usize> Drop for Writes<'_, N> {
    fn drop(&mut self) {
        let (store, isolate) = (self.store.clone(), self.isolate);
        let another = move || {
            let mut another = Isolate::new().unwrap();
            another.enter(|scope| scope.isolate() == isolate || scope.store_bytes(&store).is_ok())
        };
        let is_anothers = std::thread::spawn(another).join().unwrap();
        let buffer = self.ctx.eval("new Uint8Array(b)[0]++; b").unwrap();
        let is_refused = match copy_of::<u8>(&self.ctx, &buffer) {
            Ok(bytes) => {
                assert_eq!(bytes[0], self.store.to_vec().unwrap()[0]);
                self.store.expose(&self.ctx).unwrap();
                false
            }
            Err(error) => {
                assert!(error.to_string().contains("a runtime that is being dropped"), "{error}");
                self.store.expose(&self.ctx).unwrap_err();
                true
            }
        };
        SEEN.with_borrow_mut(|seen| seen.push(Seen { is_anothers, is_refused }));
    }
}

fn define(ctx: &Ctx<'_>, store: &BackingStore) {
    ctx.globals().set("b", store.expose(ctx).unwrap()).unwrap();
    let isolate = store.exposure().unwrap().0;
    macro_rules! put {
        ($($n:literal)*) => {$(
            let data = Writes::<$n> { ctx: ctx.clone(), store: store.clone(), isolate };
            assert!(ctx.store_userdata(data).is_ok_and(|before| before.is_none()));
        )*};
    }
    // User data is dropped in the order of a hash of its types. Among this many, some are dropped after the state.
    put!(
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22
        23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45
        46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
    );
}

/// Checks that some user data was dropped before the state of the runtime, and some after it.
fn check(store: &BackingStore) {
    let seen = SEEN.take();
    assert_eq!(seen.len(), 64);
    assert!(seen.iter().all(|seen| !seen.is_anothers), "{seen:?}");
    assert!(seen.iter().any(|seen| seen.is_refused), "{seen:?}");
    assert_eq!((store.exposure(), store.reference_count()), (None, 1));
    assert_eq!(store.to_vec().unwrap()[0], 64);
}

#[test]
fn no_other_isolate_gets_the_memory_of_an_isolate_before_its_objects_are_freed() {
    let (store, drops) = counted(vec![0; 64]);
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| scope.with_ctx(|ctx| define(&ctx, &store)));
    drop(isolate);
    check(&store);
    drop(store);
    assert_eq!(drops.get(), 1);
}

#[test]
fn no_other_isolate_gets_the_memory_of_a_runtime_before_its_objects_are_freed() {
    let (store, drops) = counted(vec![0; 64]);
    let runtime = Runtime::new().unwrap();
    let context = Context::full(&runtime).unwrap();
    context.with(|ctx| define(&ctx, &store));
    drop((context, runtime));
    check(&store);
    drop(store);
    assert_eq!(drops.get(), 1);
}

#[test]
fn names_are_given_out_again_when_runtimes_have_ended() {
    let names: Vec<IsolateId> = (0..200).map(|_| Isolate::new().unwrap().id()).collect();
    let different: std::collections::HashSet<IsolateId> = names.iter().copied().collect();
    assert!(different.len() < 100, "{}", different.len());
}

#[test]
fn a_runtime_that_could_not_be_named_is_named_later() {
    let (store, drops) = counted(vec![0; 64]);
    let (mut failures, mut successes) = (0, 0);
    for more in (0..1024).step_by(32) {
        let runtime = Runtime::new().unwrap();
        let context = Context::full(&runtime).unwrap();
        runtime.set_memory_limit(runtime.memory_usage().malloc_size as usize + more);
        let exposed = context.with(|ctx| store.expose(&ctx).map(drop));
        runtime.set_memory_limit(0);
        match exposed {
            Ok(()) => successes += 1,
            Err(_) => failures += 1,
        }
        context.with(|ctx| drop(store.expose(&ctx).unwrap()));
        assert_eq!((store.exposure(), store.reference_count()), (None, 1), "limit {more}");
    }
    assert!(failures > 0 && successes > 0, "{failures} {successes}");
    drop(store);
    assert_eq!(drops.get(), 1);
}
