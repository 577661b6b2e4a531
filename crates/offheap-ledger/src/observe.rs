//! What happens when the core tells an event.

use std::sync::MutexGuard;
use std::time::Duration;

use offheap::observe::{Event, EventKind, Observer};
use offheap::{BackingStore, Error, Length, Site, StoreId, StoreKind};

use crate::happened::{Happened, What};
use crate::record::Record;
use crate::refusal::Refusal;
use crate::shard::{self, Locked, Shard, Sums};
use crate::site::{SiteEntry, Weight};
use crate::stack::Stack;
use crate::stream::Told;
use crate::{Ledger, Level, thread};

impl Observer for Ledger {
    fn event(&self, event: &Event) {
        let is_made = event.kind == EventKind::Created;
        let weight = match self.sampling {
            None => Weight::ONE,
            Some(sampling) if is_made => match sampling.wants(event.byte_length) {
                true => Weight::new(sampling.weight(event.byte_length)),
                false => return,
            },
            // Its weight is in its record, if it has one.
            Some(_) => Weight::ONE,
        };
        if self.level() == Level::Counts {
            return self.count(event, weight);
        }
        let stack = match self.level() {
            Level::Full => Stack::here(),
            _ if is_made => Stack::here(),
            _ => None,
        };
        if let Some(happened) = Happened::new(event, weight, stack) {
            self.record(happened, event.store_kind, event.created);
        }
    }
}

impl Ledger {
    /// Counts an event at level `Counts`, where stores have no records.
    fn count(&self, event: &Event, weight: Weight) {
        let mut shard = self.shards[shard::of(event.store)].lock();
        match event.kind {
            EventKind::Created => shard.sums.note_made(event.store_kind, event.byte_length, weight),
            EventKind::Freed { .. } => shard.sums.freed += weight.get(),
            _ => {}
        }
    }

    /// The program says that a store is meant to stay.
    pub(crate) fn note_static(&self, store: &BackingStore, site: Site) {
        let stack = if self.level() == Level::Full { Stack::here() } else { None };
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
        self.record(happened, store.kind(), store.site());
    }

    /// Records what happened to a store that was made at `created`.
    fn record(&self, mut happened: Happened, kind: StoreKind, created: Site) {
        let site = self.sites.entry(self.number, created);
        let locked = &self.shards[shard::of(happened.store)];
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
                site.note_freed(record.byte_length, record.weight, lived);
            }
            What::Created { weight, .. } => {
                self.begin(&mut shard, &happened, kind, site, weight);
            }
            _ => {
                let is_known = shard.get_mut(happened.store).is_some();
                if !is_known {
                    // It was made before the ledger, or it is not a sample. The last event of a store says nothing more.
                    if happened.what == What::Released || self.sampling.is_some() {
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
                    self.begin(&mut shard, &made, kind, site, weight);
                    shard = self.tell(locked, shard, Told::Happened(made));
                }
                let kept = self.kept_events;
                let Some(record) = shard.get_mut(happened.store) else { return };
                let longest = record.greatest_byte_length;
                record.note(&happened, kept);
                let grown = (record.greatest_byte_length - longest) as f64 * record.weight.get();
                shard.sums.external_bytes += grown;
            }
        }
        drop(self.tell(locked, shard, Told::Happened(happened)));
    }

    /// Begins the record of a store.
    fn begin(&self, shard: &mut Shard, made: &Happened, kind: StoreKind, site: &'static SiteEntry, weight: Weight) {
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

    /// Hands it to the stream, if there is one. Waits while too much is waiting to be written.
    fn tell<'a>(&self, locked: &'a Locked, mut shard: MutexGuard<'a, Shard>, told: Told) -> MutexGuard<'a, Shard> {
        let Some(queue) = &mut shard.told else { return shard };
        queue.push(told);
        let waiting = queue.len();
        self.stream.wait_for_room(locked, shard, waiting)
    }

    /// Records a refusal.
    pub(crate) fn note_refusal(
        &self,
        code: &'static str,
        message: String,
        store: Option<StoreId>,
        at: Option<Site>,
        earlier: Option<Site>,
    ) {
        let stack = if self.level() == Level::Counts { None } else { Stack::here() };
        let time = self.now();
        let thread = thread::number();
        let refusal = Refusal { code, message, store, at, earlier, stack, thread, time: Duration::from_nanos(time) };
        self.refusals().add(refusal.clone());
        // With the store's other events, so that they stay in order.
        let locked = &self.shards[store.map_or(0, shard::of)];
        drop(self.tell(locked, locked.lock(), Told::Refused(Box::new(refusal))));
    }

    /// Returns the result of a free unchanged, and records it if the free was refused: a double free, or a free of
    /// memory in use, of an unknown address, or of an address that is in use again. Other errors are not recorded.
    ///
    /// # Errors
    /// The error in `result`.
    pub fn checked<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result {
            let code = match error {
                Error::DoubleFree { .. } => "DOUBLE_FREE",
                Error::FreeInUse { .. } => "FREE_IN_USE",
                Error::UnknownAddress { .. } => "UNKNOWN_ADDRESS",
                Error::AddressReused { .. } => "ADDRESS_REUSED",
                _ => return result,
            };
            self.note_refusal(code, error.to_string(), None, None, None);
        }
        result
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
