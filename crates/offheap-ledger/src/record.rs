//! The record of one store while it lives.

use std::collections::VecDeque;

use offheap::{IsolateId, StoreId, StoreKind};

use crate::happened::{Happened, What};
use crate::site::{SiteEntry, Weight};
use crate::stack::Stack;
use crate::sys::Block;

/// The record of a live store. There is one for each, so each byte counts.
pub(crate) struct Record {
    pub(crate) store: StoreId,
    pub(crate) site: &'static SiteEntry,
    pub(crate) stack: Option<Stack>,
    pub(crate) byte_length: usize,
    pub(crate) greatest_byte_length: usize,
    /// When it was made: nanoseconds since the ledger began.
    pub(crate) time: u64,
    /// Where the core says who holds it, if the ledger may ask.
    pub(crate) block: Option<Block>,
    pub(crate) more: Option<Box<More>>,
    pub(crate) thread: u32,
    /// The scope in whose threads it was made; 0 outside of all.
    pub(crate) scope: u32,
    pub(crate) weight: Weight,
    pub(crate) exposed: u32,
    pub(crate) released: u32,
    pub(crate) externalized: u32,
    pub(crate) detached: u32,
    pub(crate) kind: StoreKind,
    pub(crate) is_static: bool,
    /// The isolate that has its buffers; of several, the first.
    pub(crate) isolate: Option<IsolateId>,
}

/// What only some records have.
#[derive(Default)]
pub(crate) struct More {
    /// Buffers by isolate, once there was a second isolate: shared and read-only memory.
    pub(crate) buffers: Vec<(IsolateId, u32)>,
    /// The script that got a buffer over it last, and the script from which native code took a reference first.
    pub(crate) exposed_by: Option<Stack>,
    pub(crate) externalized_by: Option<Stack>,
    /// The paths of objects that keep buffers over it alive, as the program told them.
    pub(crate) paths: Vec<(IsolateId, Vec<String>)>,
    /// The native handles to it, with the feature `track-handles`.
    pub(crate) references: Vec<Happened>,
    /// Its latest events, the oldest first, at level `Full`.
    pub(crate) history: VecDeque<Happened>,
    /// How many older events the history has forgotten.
    pub(crate) forgotten: u64,
}

impl Record {
    /// Counts what happened. `kept` is the number of events that a history keeps.
    pub(crate) fn note(&mut self, happened: &Happened, kept: usize) {
        self.note_script(happened);
        match (happened.what, happened.isolate) {
            (What::Exposed, Some(isolate)) => {
                self.exposed = self.exposed.saturating_add(1);
                self.count_buffer(isolate);
            }
            (What::Released, isolate) => {
                self.released = self.released.saturating_add(1);
                self.uncount_buffer(isolate);
            }
            (What::Externalized, _) => self.externalized = self.externalized.saturating_add(1),
            (What::Detached, _) => self.detached = self.detached.saturating_add(1),
            (What::Static, _) => self.is_static = true,
            (What::Referenced { .. }, _) => self.more.get_or_insert_default().references.push(*happened),
            (What::Dropped { reference }, _) => self.drop_reference(reference),
            _ => {}
        }
        self.resize(happened.byte_length);
        if kept > 0 {
            let more = self.more.get_or_insert_default();
            if more.history.len() >= kept {
                // The first is how it was made, which is worth more than anything after it.
                more.history.remove(1.min(kept - 1));
                more.forgotten += 1;
            }
            more.history.push_back(*happened);
        }
    }

    /// Notes the script that waited for it.
    fn note_script(&mut self, happened: &Happened) {
        let Some(stack) = happened.stack.filter(Stack::has_script) else { return };
        match happened.what {
            What::Exposed => self.more.get_or_insert_default().exposed_by = Some(stack),
            What::Externalized => _ = self.more.get_or_insert_default().externalized_by.get_or_insert(stack),
            _ => {}
        }
    }

