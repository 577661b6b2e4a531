//! An observer that calls V8 at every event, through a handle in a thread local. Each test has its own process, because
//! a process has only one observer.

use std::cell::{Cell, RefCell};

use offheap_v8::offheap::observe::{Event, EventKind, Observer, set_observer};
use offheap_v8::offheap::{BackingStore, FrozenStore, StoreId, UniqueStore};
use offheap_v8::{Error, Handle, Isolate, JsArrayBuffer, ManuallyExternalizedBuffer};

use crate::common::{in_child, isolate};

thread_local! {
    static HANDLE: RefCell<Option<Handle<JsArrayBuffer>>> = const { RefCell::new(None) };
    static ANSWERS: RefCell<Vec<(EventKind, Result<StoreId, String>)>> = const { RefCell::new(Vec::new()) };
    static NESTED: Cell<bool> = const { Cell::new(false) };
    static MORE: Cell<fn()> = const { Cell::new(|| ()) };
}

struct Reenters;

impl Observer for Reenters {
    fn event(&self, event: &Event) {
        if NESTED.replace(true) {
            return;
        }
        if let Some(handle) = HANDLE.with_borrow(Clone::clone) {
            let answer = match ManuallyExternalizedBuffer::new(handle) {
                Ok(externalized) => Ok(externalized.store().id()),
                Err(rejected) => Err(rejected.to_string()),
            };
            ANSWERS.with_borrow_mut(|answers| answers.push((event.kind, answer)));
        }
        MORE.get()();
        NESTED.set(false);
    }
}

/// Runs the test of this name under the observer, in a new process.
fn observed(test: &str, work: impl FnOnce(&mut Isolate)) {
    if let Some(output) = in_child(test) {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let mut isolate = isolate();
    set_observer(&Reenters).unwrap();
    work(&mut isolate);
    HANDLE.set(None);
}

/// Checks that every attempt of the observer was refused.
fn refused() -> Vec<EventKind> {
    let answers = ANSWERS.take();
    for (kind, answer) in &answers {
        match answer {
            Ok(store) => panic!("at {kind:?} the observer got store {store}"),
            Err(message) => assert!(message.contains("owner's drop or an observer"), "{message}"),
        }
    }
    answers.into_iter().map(|(kind, _)| kind).collect()
}

fn has(kinds: &[EventKind], which: fn(&EventKind) -> bool) -> bool {
    kinds.iter().any(which)
}

/// Externalizes the buffer of this script under an observer that also externalizes.
fn externalize_observed(isolate: &mut Isolate, source: &str) {
    isolate.enter(|scope| {
        let buffer = scope.eval_buffer(source).unwrap().into_handle();
        HANDLE.set(Some(buffer.clone()));
        let store = scope.externalize(&buffer).unwrap();
        let kinds = refused();
        assert!(has(&kinds, |kind| matches!(kind, EventKind::Externalized { .. })), "{source}: {kinds:?}");
        HANDLE.set(None);
        assert_eq!(scope.externalize(&buffer).unwrap(), store, "{source}: one buffer has one store");
    });
}

#[test]
fn a2_an_observer_cannot_externalize_the_buffer_that_is_being_externalized() {
    observed("observing::a2_an_observer_cannot_externalize_the_buffer_that_is_being_externalized", |isolate| {
        externalize_observed(isolate, "new Uint8Array(4096).fill(7).buffer");
        externalize_observed(isolate, "new ArrayBuffer(64, { maxByteLength: 128 })");
        externalize_observed(isolate, "new SharedArrayBuffer(64, { maxByteLength: 128 })");
    });
}

#[test]
fn a2_an_observer_cannot_externalize_memory_of_webassembly() {
    observed("observing::a2_an_observer_cannot_externalize_memory_of_webassembly", |isolate| {
        externalize_observed(isolate, "new WebAssembly.Memory({ initial: 1 }).buffer");
    });
}

#[test]
fn a2_an_observer_cannot_externalize_at_any_other_event() {
    observed("observing::a2_an_observer_cannot_externalize_at_any_other_event", |isolate| {
        isolate.enter(|scope| {
            let store = BackingStore::from(UniqueStore::zeroed(64).unwrap());
            let frozen = FrozenStore::from_owner(UniqueStore::zeroed(64).unwrap()).unwrap();
            let other = scope.eval_buffer("new ArrayBuffer(16)").unwrap().into_handle();
            refused();
            HANDLE.set(Some(other.clone()));
            let buffer = scope.expose(&store).unwrap().into_handle();
            drop(scope.expose_or_copy(&frozen.clone().into()).unwrap());
            scope.detach(&buffer, None).unwrap();
            drop((buffer, store, frozen));
            scope.eval::<()>("new ArrayBuffer(64).transfer(0); undefined").unwrap();
            scope.collect();
            let kinds = refused();
            assert!(has(&kinds, |kind| *kind == EventKind::Created), "{kinds:?}");
            assert!(has(&kinds, |kind| matches!(kind, EventKind::Exposed { .. })), "{kinds:?}");
            assert!(has(&kinds, |kind| matches!(kind, EventKind::Detached { .. })), "{kinds:?}");
            assert!(has(&kinds, |kind| matches!(kind, EventKind::Released { .. })), "{kinds:?}");
            assert!(has(&kinds, |kind| matches!(kind, EventKind::Freed { .. })), "{kinds:?}");
            HANDLE.set(None);
            assert_eq!(scope.externalize(&other).unwrap().byte_length(), 16);
        });
    });
}

#[test]
fn a2_an_isolate_is_not_made_by_an_observer() {
    thread_local!(static SAID: RefCell<Vec<bool>> = const { RefCell::new(Vec::new()) });
    observed("observing::a2_an_isolate_is_not_made_by_an_observer", |_| {
        MORE.set(|| {
            let made = matches!(Isolate::new(), Err(Error::Unsupported { .. }));
            SAID.with_borrow_mut(|said| said.push(made));
        });
        let store = UniqueStore::zeroed(8).unwrap();
        MORE.set(|| ());
        drop(store);
        assert_eq!(SAID.take(), [true]);
    });
}
