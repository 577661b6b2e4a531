//! What a stream has told so far: which stores live, and who holds them.

use std::collections::HashMap;
use std::io;

use crate::format::{Change, Created, Event, Holders, Isolate, Line, Reference, Stack, Start};

/// What makes a report of a stream.
pub trait Sink {
    /// A line was read. `trace` knows it already; of a store that the line freed, it still knows everything.
    ///
    /// # Errors
    /// Those of writing the report. They end it.
    fn line(&mut self, trace: &Trace, line: &Line) -> io::Result<()>;

    /// All lines were read.
    ///
    /// # Errors
    /// Those of writing the report.
    fn finish(&mut self, trace: &Trace) -> io::Result<()>;
}

/// A store that lives, or that the present line freed.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Store {
    /// The process that has it.
    pub process: u64,
    /// How it was made.
    pub created: Created,
    /// Its length in bytes now.
    pub bytes: u64,
    /// Its live buffers by isolate, as counted from the events.
    pub buffers: Vec<(Option<u64>, u64)>,
    /// The references to it, where they are told.
    pub references: Vec<Reference>,
    /// Who held it, as it was told last.
    pub holders: Option<Holders>,
    /// Whether the program said that it is meant to stay.
    pub is_static: bool,
    /// How it was freed.
    pub freed: Option<Change>,
}

/// A process that a stream tells of.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Process {
    /// How it began.
    pub start: Start,
    /// Its threads' names.
    pub threads: HashMap<u64, String>,
    /// Its isolates, by their number.
    pub isolates: HashMap<u64, Isolate>,
    /// Its stacks.
    pub stacks: HashMap<u64, Stack>,
    /// The latest time that it told.
    pub time: u64,
    /// Whether it ended in order.
    pub has_ended: bool,
}

/// Something that a line refers to was never told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unknown {
    /// A store that was never made, or was freed already.
    #[error("store {store} was never made, or was freed before")]
    Store {
        /// The store.
        store: u64,
    },
    /// A line before the first `start`.
    #[error("no process was started before")]
    Process,
}

/// What a stream has told so far. It keeps what lives, and forgets what was freed.
#[derive(Debug, Default)]
pub struct Trace {
    processes: HashMap<u64, Process>,
    current: Option<u64>,
    live: HashMap<(u64, u64), Store>,
    freed: Option<Store>,
}

impl Trace {
    /// Follows one line.
    ///
    /// # Errors
    /// [`Unknown`] if the line refers to something that was never told. It changes nothing then.
    pub fn apply(&mut self, line: &Line) -> Result<(), Unknown> {
        self.freed = None;
        if let Event::Start(start) = &line.event {
            let number = line.process.ok_or(Unknown::Process)?;
            self.current = Some(number);
            self.processes.insert(number, Process { start: start.clone(), ..Process::default() });
            return Ok(());
        }
        let number = line.process.or(self.current).ok_or(Unknown::Process)?;
        let process = self.processes.get_mut(&number).ok_or(Unknown::Process)?;
        match &line.event {
            Event::Created(created) => {
                process.time = process.time.max(created.time);
                let store =
                    Store { process: number, created: created.clone(), bytes: created.bytes, ..Store::default() };
                self.live.insert((number, created.store), store);
            }
            Event::Freed(change) => {
                process.time = process.time.max(change.time);
                let store = self.live.remove(&(number, change.store)).ok_or(Unknown::Store { store: change.store })?;
                self.freed = Some(Store { freed: Some(change.clone()), ..store });
            }
            _ => {}
        }
        Ok(())
    }

    /// The stores that live, in no order.
    pub fn live(&self) -> impl Iterator<Item = &Store> {
        self.live.values()
    }

    /// The store with this number in this process: it lives, or the present line freed it.
    pub fn store(&self, process: u64, store: u64) -> Option<&Store> {
        let freed = self.freed.as_ref().filter(|freed| freed.process == process && freed.created.store == store);
        freed.or_else(|| self.live.get(&(process, store)))
    }

    /// The process with this number.
    pub fn process(&self, process: u64) -> Option<&Process> {
        self.processes.get(&process)
    }

    /// The process that the line is about.
    pub fn process_of(&self, line: &Line) -> Option<&Process> {
        line.process.or(self.current).and_then(|process| self.process(process))
    }
}
