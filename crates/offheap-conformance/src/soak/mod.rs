//! Isolates on many threads that pass stores to each other, for a given time.

mod memory;
mod worker;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use offheap_engine::offheap::{BackingStore, ManualMemory, WeakStore};

use crate::{Factory, Failure};
use worker::Worker;

/// The settings of a soak.
#[derive(Clone, Copy, Debug)]
pub struct Soak {
    /// The number of threads.
    pub threads: usize,
    /// The largest number of isolates that one thread has at a time.
    pub isolates_per_thread: usize,
    /// The duration. `OFFHEAP_SOAK_SECONDS` in the environment overrides it.
    pub duration: Duration,
    /// The number of bytes by which the memory of the process may grow between the first third and the end.
    pub memory_allowance: usize,
}

impl Default for Soak {
    /// Eight threads, each with up to eight isolates, for three seconds, and 64 MiB.
    fn default() -> Self {
        let duration = Duration::from_secs(3);
        Soak { threads: 8, isolates_per_thread: 8, duration, memory_allowance: 64 << 20 }
    }
}

/// The work that a soak did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Soaked {
    /// Steps, on all threads.
    pub steps: usize,
    /// Steps that were refused with an expected error, for example because another isolate had the store.
    pub refused: usize,
    /// Isolates that ended before their thread did.
    pub isolates_ended: usize,
    /// Owners that were given to stores. Each was dropped once.
    pub owners: usize,
    /// The resident bytes of the process after a third of the time.
    pub bytes_before: usize,
    /// The resident bytes of the process at the end.
    pub bytes_after: usize,
}

/// The state that all threads share.
struct Common<'a> {
    factory: &'a Factory<'a>,
    visit: &'a (dyn Fn(&BackingStore) + Sync),
    isolates_per_thread: usize,
    end: Instant,
    /// Stores on their way from one thread to another.
    pool: Mutex<Vec<BackingStore>>,
    /// All manual memory; it is freed at the end.
    manual: Mutex<Vec<ManualMemory>>,
    /// All stores that do not have our deleter, for as long as they may live.
    watched: Mutex<Vec<WeakStore>>,
    owners_made: AtomicUsize,
    owners_dropped: std::sync::Arc<AtomicUsize>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs threads with isolates that make, expose, write, detach, transfer, resize, externalize and drop stores of every
/// kind, pass them to each other, collect, and end in any order. `visit` is called once with each store that native
/// code made.
///
/// To measure memory, run it in a separate process.
///
/// # Errors
/// [`Failure`] if a byte was read that was never written, a step fails with an unexpected error, a thread panics, an
/// owner was not dropped exactly once, a store is alive at the end, or memory grew.
///
/// # Panics
/// If `OFFHEAP_SOAK_SECONDS` is not a number.
pub fn soak(factory: &Factory<'_>, plan: Soak, visit: &(dyn Fn(&BackingStore) + Sync)) -> Result<Soaked, Failure> {
    let duration = crate::random::variable("OFFHEAP_SOAK_SECONDS").map_or(plan.duration, Duration::from_secs);
    let begun = Instant::now();
    let common = Common {
        factory,
        visit,
        isolates_per_thread: plan.isolates_per_thread,
        end: begun + duration,
        pool: Mutex::default(),
        manual: Mutex::default(),
        watched: Mutex::default(),
        owners_made: AtomicUsize::new(0),
        owners_dropped: Default::default(),
    };
    let shared = &common;
    let (all, bytes) = thread::scope(|scope| {
        let threads: Vec<_> =
            (1..=plan.threads).map(|seed| scope.spawn(move || Worker::new(shared, seed as u64).run())).collect();
        thread::sleep(duration / 3);
        let before = memory::resident_bytes();
        thread::sleep(common.end.saturating_duration_since(Instant::now()));
        let after = memory::resident_bytes();
        let done = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|panic| {
                let message = crate::random::message_of(panic.as_ref()).to_owned();
                Err(Failure::new(format!("expected no panic on any thread, saw: {message}")))
            })
        });
        (done.collect::<Result<Vec<_>, _>>(), (before, after))
    });
    let mut soaked = Soaked { bytes_before: bytes.0?, bytes_after: bytes.1?, ..Soaked::default() };
    for one in all? {
        soaked.steps += one.steps;
        soaked.refused += one.refused;
        soaked.isolates_ended += one.isolates_ended;
    }
    soaked.owners = common.owners_made.load(Ordering::SeqCst);
    common.check(&soaked, plan.memory_allowance)?;
    Ok(soaked)
}

impl Common<'_> {
    /// Checks that nothing is left after all threads have ended.
    fn check(self, soaked: &Soaked, memory_allowance: usize) -> Result<(), Failure> {
        drop(self.pool);
        for memory in locked(&self.manual).drain(..) {
            memory.free()?;
        }
        let (made, dropped) = (soaked.owners, self.owners_dropped.load(Ordering::SeqCst));
        expect_eq!(dropped, made, "owners that were dropped, of all that were made");
        let alive: Vec<_> = locked(&self.watched).iter().filter_map(WeakStore::upgrade).collect();
        expect!(alive.is_empty(), "no store is alive at the end; {} are: {:?}", alive.len(), alive.first());
        expect!(soaked.steps > 0 && soaked.owners > 0, "something was done: {soaked:?}");
        let most = soaked.bytes_before + memory_allowance;
        expect!(soaked.bytes_after <= most, "memory stays below {most} bytes: {soaked:?}");
        Ok(())
    }
}
