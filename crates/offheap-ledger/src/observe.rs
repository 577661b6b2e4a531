//! What happens when the core tells an event.

use std::sync::MutexGuard;
use std::time::Duration;

use offheap::observe::{self, Event, EventKind, Observer, ScriptStack};
use offheap::{BackingStore, Length, Site, StoreId, StoreKind};

use crate::happened::{Happened, What};
use crate::record::Record;
use crate::refusal::Refusal;
use crate::shard::{Locked, Shard, Sums};
use crate::site::Weight;
use crate::stack::Stack;
use crate::stream::Told;
use crate::sys::{Block, is_forked};
use crate::{Ledger, Level, thread};

impl Observer for Ledger {
    fn wants_events(&self) -> bool {
        self.level() != Level::Counts
    }

    fn wants(&self, byte_length: usize, _: StoreKind) -> bool {
        self.sampling.is_none_or(|sampling| sampling.wants(byte_length))
    }

    fn wants_script_stacks(&self) -> bool {
        self.wants_events()
    }

    fn event(&self, event: &Event) {
        let is_made = matches!(event.kind, EventKind::Created);
        // By reference: a stack of script is a kilobyte.
        let script = observe::script_stack();
        let script = script.as_ref();
        let stack = match self.level() {
            Level::Full => Stack::here(script),
            Level::Sites if is_made => Stack::here(script),
            Level::Sites => script.and_then(Stack::of_script),
            Level::Counts => return,
        };
        let weight = match self.sampling {
            Some(sampling) if is_made => Weight::new(sampling.weight(event.byte_length)),
            // Otherwise its weight is in its record.
            _ => Weight::ONE,
        };
        if matches!(event.kind, EventKind::BlockMoved) {
            let mut shard = self.shards.of(event.store).lock();
            if let Some(block) = shard.get_mut(event.store).and_then(|record| record.block.as_mut()) {
                block.move_to(event);
            }
        } else if let Some(happened) = Happened::new(event, weight, stack, script.and_then(ScriptStack::site)) {
            let block = if self.reads_blocks { Block::of_new(event) } else { None };
            self.record(happened, event.store_kind, event.created, block);
        }
    }

    fn refused(&self, refused: &observe::Refusal<'_>) {
        let time = self.now();
        let refusal = Refusal {
            code: refused.code,
            message: refused.error.to_string(),
            store: refused.store,
            at: refused.at,
            earlier: refused.earlier,
            stack: if self.level() == Level::Counts { None } else { Stack::here(observe::script_stack().as_ref()) },
            thread: thread::number(),
            time: Duration::from_nanos(time),
        };
        self.refusals().add(refusal.clone());
        // With the store's other events, so that they stay in order.
        let locked = refused.store.map_or_else(|| self.shards.of_none(), |store| self.shards.of(store));
        drop(self.tell(locked, locked.lock(), || Told::Refused(Box::new(refusal))));
    }
}

impl Ledger {
    /// The program says that a store is meant to stay.
    pub(crate) fn note_static(&self, store: &BackingStore, site: Site) {
        let stack = if self.level() == Level::Full { Stack::here(observe::script_stack().as_ref()) } else { None };
        let happened = Happened {
            what: What::Static,
            time: 0,
            store: store.id(),
            byte_length: store.byte_length(),
            site: Some(site),
            stack,
            thread: thread::number(),
            isolate: None,
        };
        self.record(happened, store.kind(), store.site(), None);
    }

