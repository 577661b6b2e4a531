//! The ledger itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use offheap::observe::{self, Event, EventKind, Observer};
use offheap::{BackingStore, Error, Length, ManualHeap, Site, StoreId};

use crate::{Balance, Leak, Record, Report};

/// So many refused frees are kept in full; of more only the number is.
pub const KEPT_REFUSALS: usize = 1000;

/// A record of all stores of a process; see the [crate](crate).
///
/// It may be used on any thread. No lock of its own is held while it calls anything else.
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

/// A reference that must be given back. It counts as leaked until it is passed to [`Ledger::release`]; dropping it
/// is how a reference is forgotten.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a hold that is dropped is a leak for good"]
pub struct Hold(u64);

impl Ledger {
    /// A ledger, set as the observer of this process. It lives as long as the process.
    ///
    /// Stores that exist already are taken in when something next happens to them, except when that is their end.
    ///
    /// # Errors
    /// `Error::ObserverSet` when the process has an observer; that one can forward its events to a
    /// [`Ledger::new`], which is an `Observer`.
    pub fn install() -> Result<&'static Ledger, Error> {
        let ledger: &'static Ledger = Box::leak(Box::new(Ledger::new()));
        observe::set_observer(ledger)?;
        Ok(ledger)
    }

    /// A ledger that is told nothing yet.
    pub fn new() -> Self {
        Ledger { state: Mutex::default() }
    }

    /// What happened up to now, in numbers.
    pub fn balance(&self) -> Balance {
        self.report().balance
    }

    /// What nobody gave back up to now: manual memory of this process that was not freed, the oldest first, then
    /// references that are held, in the order in which they were taken.
    ///
    /// While a program runs this is also what it still uses; at its end it is what leaked.
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

    /// Leaks, refusals and balance, to be printed.
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

    /// The stores that live, the oldest first.
    pub fn live(&self) -> Vec<Record> {
        let mut live: Vec<Record> = self.lock().live.values().copied().collect();
        live.sort_unstable_by_key(|record| record.store);
        live
    }

    /// Writes down a reference that must be given back, taken at `site`.
    pub fn hold(&self, store: &BackingStore, site: Site) -> Hold {
        let held = Held { store: store.id(), byte_length: store.byte_length(), created: store.site(), held: site };
        let mut state = self.lock();
        let key = state.next_hold;
        state.next_hold += 1;
        state.held.insert(key, held);
        Hold(key)
    }

    /// Strikes a reference that was given back.
    pub fn release(&self, hold: Hold) {
        self.lock().held.remove(&hold.0);
    }

    /// Passes the result of a free on, and writes it down where the free was refused: a double free, a free of memory in
    /// use, of an unknown address, of one that is in use again. Other errors are none of its business.
    ///
    /// # Errors
    /// The one that it was given.
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
            // Of a store that was made before there was a ledger: its end is near, and nothing is known of its life.
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
