//! How long the stores over an engine's own blocks count as exposed: until the engine let go of the block.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offheap::adapter::{Hold, IsolateRegistration};

use super::Block;
use super::block::references;

/// A store over an engine's own block that counts as exposed in its isolate, until the engine lets go of the block.
#[derive(Debug)]
pub struct EngineMade<B> {
    exposed: Hold,
    block: B,
}

/// How many references to a block are ours as long as its store counts as exposed: that of the store's owner, the table's,
/// and that of [`EngineMade`].
pub(super) const KEPT_BY_US: usize = 3;

impl<B: Block> EngineMade<B> {
    /// That `hold`, on the store over `block`, is kept until the engine lets go of the block.
    pub fn new(exposed: Hold, block: B) -> Self {
        EngineMade { exposed, block }
    }

    /// Whether the engine uses the block no more: there are only our references.
    fn is_let_go(&self) -> bool {
        references(&self.block) <= KEPT_BY_US
    }
}

/// The stores of one isolate over its engine's own blocks, and how much was added since the list was last looked through.
/// For adapters: no code of others runs under the lock around it.
#[derive(Debug)]
pub struct EngineMadeStores<B> {
    made: Vec<EngineMade<B>>,
    added_bytes: usize,
    /// How many stores the last look left.
    left: usize,
}

/// The list is looked through after this many more bytes, and when it has at least this many stores and twice as many as
/// the last look left. So a look costs little for each store.
const BYTES_BEFORE_A_LOOK: usize = 64 << 20;
const STORES_BEFORE_A_LOOK: usize = 64;

impl<B> Default for EngineMadeStores<B> {
    fn default() -> Self {
        EngineMadeStores { made: Vec::new(), added_bytes: 0, left: 0 }
    }
}

fn lock<B>(stores: &Mutex<EngineMadeStores<B>>) -> MutexGuard<'_, EngineMadeStores<B>> {
    stores.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B: Block> EngineMadeStores<B> {
    /// Notes a store until the engine lets go of its block, and ends the exposure of others first where a look is due.
    pub fn note(stores: &Mutex<Self>, ended: &EndedIsolates<B>, made: EngineMade<B>) {
        let is_due = lock(stores).look_is_due();
        if is_due {
            Self::release_let_go(stores, ended);
        }
        let mut stores = lock(stores);
        stores.added_bytes = stores.added_bytes.saturating_add(made.exposed.byte_length());
        stores.made.push(made);
    }

    /// Ends the exposure of stores whose block the engine let go of, also of those that isolates left when they ended.
    pub fn release_let_go(stores: &Mutex<Self>, ended: &EndedIsolates<B>) {
        let let_go = lock(stores).take_let_go();
        // Not under the lock: dropping them may run other people's code.
        drop(let_go);
        ended.release();
    }

    /// Takes the list from an isolate that ends: no script of it runs any more.
    pub fn end(stores: &Mutex<Self>) -> Self {
        let mut stores = std::mem::take(&mut *lock(stores));
        // Not under the lock: dropping them may run other people's code.
        drop(stores.take_let_go());
        stores
    }

    fn look_is_due(&self) -> bool {
        let count = self.made.len();
        self.added_bytes >= BYTES_BEFORE_A_LOOK || count >= STORES_BEFORE_A_LOOK && count / 2 >= self.left
    }

    /// Takes out those whose block the engine let go of.
    fn take_let_go(&mut self) -> Vec<EngineMade<B>> {
        let mut let_go = Vec::new();
        let mut index = 0;
        while index < self.made.len() {
            match self.made[index].is_let_go() {
                true => let_go.push(self.made.swap_remove(index)),
                false => index += 1,
            }
        }
        self.added_bytes = 0;
        self.left = self.made.len();
        let_go
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.made.is_empty()
    }
}

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
        // Not under the lock: dropping them may run other people's code. The ids come last.
        drop(let_go);
        drop(gone);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
