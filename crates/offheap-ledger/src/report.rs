//! The report: one line for each mistake, then the balance.

use std::fmt;

use offheap::{Site, StoreId};

use crate::Balance;

/// Memory or a reference that was not returned.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Leak {
    /// Manual memory that was never freed.
    Unfreed {
        /// The store over the memory.
        store: StoreId,
        /// The address of the memory.
        address: usize,
        /// The length in bytes.
        byte_length: usize,
        /// The place where it was allocated or adopted.
        allocated: Site,
    },
    /// A reference that was never released, so its memory is never freed.
    Held {
        /// The store.
        store: StoreId,
        /// The number of bytes that it keeps.
        byte_length: usize,
        /// The place where the store was made.
        created: Site,
        /// The place where the reference was taken.
        held: Site,
    },
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Leak::Unfreed { address, byte_length, allocated, .. } => {
                write!(f, "{} at {address:#x}, allocated at {allocated}: never freed", Bytes(byte_length))
            }
            Leak::Held { byte_length, created, held, .. } => {
                write!(f, "{}", Bytes(byte_length))?;
                // A buffer that script made becomes a store when native code takes the reference for script. Then
                // `created` is that native call, and adds nothing to `held`.
                if created != held && same_language(created, held) {
                    write!(f, ", allocated at {created}")?;
                }
                write!(f, ", held by a reference taken at {held}: never released")
            }
        }
    }
}

fn same_language(one: Site, other: Site) -> bool {
    matches!((one, other), (Site::Script(_), Site::Script(_)) | (Site::Native(_), Site::Native(_)))
}

struct Bytes(usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, if self.0 == 1 { "byte" } else { "bytes" })
    }
}

/// A snapshot of leaks, refusals and the balance. `Display` prints a line for each, and the balance last.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// The leaks.
    pub leaks: Vec<Leak>,
    /// The refused frees as text that names the places, at most [`KEPT_REFUSALS`](crate::KEPT_REFUSALS).
    pub refusals: Vec<String>,
    /// The balance.
    pub balance: Balance,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for leak in &self.leaks {
            writeln!(f, "offheap: leak: {leak}")?;
        }
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
