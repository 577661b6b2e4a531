//! What a stream has told so far: which stores live, and who holds them.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::format::{self, Change, Created, Event, Line};
use crate::process::Process;
use crate::store::Store;

/// What a stream has told so far. It keeps what lives, and forgets what was freed: only the totals of each place stay, and
/// the stacks, threads and isolates.
#[derive(Debug, Default)]
pub struct Trace {
    file: Arc<str>,
    processes: Vec<Process>,
    // The processes of the present file, by their numbers. Two files may be of different machines, so a number means nothing
    // beyond its file.
    by_number: FxHashMap<u64, usize>,
    left_out: FxHashSet<u64>,
    latest: Option<u64>,
    live: FxHashMap<(usize, u64), Box<Store>>,
    words: FxHashSet<Arc<str>>,
    present: Present,
}

/// What the present line is about.
#[derive(Debug, Default)]
struct Present {
    process: Option<usize>,
    store: Option<u64>,
    freed: Option<Box<Store>>,
}

/// Why the trace left a line out. It changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Untold {
    /// A line before the first `start` of its process.
    #[error(
        "it is about {}, and no line `start` of that process comes before it; a stream begins with {{\"event\":\"start\",\
         \"version\":1,\"process\":NUMBER}}",
        process.map_or("a process without a number".to_owned(), |number| format!("process {number}"))
    )]
    Process {
        /// The process, if the line names one.
        process: Option<u64>,
    },
    /// A process whose lines have a version that this crate does not know.
    #[error(
        "process {process} writes version {version} of the format, and this program reads version {}; its lines are left \
         out, update offheap to read them",
        format::VERSION
    )]
    Version {
        /// The process.
        process: u64,
        /// The version.
        version: u32,
    },
    /// A line of a process whose version is not known. The line `start` had [`Untold::Version`].
    #[error("process {process} writes a version of the format that this program does not read")]
    LeftOut {
        /// The process.
        process: u64,
    },
    /// A store that does not live.
    #[error(
        "store {store} does not live: no line `created` made it, or it was freed before; each `created` needs a new number"
    )]
    Store {
        /// The store.
        store: u64,
    },
    /// A store that lives already.
    #[error("store {store} lives already; each `created` needs a number that no other store of the process has")]
    Twice {
        /// The store.
        store: u64,
    },
    /// A reference that was never taken, or was dropped before.
    #[error(
        "reference {reference} to store {store} is not there: no line `referenced` took it, or it was dropped before"
    )]
    Reference {
        /// The store.
        store: u64,
        /// The reference.
        reference: u64,
    },
    /// A buffer that is not there.
    #[error(
        "store {store} has no buffer to release: as many were released as exposed; write one `released` for each `exposed`"
    )]
    Buffer {
        /// The store.
        store: u64,
    },
}

impl Trace {
    /// A further file begins. The numbers of processes mean nothing beyond their file.
    pub fn begin_file(&mut self, name: &str) {
        self.file = name.into();
        self.by_number.clear();
        self.left_out.clear();
        self.latest = None;
    }

    /// Follows one line.
    ///
    /// # Errors
    /// [`Untold`] if the line refers to something that was never told. The line changes nothing then.
    pub fn apply(&mut self, line: &Line) -> Result<(), Untold> {
        self.present = Present::default();
        if let Event::Start(start) = &line.event {
            return self.start(line.process, start);
        }
        let index = self.find_process(line)?;
        self.present.process = Some(index);
        match &line.event {
            Event::Start(_) => {}
            Event::Thread(thread) => self.processes[index].told_thread(thread),
            Event::Isolate(isolate) => self.processes[index].told_isolate(isolate),
            Event::Stack(stack) => self.processes[index].told_stack(stack),
            Event::Created(created) => self.create(index, created)?,
            Event::Freed(change) => self.free(index, change)?,
            Event::Exposed(change) => {
                let isolate = change.isolate.and_then(|isolate| self.processes[index].isolate(isolate));
                let engine = isolate.map(|isolate| intern(&mut self.words, &isolate.engine));
                let store = self.live(index, change.store)?;
                store.add_buffer(change.isolate, change.site.as_deref());
                store.engine = engine.or(store.engine.take());
            }
            Event::Released(change) => {
                if !self.live(index, change.store)?.remove_buffer(change.isolate) {
                    return Err(Untold::Buffer { store: change.store });
                }
            }
            Event::Resized(change) => self.resize(index, change)?,
            Event::Externalized(change) | Event::Detached(change) | Event::Transferred(change) => {
                self.live(index, change.store)?;
            }
            Event::Static(change) => self.live(index, change.store)?.is_static = true,
            Event::Referenced(reference) => {
                self.live(index, reference.store)?.add_reference(reference);
            }
            Event::Dropped(dropped) => {
                let store = self.live(index, dropped.store)?;
                if !store.drop_reference(dropped.reference) {
                    return Err(Untold::Reference { store: dropped.store, reference: dropped.reference });
                }
            }
            Event::Holders(holders) => {
                let store = self.live(index, holders.store)?;
                let holders = holders.clone();
                store.buffers.clone_from(&holders.buffers);
                store.more().holders = Some(format::Holders { buffers: Vec::new(), ..holders });
            }
            Event::Totals(counted) => self.processes[index].counted = Some(*counted),
            Event::Refused(refused) => {
                // What was refused is often about a store that is gone, and told all the same.
                self.present.store = refused.store;
                self.processes[index].refused += 1;
            }
            Event::Notice(notice) => {
                self.present.store = notice.store;
                self.processes[index].noticed += 1;
            }
            Event::End(end) => {
                self.processes[index].has_ended = true;
                self.processes[index].has_collector = end.leaks == Some(false);
            }
        }
        if let Some(time) = line.event.time() {
            let process = &mut self.processes[index];
            process.time = process.time.max(time);
        }
        Ok(())
    }

