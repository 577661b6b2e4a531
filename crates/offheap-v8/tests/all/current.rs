//! Scopes of an isolate that is not the current one. V8 assumes that they belong to the current isolate, and mixes the
//! heaps.

use offheap_v8::offheap::{BackingStore, FrozenStore, SharedStore};
use offheap_v8::{
    BackingStoreExt, Error, FrozenStoreExt, ManuallyExternalizedBuffer, ScopeExt, SharedStoreExt, Throw, collect,
    detach, script_site, v8,
};

use crate::common::{in_own_scope, isolate, numbered, run, set};

/// The results of every function that takes a scope, for a buffer over `exposed` and a buffer that script made.
fn answers<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    exposed: &BackingStore,
    buffer: v8::Local<'s, v8::Value>,
    made: v8::Local<'s, v8::Value>,
) -> Vec<(&'static str, Option<Error>)> {
    let shared = SharedStore::zeroed(8).unwrap();
    let frozen = FrozenStore::from_owner(&[7_u64; 4][..]).unwrap();
    let store = numbered(16);
    vec![
        ("expose", store.expose(scope).err()),
        ("expose_typed", store.expose_typed::<u8>(scope, 0, 4).err()),
        ("expose of shared memory", shared.expose(scope).err()),
        ("expose_typed of shared memory", shared.expose_typed::<u8>(scope, 0, 4).err()),
        ("expose of frozen memory", frozen.expose(scope).err()),
        ("externalize", BackingStore::externalize(scope, buffer).err()),
        ("externalize of what script made", BackingStore::externalize(scope, made).err()),
        ("externalize of no buffer", {
            let nothing = v8::null(scope).into();
            BackingStore::externalize(scope, nothing).err()
        }),
        ("copy_in", exposed.copy_in(scope, 0, &[1_u8]).err()),
        ("cells", exposed.cells(scope).err()),
        ("detach", detach(scope, buffer, None).err()),
    ]
}

fn assert_refused(answers: Vec<(&'static str, Option<Error>)>) {
    for (verb, answer) in answers {
        let message = answer.map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains("is not the current one"), "{verb}: {message:?}");
    }
}

/// Makes a buffer over a store, which script has as `b`, and a buffer that script made.
fn prepare<'s>(scope: &mut v8::PinScope<'s, '_>) -> (BackingStore, [v8::Local<'s, v8::Value>; 2]) {
    let store = numbered(64);
    let buffer = store.expose(scope).unwrap();
    set(scope, "b", buffer.into());
    let made = run(scope, "globalThis.made = new ArrayBuffer(8)");
    (store, [buffer.into(), made])
}

/// Checks that nothing changed, and that all functions work again.
fn assert_unharmed<'s>(scope: &mut v8::PinScope<'s, '_>, store: &BackingStore, values: [v8::Local<'s, v8::Value>; 2]) {
    assert!(run(scope, "new Uint8Array(b)[63] === 63 && made.byteLength === 8").is_true());
    assert_eq!(BackingStore::externalize(scope, values[0]).unwrap(), *store);
    assert_eq!(BackingStore::externalize(scope, values[1]).unwrap().byte_length(), 8);
    detach(scope, values[0], None).unwrap();
    assert!(run(scope, "b.byteLength === 0").is_true());
}

#[test]
fn a4_a_lent_scope_is_refused_while_another_isolate_is_entered() {
    let (mut first, mut second) = (isolate(), isolate());
    first.enter(|scope| {
        scope.with_v8(|outer| {
            let (store, values) = prepare(outer);
            second.enter(|scope| {
                scope.with_v8(|_| assert_refused(answers(outer, &store, values[0], values[1])));
            });
            assert_unharmed(outer, &store, values);
        });
    });
}

#[test]
fn a4_a_scope_of_the_programs_own_is_refused_while_another_isolate_is_entered() {
    in_own_scope(|outer| {
        let (store, values) = prepare(outer);
        in_own_scope(|_| assert_refused(answers(outer, &store, values[0], values[1])));
        isolate().enter(|scope| scope.with_v8(|_| assert_refused(answers(outer, &store, values[0], values[1]))));
        assert_unharmed(outer, &store, values);
    });
}

#[test]
fn a4_memory_that_script_may_take_away_is_not_read_in_a_scope_that_is_not_current() {
    in_own_scope(|outer| {
        let buffer = run(outer, "globalThis.b = new ArrayBuffer(8, { maxByteLength: 16 })");
        let store = BackingStore::externalize(outer, buffer).unwrap();
        in_own_scope(|_| assert_refused(vec![("copy_to", store.copy_to(outer, 0, &mut [0]).err())]));
        store.copy_to(outer, 0, &mut [0; 8]).unwrap();
    });
}

#[test]
fn a4_a_first_call_in_a_scope_that_is_not_current_is_refused() {
    in_own_scope(|outer| {
        let made = run(outer, "globalThis.b = new ArrayBuffer(8)");
        in_own_scope(|_| assert_refused(answers(outer, &numbered(8), made, made)));
        assert_eq!(BackingStore::externalize(outer, made).unwrap().byte_length(), 8);
    });
}

#[test]
fn a4_what_has_no_error_to_give_enters_the_isolate_of_its_scope() {
    in_own_scope(|outer| {
        v8::tc_scope!(let caught, outer);
        in_own_scope(|_| {
            Error::IsolateGone.throw(caught);
            assert_eq!(script_site(caught), None);
            collect(caught);
        });
        let thrown = caught.exception().unwrap();
        assert!(thrown.is_native_error());
        caught.reset();
        assert!(run(caught, "1 + 1 === 2").is_true());
    });
}

#[test]
fn a4_a_handle_externalizes_in_its_own_isolate_whichever_is_entered() {
    let (mut first, mut second) = (isolate(), isolate());
    let handle = first.enter(|scope| {
        scope.eval_buffer("globalThis.b = new ArrayBuffer(8); new Uint8Array(b)[0] = 5; b").unwrap().into_handle()
    });
    let held = second.enter(|scope| scope.with_v8(|_| ManuallyExternalizedBuffer::new(handle))).unwrap();
    let other = in_own_scope(|_| ManuallyExternalizedBuffer::new(held.buffer().clone())).unwrap();
    assert_eq!(other.store(), held.store());
    assert_eq!(held.store().exposure(), Some((first.id(), 1)));
    first.enter(|scope| {
        scope.detach(held.buffer(), None).unwrap();
        assert_eq!(scope.eval::<u32>("b.byteLength").unwrap(), 0);
    });
    assert_eq!(held.store().bytes().unwrap()[0], 5);
}

#[test]
fn a4_isolates_that_end_inside_of_another_one_leave_it_as_it_was() {
    let store = numbered(8);
    let mut outer = isolate();
    outer.enter(|scope| {
        scope.with_v8(|scope| {
            let mut inner = isolate();
            inner.enter(|scope| drop(scope.expose(&store).unwrap()));
            drop(inner);
            let buffer = store.expose(scope).unwrap();
            set(scope, "b", buffer.into());
            assert!(run(scope, "new Uint8Array(b)[7] === 7").is_true());
        });
    });
}
