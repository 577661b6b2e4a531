//! What isolates leave when they end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offheap::adapter::IsolateRegistration;

use super::{Block, EngineMade, EngineMadeStores};

/// The stores over an engine's own blocks whose isolate has ended, and whose block the engine did not let go of: its buffers
/// in that isolate go after the isolate's data, and those that a program made of the same block in another isolate go when
/// they like. For adapters: one `static` per engine.
///
/// Until then they count as exposed.
pub struct EndedIsolates<B> {
    left: Mutex<Vec<Left<B>>>,
    are_left: AtomicBool,
}

/// Such stores of one isolate, whose id stays in use.
#[derive(Debug)]
struct Left<B> {
    // Dropped first.
    stores: EngineMadeStores<B>,
    _registration: Arc<IsolateRegistration>,
}

impl<B: Block> EndedIsolates<B> {
    /// Nothing was left yet.
    #[allow(clippy::new_without_default, reason = "there is one static for each engine")]
    pub const fn new() -> Self {
        EndedIsolates { left: Mutex::new(Vec::new()), are_left: AtomicBool::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Left<B>>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what an isolate leaves, once its engine is done with it.
    pub fn leave(&self, mut stores: EngineMadeStores<B>, registration: Arc<IsolateRegistration>) {
        drop(stores.take_let_go());
        if !stores.is_empty() {
            self.lock().push(Left { stores, _registration: registration });
            self.are_left.store(true, Ordering::Release);
        }
    }

    /// Ends the exposure of what other isolates, and the program, let go of since.
    pub fn release(&self) {
        if !self.are_left.load(Ordering::Acquire) {
            return;
        }
        let mut let_go: Vec<EngineMade<B>> = Vec::new();
        let mut all = self.lock();
        all.iter_mut().for_each(|ended| let_go.append(&mut ended.stores.take_let_go()));
        let gone: Vec<Left<B>> = all.extract_if(.., |ended| ended.stores.is_empty()).collect();
        self.are_left.store(!all.is_empty(), Ordering::Release);
        drop(all);
        // Not under the lock: dropping them may run anybody's code. The ids come last.
        drop(let_go);
        drop(gone);
    }
}
