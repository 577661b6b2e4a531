//! Work in several isolates at once, each on a thread of its own.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Instant;

use benches::{Row, timed_row};
use offheap_v8::v8::PinScope;

use crate::expose::{self, BUFFERS, Exposed};
use crate::isolate::in_isolate;

const THREADS: usize = 8;

/// The side whose code runs.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    Ours,
    Peer,
}

/// Makes and drops buffers in eight isolates at once.
pub(crate) fn expose_64(name: &'static str) -> Row {
    let workers: Vec<Worker> = (0..THREADS)
        .map(|_| {
            Worker::new(|scope, turns, done| {
                let exposed = Exposed::new(64);
                for side in turns {
                    exposed.turn(scope, side);
                    done.send(()).expect("the bench waits");
                }
            })
        })
        .collect();
    let turn = |side| {
        let begin = Instant::now();
        workers.iter().for_each(|worker| worker.begin(side));
        workers.iter().for_each(Worker::wait);
        begin.elapsed().as_nanos() as f64 / (f64::from(BUFFERS) * THREADS as f64)
    };
    timed_row(name, expose::GOAL, || turn(Side::Ours), || turn(Side::Peer))
}

/// A thread with an isolate. It gets the side of each turn, and reports the end of each.
pub(crate) struct Worker {
    turns: Option<Sender<Side>>,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(crate) fn new(work: fn(&mut PinScope<'_, '_>, Receiver<Side>, Sender<()>)) -> Self {
        let ((turns, requested), (reported, done)) = (channel(), channel());
        let thread = spawn(move || in_isolate(|scope| work(scope, requested, reported)));
        Worker { turns: Some(turns), done, thread: Some(thread) }
    }

    pub(crate) fn begin(&self, side: Side) {
        self.turns.as_ref().and_then(|turns| turns.send(side).ok()).expect("the thread lives");
    }

    pub(crate) fn wait(&self) {
        self.done.recv().expect("the thread lives");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.turns = None;
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(ended.is_some_and(|ended| ended.is_ok()), "the thread did not panic");
    }
}
