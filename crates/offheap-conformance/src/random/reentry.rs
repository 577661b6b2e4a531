//! Owners and an observer that call engines while an engine may be in the middle of something.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use offheap_engine::offheap::observe::{Event, Observer};
use offheap_engine::offheap::{BackingStore, UniqueStore};
use offheap_engine::{Error, Handle, JsArrayBuffer, ManuallyExternalizedBuffer};

thread_local! {
    /// The buffers of the engine that does a step on this thread at the moment.
    static BUFFERS: RefCell<Vec<Handle<JsArrayBuffer>>> = const { RefCell::new(Vec::new()) };
}

/// Calls that an owner or an observer made: those that were refused, and those that an engine answered.
static REFUSED: AtomicUsize = AtomicUsize::new(0);
static ANSWERED: AtomicUsize = AtomicUsize::new(0);

/// How many calls of engines the owners and the observer of all sequences made: refused ones, and answered ones.
pub fn calls_of_engines() -> (usize, usize) {
    (REFUSED.load(Ordering::Relaxed), ANSWERED.load(Ordering::Relaxed))
}

/// These buffers are within the reach of owners and the observer until the value is dropped.
pub(super) fn reach(buffers: Vec<Handle<JsArrayBuffer>>) -> WithinReach {
    BUFFERS.set(buffers);
    WithinReach
}

pub(super) struct WithinReach;

impl Drop for WithinReach {
    fn drop(&mut self) {
        // Out of the cell first: a handle that goes may drop an owner, which looks there.
        drop(BUFFERS.take());
    }
}

/// Externalizes all buffers within reach, and reads what comes: how many an engine gave, of all.
fn call_engines() -> (usize, usize) {
    // On a thread that is ending there is nothing within reach.
    let buffers = BUFFERS.try_with(|buffers| buffers.borrow().clone()).unwrap_or_default();
    let all = buffers.len();
    let mut answered = 0;
    for buffer in buffers {
        if let Ok(externalized) = ManuallyExternalizedBuffer::new(buffer) {
            answered += 1;
            // What of it may be read from here is read: a checker of memory sees where that is gone.
            let _ = externalized.store().to_vec();
        }
    }
    ANSWERED.fetch_add(answered, Ordering::Relaxed);
    REFUSED.fetch_add(all - answered, Ordering::Relaxed);
    (answered, all)
}

/// A store whose owner calls engines when it is dropped. Whether they answer depends on who drops it: an engine that is
/// waiting refuses.
pub(super) fn calling(bytes: Vec<u8>) -> Result<BackingStore, Error> {
    let deleter = |_: *mut u8, _: usize| {
        call_engines();
    };
    Ok(UniqueStore::from_owner_with_deleter(bytes, deleter)?.into())
}

/// An observer that calls engines at each event, which none may answer.
pub struct Reentrant;

impl Observer for Reentrant {
    fn event(&self, event: &Event) {
        let (answered, all) = call_engines();
        assert_eq!(answered, 0, "an observer called engines at {:?}, and so many of {all} answered", event.kind);
    }
}
