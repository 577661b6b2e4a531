//! The stream: what happens is queued with the records, and a thread of its own makes lines of it and writes them.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use crate::happened::Happened;
use crate::lines::Lines;
use crate::live::LiveStore;
use crate::output::Output;
use crate::refusal::Refusal;
use crate::shard::{Locked, Shard};
use crate::sys::{is_forked, notice_forks};
use crate::{Error, Ledger};

/// What the stream is told.
pub(crate) enum Told {
    Happened(Happened),
    Refused(Box<Refusal>),
}

impl Told {
    fn time(&self) -> u64 {
        match self {
            Told::Happened(happened) => happened.time,
            Told::Refused(refusal) => refusal.time.as_nanos() as u64,
        }
    }
}

/// With this many in one queue the stream is woken.
const WAKES_AT: usize = 512;
/// With this many in one queue, a thread that tells more waits for the stream.
const MOST_QUEUED: usize = 4096;
/// The stream looks this often by itself.
const LOOKS_EVERY: Duration = Duration::from_millis(20);
/// A thread waits this long at most. After that its queue grows: what the stream writes to may wait for that very thread.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The stream of a ledger.
#[derive(Default)]
pub(crate) struct Stream {
    writer: Mutex<Option<JoinHandle<Result<(), io::Error>>>>,
    thread: OnceLock<Thread>,
    /// The program ends: what is queued is the last.
    ends: AtomicBool,
}

impl Stream {
    /// Wakes the stream if enough is waiting, and waits for room if there is too much.
    #[inline]
    pub(crate) fn wait_for_room<'a>(
        &self,
        locked: &'a Locked,
        shard: MutexGuard<'a, Shard>,
        waiting: usize,
    ) -> MutexGuard<'a, Shard> {
        match waiting.is_multiple_of(WAKES_AT) || waiting >= MOST_QUEUED {
            true => self.wake_and_wait(locked, shard),
            false => shard,
        }
    }

    #[cold]
    fn wake_and_wait<'a>(&self, locked: &'a Locked, shard: MutexGuard<'a, Shard>) -> MutexGuard<'a, Shard> {
        self.wake();
        if crate::thread::writes_stream() {
            return shard;
        }
        let is_full = |shard: &mut Shard| shard.told.as_ref().is_some_and(|queue| queue.len() >= MOST_QUEUED);
        let (shard, _) =
            locked.has_room.wait_timeout_while(shard, LONGEST_WAIT, is_full).unwrap_or_else(PoisonError::into_inner);
        shard
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl Ledger {
    /// Begins the stream, which tells `output` everything that happens from now on, after the stores that live already.
    pub(crate) fn begin_stream(&'static self, output: Box<dyn Output>, program: String) -> Result<(), Error> {
        let mut writer = self.stream.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stream.thread.get().is_some() {
            return Err(Error::Streaming);
        }
        notice_forks();
        let lines = Lines::new(self, program);
        let spawned = thread::Builder::new().name("offheap-ledger".into()).spawn(move || self.write(lines, output));
        let handle = spawned.map_err(|source| Error::Stream { source })?;
        let _ = self.stream.thread.set(handle.thread().clone());
        *writer = Some(handle);
        for locked in self.shards.iter() {
            let mut shard = locked.lock();
            let live = shard.records().flat_map(|record| record.as_told()).map(Told::Happened).collect();
            shard.told = Some(live);
        }
        Ok(())
    }

    /// Ends the stream: writes what is queued, who holds what lives, and the end. Does nothing if there is no stream, or if
    /// it was ended.
    ///
    /// A stream that the program does not end is ended when the process exits in order. A forked process has no stream: what it
    /// does is not told, and this does nothing in it.
    ///
    /// # Errors
    /// [`Error::Stream`] if the stream could not be written. This was said on standard error when it happened.
    pub fn finish(&self) -> Result<(), Error> {
        // The stream cannot wait for itself, where what it writes to ends the process. In a forked process there is no stream.
        if crate::thread::writes_stream() || is_forked() {
            return Ok(());
        }
        // Locked until the stream has ended: another thread that ends it, or the process, waits for that too.
        let mut locked = self.stream.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(writer) = locked.take() else { return Ok(()) };
        self.stream.ends.store(true, Ordering::Release);
        self.stream.wake();
        match writer.join() {
            Ok(result) => result.map_err(|source| Error::Stream { source }),
            Err(_) => unreachable!("the writer's panics are caught"),
        }
    }

    /// The thread that writes.
    fn write(&self, lines: Lines, output: Box<dyn Output>) -> Result<(), io::Error> {
        crate::thread::begin_writing();
        let written = catch_unwind(AssertUnwindSafe(|| self.write_all(lines, output)));
        // From here on, nobody queues or waits.
        for locked in self.shards.iter() {
            let told = locked.lock().told.take();
            locked.has_room.notify_all();
            drop(told);
        }
        let written = written.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            let error = io::Error::other(format!("what receives the lines panicked: {text}"));
            // It is the program's value, whose drop may panic.
            std::mem::forget(panic);
            Err(error)
        });
        if let Err(source) = &written {
            // Not `eprintln`, which panics if standard error is closed.
            let _ = io::Write::write_fmt(
                &mut io::stderr(),
                format_args!("offheap: the ledger's stream ended early: {source}\n"),
            );
        }
        written
    }

    fn write_all(&self, mut lines: Lines, mut output: Box<dyn Output>) -> Result<(), io::Error> {
        lines.start(&mut *output)?;
        let mut spare = Vec::new();
        let mut batch = Vec::new();
        loop {
            let ends = self.stream.ends.load(Ordering::Acquire);
            let mut live = Vec::new();
            for locked in self.shards.iter() {
                let mut shard = locked.lock();
                if ends {
                    // Under one lock, so that what lives here is what the lines tell: other threads may go on.
                    let last = shard.told.take();
                    live.extend(shard.records().map(LiveStore::new));
                    drop(shard);
                    locked.has_room.notify_all();
                    batch.extend(last.into_iter().flatten());
                    continue;
                }
                let Some(queue) = &mut shard.told else { continue };
                if queue.is_empty() {
                    continue;
                }
                let full = queue.len() >= MOST_QUEUED;
                let mut taken = std::mem::replace(queue, std::mem::take(&mut spare));
                drop(shard);
                if full {
                    locked.has_room.notify_all();
                }
                batch.append(&mut taken);
                spare = taken;
            }
            // The sort keeps the order of equal times, and with it the order of the events of each store.
            batch.sort_by_key(Told::time);
            let is_idle = batch.is_empty();
            for told in batch.drain(..) {
                lines.write(&told, &mut *output)?;
            }
            if ends {
                live.sort_unstable_by_key(|store| (store.time, store.store));
                lines.end(self, &live, &mut *output)?;
                return output.finish();
            }
            if is_idle {
                output.flush()?;
                thread::park_timeout(LOOKS_EVERY);
            }
        }
    }
}
