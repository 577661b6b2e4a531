//! The time for which stores over an engine's own blocks count as exposed: until the engine drops the block.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offheap::adapter::{Hold, IsolateRegistration};

use super::Block;
use super::block::references;

/// A store over an engine's own block. It counts as exposed in its isolate until the engine drops the block.
#[derive(Debug)]
pub struct EngineMade<B> {
    exposed: Hold,
    block: B,
}

/// The number of references that this crate has to a block while the block's store counts as exposed: one in the
/// store's owner, one in [`EngineMade`].
pub(super) const KEPT_BY_US: usize = 2;

impl<B: Block> EngineMade<B> {
    /// Keeps `exposed`, a hold on the store over `block`, until the engine drops the block.
    pub fn new(exposed: Hold, block: B) -> Self {
        EngineMade { exposed, block }
    }

    /// Whether the engine has dropped the block: only references of this crate are left.
    fn is_released(&self) -> bool {
        references(&self.block) <= KEPT_BY_US
    }
}

/// The stores of one isolate over its engine's own blocks, and the number of bytes added since the last check of
/// the list. For adapters: no foreign code runs while the lock around it is held.
#[derive(Debug)]
pub struct EngineMadeStores<B> {
    made: Vec<EngineMade<B>>,
    added_bytes: usize,
    /// The number of stores that were left after the last check.
    left: usize,
}

/// The list is checked after this many more bytes. It is also checked when it has at least this many stores and
/// twice as many as the last check left, so the cost for each store stays small.
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
    /// Notes a store until the engine drops its block. If a check of the list is due, it first ends the exposure of
    /// other stores.
    pub fn note(stores: &Mutex<Self>, ended: &EndedIsolates<B>, made: EngineMade<B>) {
        let mut locked = lock(stores);
        if locked.look_is_due() {
            drop(locked);
            Self::drop_released(stores, ended);
            locked = lock(stores);
        }
        let mut stores = locked;
        stores.added_bytes = stores.added_bytes.saturating_add(made.exposed.byte_length());
        stores.made.push(made);
    }

    /// Ends the exposure of the stores whose block the engine has dropped, including stores of isolates that have
    /// ended.
    pub fn drop_released(stores: &Mutex<Self>, ended: &EndedIsolates<B>) {
        let released = lock(stores).take_released();
        // Not under the lock: these drops may run foreign code.
        drop(released);
        ended.release();
    }

    /// Takes the list from an isolate that ends and runs no more script.
    pub fn end(stores: &Mutex<Self>) -> Self {
        let mut stores = std::mem::take(&mut *lock(stores));
        // Not under the lock: these drops may run foreign code.
        drop(stores.take_released());
        stores
    }

    fn look_is_due(&self) -> bool {
        let count = self.made.len();
        self.added_bytes >= BYTES_BEFORE_A_LOOK || count >= STORES_BEFORE_A_LOOK && count / 2 >= self.left
    }

    /// Removes and returns the entries whose block the engine has dropped.
    fn take_released(&mut self) -> Vec<EngineMade<B>> {
        self.left = 0;
        for index in 0..self.made.len() {
            if !self.made[index].is_released() {
                self.made.swap(self.left, index);
                self.left += 1;
            }
        }
        self.added_bytes = 0;
        self.made.split_off(self.left)
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.made.is_empty()
    }
}

/// The stores over an engine's own blocks whose isolate has ended while the engine still had the block. The
/// isolate's own buffers are freed after its data. Buffers that a program made from the same block in another
/// isolate may live for any time. For adapters: one `static` per engine.
///
/// The stores count as exposed until the engine drops their blocks.
pub struct EndedIsolates<B> {
    left: Mutex<Vec<Left<B>>>,
    are_left: AtomicBool,
}

/// The stores that one isolate left. Its id stays in use.
#[derive(Debug)]
struct Left<B> {
    // Dropped before the registration.
    stores: EngineMadeStores<B>,
    _registration: Arc<IsolateRegistration>,
}

impl<B: Block> EndedIsolates<B> {
    /// An empty list.
    #[allow(clippy::new_without_default, reason = "there is one static for each engine")]
    pub const fn new() -> Self {
        EndedIsolates { left: Mutex::new(Vec::new()), are_left: AtomicBool::new(false) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Left<B>>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the stores that an isolate leaves, after its engine has ended it.
    pub fn leave(&self, mut stores: EngineMadeStores<B>, registration: Arc<IsolateRegistration>) {
        drop(stores.take_released());
        if !stores.is_empty() {
            self.lock().push(Left { stores, _registration: registration });
            self.are_left.store(true, Ordering::Release);
        }
    }

    /// Ends the exposure of the stores whose blocks were dropped since, by other isolates or by the program.
    pub fn release(&self) {
        if !self.are_left.load(Ordering::Acquire) {
            return;
        }
        let mut released: Vec<EngineMade<B>> = Vec::new();
        let mut all = self.lock();
        all.iter_mut().for_each(|ended| released.append(&mut ended.stores.take_released()));
        let gone: Vec<Left<B>> = all.extract_if(.., |ended| ended.stores.is_empty()).collect();
        self.are_left.store(!all.is_empty(), Ordering::Release);
        drop(all);
        // Not under the lock: these drops may run foreign code. The ids are dropped last.
        drop(released);
        drop(gone);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
