//! A store that lives.

use std::sync::Arc;

use crate::format::{Buffers, Change, Created, Holders, Labels, Reference};

/// A store that lives, or that the present line freed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Store {
    /// The process that has it: a place in [`Trace::processes`](crate::Trace::processes).
    pub process: usize,
    /// Its number. No other store of the process has it.
    pub number: u64,
    /// When it was made, in nanoseconds since the start of its process.
    pub time: u64,
    /// Its length in bytes now.
    pub bytes: u64,
    /// The greatest length in bytes that it had.
    pub greatest_bytes: u64,
    /// How many stores it stands for: 1, or more if only samples are told.
    pub weight: f64,
    /// The place that made it.
    pub site: Option<Arc<str>>,
    /// The kind of its memory.
    pub kind: Option<Arc<str>>,
    /// The engine that got a buffer over it last.
    pub engine: Option<Arc<str>>,
    /// The thread that made it.
    pub thread: Option<u64>,
    /// The stack that made it. The line that tells its frames may come later in the stream.
    pub stack: Option<u64>,
    /// Whether the program said that it is meant to stay.
    pub is_static: bool,
    /// Its live buffers: as they were told last, counted on from the events since.
    pub(crate) buffers: Vec<Buffers>,
    // Most stores have none of this, and a stream may have a million stores.
    more: Option<Box<More>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct More {
    pub(crate) labels: Labels,
    pub(crate) references: Vec<Reference>,
    pub(crate) holders: Option<Holders>,
    pub(crate) freed: Option<Change>,
}

static NO_LABELS: Labels = Labels::new();

impl Store {
    pub(crate) fn new(process: usize, created: &Created, site: Option<Arc<str>>, kind: Option<Arc<str>>) -> Self {
        let mut store = Store {
            process,
            number: created.store,
            time: created.time,
            bytes: created.bytes,
            greatest_bytes: created.bytes,
            weight: created.weight.unwrap_or(1.0),
            site,
            kind,
            engine: None,
            thread: created.thread,
            stack: created.stack,
            is_static: false,
            buffers: Vec::new(),
            more: None,
        };
        if !created.labels.is_empty() {
            store.more().labels.clone_from(&created.labels);
        }
        store
    }

    /// What else the stream says of it.
    pub fn labels(&self) -> &Labels {
        self.more.as_ref().map_or(&NO_LABELS, |more| &more.labels)
    }

    /// Its live buffers by isolate.
    pub fn buffers(&self) -> &[Buffers] {
        &self.buffers
    }

    /// The references to it whose places are told.
    pub fn references(&self) -> &[Reference] {
        self.more.as_ref().map_or(&[], |more| &more.references)
    }

    /// Who held it, as it was told last. Its buffers are in [`Store::buffers`] instead, which goes on counting.
    pub fn told_holders(&self) -> Option<&Holders> {
        self.more.as_ref()?.holders.as_ref()
    }

    /// How it was freed, if the present line freed it.
    pub fn freed(&self) -> Option<&Change> {
        self.more.as_ref()?.freed.as_ref()
    }

    pub(crate) fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    pub(crate) fn add_buffer(&mut self, isolate: Option<u64>, site: Option<&str>) {
        let site = site.map(str::to_owned);
        match self.buffers.iter_mut().find(|buffers| buffers.isolate == isolate) {
            Some(buffers) => {
                buffers.count = buffers.count.saturating_add(1);
                buffers.site = site.or(buffers.site.take());
            }
            None => self.buffers.push(Buffers { isolate, count: 1, site, path: Vec::new() }),
        }
    }

    /// Returns whether there was one.
    pub(crate) fn remove_buffer(&mut self, isolate: Option<u64>) -> bool {
        // Not every writer knows the isolate of what it releases.
        let exact = self.buffers.iter().position(|buffers| buffers.isolate == isolate);
        let Some(at) = exact.or_else(|| self.buffers.len().checked_sub(1)) else { return false };
        self.buffers[at].count = self.buffers[at].count.saturating_sub(1);
        if self.buffers[at].count == 0 {
            self.buffers.swap_remove(at);
        }
        true
    }

    pub(crate) fn add_reference(&mut self, reference: &Reference) {
        let more = self.more();
        more.references.push(reference.clone());
        if let Some(count) = more.holders.as_mut().and_then(|holders| holders.references.as_mut()) {
            *count = count.saturating_add(1);
        }
    }

    /// Returns whether there was one.
    pub(crate) fn drop_reference(&mut self, reference: u64) -> bool {
        let Some(more) = &mut self.more else { return false };
        let Some(at) = more.references.iter().position(|taken| taken.reference == reference) else { return false };
        more.references.swap_remove(at);
        if let Some(count) = more.holders.as_mut().and_then(|holders| holders.references.as_mut()) {
            *count = count.saturating_sub(1);
        }
        true
    }
}
