//! The external buffers that live, and what is wrong with them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::stack::Frame;
use crate::stream::{self, Line};
use crate::sys::{Finalizer, WeakStore};

/// What an addon asked for.
#[derive(Debug)]
pub(crate) struct Made {
    /// `ArrayBuffer`, `Buffer`, `SharedArrayBuffer` or `string`
    pub(crate) what: &'static str,
    pub(crate) address: usize,
    pub(crate) bytes: usize,
    pub(crate) addon: Arc<str>,
    /// The address in the addon to which the call returned.
    pub(crate) called_from: usize,
    pub(crate) finalizer: Finalizer,
    pub(crate) stack: Vec<Frame>,
}

impl Made {
    fn site(&self) -> &str {
        self.stack.first().map_or("an unknown place", |frame| &frame.site)
    }

    /// Empty buffers share addresses, and have no memory that anybody could free too early.
    fn has_memory(&self) -> bool {
        self.address != 0 && self.bytes != 0
    }
}

struct Record {
    made: Made,
    store: Option<WeakStore>,
    progress: Progress,
    /// Another buffer's finalizer has freed the memory.
    is_gone: bool,
    /// It lived until the program ended, and only that finalized it.
    lived_to_the_end: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Progress {
    /// The host is making it.
    Making,
    /// The host finalized it before it had returned.
    FinalizedWhileMaking,
    /// The line `created` is written.
    Made,
}

#[derive(Default)]
struct Table {
    live: HashMap<u64, Record>,
    /// The buffers over each piece of memory, by its address, the latest last.
    by_address: HashMap<usize, Vec<u64>>,
}

static TABLE: Mutex<Option<Table>> = Mutex::new(None);

/// Lines about a buffer are written under this lock, so that they are in order.
fn with_table<T>(work: impl FnOnce(&mut Table) -> T) -> T {
    let mut table: MutexGuard<'_, Option<Table>> = TABLE.lock().unwrap_or_else(PoisonError::into_inner);
    work(table.get_or_insert_default())
}

/// A buffer is about to be made. Returns its number.
pub(crate) fn begin(made: Made) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let record = Record { made, store: None, progress: Progress::Making, is_gone: false, lived_to_the_end: false };
    with_table(|table| table.live.insert(number, record));
    number
}

/// The host made no buffer.
pub(crate) fn cancel(number: u64) {
    with_table(|table| table.live.remove(&number));
}

/// The host has made it. Returns whether other live buffers have the same memory.
pub(crate) fn complete(number: u64, store: Option<WeakStore>) -> bool {
    with_table(|table| {
        let Some(record) = table.live.get_mut(&number) else { return false };
        record.store = store;
        tell_created(number, &record.made);
        if record.progress == Progress::FinalizedWhileMaking {
            table.live.remove(&number);
            tell_freed(number);
            return false;
        }
        record.progress = Progress::Made;
        if !record.made.has_memory() {
            return false;
        }
        let same = table.by_address.entry(record.made.address).or_default();
        let other = same.last().copied();
        same.push(number);
        // Memory that was freed may be allocated again.
        let other = other.and_then(|other| table.live.get(&other)).filter(|other| !other.is_gone);
        let (Some(other), Some(record)) = (other, table.live.get(&number)) else { return false };
        tell_wrapped_twice(number, &record.made, &other.made);
        true
    })
}

/// The host calls the finalizer of a buffer. Returns the addon's own, None if the host has called it before. `is_ending` says
/// whether the environment ends.
pub(crate) fn finalizing(number: u64, is_ending: impl FnOnce() -> bool) -> Option<Finalizer> {
    with_table(|table| {
        let Some(record) = table.live.get_mut(&number) else {
            let message = format!(
                "the finalizer of external buffer {number} was called twice by the host; the second call was left out"
            );
            stream::tell(
                Line::new("refused").text("code", "FINALIZED_TWICE").text("message", &message).number("store", number),
            );
            return None;
        };
        let finalizer = record.made.finalizer;
        // Strings are finalized in the middle of a collection, when nothing can be asked.
        record.lived_to_the_end = stream::is_main_thread() && record.made.what != "string" && is_ending();
        if let Some(store) = record.store.take_if(|store| store.uses() > 0) {
            ask_again_at_the_end_of_the_thread(Suspect::new(number, store, &record.made));
        }
        Some(finalizer)
    })
}

/// The addon's finalizer has returned.
pub(crate) fn finalized(number: u64) {
    with_table(|table| match table.live.get_mut(&number) {
        Some(record) if record.progress == Progress::Making => record.progress = Progress::FinalizedWhileMaking,
        Some(_) => {
            let Some(record) = table.live.remove(&number) else { return };
            table.forget_address(number, record.made.address);
            if !record.lived_to_the_end {
                tell_freed(number);
            }
        }
        None => {}
    });
}

