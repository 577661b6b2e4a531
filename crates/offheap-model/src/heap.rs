//! The model's heap: buffers, the roots that keep them, and the collector.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::thread;

use offheap::adapter::{Hold, InFinalizer};
use offheap::{BackingStore, IsolateId, StoreId};

use crate::roots::Counts;
use crate::shared::Shared;
use crate::{ModelOptions, NAME};
use fastrand::Rng;
use offheap_engine::Error;

/// The number of a buffer, never given out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BufferId(u64);

pub(crate) struct Buffer {
    pub(crate) memory: Memory,
    /// `maxByteLength` of a resizable buffer.
    pub(crate) max_byte_length: Option<usize>,
    pub(crate) immutable: bool,
    pub(crate) detach_key: Option<String>,
    // Nothing reaches it any more; its finalizer waits.
    collected: bool,
}

/// The memory of a buffer.
pub(crate) enum Memory {
    /// The model's own bytes, with room for `maxByteLength`.
    Own(Vec<u8>),
    /// These bytes of a store.
    Store { store: StoreId, start: usize, byte_length: usize },
    /// All of a resizable or growable store, however long it is.
    Resizable(StoreId),
    /// Nothing: it is detached.
    Detached,
}

impl Memory {
    pub(crate) fn store(&self) -> Option<StoreId> {
        match *self {
            Memory::Store { store, .. } | Memory::Resizable(store) => Some(store),
            Memory::Own(_) | Memory::Detached => None,
        }
    }
}

/// A hold that the heap released. It is dropped when the heap is not borrowed: the owner may drop with it.
#[must_use]
#[derive(Default)]
pub(crate) struct ReleasedHold(Option<(Hold, OnThread)>);

pub(crate) enum OnThread {
    This,
    Another,
}

impl ReleasedHold {
    /// Drops the hold, perhaps as a sweeper's thread would.
    pub(crate) fn finish(self) {
        let drop_it = |hold: Hold| {
            // As in other engines, which are in the middle of something where an owner drops.
            let _no_engine = InFinalizer::enter();
            drop(hold);
        };
        match self.0 {
            None => {}
            Some((hold, OnThread::This)) => drop_it(hold),
            Some((hold, OnThread::Another)) => {
                thread::spawn(move || drop_it(hold)).join().unwrap_or_else(|panic| resume_unwind(panic));
            }
        }
    }
}

pub(crate) struct Heap {
    pub(crate) isolate: IsolateId,
    pub(crate) options: ModelOptions,
    random: Rng,
    last: u64,
    buffers: BTreeMap<BufferId, Buffer>,
    stores: BTreeMap<StoreId, Shared>,
    roots: Rc<Counts>,
    globals: BTreeMap<String, BufferId>,
    // Collected buffers whose finalizers are put off.
    finalizers: Vec<BufferId>,
}

impl Heap {
    pub(crate) fn new(isolate: IsolateId, options: ModelOptions, roots: Rc<Counts>) -> Self {
        Heap {
            isolate,
            options,
            random: Rng::with_seed(options.seed),
            last: 0,
            buffers: BTreeMap::new(),
            stores: BTreeMap::new(),
            roots,
            globals: BTreeMap::new(),
            finalizers: Vec::new(),
        }
    }

    /// The collections that the seed puts before a step. Returns the number of finalizers to run.
    pub(crate) fn turn(&mut self) -> usize {
        if self.random.usize(..4) == 0 {
            self.collect();
        }
        self.random.usize(..3)
    }

    /// Finds the buffers that nothing reaches. Answers how many finalizers are to run now.
    pub(crate) fn collect_now(&mut self) -> usize {
        self.collect();
        self.random.usize(..=self.finalizers.len())
    }

    /// Ends all roots.
    pub(crate) fn end(&mut self) {
        self.roots.end();
        self.globals.clear();
        self.collect();
    }

