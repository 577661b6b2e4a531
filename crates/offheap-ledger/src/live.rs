//! The stores that live, and who holds them.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use offheap::{IsolateId, ManualHeap, Site, StoreId, StoreKind};

use offheap_report::format;

use crate::Ledger;
use crate::happened::{Happened, What};
use crate::held::Reference;
use crate::lines::isolate_of;
use crate::record::Record;
use crate::stack::Stack;
use crate::sys::Block;

/// A store that lives. `Display` says it as a leak: its length, where it was made and who holds it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LiveStore {
    /// The store.
    pub store: StoreId,
    /// Its kind.
    pub kind: StoreKind,
    /// The length in bytes at the last event.
    pub byte_length: usize,
    /// The greatest length so far.
    pub greatest_byte_length: usize,
    /// The place where it was made.
    pub created: Site,
    /// The stack that made it, from level `Sites` on.
    pub stack: Option<Stack>,
    /// The functions of script that waited when an engine got a buffer over it, the latest time that there were any. From level
    /// `Sites` on.
    pub exposed_by: Option<Stack>,
    /// The functions of script that waited when native code took a reference from a buffer over it, the first time that there
    /// were any. From level `Sites` on.
    pub externalized_by: Option<Stack>,
    /// The number of the thread that made it; 0 if that is not known.
    pub thread: u32,
    /// When it was made, since the ledger began.
    pub time: Duration,
    /// How many stores it stands for: more than 1 if the ledger has only samples.
    pub weight: f64,
    /// The address of manual memory.
    pub address: Option<usize>,
    /// The address of its first byte, to look for its buffers: `SoughtStore { store, address }`. It identifies the memory, and
    /// must not be read through. `None` for a store that was made before the ledger.
    pub data: Option<usize>,
    /// Whether it was declared static.
    pub is_static: bool,
    /// The number of buffers that engines got over it.
    pub exposed: u32,
    /// The number of buffers over it that engines released.
    pub released: u32,
    /// The number of references that native code took from an engine's buffer.
    pub externalized: u32,
    /// The number of buffers over it that native code detached.
    pub detached: u32,
    /// Who holds it now.
    pub holders: Holders,
    /// Its latest events, the oldest first, at level `Full`.
    pub history: Vec<Past>,
    /// How many events the history has forgotten, after the first.
    pub forgotten: u64,
}

/// Who holds a store.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Holders {
    /// Live buffers over it.
    pub buffers: Vec<Buffers>,
    /// The number of native references, guards included. All handles to manual memory are one. `None` for a store that was
    /// made before the ledger.
    pub references: Option<u32>,
    /// The number of weak handles.
    pub weak: Option<u32>,
    /// The number of guards that read.
    pub readers: Option<u32>,
    /// Whether a guard writes.
    pub writer: Option<bool>,
    /// The native handles with their places, with the feature `track-handles`.
    pub handles: Vec<HandleTo>,
    /// The places of the references that must be released: those of [`Ledger::hold`].
    pub held: Vec<Site>,
    /// The paths of objects that keep buffers over it alive, by isolate: those of [`Ledger::note_path`].
    pub paths: Vec<(IsolateId, Vec<String>)>,
}

/// A native handle to a store or to a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandleTo {
    /// Its number. No other handle of the process ever gets it.
    pub number: u64,
    /// The place that made it.
    pub at: Site,
    /// The number of the thread that made it.
    pub thread: u32,
    /// The bytes of the part; `None` for all of the store.
    pub part: Option<Range<usize>>,
}

/// Live buffers over a store in one isolate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Buffers {
    /// The isolate; `None` if the engines did not tell it.
    pub isolate: Option<IsolateId>,
    /// How many.
    pub count: u32,
    /// The place in script that waited when an engine got one of them. `None` if it was native code only.
    pub exposed: Option<Site>,
}

/// An event of the history of a store.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Past {
    /// What happened, in the words of the stream: `created`, `exposed`, `detached`.
    pub event: &'static str,
    /// When, since the ledger began.
    pub time: Duration,
    /// The number of the thread.
    pub thread: u32,
    /// The store's length in bytes at that moment.
    pub byte_length: usize,
    /// The isolate, if it was an event of one.
    pub isolate: Option<IsolateId>,
    /// The place, where the core tells it.
    pub site: Option<Site>,
    /// The stack.
    pub stack: Option<Stack>,
}

