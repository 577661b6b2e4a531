//! A process that a stream tells of.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::format::{Counted, Isolate, Stack, Start, Thread};
use crate::store::Store;

/// A process that a stream tells of.
#[derive(Debug)]
#[non_exhaustive]
pub struct Process {
    /// The number that its system gave it.
    pub number: u64,
    /// The file that tells of it.
    pub file: Arc<str>,
    /// How it began.
    pub start: Start,
    /// The latest time that it told, in nanoseconds since its start.
    pub time: u64,
    /// How many things were refused.
    pub refused: u64,
    /// Whether it ended in order.
    pub has_ended: bool,
    /// How many things were noticed that may be right.
    pub noticed: u64,
    /// The totals of all its stores.
    pub totals: Totals,
    /// What it counted itself, if it did: also the stores that no line tells of. The latest such line.
    pub counted: Option<Counted>,
    sites: FxHashMap<Arc<str>, Totals>,
    threads: FxHashMap<u64, String>,
    isolates: FxHashMap<u64, Isolate>,
    stacks: FxHashMap<u64, Stack>,
    pub(crate) has_collector: bool,
}

/// Sums over many stores. They are estimates if only samples are told, and exact otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Totals {
    /// How many stores live.
    pub live: f64,
    /// Their bytes.
    pub live_bytes: f64,
    /// The most bytes that lived at one time.
    pub peak_bytes: f64,
    /// How many stores were made.
    pub made: f64,
    /// The bytes of all stores that were made, each with its greatest length.
    pub made_bytes: f64,
    /// How many were freed.
    pub freed: f64,
    /// The nanoseconds that all those that were freed lived, added up.
    pub lifetimes: f64,
}

impl Totals {
    /// How long a store lived on average, of those that were freed.
    pub fn mean_life(&self) -> Option<Duration> {
        (self.freed > 0.0).then(|| Duration::from_nanos((self.lifetimes / self.freed) as u64))
    }

    pub(crate) fn made(&mut self, store: &Store) {
        let bytes = store.weight * store.bytes as f64;
        self.live += store.weight;
        self.made += store.weight;
        self.live_bytes += bytes;
        self.made_bytes += bytes;
        self.peak_bytes = self.peak_bytes.max(self.live_bytes);
    }

    pub(crate) fn freed(&mut self, store: &Store, time: u64) {
        self.live -= store.weight;
        self.freed += store.weight;
        self.live_bytes -= store.weight * store.bytes as f64;
        // Threads write their lines in an order of their own.
        self.lifetimes += store.weight * time.saturating_sub(store.time) as f64;
    }

    /// `before` and `after` are lengths, each with the greatest length so far.
    pub(crate) fn resized(&mut self, weight: f64, before: (u64, u64), after: (u64, u64)) {
        self.live_bytes += weight * (after.0 as f64 - before.0 as f64);
        self.made_bytes += weight * (after.1 - before.1) as f64;
        self.peak_bytes = self.peak_bytes.max(self.live_bytes);
    }
}

impl Process {
    pub(crate) fn new(number: u64, file: Arc<str>, start: Start) -> Self {
        Process {
            number,
            file,
            start,
            time: 0,
            refused: 0,
            has_ended: false,
            noticed: 0,
            has_collector: false,
            totals: Totals::default(),
            counted: None,
            sites: FxHashMap::default(),
            threads: FxHashMap::default(),
            isolates: FxHashMap::default(),
            stacks: FxHashMap::default(),
        }
    }

    /// Whether what lives has leaked, unless it is static: the process ended in order, and did not say that a collector would
    /// have freed it.
    pub fn has_leaks(&self) -> bool {
        self.has_ended && !self.has_collector
    }

    /// How many stores leaked, as the process itself has counted; 0 where nothing was counted or nothing has leaked.
    pub fn counted_leaks(&self) -> u64 {
        self.counted.filter(|_| self.has_leaks()).map_or(0, |counted| counted.leaked)
    }

    /// The totals of each place that made stores, in no order. Stores whose place is not told have none here.
    pub fn sites(&self) -> impl Iterator<Item = (&Arc<str>, &Totals)> {
        self.sites.iter()
    }

    /// The totals of this place.
    pub fn site(&self, site: &str) -> Option<&Totals> {
        self.sites.get(site)
    }

    /// The name of this thread.
    pub fn thread(&self, thread: u64) -> Option<&str> {
        self.threads.get(&thread).map(String::as_str)
    }

    /// The threads that have names, in no order.
    pub fn threads(&self) -> impl Iterator<Item = (u64, &str)> {
        self.threads.iter().map(|(&thread, name)| (thread, name.as_str()))
    }

    /// The isolate that has this number now. A later isolate may get it again.
    pub fn isolate(&self, isolate: u64) -> Option<&Isolate> {
        self.isolates.get(&isolate)
    }

    /// The isolates, in no order.
    pub fn isolates(&self) -> impl Iterator<Item = &Isolate> {
        self.isolates.values()
    }

    /// The stack with this number. Stacks may be told late, even at the very end: ask for them when all lines are read.
    pub fn stack(&self, stack: u64) -> Option<&Stack> {
        self.stacks.get(&stack)
    }

    pub(crate) fn told_thread(&mut self, thread: &Thread) {
        self.threads.insert(thread.thread, thread.name.clone());
    }

    pub(crate) fn told_isolate(&mut self, isolate: &Isolate) {
        self.isolates.insert(isolate.isolate, isolate.clone());
    }

    pub(crate) fn told_stack(&mut self, stack: &Stack) {
        self.stacks.insert(stack.stack, stack.clone());
    }

    pub(crate) fn intern_site(&mut self, site: &str) -> Arc<str> {
        if let Some((known, _)) = self.sites.get_key_value(site) {
            return known.clone();
        }
        let new: Arc<str> = site.into();
        self.sites.insert(new.clone(), Totals::default());
        new
    }

    /// Counts something for the process and for the place, which is one that `intern_site` returned.
    pub(crate) fn count(&mut self, site: Option<&Arc<str>>, count: impl Fn(&mut Totals)) {
        count(&mut self.totals);
        if let Some(totals) = site.and_then(|site| self.sites.get_mut(&**site)) {
            count(totals);
        }
    }
}
