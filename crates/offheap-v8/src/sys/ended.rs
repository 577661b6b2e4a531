//! Stores over V8's own memory whose isolate ends. They count as exposed until V8 let go of the memory: its buffers in that
//! isolate do so after the slots were dropped, and those that a program made of the same block in another isolate when they
//! like.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offheap::adapter::IsolateRegistration;

use super::engine_memory::EngineMadeStores;

/// Such stores of one isolate, whose id stays in use.
struct Left {
    // Dropped first.
    stores: EngineMadeStores,
    _registration: Arc<IsolateRegistration>,
}

/// What is left of isolates that are gone.
static LEFT: Mutex<Vec<Left>> = Mutex::new(Vec::new());
static ARE_LEFT: AtomicBool = AtomicBool::new(false);

fn left() -> MutexGuard<'static, Vec<Left>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In a slot of an isolate that is being disposed of: what is put there then is dropped once V8 is done.
struct Disposed(Option<Left>);

/// Takes over what an isolate leaves. The crate drops its slots at this moment.
pub(super) fn leave(isolate: &mut v8::Isolate, stores: EngineMadeStores, registration: Arc<IsolateRegistration>) {
    isolate.set_slot(Disposed(Some(Left { stores, _registration: registration })));
}

impl Drop for Disposed {
    fn drop(&mut self) {
        let Some(mut ended) = self.0.take() else { return };
        drop(ended.stores.take_let_go());
        if !ended.stores.is_empty() {
            left().push(ended);
            ARE_LEFT.store(true, Ordering::Release);
        }
    }
}

/// Ends the exposure of what other isolates, and the program, let go of since.
pub(super) fn release() {
    if !ARE_LEFT.load(Ordering::Acquire) {
        return;
    }
    let mut let_go = Vec::new();
    let mut all = left();
    all.iter_mut().for_each(|ended| let_go.append(&mut ended.stores.take_let_go()));
    let gone: Vec<Left> = all.extract_if(.., |ended| ended.stores.is_empty()).collect();
    ARE_LEFT.store(!all.is_empty(), Ordering::Release);
    drop(all);
    // Not under the lock: what drops them may be anybody's code. The ids come last.
    drop(let_go);
    drop(gone);
}
