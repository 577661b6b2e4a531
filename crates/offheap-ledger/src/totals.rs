//! The totals of each place that makes stores.

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Ledger;
use crate::site::{PARTS, SiteEntry};

/// What one place made so far.
///
/// Of a ledger that has only samples, these are estimates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Totals {
    /// The place: `file:line:column`.
    pub site: String,
    /// The bytes of its stores that live.
    pub live_bytes: u64,
    /// How many of its stores live.
    pub live_stores: u64,
    /// The most bytes of its stores that lived at once.
    pub peak_bytes: u64,
    /// The bytes of all its stores, and those by which they grew.
    pub allocated_bytes: u64,
    /// How many stores it made.
    pub stores: u64,
    /// How many bytes it allocated in each second, on average since the ledger began.
    pub bytes_per_second: f64,
    /// How long its stores lived that were freed, on average; `None` if none was.
    pub mean_life: Option<Duration>,
}

impl Totals {
    fn new(entry: &SiteEntry, age: Duration) -> Self {
        // What was freed is read before what was made, so that no more seem to be freed.
        let (freed, lived) = (entry.freed.load(Ordering::Relaxed), entry.lived.load(Ordering::Relaxed));
        let made = entry.made.load(Ordering::Relaxed);
        let allocated_bytes = entry.made_bytes.load(Ordering::Relaxed);
        let stores = |parts: u64| (parts + PARTS / 2) / PARTS;
        Totals {
            site: entry.site.to_string(),
            // Another thread may have subtracted what it has not added yet, as this thread sees it.
            live_bytes: entry.live_bytes.load(Ordering::Relaxed).cast_signed().max(0).cast_unsigned(),
            live_stores: stores(made.saturating_sub(freed)),
            peak_bytes: entry.peak_bytes.load(Ordering::Relaxed),
            allocated_bytes,
            stores: stores(made),
            bytes_per_second: allocated_bytes as f64 / age.as_secs_f64().max(1e-9),
            mean_life: (freed != 0)
                .then(|| Duration::from_nanos((u128::from(lived) * u128::from(PARTS) / u128::from(freed)) as u64)),
        }
    }
}

impl fmt::Display for Totals {
    /// `src/main.rs:5:17: 1024 bytes in 1 store live`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Totals { site, live_bytes, live_stores, .. } = self;
        let (noun, verb) = if *live_stores == 1 { ("store", "lives") } else { ("stores", "live") };
        write!(f, "{site}: {live_stores} {noun} of {live_bytes} bytes {verb}")
    }
}

impl Ledger {
    /// The totals of each place that made stores, the one with the most live bytes first. At level `Counts` there are none.
    pub fn totals(&self) -> Vec<Totals> {
        let age = self.age();
        let mut totals: Vec<Totals> = self.sites.all().into_iter().map(|entry| Totals::new(entry, age)).collect();
        totals.sort_by(|a, b| b.live_bytes.cmp(&a.live_bytes).then_with(|| a.site.cmp(&b.site)));
        totals
    }
}
