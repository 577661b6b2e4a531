//! The place of each handle that is taken from a buffer, with the feature `track-handles`, and the isolate that released a
//! buffer. A process has one observer, so this has a file of its own.

use std::cell::RefCell;

use offheap_quickjs::offheap::observe::{Event, EventKind, Observer, TRACKS_HANDLES, set_observer};
use offheap_quickjs::offheap::{BackingStore, FrozenStore, IsolateId, SharedStore, Site};
use offheap_quickjs::rquickjs::{Context, Runtime, Value};
use offheap_quickjs::{BackingStoreExt, Isolate, ManuallyExternalizedBuffer};

thread_local!(static LIVE: RefCell<Vec<(u64, Site)>> = const { RefCell::new(Vec::new()) });

thread_local!(static RELEASED: RefCell<Vec<Option<IsolateId>>> = const { RefCell::new(Vec::new()) });

struct Recorder;

impl Observer for Recorder {
    fn event(&self, event: &Event) {
        LIVE.with_borrow_mut(|live| match event.kind {
            EventKind::Referenced { reference, at, .. } => live.push((reference.get(), at)),
            EventKind::Released { isolate } => RELEASED.with_borrow_mut(|released| released.push(isolate)),
            EventKind::Dropped { reference } => live.retain(|handle| handle.0 != reference.get()),
            _ => {}
        });
    }
}

/// Checks that the only live handle was made in this line.
#[track_caller]
fn assert_taken_at(line: u32) {
    let live = LIVE.with_borrow(Clone::clone);
    if !TRACKS_HANDLES {
        assert_eq!(live, []);
        return;
    }
    let [(_, Site::Native(place))] = live[..] else { panic!("{live:?}") };
    assert!(place.file().ends_with("handles.rs") && place.line() == line, "{live:?}");
}

#[test]
fn a_handle_from_a_buffer_names_the_line_that_took_it() {
    let _ = set_observer(&Recorder);
    let mut isolate = Isolate::new().unwrap();
    let buffer = isolate.enter(|scope| scope.eval_buffer("new ArrayBuffer(64)").unwrap().into_handle());
    let externalized = ManuallyExternalizedBuffer::new(buffer.clone()).unwrap();
    assert_taken_at(line!() - 1);
    drop(externalized);
    isolate.enter(|scope| {
        for _ in 0..2 {
            let store = scope.externalize(&buffer).unwrap();
            assert_taken_at(line!() - 1);
            drop(store);
            let store = scope.externalize_buffer(&buffer).unwrap();
            assert_taken_at(line!() - 1);
            drop(store);
            assert!(LIVE.with_borrow(Vec::is_empty));
        }
    });
}

#[test]
fn a_handle_from_a_value_of_your_own_context_names_the_line_that_took_it() {
    let _ = set_observer(&Recorder);
    let runtime = Runtime::new().unwrap();
    Context::full(&runtime).unwrap().with(|ctx| {
        for script in ["new ArrayBuffer(8)", "new Uint8Array(8).subarray(2, 4)"] {
            let value: Value<'_> = ctx.eval(script).unwrap();
            for _ in 0..2 {
                let store = BackingStore::externalize(&ctx, &value).unwrap();
                assert_taken_at(line!() - 1);
                drop(store);
                let view = BackingStore::externalize_buffer(&ctx, &value).unwrap();
                assert_taken_at(line!() - 1);
                drop(view);
            }
        }
    });
}

#[test]
fn a_frozen_or_shared_buffer_that_is_collected_names_its_isolate() {
    let _ = set_observer(&Recorder);
    let mut isolate = Isolate::new().unwrap();
    let id = isolate.id();
    let frozen = FrozenStore::from_owner(&[0u8; 8][..]).unwrap();
    let shared = SharedStore::zeroed(8).unwrap();
    let growable = SharedStore::growable(8, 16).unwrap();
    isolate.enter(|scope| {
        drop(scope.expose(frozen.as_store()).unwrap());
        drop(scope.expose(shared.as_store()).unwrap());
        drop(scope.expose(growable.as_store()).unwrap());
    });
    isolate.enter(|scope| scope.eval::<()>("undefined").unwrap());
    assert_eq!(RELEASED.take(), [Some(id); 3]);
    // A buffer that script keeps is freed with the runtime.
    isolate.enter(|scope| {
        let kept = scope.expose(frozen.as_store()).unwrap();
        scope.set_global("kept", &kept).unwrap();
    });
    // Meanwhile another isolate ends, on another thread.
    std::thread::spawn(|| drop(Isolate::new().unwrap())).join().unwrap();
    drop(isolate);
    assert_eq!(RELEASED.take(), [Some(id)]);
}