impl Past {
    fn new(happened: &Happened) -> Self {
        let &Happened { byte_length, isolate, site, stack, thread, .. } = happened;
        let time = Duration::from_nanos(happened.time);
        Past { event: happened.word(), time, thread, byte_length, isolate, site, stack }
    }
}

impl LiveStore {
    pub(crate) fn new(record: &Record) -> Self {
        LiveStore {
            store: record.store,
            kind: record.kind,
            byte_length: record.byte_length,
            greatest_byte_length: record.greatest_byte_length,
            created: record.site.site,
            stack: record.stack,
            exposed_by: record.more.as_ref().and_then(|more| more.exposed_by),
            externalized_by: record.more.as_ref().and_then(|more| more.externalized_by),
            thread: record.thread,
            time: Duration::from_nanos(record.time),
            weight: record.weight.get(),
            address: None,
            data: record.block.as_ref().map(|block| block.holders().address),
            is_static: record.is_static,
            exposed: record.exposed,
            released: record.released,
            externalized: record.externalized,
            detached: record.detached,
            holders: Holders::new(record),
            history: record.more.iter().flat_map(|more| &more.history).map(Past::new).collect(),
            forgotten: record.more.as_ref().map_or(0, |more| more.forgotten),
        }
    }

    /// A store of which the ledger has no record, since it was made before.
    fn unrecorded(store: StoreId, kind: StoreKind, byte_length: usize, created: Site) -> Self {
        LiveStore {
            store,
            kind,
            byte_length,
            greatest_byte_length: byte_length,
            created,
            stack: None,
            exposed_by: None,
            externalized_by: None,
            thread: 0,
            time: Duration::ZERO,
            weight: 1.0,
            address: None,
            data: None,
            is_static: false,
            exposed: 0,
            released: 0,
            externalized: 0,
            detached: 0,
            holders: Holders::default(),
            history: Vec::new(),
            forgotten: 0,
        }
    }
}

impl Ledger {
    /// The live stores, the oldest first. At level `Counts` there are none: they have no records.
    pub fn live(&self) -> Vec<LiveStore> {
        self.live_that(|_| true)
    }

    pub(crate) fn live_that(&self, wanted: impl Fn(&Record) -> bool) -> Vec<LiveStore> {
        let mut live = Vec::new();
        for locked in self.shards.iter() {
            let shard = locked.lock();
            live.extend(shard.records().filter(|record| wanted(record)).map(LiveStore::new));
        }
        live.sort_unstable_by_key(|store| (store.time, store.store));
        self.add_held(&mut live, false);
        live
    }

    /// The leaks up to now, the oldest first: each live store that was not [declared static](Self::expect_static).
    ///
    /// While a program runs, this includes memory that it still uses. At its end, everything here has leaked. At level
    /// `Counts` only manual memory and [held](Self::hold) references are listed; the balance counts all.
    pub fn leaks(&self) -> Vec<LiveStore> {
        let mut leaks = self.live_that(|record| !record.is_static);
        self.add_unfreed(&mut leaks);
        self.add_held(&mut leaks, true);
        leaks
    }

    /// Memory that script or native code frees by hand and did not free, and references that were taken and not released:
    /// those that are leaks whatever else holds their store.
    pub fn unreleased_count(&self) -> usize {
        ManualHeap::unfreed().map_or(0, |unfreed| unfreed.len()) + self.held().len()
    }

    /// Adds the address of manual memory, and manual memory that was allocated before the ledger.
    fn add_unfreed(&self, live: &mut Vec<LiveStore>) {
        let unfreed = ManualHeap::unfreed().unwrap_or_default();
        if unfreed.is_empty() {
            return;
        }
        let places: HashMap<StoreId, usize> = live.iter().enumerate().map(|(at, store)| (store.store, at)).collect();
        for (at, memory) in unfreed.iter().enumerate() {
            match places.get(&memory.store) {
                Some(&place) => live[place].address = Some(memory.address),
                None if self.is_declared_static(memory.store) => {}
                None => {
                    let (store, length, created) = (memory.store, memory.byte_length, memory.allocated);
                    let unrecorded = LiveStore::unrecorded(store, StoreKind::MANUAL, length, created);
                    live.insert(at.min(live.len()), LiveStore { address: Some(memory.address), ..unrecorded });
                }
            }
        }
    }

