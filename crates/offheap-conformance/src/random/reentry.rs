//! Owners and an observer that call engines, possibly in the middle of an engine's operation.

use std::cell::RefCell;
use std::sync::atomic::{AtomicUsize, Ordering};

use offheap_engine::offheap::observe::{Event, Observer};
use offheap_engine::offheap::{BackingStore, UniqueStore};
use offheap_engine::{Error, Handle, JsArrayBuffer, ManuallyExternalizedBuffer};

thread_local! {
    /// The buffers of the engine that performs a step on this thread at the moment.
    static BUFFERS: RefCell<Vec<Handle<JsArrayBuffer>>> = const { RefCell::new(Vec::new()) };
}

/// The calls that an owner or an observer made: refused ones, and answered ones.
static REFUSED: AtomicUsize = AtomicUsize::new(0);
static ANSWERED: AtomicUsize = AtomicUsize::new(0);

/// The number of calls that the owners and the observer of all sequences made: refused ones, and answered ones.
pub fn calls_of_engines() -> (usize, usize) {
    (REFUSED.load(Ordering::Relaxed), ANSWERED.load(Ordering::Relaxed))
}

/// Lets owners and the observer reach these buffers until the value is dropped.
pub(super) fn reach(buffers: Vec<Handle<JsArrayBuffer>>) -> WithinReach {
    BUFFERS.set(buffers);
    WithinReach
}

pub(super) struct WithinReach;

impl Drop for WithinReach {
    fn drop(&mut self) {
        // Take the handles out of the cell first: dropping one may drop an owner, which looks into the cell.
        drop(BUFFERS.take());
    }
}

/// Externalizes all reachable buffers, and reads their bytes. Returns how many were answered, and how many there were.
fn call_engines() -> (usize, usize) {
    // On a thread that is ending, no buffer is reachable.
    let buffers = BUFFERS.try_with(|buffers| buffers.borrow().clone()).unwrap_or_default();
    let all = buffers.len();
    let mut answered = 0;
    for buffer in buffers {
        if let Ok(externalized) = ManuallyExternalizedBuffer::new(buffer) {
            answered += 1;
            // Reads the bytes that may be read on this thread. If they were freed, a memory checker reports it.
            let _ = externalized.store().to_vec();
        }
    }
    ANSWERED.fetch_add(answered, Ordering::Relaxed);
    REFUSED.fetch_add(all - answered, Ordering::Relaxed);
    (answered, all)
}

/// Makes a store whose owner calls engines when it is dropped. Whether they answer depends on the code that drops it:
/// an engine that is waiting for the drop refuses.
pub(super) fn calling(bytes: Vec<u8>) -> Result<BackingStore, Error> {
    let deleter = |_: *mut u8, _: usize| {
        call_engines();
    };
    Ok(UniqueStore::from_owner_with_deleter(bytes, deleter)?.into())
}

/// An observer that calls engines at each event. No engine may answer.
pub struct Reentrant;

impl Observer for Reentrant {
    fn event(&self, event: &Event) {
        let (answered, all) = call_engines();
        assert_eq!(answered, 0, "an observer called engines at {:?}, and some of {all} answered", event.kind);
    }
}
