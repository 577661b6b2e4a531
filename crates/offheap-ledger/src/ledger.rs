//! The ledger itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use offheap::observe::{self, Event, EventKind, Observer};
use offheap::{BackingStore, Error, Length, ManualHeap, Site, StoreId};

use crate::{Balance, Leak, Record, Report};

/// This many refused frees are kept in full. Further ones are only counted.
pub const KEPT_REFUSALS: usize = 1000;

/// A record of all stores of a process; see the [crate](crate).
///
/// It may be used on any thread. It holds no lock while it calls other code.
pub struct Ledger {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    live: HashMap<StoreId, Record>,
    stores: u64,
    resizable: u64,
    shared: u64,
    external_bytes: u64,
    held: HashMap<u64, Held>,
    next_hold: u64,
    refusals: Vec<String>,
    refused: u64,
}

struct Held {
    store: StoreId,
    byte_length: usize,
    created: Site,
    held: Site,
}

/// A reference that must be released. It counts as leaked until it is passed to [`Ledger::release`]. Dropping it does
/// not release the reference.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a hold that is dropped is a leak for good"]
pub struct Hold(u64);

impl Ledger {
    /// Makes a ledger, and sets it as the observer of this process. It lives as long as the process.
    ///
    /// Earlier events are not replayed. A store that already exists first appears at its next event, unless that event
    /// is its end.
    ///
    /// # Errors
    /// `Error::ObserverSet` if the process already has an observer. That observer can forward its events to a
    /// [`Ledger::new`], which is an `Observer`.
    pub fn install() -> Result<&'static Ledger, Error> {
        let ledger: &'static Ledger = Box::leak(Box::new(Ledger::new()));
        observe::set_observer(ledger)?;
        Ok(ledger)
    }

    /// Makes a ledger that receives no events yet.
    pub fn new() -> Self {
        Ledger { state: Mutex::default() }
    }

    /// The balance up to now.
    pub fn balance(&self) -> Balance {
        self.report().balance
    }

    /// The leaks up to now: manual memory of this process that was not freed, the oldest first, then references that
    /// are held, in the order in which they were taken.
    ///
    /// While a program runs, this includes memory that it still uses. At its end, everything here has leaked.
    pub fn leaks(&self) -> Vec<Leak> {
        let unfreed = ManualHeap::unfreed().expect("memory for a list").into_iter().map(|memory| Leak::Unfreed {
            store: memory.store,
            address: memory.address,
            byte_length: memory.byte_length,
            allocated: memory.allocated,
        });
        let mut leaks: Vec<Leak> = unfreed.collect();
        let state = self.lock();
        let mut held: Vec<(&u64, &Held)> = state.held.iter().collect();
        held.sort_unstable_by_key(|&(&key, _)| key);
        leaks.extend(held.into_iter().map(|(_, reference)| Leak::Held {
            store: reference.store,
            byte_length: reference.byte_length,
            created: reference.created,
            held: reference.held,
        }));
        leaks
    }

    /// A report of leaks, refusals and the balance, for printing.
    pub fn report(&self) -> Report {
        let leaks = self.leaks();
        let state = self.lock();
        let balance = Balance {
            stores: state.stores,
            resizable: state.resizable,
            shared: state.shared,
            external_bytes: state.external_bytes,
            leaked: leaks.len(),
            refused: state.refused,
        };
        Report { leaks, refusals: state.refusals.clone(), balance }
    }

    /// The live stores, the oldest first.
    pub fn live(&self) -> Vec<Record> {
        let mut live: Vec<Record> = self.lock().live.values().copied().collect();
        live.sort_unstable_by_key(|record| record.store);
        live
    }

    /// Records a reference that must be released, taken at `site`.
    pub fn hold(&self, store: &BackingStore, site: Site) -> Hold {
        let held = Held { store: store.id(), byte_length: store.byte_length(), created: store.site(), held: site };
        let mut state = self.lock();
        let key = state.next_hold;
        state.next_hold += 1;
        state.held.insert(key, held);
        Hold(key)
    }

    /// Records that a reference was released.
    pub fn release(&self, hold: Hold) {
        self.lock().held.remove(&hold.0);
    }

    /// Returns the result of a free unchanged, and records it if the free was refused: a double free, or a free of
    /// memory in use, of an unknown address, or of an address that is in use again. Other errors are not recorded.
    ///
    /// # Errors
    /// The error in `result`.
    pub fn checked<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if let Err(error) = &result
            && is_refused_free(error)
        {
            let text = error.to_string();
            let mut state = self.lock();
            state.refused += 1;
            if state.refusals.len() < KEPT_REFUSALS {
                state.refusals.push(text);
            }
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_refused_free(error: &Error) -> bool {
    matches!(
        error,
        Error::DoubleFree { .. } | Error::FreeInUse { .. } | Error::UnknownAddress { .. } | Error::AddressReused { .. }
    )
}

impl Observer for Ledger {
    fn event(&self, event: &Event) {
        let mut state = self.lock();
        let State { live, stores, resizable, shared, external_bytes, .. } = &mut *state;
        match event.kind {
            EventKind::Freed { .. } => {
                if let Some(mut record) = live.remove(&event.store) {
                    *external_bytes += record.count(event) as u64;
                }
            }
            // The store was made before the ledger. This event is its end, and nothing else is known of it.
            EventKind::Released { .. } if !live.contains_key(&event.store) => {}
            _ => {
                let record = live.entry(event.store).or_insert_with(|| {
                    *stores += 1;
                    let kind = event.store_kind;
                    if kind.is_shared() {
                        *shared += 1;
                    } else if kind.length() != Length::Fixed {
                        *resizable += 1;
                    }
                    *external_bytes += event.byte_length as u64;
                    Record::new(event)
                });
                *external_bytes += record.count(event) as u64;
            }
        }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Ledger::new()
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("balance", &self.balance()).finish_non_exhaustive()
    }
}
