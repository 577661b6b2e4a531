//! The balance: numbers that describe a program's use of memory.

use std::fmt;

use offheap_report::Size;

/// A summary, in numbers, of a process's use of memory that engines and native code share.
///
/// `Display` prints the last line of `offheap run`: `offheap: 4 stores, 1.0 GiB external, 0 leaked, 0 refused`, or
/// `offheap: 4 stores (1 resizable, 2 shared), …` if there are such stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Balance {
    /// The number of stores, including those that live.
    pub stores: u64,
    /// The number of stores of unshared memory whose length changes: resizable, or of a WebAssembly memory.
    pub resizable: u64,
    /// The number of shared stores, growable or not.
    pub shared: u64,
    /// The bytes of all stores. Each store counts once, with the greatest length that was observed.
    pub external_bytes: u64,
    /// The number of leaks: stores that live and that nobody declared static.
    pub leaked: u64,
    /// The number of refused frees.
    pub refused: u64,
}

impl Balance {
    /// Whether nothing leaked and no free was refused.
    pub fn is_clean(&self) -> bool {
        self.leaked == 0 && self.refused == 0
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Balance { stores, resizable, shared, external_bytes, leaked, refused } = *self;
        let noun = if stores == 1 { "store" } else { "stores" };
        write!(f, "offheap: {stores} {noun}")?;
        match (resizable, shared) {
            (0, 0) => {}
            (_, 0) => write!(f, " ({resizable} resizable)")?,
            (0, _) => write!(f, " ({shared} shared)")?,
            (_, _) => write!(f, " ({resizable} resizable, {shared} shared)")?,
        }
        write!(f, ", {} external, {leaked} leaked, {refused} refused", Size(external_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_store_is_not_stores() {
        let balance = Balance { stores: 1, external_bytes: 24, ..Balance::default() };
        assert_eq!(balance.to_string(), "offheap: 1 store, 24 B external, 0 leaked, 0 refused");
        let balance = Balance { stores: 4, external_bytes: 1 << 30, leaked: 2, refused: 1, ..Balance::default() };
        assert_eq!(balance.to_string(), "offheap: 4 stores, 1.0 GiB external, 2 leaked, 1 refused");
    }

    #[test]
    fn resizable_and_shared_stores_are_said_where_there_are_any() {
        let said = |resizable, shared| Balance { stores: 3, resizable, shared, ..Balance::default() }.to_string();
        assert_eq!(said(1, 0), "offheap: 3 stores (1 resizable), 0 B external, 0 leaked, 0 refused");
        assert_eq!(said(0, 3), "offheap: 3 stores (3 shared), 0 B external, 0 leaked, 0 refused");
        assert_eq!(said(1, 2), "offheap: 3 stores (1 resizable, 2 shared), 0 B external, 0 leaked, 0 refused");
    }

    #[test]
    fn clean_is_nothing_leaked_and_nothing_refused() {
        assert!(Balance { stores: 3, ..Balance::default() }.is_clean());
        assert!(!Balance { leaked: 1, ..Balance::default() }.is_clean());
        assert!(!Balance { refused: 1, ..Balance::default() }.is_clean());
    }
}