    /// Notes the path of objects that keeps a buffer over this store alive in an isolate, from the root on: `["globalThis",
    /// "cache", "[0]"]`. Reports name it, and the stream at its end, as long as there is a buffer. An engine finds it when it is
    /// asked (`Scope::retainers_of`), which takes time in proportion to its heap; the ledger does not ask. Does nothing for a
    /// store without a record.
    pub fn note_path(&self, store: StoreId, isolate: IsolateId, path: Vec<String>) {
        let mut shard = self.shards.of(store).lock();
        if let Some(record) = shard.get_mut(store) {
            let paths = &mut record.more.get_or_insert_default().paths;
            paths.retain(|(known, _)| *known != isolate);
            paths.push((isolate, path));
        }
    }

    fn is_declared_static(&self, store: StoreId) -> bool {
        let mut shard = self.shards.of(store).lock();
        shard.get_mut(store).is_some_and(|record| record.is_static)
    }

    /// Adds the places of held references; with `unrecorded`, also those whose store has no record.
    fn add_held(&self, live: &mut Vec<LiveStore>, unrecorded: bool) {
        let held = self.held().all();
        if held.is_empty() {
            return;
        }
        let mut places: HashMap<StoreId, usize> =
            live.iter().enumerate().map(|(at, store)| (store.store, at)).collect();
        for Reference { store, byte_length, kind, created, at, .. } in held {
            let place = match places.get(&store) {
                Some(&place) => place,
                // The program may have dropped the reference, and the store with it, without saying so.
                None if unrecorded && !self.is_declared_static(store) => {
                    live.push(LiveStore::unrecorded(store, kind, byte_length, created));
                    places.insert(store, live.len() - 1);
                    live.len() - 1
                }
                None => continue,
            };
            if !live[place].holders.held.contains(&at) {
                live[place].holders.held.push(at);
            }
        }
    }
}

impl fmt::Display for LiveStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &LiveStore { created, address, ref holders, .. } = self;
        // V8 does not say which line of script made a buffer.
        let by = if is_placeless(created) { self.externalized_by } else { None };
        let taken = by.and_then(|stack| stack.script_site());
        write!(f, "{}", Bytes(self.byte_length))?;
        if let Some(address) = address {
            return write!(f, " at {address:#x}, allocated at {created}: never freed");
        }
        if let [held, more @ ..] = &holders.held[..] {
            // A buffer that script made becomes a store when native code takes the reference for script. Then `created` is
            // that native call, and adds nothing to `held`.
            if created != *held && same_language(created, *held) {
                write!(f, ", allocated at {created}")?;
            }
            write!(f, ", held by {} taken at {held}", if more.is_empty() { "a reference" } else { "references" })?;
            more.iter().try_for_each(|held| write!(f, " and {held}"))?;
            return f.write_str(": never released");
        }
        write!(f, ", allocated at {created}")?;
        if let Some(taken) = taken {
            write!(f, ", externalized at {taken}")?;
        }
        write!(f, ": {holders}")
    }
}

/// Whether it is a script, without a line.
fn is_placeless(site: Site) -> bool {
    matches!(site, Site::Script(place) if place.line() == 0)
}

fn same_language(one: Site, other: Site) -> bool {
    matches!((one, other), (Site::Script(_), Site::Script(_)) | (Site::Native(_), Site::Native(_)))
}

impl Holders {
    /// Under the lock of the record's part.
    fn new(record: &Record) -> Self {
        let exposed = record.more.as_ref().and_then(|more| more.exposed_by?.script_site());
        let buffers =
            record.buffers().into_iter().map(|(isolate, count)| Buffers { isolate, count, exposed }).collect();
        let handles = record.more.iter().flat_map(|more| &more.references);
        let mut handles: Vec<HandleTo> = handles.filter_map(HandleTo::new).collect();
        // The list of a record is not in order.
        handles.sort_unstable_by_key(|handle| handle.number);
        let paths = record.more.as_ref().map_or(Vec::new(), |more| more.paths.clone());
        let mut holders = Holders { buffers, handles, paths, ..Holders::default() };
        if let Some(now) = record.block.as_ref().map(Block::holders) {
            if let Some((isolate, count)) = now.exposure {
                holders.buffers = match count {
                    0 => Vec::new(),
                    _ => vec![Buffers { isolate: Some(isolate), count: u32::from(count), exposed }],
                };
            }
            // Frozen and shared memory counts its buffers as references.
            let of_buffers = if now.exposure.is_none() { record.live_buffers() } else { 0 };
            holders.references = Some(now.references.saturating_sub(of_buffers));
            holders.weak = Some(now.weak - now.weak.min(u32::from(record.kind.is_manual())));
            holders.readers = Some(now.readers);
            holders.writer = Some(now.writer);
        }
        holders
    }

