//! What the ledger keeps for each thread.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::sys::thread_name;

// Nothing here needs a drop, so it can be used while a thread ends.
thread_local! {
    static NUMBER: Cell<u32> = const { Cell::new(0) };
    static SCOPE: Cell<u32> = const { Cell::new(0) };
    static WRITES_STREAM: Cell<bool> = const { Cell::new(false) };
}

/// The names of threads that have numbers: of the newest ones.
static NAMES: Mutex<BTreeMap<u32, String>> = Mutex::new(BTreeMap::new());
const MOST_NAMES: usize = 1 << 16;

/// The number of this thread. No other thread of the process ever gets it.
#[inline]
pub(crate) fn number() -> u32 {
    match NUMBER.get() {
        0 => new_number(),
        number => number,
    }
}

#[cold]
fn new_number() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    NUMBER.set(number);
    if let Some(name) = thread_name() {
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() == MOST_NAMES {
            names.pop_first();
        }
        names.insert(number, name);
    }
    number
}

/// The name of the thread with this number, if it had one.
pub(crate) fn name_of(number: u32) -> Option<String> {
    NAMES.lock().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
}

/// The scope in which this thread makes stores; 0 outside of all.
#[inline]
pub(crate) fn scope() -> u32 {
    SCOPE.get()
}

/// Sets the scope, and returns the one before.
pub(crate) fn set_scope(scope: u32) -> u32 {
    SCOPE.replace(scope)
}

/// Whether this thread writes a ledger's stream. It must not wait for itself.
pub(crate) fn writes_stream() -> bool {
    WRITES_STREAM.get()
}

/// This thread writes a ledger's stream from now on.
pub(crate) fn begin_writing() {
    WRITES_STREAM.set(true);
}
