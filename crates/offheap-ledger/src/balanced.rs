//! Tests that end with what they made freed.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::report::Leaks;
use crate::{Error, Ledger, Level, install, installed, thread as threads};

/// Fails the test, with the report, if a store that was made since then lives when the result is dropped and was not
/// [declared static](Ledger::expect_static).
///
/// Only stores count that this thread made, or a thread that was started with [`Balanced::spawn`], so tests that run in
/// parallel do not disturb each other. Keep the result in a variable, and make it first: values of the test that are made
/// after it are dropped before it.
///
/// ```
/// # use offheap::BackingStore;
/// let balanced = offheap_ledger::assert_balanced();
/// let store = BackingStore::from_owner(vec![0_u8; 100])?;
/// balanced.spawn(move || drop(store));
/// # Ok::<(), offheap::Error>(())
/// ```
///
/// # Panics
/// If another observer is installed, or a ledger that does not record each store: one of level `Counts`, or with samples. A
/// ledger of level `Sites` is installed if there is none.
#[must_use = "it checks when it is dropped: let _balanced = assert_balanced();"]
#[track_caller]
pub fn assert_balanced() -> Balanced {
    static SCOPES: AtomicU32 = AtomicU32::new(0);
    let ledger = match install(Level::Sites) {
        Ok(ledger) => ledger,
        Err(Error::ObserverSet) => {
            installed_by_another_test().expect("this process has another observer than a ledger")
        }
        Err(error) => panic!("{error}"),
    };
    assert!(
        ledger.level() != Level::Counts && ledger.sample_bytes().is_none(),
        "the ledger does not record each store: install it with level `Sites` or `Full`, without samples"
    );
    let scope = SCOPES.fetch_add(1, Ordering::Relaxed) + 1;
    let outer = threads::set_scope(scope);
    Balanced { ledger, scope, outer, running: Arc::default(), thread: PhantomData }
}

/// Another thread may have set the observer, and be about to note that it is a ledger.
fn installed_by_another_test() -> Option<&'static Ledger> {
    (0..1000).find_map(|_| {
        let ledger = installed();
        if ledger.is_none() {
            thread::sleep(std::time::Duration::from_millis(1));
        }
        ledger
    })
}

/// Checks, when it is dropped, that what was made in its scope was freed; see [`assert_balanced`].
#[derive(Debug)]
pub struct Balanced {
    ledger: &'static Ledger,
    scope: u32,
    outer: u32,
    running: Arc<Running>,
    /// Not `Send`: the scope is that of its thread.
    thread: PhantomData<*const ()>,
}

/// The threads of a scope that have not ended.
#[derive(Debug, Default)]
struct Running {
    count: Mutex<usize>,
    ended: Condvar,
}

impl Balanced {
    /// Starts a thread whose stores count too. They are checked after it has ended, which the end of the scope waits for.
    ///
    /// # Panics
    /// If the system cannot start a thread.
    pub fn spawn<T: Send + 'static>(&self, run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let scope = self.scope;
        let running = Entered::new(Arc::clone(&self.running));
        thread::spawn(move || {
            // Declared first, so that it is dropped after everything that the closure holds.
            let _running = running;
            threads::set_scope(scope);
            run()
        })
    }
}

/// One running thread.
struct Entered(Arc<Running>);

impl Entered {
    fn new(running: Arc<Running>) -> Self {
        *running.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Entered(running)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.ended.notify_all();
    }
}

impl Drop for Balanced {
    /// # Panics
    /// If a store lives. A test that panics already is only told.
    fn drop(&mut self) {
        threads::set_scope(self.outer);
        let count = self.running.count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.running.ended.wait_while(count, |count| *count > 0).unwrap_or_else(PoisonError::into_inner));
        let scope = self.scope;
        let leaks = self.ledger.live_that(|record| record.scope == scope && !record.is_static);
        if leaks.is_empty() {
            return;
        }
        let noun = if leaks.len() == 1 { "store was" } else { "stores were" };
        let report = format!("{} {noun} made here and not freed:\n{}", leaks.len(), Leaks(&leaks));
        match thread::panicking() {
            true => eprintln!("{report}"),
            false => panic!("{report}"),
        }
    }
}
