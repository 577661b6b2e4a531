//! What a ledger knows at one moment, as plain data that can be kept, sent and compared.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use offheap_report::format::{self, Frame};
use serde::{Deserialize, Serialize};

use crate::lines::{isolate_of, kind_word};
use crate::{Balance, Ledger, Level, LiveStore, Totals};

/// What a ledger knows at one moment. It can be serialized, and compared with an earlier one of the same process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// When it was taken, since the ledger began.
    pub time: Duration,
    /// How much the ledger records.
    pub level: Level,
    /// The mean number of bytes between two samples, if the ledger has only samples.
    pub sample_bytes: Option<u64>,
    /// The balance.
    pub balance: Balance,
    /// The totals of each place, the one with the most live bytes first.
    pub totals: Vec<Totals>,
    /// The live stores, the oldest first.
    pub stores: Vec<Store>,
    /// The isolates that the stores refer to, by their number.
    pub isolates: BTreeMap<u64, format::Isolate>,
    /// The stacks that the stores refer to, by their number: the innermost frame first.
    pub stacks: BTreeMap<u64, Vec<Frame>>,
}

/// A live store in a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Store {
    /// How it was made, with its present length.
    pub created: format::Created,
    /// Who holds it.
    pub holders: format::Holders,
    /// The places of the references that must be released.
    pub held: Vec<String>,
    /// Whether it was declared static.
    pub is_static: bool,
}

impl Ledger {
    /// What it knows now.
    ///
    /// It gives names to the stacks of all live stores, which the first time takes about a tenth of a second, and some
    /// microseconds for each further place.
    pub fn snapshot(&self) -> Snapshot {
        let time = self.age();
        let live = self.live();
        let mut isolates = BTreeMap::new();
        let mut stacks = BTreeMap::new();
        for store in &live {
            for isolate in store.holders.buffers.iter().filter_map(|buffers| buffers.isolate) {
                let isolate = isolate_of(isolate);
                isolates.insert(isolate.isolate, isolate);
            }
            if let Some(stack) = store.stack {
                stacks.entry(u64::from(stack.number())).or_insert_with(|| stack.frames().to_vec());
            }
        }
        Snapshot {
            time,
            level: self.level(),
            sample_bytes: self.sample_bytes(),
            balance: self.balance(),
            totals: self.totals(),
            stores: live.iter().map(|store| Store::new(store, time, self.sample_bytes().is_some())).collect(),
            isolates,
            stacks,
        }
    }
}

impl Store {
    fn new(live: &LiveStore, now: Duration, is_sample: bool) -> Self {
        Store {
            created: format::Created {
                time: live.time.as_nanos() as u64,
                store: live.store.get(),
                bytes: live.byte_length as u64,
                thread: (live.thread != 0).then_some(u64::from(live.thread)),
                kind: Some(kind_word(live.kind).to_owned()),
                site: Some(live.created.to_string()),
                stack: live.stack.map(|stack| u64::from(stack.number())),
                weight: is_sample.then_some(live.weight),
                ..format::Created::default()
            },
            holders: live.holders.as_format(now.as_nanos() as u64, live.store),
            held: live.holders.held.iter().map(ToString::to_string).collect(),
            is_static: live.is_static,
        }
    }
}

impl Snapshot {
    /// What changed since an earlier snapshot of the same process.
    pub fn since(&self, earlier: &Snapshot) -> Difference {
        let mut before: HashMap<&str, &Totals> =
            earlier.totals.iter().map(|totals| (totals.site.as_str(), totals)).collect();
        let duration = self.time.saturating_sub(earlier.time);
        let mut sites: Vec<Change> = (self.totals.iter())
            .map(|now| Change::new(now, before.remove(now.site.as_str()), duration))
            .filter(|change| change.live_bytes != 0 || change.live_stores != 0 || change.stores != 0)
            .collect();
        sites.sort_by(|a, b| b.live_bytes.cmp(&a.live_bytes).then_with(|| a.site.cmp(&b.site)));
        let known: BTreeSet<u64> = earlier.stores.iter().map(|store| store.created.store).collect();
        let present: BTreeSet<u64> = self.stores.iter().map(|store| store.created.store).collect();
        Difference {
            duration,
            sites,
            made: self.stores.iter().filter(|store| !known.contains(&store.created.store)).cloned().collect(),
            freed: known.difference(&present).copied().collect(),
        }
    }
}

/// What changed between two snapshots. `Display` prints a line for each place that has more live bytes, or fewer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Difference {
    /// The time between the two.
    pub duration: Duration,
    /// The places that made or freed something, the one that grew most first.
    pub sites: Vec<Change>,
    /// The stores that were made and still live, the oldest first.
    pub made: Vec<Store>,
    /// The numbers of the stores that lived before and were freed.
    pub freed: Vec<u64>,
}

/// What changed at one place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// The place: `file:line:column`.
    pub site: String,
    /// By how many bytes the live stores grew; negative if they shrank.
    pub live_bytes: i64,
    /// By how many the live stores became more; negative if they became fewer.
    pub live_stores: i64,
    /// The bytes that were allocated in between.
    pub allocated_bytes: u64,
    /// The stores that were made in between.
    pub stores: u64,
    /// The bytes that were allocated in each second, on average.
    pub bytes_per_second: f64,
}

impl Change {
    fn new(now: &Totals, before: Option<&Totals>, duration: Duration) -> Self {
        let of = |field: fn(&Totals) -> u64| (field(now), before.map_or(0, field));
        let signed = |(now, before): (u64, u64)| now.wrapping_sub(before).cast_signed();
        let more = |(now, before): (u64, u64)| now.saturating_sub(before);
        let allocated_bytes = more(of(|totals| totals.allocated_bytes));
        Change {
            site: now.site.clone(),
            live_bytes: signed(of(|totals| totals.live_bytes)),
            live_stores: signed(of(|totals| totals.live_stores)),
            allocated_bytes,
            stores: more(of(|totals| totals.stores)),
            bytes_per_second: allocated_bytes as f64 / duration.as_secs_f64().max(1e-9),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Change { site, live_bytes, live_stores, .. } in &self.sites {
            if *live_bytes != 0 || *live_stores != 0 {
                writeln!(f, "{site}: {live_bytes:+} bytes, {live_stores:+} stores")?;
            }
        }
        let (made, freed, seconds) = (self.made.len(), self.freed.len(), self.duration.as_secs_f64());
        write!(f, "in {seconds:.1} s: {made} made that live, {freed} freed")
    }
}

#[cfg(test)]
mod tests {
    use offheap::{BackingStore, Site, UniqueStore};

    use super::*;
    use crate::Builder;

    #[test]
    fn a_snapshot_counts_the_leaks_that_the_balance_counts() {
        let ledger = Builder::new(Level::Sites).make().unwrap();
        let store = BackingStore::from(UniqueStore::zeroed(8).unwrap());
        // The ledger has no record of the store.
        let hold = ledger.hold(&store, Site::here());
        assert_eq!((ledger.balance().leaked, ledger.snapshot().balance.leaked), (1, 1));
        ledger.release(hold);
    }
}