    /// The path of objects that keeps a buffer in this isolate alive; empty if the program told none.
    fn path(&self, isolate: Option<IsolateId>) -> &[String] {
        self.paths.iter().find(|(known, _)| Some(*known) == isolate).map_or(&[], |(_, path)| path)
    }

    /// As the stream tells it.
    pub(crate) fn as_format(&self, time: u64, store: StoreId) -> format::Holders {
        let buffers = self.buffers.iter().map(|&Buffers { isolate, count, exposed }| format::Buffers {
            isolate: isolate.map(|isolate| isolate_of(isolate).isolate),
            count: u64::from(count),
            site: exposed.map(|site| site.to_string()),
            path: self.path(isolate).to_vec(),
        });
        format::Holders {
            time,
            store: store.get(),
            references: self.references.map(u64::from),
            weak: self.weak.map(u64::from),
            readers: self.readers.map(u64::from),
            writer: self.writer,
            buffers: buffers.collect(),
        }
    }
}

impl fmt::Display for Holders {
    /// `held by 1 buffer in QuickJS isolate 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = Vec::new();
        for &Buffers { isolate, count, exposed } in &self.buffers {
            let noun = if count == 1 { "buffer" } else { "buffers" };
            let within = isolate.map_or(String::new(), |isolate| format!(" in {isolate}"));
            let at = exposed.map_or(String::new(), |site| format!(", exposed at {site}"));
            let by = match self.path(isolate) {
                [] => String::new(),
                path => format!(", kept by {}", path.join(" > ")),
            };
            list.push(format!("{count} {noun}{within}{at}{by}"));
        }
        // Handles of the same place are said once.
        let mut handles: Vec<(String, usize)> = Vec::new();
        for handle in &self.handles {
            let said = handle.to_string();
            match handles.iter_mut().find(|(known, _)| *known == said) {
                Some((_, count)) => *count += 1,
                None => handles.push((said, 1)),
            }
        }
        let more = handles.len().saturating_sub(MOST_HANDLES);
        list.extend(handles.iter().take(MOST_HANDLES).map(|(said, count)| match count {
            1 => format!("a reference {said}"),
            count => format!("{count} references {said}"),
        }));
        match (more, self.handles.is_empty(), self.references) {
            (0, false, _) | (0, true, Some(0)) => {}
            (0, true, Some(1)) => list.push("1 reference of native code".into()),
            (0, true, Some(count)) => list.push(format!("{count} references of native code")),
            (0, true, None) if list.is_empty() => list.push("native code".into()),
            (0, true, None) => {}
            (more, ..) => list.push(format!("references of {more} more places")),
        }
        match self.weak {
            None | Some(0) => {}
            Some(1) => list.push("1 weak handle".into()),
            Some(count) => list.push(format!("{count} weak handles")),
        }
        match (self.writer, self.readers) {
            (Some(true), _) => list.push("a guard that writes".into()),
            (_, Some(count)) if count > 0 => {
                list.push(format!("{count} {}", if count == 1 { "guard" } else { "guards" }))
            }
            _ => {}
        }
        match &list[..] {
            [] => f.write_str("held by nothing that can be seen"),
            [one] => write!(f, "held by {one}"),
            [first @ .., last] => write!(f, "held by {} and {last}", first.join(", ")),
        }
    }
}

/// This many places of handles are named in a line.
const MOST_HANDLES: usize = 4;

impl HandleTo {
    fn new(happened: &Happened) -> Option<Self> {
        let What::Referenced { reference, from, to } = happened.what else { return None };
        let part = (from != 0 || to != usize::MAX).then_some(from..to);
        Some(HandleTo { number: reference, at: happened.site?, thread: happened.thread, part })
    }
}

impl fmt::Display for HandleTo {
    /// `taken at src/main.rs:5:17`, `to bytes 0..16 taken at src/main.rs:6:9`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Range { start, end }) = &self.part {
            write!(f, "to bytes {start}..{end} ")?;
        }
        write!(f, "taken at {}", self.at)
    }
}

struct Bytes(usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { "byte" } else { "bytes" })
    }
}
