//! An observer that calls the engine at every event, through a handle in a thread-local. It has a separate file,
//! because a process has only one observer.

use std::cell::{Cell, RefCell};

use offheap_quickjs::offheap::adapter::in_finalizer;
use offheap_quickjs::offheap::observe::{Event, EventKind, Observer, Refusal, set_observer};
use offheap_quickjs::offheap::{BackingStore, StoreId, UniqueStore};
use offheap_quickjs::{
    Capabilities, Engine, Error, Handle, Isolate, IsolateExt, JsArrayBuffer, ManuallyExternalizedBuffer,
};

thread_local! {
    static HANDLE: RefCell<Option<Handle<JsArrayBuffer>>> = const { RefCell::new(None) };
    static ISOLATE: RefCell<Option<Isolate>> = const { RefCell::new(None) };
    static ANSWERS: RefCell<Vec<(EventKind, Result<StoreId, String>)>> = const { RefCell::new(Vec::new()) };
    static NESTED: Cell<bool> = const { Cell::new(false) };
    static MORE: Cell<fn()> = const { Cell::new(|| ()) };
}

thread_local! {
    /// The code of each refusal, the place of the use, and that of the detach.
    static REFUSALS: RefCell<Vec<(&'static str, String, Option<String>)>> = const { RefCell::new(Vec::new()) };
}

struct Reenters;

impl Observer for Reenters {
    fn refused(&self, refusal: &Refusal<'_>) {
        let earlier = refusal.earlier.map(|at| at.to_string());
        REFUSALS.with_borrow_mut(|told| told.push((refusal.code, refusal.at.to_string(), earlier)));
    }

    fn event(&self, event: &Event) {
        assert!(in_finalizer());
        // Told only with the feature `track-handles`; the tests here list the events that are always told.
        if matches!(event.kind, EventKind::Referenced { .. } | EventKind::Dropped { .. }) {
            return;
        }
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

fn observed(work: impl FnOnce(&mut Isolate)) {
    let _ = set_observer(&Reenters);
    work(&mut Isolate::new().unwrap());
    HANDLE.set(None);
}

/// The events at which the observer called the engine. Every call must have been refused.
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

#[test]
fn a2_an_observer_cannot_externalize_the_buffer_that_is_being_externalized() {
    observed(|isolate| {
        isolate.enter(|scope| {
            for source in ["new Uint8Array(4096).fill(7).buffer", "new SharedArrayBuffer(64)"] {
                let buffer = scope.eval_buffer(source).unwrap().into_handle();
                HANDLE.set(Some(buffer.clone()));
                let store = scope.externalize(&buffer).unwrap();
                let kinds = refused();
                assert!(has(&kinds, |kind| *kind == EventKind::Created), "{kinds:?}");
                assert!(has(&kinds, |kind| matches!(kind, EventKind::Externalized { .. })), "{kinds:?}");
                HANDLE.set(None);
                assert_eq!(scope.externalize(&buffer).unwrap(), store, "one buffer has one store");
                scope.set_global("b", &buffer).unwrap();
                scope.eval::<()>("new Uint8Array(b)[0] = 9; undefined").unwrap();
                assert_eq!(store.to_vec().unwrap()[0], 9);
            }
        });
    });
}

#[test]
fn a2_an_observer_cannot_externalize_at_any_other_event() {
    observed(|isolate| {
        isolate.enter(|scope| {
            let store = BackingStore::from(UniqueStore::resizable(64, 128).unwrap());
            let other = scope.eval_buffer("new ArrayBuffer(16)").unwrap().into_handle();
            HANDLE.set(Some(other.clone()));
            let buffer = scope.expose(&store).unwrap().into_handle();
            scope.resize(&buffer, 100).unwrap();
            scope.detach(&buffer, None).unwrap();
            drop((buffer, store));
            scope.collect();
            let kinds = refused();
            assert!(has(&kinds, |kind| matches!(kind, EventKind::Exposed { .. })), "{kinds:?}");
            assert!(has(&kinds, |kind| matches!(kind, EventKind::Resized)), "{kinds:?}");
            assert!(has(&kinds, |kind| matches!(kind, EventKind::Detached { .. })), "{kinds:?}");
            assert!(has(&kinds, |kind| matches!(kind, EventKind::Released { .. })), "{kinds:?}");
            assert!(has(&kinds, |kind| matches!(kind, EventKind::Freed { .. })), "{kinds:?}");
            HANDLE.set(None);
            assert_eq!(scope.externalize(&other).unwrap().byte_length(), 16);
        });
    });
}

#[test]
fn a2_an_observer_that_only_native_code_waits_for_is_refused_too() {
    observed(|isolate| {
        HANDLE.set(Some(isolate.enter(|scope| scope.eval_buffer("new ArrayBuffer(8)").unwrap().into_handle())));
        drop(UniqueStore::zeroed(8).unwrap());
        assert_eq!(refused(), [EventKind::Created, EventKind::Freed { at: None }]);
    });
}

#[test]
fn a2_an_isolate_is_neither_made_nor_measured_by_an_observer() {
    thread_local!(static SAID: RefCell<Vec<bool>> = const { RefCell::new(Vec::new()) });
    observed(|_| {
        ISOLATE.set(Some(Isolate::new().unwrap()));
        MORE.set(|| {
            let made = matches!(Isolate::new(), Err(Error::Unsupported { .. }));
            let measured =
                std::panic::catch_unwind(|| ISOLATE.with_borrow(|kept| kept.as_ref().unwrap().memory_usage()));
            SAID.with_borrow_mut(|said| said.extend([made, measured.is_err()]));
        });
        let store = UniqueStore::zeroed(8).unwrap();
        MORE.set(|| ());
        drop(store);
        ISOLATE.set(None);
        assert_eq!(SAID.take(), [true, true]);
    });
}

#[test]
fn an_observer_may_ask_an_isolate_what_it_is() {
    thread_local!(static SAID: RefCell<Vec<(String, usize)>> = const { RefCell::new(Vec::new()) });
    observed(|_| {
        ISOLATE.set(Some(Isolate::new().unwrap()));
        MORE.set(|| {
            let ask = |isolate: &Isolate| {
                assert!(isolate.capabilities().contains(Capabilities::SCRIPT));
                (isolate.version(), isolate.max_byte_length())
            };
            let answer = ISOLATE.with_borrow(|kept| ask(kept.as_ref().unwrap()));
            SAID.with_borrow_mut(|said| said.push(answer));
        });
        let store = UniqueStore::zeroed(8).unwrap();
        MORE.set(|| ());
        drop(store);
        ISOLATE.set(None);
        assert_eq!(SAID.take(), [(offheap_quickjs::QUICKJS_VERSION.to_owned(), i32::MAX as usize)]);
    });
}

#[test]
fn leaks_an_isolate_that_an_observer_drops_is_never_ended_by_halves() {
    thread_local!(static SAID: Cell<bool> = const { Cell::new(false) });
    observed(|_| {
        let mut isolate = Isolate::new().unwrap();
        let store = BackingStore::from(UniqueStore::zeroed(64).unwrap());
        let buffer = isolate.enter(|scope| scope.expose(&store).unwrap().into_handle());
        let id = isolate.id();
        ISOLATE.set(Some(isolate));
        MORE.set(|| SAID.set(SAID.get() || std::panic::catch_unwind(|| drop(ISOLATE.take())).is_err()));
        drop(UniqueStore::zeroed(8).unwrap());
        MORE.set(|| ());
        assert!(SAID.get(), "it is refused");
        // The isolate lives on, and so do its objects, whether or not they have a handle.
        assert_eq!((buffer.isolate(), store.exposure()), (id, Some((id, 1))));
        drop(buffer);
        assert!(store.exposure().is_none_or(|(isolate, _)| isolate == id));
    });
}

#[test]
fn the_use_of_a_detached_buffer_is_told_with_both_places() {
    let _ = set_observer(&Reenters);
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let buffer = scope.allocate(16, None).unwrap();
        let detached = line!() + 1;
        scope.detach(&buffer, None).unwrap();
        let uses = [
            (line!(), scope.externalize(&buffer).map(drop).unwrap_err()),
            (line!(), scope.externalize_buffer(&buffer).map(drop).unwrap_err()),
            (line!(), scope.bytes(&buffer).map(drop).unwrap_err()),
            (line!(), scope.bytes_mut(&buffer).map(drop).unwrap_err()),
            (line!(), scope.transfer(&buffer, None).map(drop).unwrap_err()),
            (line!(), scope.take(&buffer, None).map(drop).unwrap_err()),
        ];
        let told = REFUSALS.take();
        assert_eq!(told.len(), uses.len(), "{told:?}");
        for ((code, at, earlier), (line, error)) in told.into_iter().zip(uses) {
            assert_eq!((code, error.code()), ("DETACHED", "DETACHED"));
            assert!(at.contains(&format!("observer.rs:{line}:")), "{at}, not {line}");
            assert!(earlier.unwrap().contains(&format!("observer.rs:{detached}:")), "not {detached}");
        }
        // Another buffer in the same slot has no such place.
        drop(buffer);
        let other = scope.eval_buffer("const b = new ArrayBuffer(8); b.transfer(); b").unwrap();
        assert_eq!(scope.bytes(&other).map(drop).unwrap_err().code(), "DETACHED");
        assert!(REFUSALS.take().pop().unwrap().2.is_none());
    });
}
