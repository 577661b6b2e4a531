//! The way from the runner's threads to the threads of the workers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use napi::bindgen_prelude::{Function, FunctionRef, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Result, Status};
use offheap_engine::{Error, Host};

use crate::engine_failed;
use crate::worker::Worker;

/// The longest that a worker may take for one verb.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) static HUB: Hub = Hub { start: OnceLock::new(), next: AtomicU32::new(1), waiting: Mutex::new(None) };

/// The workers that the runner waits for.
pub(crate) struct Hub {
    start: OnceLock<ThreadsafeFunction<u32, (), u32, Status, false>>,
    next: AtomicU32,
    waiting: Mutex<Option<HashMap<u32, Waiting>>>,
}

/// What the runner wants to hear from one worker.
struct Waiting {
    joined: Sender<Link>,
    turned: Sender<()>,
    ended: Sender<()>,
}

/// A worker, as a runner's thread has it.
pub(crate) struct Member {
    pub(crate) number: u32,
    link: Link,
    turned: Receiver<()>,
    ended: Receiver<()>,
}

impl Hub {
    pub(crate) fn begin(&self, start: Function<'_, u32, ()>) -> Result<()> {
        let start = start.build_threadsafe_function().build()?;
        drop(self.start.set(start));
        Ok(())
    }

    fn with_waiting<R>(&self, number: u32, work: impl FnOnce(&Waiting) -> R) -> Option<R> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.as_ref()?.get(&number).map(work)
    }

    pub(crate) fn join(&self, number: u32, link: Link) {
        // A runner that does not wait any more has reported that.
        self.with_waiting(number, |waiting| waiting.joined.send(link).ok());
    }

    pub(crate) fn turned(&self, number: u32) {
        self.with_waiting(number, |waiting| waiting.turned.send(()).ok());
    }

    pub(crate) fn ended(&self, number: u32) {
        self.with_waiting(number, |waiting| waiting.ended.send(()).ok());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.as_mut().map(|waiting| waiting.remove(&number));
    }

    /// Starts a worker, and waits until it serves.
    pub(crate) fn start(&self) -> std::result::Result<Member, Error> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (joined, join) = channel();
        let (turn, turned) = channel();
        let (end, ended) = channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.get_or_insert_default().insert(number, Waiting { joined, turned: turn, ended: end });
        drop(waiting);
        let start = self.start.get().ok_or_else(no_answer)?;
        start.call(number, ThreadsafeFunctionCallMode::Blocking);
        let link = join.recv_timeout(PATIENCE).map_err(|_| no_answer())?;
        Ok(Member { number, link, turned, ended })
    }
}

fn no_answer() -> Error {
    Error::EngineFailed { engine: Worker::NAME, attempted: "wait for a worker" }
}

impl Member {
    /// Runs work in the worker, and returns its result.
    pub(crate) fn ask<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Env, &Verbs) -> std::result::Result<R, Error> + Send + 'static,
    ) -> std::result::Result<R, Error> {
        let (answer, answered) = channel();
        self.send(Box::new(move |env, verbs| drop(answer.send(work(env, verbs)))));
        answered.recv_timeout(PATIENCE).map_err(|_| no_answer())?
    }

    /// Has work done in the worker, in its turn.
    pub(crate) fn send(&self, job: Job) {
        self.link.0.call(job, ThreadsafeFunctionCallMode::Blocking);
    }

    /// Waits until the worker calls `turned`.
    pub(crate) fn wait_for_turns(&self) -> std::result::Result<(), Error> {
        self.turned.recv_timeout(PATIENCE).map_err(|_| no_answer())
    }

    /// Waits until the worker has ended.
    pub(crate) fn wait_for_end(self) -> std::result::Result<(), Error> {
        let Member { link, ended, .. } = self;
        drop(link);
        ended.recv_timeout(PATIENCE).map_err(|_| no_answer())
    }
}

/// Work for the thread of a worker.
pub(crate) type Job = Box<dyn FnOnce(&Env, &Verbs) + Send>;

/// The functions of `verbs.mjs` that a job may use.
pub(crate) struct Verbs {
    call: FunctionRef<String, String>,
    keep: FunctionRef<Unknown<'static>, u32>,
    get: FunctionRef<u32, Unknown<'static>>,
}

impl Verbs {
    /// Calls a verb with its arguments as JSON, and returns its result as JSON.
    pub(crate) fn call(&self, env: &Env, request: String) -> std::result::Result<String, Error> {
        self.call.borrow_back(env).and_then(|call| call.call(request)).map_err(engine_failed)
    }

    /// Puts a value in the table.
    pub(crate) fn keep(&self, env: &Env, value: Unknown<'static>) -> std::result::Result<u32, Error> {
        self.keep.borrow_back(env).and_then(|keep| keep.call(value)).map_err(engine_failed)
    }

    /// A value of the table; of a view its buffer.
    pub(crate) fn get(&self, env: &Env, root: u32) -> std::result::Result<Unknown<'static>, Error> {
        self.get.borrow_back(env).and_then(|get| get.call(root)).map_err(engine_failed)
    }
}

/// A queue of jobs for one worker.
pub(crate) struct Link(ThreadsafeFunction<Job, (), (), Status, false>);

impl Link {
    pub(crate) fn new(
        tick: Function<'_, (), ()>,
        call: FunctionRef<String, String>,
        keep: FunctionRef<Unknown<'static>, u32>,
        get: FunctionRef<u32, Unknown<'static>>,
    ) -> Result<Self> {
        let verbs = Verbs { call, keep, get };
        let jobs = tick.build_threadsafe_function::<Job>().build_callback(move |context| {
            (context.value)(&context.env, &verbs);
            Ok(())
        })?;
        Ok(Link(jobs))
    }
}
