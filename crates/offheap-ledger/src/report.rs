//! The report: one line for each mistake, then the balance.

use std::collections::HashMap;
use std::fmt;

use offheap::Site;

use crate::{Balance, Ledger, LiveStore, Refusal};

/// This many leaks of one place get a line each. Further ones are summed up.
const LINES_OF_A_PLACE: usize = 3;

/// Leaks, refusals and the balance. `Display` prints a line for each, and the balance last.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The leaks, the oldest first.
    pub leaks: Vec<LiveStore>,
    /// The first refusals, at most [`KEPT_REFUSALS`](crate::KEPT_REFUSALS).
    pub refusals: Vec<Refusal>,
    /// The balance.
    pub balance: Balance,
}

impl Ledger {
    /// A report of leaks, refusals and the balance, for printing.
    pub fn report(&self) -> Report {
        let leaks = self.leaks();
        let balance = self.balance_with(leaks.len() as u64);
        let refusals = self.refusals().kept.clone();
        Report { leaks, refusals, balance }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Leaks(&self.leaks))?;
        for refusal in &self.refusals {
            writeln!(f, "offheap: refused: {refusal}")?;
        }
        let untold = self.balance.refused - self.refusals.len() as u64;
        if untold != 0 {
            writeln!(f, "offheap: refused: {untold} more")?;
        }
        write!(f, "{}", self.balance)
    }
}

/// A line for each leak; of many leaks of one place, for the first ones, and for the sum of the others.
pub(crate) struct Leaks<'a>(pub(crate) &'a [LiveStore]);

impl fmt::Display for Leaks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut places: HashMap<Site, Place> = HashMap::new();
        for leak in self.0 {
            let place = places.entry(place_of(leak)).or_default();
            place.count += 1;
            place.bytes += if place.count > LINES_OF_A_PLACE { leak.byte_length } else { 0 };
        }
        for leak in self.0 {
            let Some(place) = places.get_mut(&place_of(leak)) else { continue };
            place.told += 1;
            if place.told <= LINES_OF_A_PLACE {
                writeln!(f, "offheap: leak: {leak}")?;
            } else if place.told == LINES_OF_A_PLACE + 1 {
                let (count, bytes) = (place.count - LINES_OF_A_PLACE, place.bytes);
                let noun = if count == 1 { "store" } else { "stores" };
                writeln!(f, "offheap: leak: {count} more {noun} of {}, {bytes} bytes", place_of(leak))?;
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Place {
    count: usize,
    told: usize,
    /// The bytes of those that get no line.
    bytes: usize,
}

/// The place that is to be looked at.
fn place_of(leak: &LiveStore) -> Site {
    leak.holders.held.first().copied().unwrap_or(leak.created)
}
