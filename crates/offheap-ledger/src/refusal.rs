//! What was refused.

use std::fmt;
use std::time::Duration;

use offheap::{Site, StoreId};

use crate::stack::Stack;

/// This many refusals are kept in full. Further ones are only counted.
pub const KEPT_REFUSALS: usize = 1000;

/// Something that was refused: a double free, a free in use, a free of an unknown address, a use after detach.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refusal {
    /// The error's code: `DOUBLE_FREE`.
    pub code: &'static str,
    /// The error's text, which names the places and says what to do.
    pub message: String,
    /// The store, if it is known.
    pub store: Option<StoreId>,
    /// The place that was refused.
    pub at: Site,
    /// The place that came first: the first free, the detaching, the holder.
    pub earlier: Option<Site>,
    /// The stack that was refused.
    pub stack: Option<Stack>,
    /// The number of the thread.
    pub thread: u32,
    /// When it was, since the ledger began.
    pub time: Duration,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The refusals of a ledger.
#[derive(Default)]
pub(crate) struct Refusals {
    pub(crate) kept: Vec<Refusal>,
    pub(crate) count: u64,
}

impl Refusals {
    pub(crate) fn add(&mut self, refusal: Refusal) {
        self.count += 1;
        if self.kept.len() < KEPT_REFUSALS {
            self.kept.push(refusal);
        }
    }
}