/// The finalizer of this buffer is about to free its memory.
pub(crate) fn freed_by_finalizer(number: u64) {
    with_table(|table| {
        let Some(record) = table.live.get(&number) else { return };
        if record.is_gone {
            return tell_freed_twice(number, &record.made);
        }
        let address = record.made.address;
        let (addon, site) = (record.made.addon.clone(), record.made.site().to_owned());
        let others = table.by_address.get(&address).cloned().unwrap_or_default();
        for other in others.into_iter().filter(|&other| other != number) {
            let Some(other_record) = table.live.get_mut(&other) else { continue };
            if !std::mem::replace(&mut other_record.is_gone, true) {
                let made = &other_record.made;
                let message = format!(
                    "{} bytes of {} were freed by the finalizer of the {} made at {site}, and a live {} made at {} is over the \
                     same memory; give the memory to one buffer, or count who has it",
                    made.bytes,
                    addon,
                    made.what,
                    made.what,
                    made.site(),
                );
                tell_error("FREED_IN_USE", other, made, &message, Some(&site));
            }
        }
    });
}

impl Table {
    fn forget_address(&mut self, number: u64, address: usize) {
        if let Some(same) = self.by_address.get_mut(&address) {
            same.retain(|&other| other != number);
            if same.is_empty() {
                self.by_address.remove(&address);
            }
        }
    }
}

/// Memory that somebody still had when its finalizer was called. That may be a buffer of the environment that ends, which no
/// script will use again. When the thread has ended, so has its engine, and whoever has the memory then is another.
struct Suspect {
    number: u64,
    store: WeakStore,
    bytes: usize,
    addon: Arc<str>,
    what: &'static str,
    site: Vec<Frame>,
    thread: u64,
}

impl Suspect {
    fn new(number: u64, store: WeakStore, made: &Made) -> Self {
        let site = made.stack.iter().take(1).cloned().collect();
        let thread = stream::this_thread();
        Suspect { number, store, bytes: made.bytes, addon: made.addon.clone(), what: made.what, site, thread }
    }
}

/// What the end of a thread decides.
#[derive(Default)]
struct Suspects(RefCell<Vec<Suspect>>);

thread_local! {
    static SUSPECTS: Suspects = Suspects::default();
}

fn ask_again_at_the_end_of_the_thread(suspect: Suspect) {
    // A thread that ends already has no engine, and asks nothing any more.
    let _ = SUSPECTS.try_with(|suspects| suspects.0.borrow_mut().push(suspect));
}

impl Drop for Suspects {
    fn drop(&mut self) {
        for suspect in self.0.take() {
            let uses = suspect.store.uses();
            if uses > 0 {
                suspect.tell(uses);
            }
        }
    }
}

impl Suspect {
    fn tell(&self, uses: i32) {
        let site = self.site.first().map_or("an unknown place", |frame| &frame.site);
        let who = if uses == 1 {
            "1 buffer outside of it still uses".to_owned()
        } else {
            format!("{uses} references outside of it still use")
        };
        let message = format!(
            "{} bytes of {}, given to script as {} at {site}, were freed as their environment ended, and {who} them; Node calls \
             finalizers at the end of an environment, whoever has got the memory by a transfer",
            self.bytes, self.addon, self.what,
        );
        let line =
            Line::new("refused").text("code", "FREED_IN_USE").text("message", &message).number("store", self.number);
        stream::tell(line.number("thread", self.thread).stack(&self.site));
    }
}

fn tell_created(number: u64, made: &Made) {
    let line = Line::new("created").number("store", number).number("bytes", made.bytes as u64).text("kind", "external");
    let labels = [("addon", &*made.addon), ("object", made.what)];
    stream::tell(line.on_this_thread().stack(&made.stack).labels(&labels));
}

fn tell_freed(number: u64) {
    stream::tell(Line::new("freed").number("store", number).on_this_thread());
}

fn tell_wrapped_twice(number: u64, made: &Made, other: &Made) {
    let message = format!(
        "one pointer of {} was given to two buffers: at {} and at {}; that is right for static memory, and for memory whose \
         users the addon counts",
        made.addon,
        other.site(),
        made.site(),
    );
    let line = Line::new("notice").text("code", "WRAPPED_TWICE").text("message", &message).number("store", number);
    let line = line.on_this_thread().stack(&made.stack);
    stream::tell(match other.stack.first() {
        Some(frame) => line.text("earlier", &frame.site),
        None => line,
    });
}

fn tell_freed_twice(number: u64, made: &Made) {
    let message = format!(
        "{} bytes of {} are freed twice: by the finalizers of two buffers that were made over them, the second at {}; give the \
         memory to one buffer, or count who has it",
        made.bytes,
        made.addon,
        made.site(),
    );
    tell_error("FINALIZED_TWICE", number, made, &message, None);
}

fn tell_error(code: &str, number: u64, made: &Made, message: &str, earlier: Option<&str>) {
    let line = Line::new("refused").text("code", code).text("message", message).number("store", number);
    let line = line.on_this_thread().stack(&made.stack);
    stream::tell(match earlier {
        Some(earlier) => line.text("earlier", earlier),
        None => line,
    });
}