    fn drop_reference(&mut self, dropped: u64) {
        let Some(more) = &mut self.more else { return };
        // Most handles are dropped soon after they were made.
        let made =
            |happened: &Happened| matches!(happened.what, What::Referenced { reference, .. } if reference == dropped);
        if let Some(at) = more.references.iter().rposition(made) {
            more.references.swap_remove(at);
        }
    }

    fn resize(&mut self, byte_length: usize) {
        if byte_length != self.byte_length {
            self.site.note_resized(self.byte_length, byte_length, self.weight);
        }
        self.byte_length = byte_length;
        self.greatest_byte_length = self.greatest_byte_length.max(byte_length);
    }

    fn count_buffer(&mut self, isolate: IsolateId) {
        match self.isolate {
            // An isolate may get the number of one that ended, which has no buffers left.
            None => self.isolate = Some(isolate),
            Some(first) if first == isolate && !self.has_buffer_list() => {}
            Some(first) => {
                let live = self.exposed - 1 - self.released.min(self.exposed - 1);
                let buffers = &mut self.more.get_or_insert_default().buffers;
                if buffers.is_empty() && live == 0 {
                    self.isolate = Some(isolate);
                    return;
                }
                if buffers.is_empty() {
                    buffers.push((first, live));
                }
                match buffers.iter_mut().find(|(known, _)| *known == isolate) {
                    Some((_, count)) => *count += 1,
                    None => buffers.push((isolate, 1)),
                }
            }
        }
    }

    fn uncount_buffer(&mut self, isolate: Option<IsolateId>) {
        let has_buffers = self.live_buffers() > 0;
        let Some(more) = &mut self.more else { return };
        if !has_buffers {
            more.paths.clear();
        }
        if let Some((_, count)) = more.buffers.iter_mut().find(|(known, _)| Some(*known) == isolate) {
            *count = count.saturating_sub(1);
        }
    }

    fn has_buffer_list(&self) -> bool {
        self.more.as_ref().is_some_and(|more| !more.buffers.is_empty())
    }

    /// The number of its live buffers, as the events tell it.
    pub(crate) fn live_buffers(&self) -> u32 {
        self.exposed.saturating_sub(self.released)
    }

    /// Its live buffers by isolate. `None` instead of an isolate where the events did not tell which one released a buffer.
    pub(crate) fn buffers(&self) -> Vec<(Option<IsolateId>, u32)> {
        let live = self.live_buffers();
        let Some(more) = self.more.as_ref().filter(|more| !more.buffers.is_empty()) else {
            return if live > 0 { vec![(self.isolate, live)] } else { Vec::new() };
        };
        let counted: u32 = more.buffers.iter().map(|&(_, count)| count).sum();
        if counted == live {
            return more.buffers.iter().filter(|(_, count)| *count > 0).map(|&(id, count)| (Some(id), count)).collect();
        }
        if live > 0 { vec![(None, live)] } else { Vec::new() }
    }

    /// How it was made and what it is now, for a stream that begins while it lives.
    pub(crate) fn as_told(&self) -> impl Iterator<Item = Happened> {
        let made = Happened {
            what: What::Created { kind: self.kind, weight: self.weight },
            time: self.time,
            store: self.store,
            byte_length: self.byte_length,
            site: Some(self.site.site),
            stack: self.stack,
            thread: self.thread,
            isolate: None,
        };
        let stack = self.more.as_ref().and_then(|more| more.exposed_by);
        let site = stack.and_then(|stack| stack.script_site());
        let exposed = Happened { what: What::Exposed, site, stack, ..made };
        let buffers = self
            .buffers()
            .into_iter()
            .flat_map(move |(isolate, count)| std::iter::repeat_n(Happened { isolate, ..exposed }, count as usize));
        let references = self.more.iter().flat_map(|more| &more.references).copied();
        let stays = self.is_static.then_some(Happened { what: What::Static, site: None, stack: None, ..made });
        std::iter::once(made).chain(references).chain(buffers).chain(stays)
    }
}