    /// All processes, in the order of their lines `start`. [`Store::process`] is a place in this list.
    pub fn processes(&self) -> &[Process] {
        &self.processes
    }

    /// The process that the present line is about.
    pub fn process(&self) -> Option<&Process> {
        self.processes.get(self.present.process?)
    }

    /// The place in [`Trace::processes`] of the process that the present line is about.
    pub fn process_index(&self) -> Option<usize> {
        self.present.process
    }

    /// The store that the present line is about: it lives, or the present line freed it.
    pub fn store(&self) -> Option<&Store> {
        if let Some(freed) = &self.present.freed {
            return Some(freed);
        }
        self.find(self.present.process?, self.present.store?)
    }

    /// The stores that live, in no order.
    pub fn live_stores(&self) -> impl Iterator<Item = &Store> {
        self.live.values().map(|store| &**store)
    }

    /// A store that lives, by the place of its process in [`Trace::processes`] and its number.
    pub fn find(&self, process: usize, store: u64) -> Option<&Store> {
        self.live.get(&(process, store)).map(|store| &**store)
    }

    /// Whether this store has leaked: its process ended in order, the store lives, and nobody said that it is meant to stay, or
    /// that a collector would have freed it.
    pub fn has_leaked(&self, store: &Store) -> bool {
        !store.is_static && store.freed().is_none() && self.processes[store.process].has_leaks()
    }

    fn start(&mut self, process: Option<u64>, start: &format::Start) -> Result<(), Untold> {
        let number = process.ok_or(Untold::Process { process })?;
        self.latest = Some(number);
        if start.version != format::VERSION {
            self.by_number.remove(&number);
            self.left_out.insert(number);
            return Err(Untold::Version { process: number, version: start.version });
        }
        self.left_out.remove(&number);
        let index = self.processes.len();
        self.processes.push(Process::new(number, self.file.clone(), start.clone()));
        self.by_number.insert(number, index);
        self.present.process = Some(index);
        Ok(())
    }

    fn find_process(&self, line: &Line) -> Result<usize, Untold> {
        let process = line.process.or(self.latest);
        let number = process.ok_or(Untold::Process { process })?;
        match self.by_number.get(&number) {
            Some(&index) => Ok(index),
            None if self.left_out.contains(&number) => Err(Untold::LeftOut { process: number }),
            None => Err(Untold::Process { process }),
        }
    }

    fn live(&mut self, process: usize, store: u64) -> Result<&mut Store, Untold> {
        self.present.store = Some(store);
        self.live.get_mut(&(process, store)).map(|store| &mut **store).ok_or(Untold::Store { store })
    }

    fn create(&mut self, index: usize, created: &Created) -> Result<(), Untold> {
        let std::collections::hash_map::Entry::Vacant(entry) = self.live.entry((index, created.store)) else {
            return Err(Untold::Twice { store: created.store });
        };
        let process = &mut self.processes[index];
        let site = created.site.as_deref().map(|site| process.intern_site(site));
        let kind = created.kind.as_deref().map(|kind| intern(&mut self.words, kind));
        let store = entry.insert(Box::new(Store::new(index, created, site, kind)));
        process.count(store.site.as_ref(), |totals| totals.made(store));
        self.present.store = Some(created.store);
        Ok(())
    }

    fn free(&mut self, index: usize, change: &Change) -> Result<(), Untold> {
        let gone = Untold::Store { store: change.store };
        let mut store = self.live.remove(&(index, change.store)).ok_or(gone)?;
        store.more().freed = Some(change.clone());
        self.processes[index].count(store.site.as_ref(), |totals| totals.freed(&store, change.time));
        self.present.store = Some(change.store);
        self.present.freed = Some(store);
        Ok(())
    }

    fn resize(&mut self, index: usize, change: &Change) -> Result<(), Untold> {
        let store = self.live(index, change.store)?;
        let Some(bytes) = change.bytes else { return Ok(()) };
        let before = (store.bytes, store.greatest_bytes);
        store.bytes = bytes;
        store.greatest_bytes = store.greatest_bytes.max(bytes);
        let (weight, site, greatest) = (store.weight, store.site.clone(), store.greatest_bytes);
        self.processes[index].count(site.as_ref(), |totals| totals.resized(weight, before, (bytes, greatest)));
        Ok(())
    }
}

fn intern(known: &mut FxHashSet<Arc<str>>, text: &str) -> Arc<str> {
    if let Some(known) = known.get(text) {
        return known.clone();
    }
    let new: Arc<str> = text.into();
    known.insert(new.clone());
    new
}