    fn collect(&mut self) {
        let reached = |id| self.roots.reach(id) || self.globals.values().any(|global| *global == id);
        let dead: Vec<_> =
            self.buffers.iter().filter(|(id, buffer)| !buffer.collected && !reached(**id)).map(|(id, _)| *id).collect();
        for id in dead {
            self.buffer_mut(id).collected = true;
            self.finalizers.push(id);
        }
    }

    /// Runs a finalizer that was put off, where there is one.
    pub(crate) fn finalize(&mut self) -> Option<ReleasedHold> {
        if self.finalizers.is_empty() {
            return None;
        }
        let chosen = self.random.usize(..self.finalizers.len());
        let id = self.finalizers.swap_remove(chosen);
        let on_thread = if self.random.usize(..8) == 0 { OnThread::Another } else { OnThread::This };
        let buffer = self.buffers.remove(&id).expect("finalized once");
        Some(self.release_memory(buffer.memory, on_thread))
    }

    pub(crate) fn release_memory(&mut self, memory: Memory, on_thread: OnThread) -> ReleasedHold {
        let Some(store) = memory.store() else { return ReleasedHold::default() };
        let shared = self.stores.get_mut(&store).expect("a store with buffers is known");
        let (hold, last) = shared.remove();
        if last {
            self.stores.remove(&store);
        }
        ReleasedHold(hold.map(|hold| (hold, on_thread)))
    }

    /// Takes a buffer's memory away.
    pub(crate) fn detach(&mut self, id: BufferId) -> ReleasedHold {
        let memory = self.take_memory(id);
        self.release_memory(memory, OnThread::This)
    }

    pub(crate) fn take_memory(&mut self, id: BufferId) -> Memory {
        std::mem::replace(&mut self.buffer_mut(id).memory, Memory::Detached)
    }

    /// A new buffer, which is to get a root before anything is collected.
    pub(crate) fn add(&mut self, memory: Memory, max_byte_length: Option<usize>, immutable: bool) -> BufferId {
        self.last += 1;
        let id = BufferId(self.last);
        let buffer = Buffer { memory, max_byte_length, immutable, detach_key: None, collected: false };
        self.buffers.insert(id, buffer);
        id
    }

    pub(crate) fn buffer(&self, id: BufferId) -> &Buffer {
        match self.buffers.get(&id) {
            Some(buffer) if !buffer.collected => buffer,
            Some(_) => panic!("{NAME}: {id:?} was collected and is used again"),
            None => panic!("{NAME}: {id:?} was freed and is used again"),
        }
    }

    pub(crate) fn buffer_mut(&mut self, id: BufferId) -> &mut Buffer {
        self.buffer(id);
        self.buffers.get_mut(&id).expect("there, as just checked")
    }

    pub(crate) fn set_global(&mut self, name: &str, id: BufferId) {
        self.globals.insert(name.to_owned(), id);
    }

    pub(crate) fn globals(&self) -> impl Iterator<Item = (&str, BufferId)> {
        self.globals.iter().map(|(name, id)| (name.as_str(), *id))
    }

    /// Whether the buffer is a SharedArrayBuffer.
    pub(crate) fn is_shared(&self, id: BufferId) -> bool {
        self.buffer(id).memory.store().is_some_and(|store| self.shared(store).kind().is_shared())
    }

    pub(crate) fn shared(&self, store: StoreId) -> &Shared {
        self.stores.get(&store).expect("a store with buffers is known")
    }

    pub(crate) fn shared_mut(&mut self, store: StoreId) -> &mut Shared {
        self.stores.get_mut(&store).expect("a store with buffers is known")
    }

    /// Native code gets the bytes of a store to write, if the model has buffers over it.
    pub(crate) fn lend(&self, store: StoreId) {
        if let Some(shared) = self.stores.get(&store) {
            shared.lend();
        }
    }

    /// One more buffer over a store.
    pub(crate) fn hold(&mut self, store: &BackingStore) -> Result<(), Error> {
        match self.stores.get_mut(&store.id()) {
            Some(shared) => shared.add(store),
            None => {
                let shared = Shared::new(store, self.isolate)?;
                self.stores.insert(store.id(), shared);
                Ok(())
            }
        }
    }
}