    /// Records what happened to a store that was made at `created`.
    fn record(&self, mut happened: Happened, kind: StoreKind, created: Site, block: Option<Block>) {
        let locked = self.shards.of(happened.store);
        let mut shard = locked.lock();
        // Under the lock, so that the times of one store are in order.
        happened.time = self.now();
        match happened.what {
            What::Freed => {
                // Nothing is known of a store that was made before the ledger.
                let Some(mut record) = shard.remove(happened.store) else { return };
                let longest = record.greatest_byte_length;
                record.note(&happened, 0);
                let grown = record.greatest_byte_length - longest;
                shard.sums.external_bytes += grown as f64 * record.weight.get();
                shard.sums.freed += record.weight.get();
                let lived = happened.time.saturating_sub(record.time);
                record.site.note_freed(record.byte_length, record.weight, lived);
            }
            What::Created { .. } => {
                self.begin(&mut shard, &happened, kind, created, block);
            }
            _ => {
                let is_known = shard.get_mut(happened.store).is_some();
                if !is_known {
                    // It was made before the ledger, or it is not a sample. The last event of a store says nothing more, and
                    // handles to manual memory may be dropped after its free.
                    let is_last = matches!(happened.what, What::Released | What::Dropped { .. });
                    if is_last || self.sampling.is_some() {
                        return;
                    }
                    let weight = Weight::ONE;
                    let made = Happened {
                        what: What::Created { kind, weight },
                        site: Some(created),
                        stack: None,
                        isolate: None,
                        ..happened
                    };
                    self.begin(&mut shard, &made, kind, created, None);
                    shard = self.tell(locked, shard, || Told::Happened(made));
                }
                let kept = self.kept_events;
                let Some(record) = shard.get_mut(happened.store) else { return };
                let longest = record.greatest_byte_length;
                record.note(&happened, kept);
                let grown = (record.greatest_byte_length - longest) as f64 * record.weight.get();
                shard.sums.external_bytes += grown;
            }
        }
        drop(self.tell(locked, shard, || Told::Happened(happened)));
    }

    /// Begins the record of a store that was made at `created`.
    fn begin(&self, shard: &mut Shard, made: &Happened, kind: StoreKind, created: Site, block: Option<Block>) {
        let What::Created { weight, .. } = made.what else { return };
        let site = self.sites.entry(self.number, created);
        let byte_length = made.byte_length;
        shard.sums.note_made(kind, byte_length, weight);
        site.note_made(byte_length, weight);
        let record = shard.insert(Record {
            store: made.store,
            site,
            stack: made.stack,
            byte_length,
            greatest_byte_length: byte_length,
            time: made.time,
            block,
            more: None,
            thread: made.thread,
            scope: thread::scope(),
            weight,
            exposed: 0,
            released: 0,
            externalized: 0,
            detached: 0,
            kind,
            is_static: false,
            isolate: None,
        });
        record.note(made, self.kept_events);
    }

    /// Tells only the stream, if there is one, of a reference to a store that it knows.
    pub(crate) fn tell_stream(&self, what: What, store: StoreId, byte_length: usize, site: Option<Site>) {
        let thread = thread::number();
        let mut happened = Happened { what, time: 0, store, byte_length, site, stack: None, thread, isolate: None };
        let locked = self.shards.of(store);
        let mut shard = locked.lock();
        if matches!(what, What::Referenced { .. }) && shard.get_mut(store).is_none() {
            return;
        }
        happened.time = self.now();
        drop(self.tell(locked, shard, || Told::Happened(happened)));
    }

    /// Hands it to the stream, if there is one. Waits while too much is waiting to be written.
    #[inline]
    fn tell<'a>(
        &self,
        locked: &'a Locked,
        shard: MutexGuard<'a, Shard>,
        told: impl FnOnce() -> Told,
    ) -> MutexGuard<'a, Shard> {
        if shard.told.is_some() { self.tell_now(locked, shard, told()) } else { shard }
    }

    #[inline(never)]
    fn tell_now<'a>(&self, locked: &'a Locked, mut shard: MutexGuard<'a, Shard>, told: Told) -> MutexGuard<'a, Shard> {
        let Some(queue) = &mut shard.told else { return shard };
        if is_forked() {
            // Nobody would ever take it.
            shard.told = None;
            return shard;
        }
        queue.push(told);
        let waiting = queue.len();
        self.stream.wait_for_room(locked, shard, waiting)
    }
}

impl Sums {
    fn note_made(&mut self, kind: StoreKind, byte_length: usize, weight: Weight) {
        self.stores += weight.get();
        if kind.is_shared() {
            self.shared += weight.get();
        } else if kind.length() != Length::Fixed {
            self.resizable += weight.get();
        }
        self.external_bytes += weight.get() * byte_length as f64;
    }
}
