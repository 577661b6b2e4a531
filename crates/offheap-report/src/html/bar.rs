//! One store of the page: its bar, its history, and who held it.

use super::names::Origin;
use crate::format::{Event, Holders, Labels, Reference};

/// How many steps of its history a store keeps: the first few, and the latest.
const STEPS: usize = 32;

/// How many of these are the first ones.
const FIRST: usize = 8;

/// The kinds of steps, by the number that [`Step::kind`] has.
pub(super) const KINDS: [&str; 10] = [
    "exposed",
    "externalized",
    "detached",
    "transferred",
    "resized",
    "released",
    "referenced",
    "dropped",
    "static",
    "refused",
];

/// The kind of a step that was refused.
pub(super) const REFUSED: u8 = 9;

/// Something that happened to a store between its making and its end. Numbers are those of the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) kind: u8,
    pub(super) thread: u32,
    pub(super) isolate: u32,
    pub(super) site: u32,
    pub(super) stack: u32,
    pub(super) time: u64,
    /// The new length in bytes, or the number of the reference.
    pub(super) number: u64,
}

/// What happened to a store, in bounded memory.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) steps: Vec<Step>,
    /// How many steps between the first few and the latest are not kept.
    pub(super) left_out: u64,
}

impl History {
    /// Adds a step, and forgets one of the middle if there are too many.
    pub(super) fn push(&mut self, step: Step) {
        if self.steps.len() == STEPS {
            self.steps.remove(FIRST);
            self.left_out += 1;
        }
        self.steps.push(step);
    }
}

/// A store as the page shows it. Times are nanoseconds since the process's start.
#[derive(Debug, Default)]
pub(super) struct Bar {
    pub(super) process: usize,
    pub(super) store: u64,
    pub(super) born: u64,
    pub(super) died: Option<u64>,
    /// Its length in bytes: the last.
    pub(super) bytes: u64,
    pub(super) weight: f64,
    pub(super) kind: u32,
    pub(super) thread: u32,
    pub(super) origin: Origin,
    pub(super) stack: u32,
    pub(super) end_thread: u32,
    pub(super) end_site: u32,
    pub(super) end_stack: u32,
    /// The engines that ever had a buffer, as bits.
    pub(super) engines: u32,
    pub(super) is_static: bool,
    pub(super) has_error: bool,
    pub(super) labels: Labels,
    pub(super) history: History,
    /// Its live buffers: isolate, how many, the path of objects, and the place in script that exposed one.
    pub(super) buffers: Vec<(u32, u64, Vec<String>, String)>,
    pub(super) references: Vec<Reference>,
    pub(super) holders: Option<Holders>,
}

impl Bar {
    /// How long it lived, in nanoseconds. One that lives has lived for as long as there is time.
    pub(super) fn life(&self) -> u64 {
        self.died.map_or(u64::MAX, |died| died.saturating_sub(self.born))
    }
}

/// What the lines about stores have in common.
#[derive(Debug, Default)]
pub(super) struct About<'a> {
    /// The number of the step's kind; none for the making, the end, and holders.
    pub(super) kind: Option<u8>,
    pub(super) store: Option<u64>,
    pub(super) time: u64,
    pub(super) thread: Option<u64>,
    pub(super) isolate: Option<u64>,
    pub(super) site: Option<&'a str>,
    pub(super) stack: Option<u64>,
    pub(super) number: u64,
}

impl<'a> About<'a> {
    /// Reads it from a line; none if the line is not about stores.
    pub(super) fn of(event: &'a Event) -> Option<Self> {
        let (kind, change) = match event {
            Event::Exposed(change) => (Some(0), change),
            Event::Externalized(change) => (Some(1), change),
            Event::Detached(change) => (Some(2), change),
            Event::Transferred(change) => (Some(3), change),
            Event::Resized(change) => (Some(4), change),
            Event::Released(change) => (Some(5), change),
            Event::Static(change) => (Some(8), change),
            Event::Freed(change) => (None, change),
            Event::Referenced(it) => {
                return Some(About {
                    kind: Some(6),
                    store: Some(it.store),
                    time: it.time,
                    thread: it.thread,
                    site: it.site.as_deref(),
                    number: it.reference,
                    ..About::default()
                });
            }
            Event::Dropped(it) => {
                let (store, number) = (Some(it.store), it.reference);
                return Some(About { kind: Some(7), store, time: it.time, number, ..About::default() });
            }
            Event::Refused(it) => {
                return Some(About {
                    kind: Some(REFUSED),
                    store: it.store,
                    time: it.time,
                    thread: it.thread,
                    site: it.site.as_deref(),
                    stack: it.stack,
                    ..About::default()
                });
            }
            Event::Created(it) => {
                return Some(About {
                    store: Some(it.store),
                    time: it.time,
                    thread: it.thread,
                    site: it.site.as_deref(),
                    stack: it.stack,
                    ..About::default()
                });
            }
            Event::Holders(it) => {
                return Some(About { store: Some(it.store), time: it.time, ..About::default() });
            }
            _ => return None,
        };
        Some(About {
            kind,
            store: Some(change.store),
            time: change.time,
            thread: change.thread,
            isolate: change.isolate,
            site: change.site.as_deref(),
            stack: change.stack,
            number: change.bytes.unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_history_keeps_its_beginning_and_its_end() {
        let mut history = History::default();
        for time in 0..100 {
            history.push(Step { kind: 0, thread: 0, isolate: 0, site: 0, stack: 0, time, number: 0 });
        }
        let times: Vec<u64> = history.steps.iter().map(|step| step.time).collect();
        assert_eq!(history.left_out, 100 - STEPS as u64);
        assert_eq!(times[..=FIRST], [0, 1, 2, 3, 4, 5, 6, 7, 100 - STEPS as u64 + FIRST as u64]);
        assert_eq!(times.last(), Some(&99));
    }
}
