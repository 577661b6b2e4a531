//! Freed memory that stays mapped without access, so that a stale pointer to it ends the process with a report.
//!
//! A table has a slot for each range, and the slots are used in turn: the oldest range gives way to the newest. A lock orders
//! those who change the table. The signal's handler ([`fault`]) takes no lock: it reads slots as it finds them, and the
//! version of a slot tells it whether somebody changed the slot meanwhile.

use std::num::NonZeroU64;
use std::ptr::NonNull;
// Not through `crate::sync`: a static cannot be a loom atomic, and the handler takes part in no model.
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::{Error, Site, StoreId};

mod fault;
mod text;
mod thread;

use thread::ThreadName;

/// How many ranges are kept at most. Linux counts mappings, by default up to 65,530, and each range may split one in two.
const SLOTS: usize = 16 << 10;

/// The bytes of addresses that are kept. 0 while the quarantine is off.
static MAX_BYTES: AtomicUsize = AtomicUsize::new(0);
static TABLE: OnceLock<Box<[Slot]>> = OnceLock::new();
static QUEUE: Mutex<Queue> = Mutex::new(Queue { oldest: 1, next: 1, bytes: 0 });

/// From now on freed memory stays mapped without access, until more than `max_bytes` bytes of addresses are kept: then the
/// oldest goes first. The process keeps addresses and no memory, which goes back to the system.
///
/// A use of such memory through a stale pointer, by native code on any thread, raises SIGSEGV. The process then writes a line
/// to stderr that names the address, the store with the places that made and freed it, and the threads, and ends as it would
/// have without this: the signal goes on to the handler that was there before. A fault elsewhere goes to that handler too, with
/// no line.
///
/// Kept is memory that this crate allocated in pages: from now on all [`ManualMemory`](crate::ManualMemory), which gets pages
/// of its own for this, and resizable and growable stores. Memory of a Rust allocator, of an engine, of a file, and adopted
/// memory is freed as usual. Pages cost time and at least 4 KiB for each allocation, so this is for tests and for the search
/// for an error.
///
/// At most 16,384 ranges are kept, since systems limit the number of mappings. A range that is larger than `max_bytes` is not
/// kept. A system call that gets a stale pointer returns `EFAULT`, and raises no signal.
///
/// It applies to the whole process, so it is for programs and not for libraries. A later call changes `max_bytes`; 0 turns it
/// off, and frees what was kept. The handler stays.
///
/// ```
/// offheap::quarantine(1 << 30)?;
/// let memory = offheap::ManualMemory::allocate(1024)?;
/// memory.free()?;
/// // A read through a pointer that was taken before the free would now end the process, and name this file and line.
/// # Ok::<(), offheap::Error>(())
/// ```
///
/// # Errors
/// [`Error::OutOfMemory`] if there is no memory for the table. Nothing has changed then.
///
/// # Panics
/// If the system does not accept the handler.
pub fn quarantine(max_bytes: usize) -> Result<(), Error> {
    let mut queue = lock();
    if TABLE.get().is_none() {
        let mut table = Vec::new();
        let reserved = table.try_reserve_exact(SLOTS);
        reserved.map_err(|_| Error::OutOfMemory { requested: SLOTS * size_of::<Slot>() })?;
        table.resize_with(SLOTS, Slot::default);
        let _ = TABLE.set(table.into_boxed_slice());
    }
    fault::install();
    MAX_BYTES.store(max_bytes, Ordering::Relaxed);
    queue.shrink(max_bytes);
    Ok(())
}

/// Whether freed memory is kept.
#[inline]
pub(crate) fn is_on() -> bool {
    MAX_BYTES.load(Ordering::Relaxed) != 0
}

/// What is told of freed memory.
#[derive(Clone, Copy)]
pub(crate) struct Freed {
    pub(crate) store: StoreId,
    pub(crate) byte_length: usize,
    pub(crate) made: Site,
    /// `None` if the last reference was dropped.
    pub(crate) freed: Option<Site>,
}

/// The number of a range that is kept. Until it is released, at least the range's first page stays without access, so that no
/// other memory begins at its address.
pub(crate) struct Kept(NonZeroU64);

/// Takes over whole pages, gives their memory back, and keeps their addresses without access. `None` if the quarantine is off,
/// or if the system refuses: nothing has changed then.
///
/// # Safety
/// The pages are a mapping of the caller's, which nobody uses any more. If they are kept, the caller does not unmap them.
pub(super) unsafe fn keep(start: NonNull<u8>, byte_length: usize, freed: &Freed) -> Option<Kept> {
    let table = TABLE.get().filter(|_| is_on())?;
    let byte_length = byte_length.next_multiple_of(rustix::param::page_size());
    if byte_length > MAX_BYTES.load(Ordering::Relaxed) {
        // It would not be kept, and everything else would give way to it first.
        return None;
    }
    let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
    // SAFETY: I-FREE-ONCE: replaces only pages of the caller's, which nobody uses any more.
    unsafe { mmap_anonymous(start.as_ptr().cast(), byte_length, ProtFlags::empty(), flags) }.ok()?;
    let mut queue = lock();
    let number = queue.next;
    if number - queue.oldest == SLOTS as u64 {
        queue.evict(table);
    }
    slot(table, number).fill(start, byte_length, freed);
    queue.next += 1;
    queue.bytes += byte_length;
    // The limit may have become smaller since.
    queue.shrink(MAX_BYTES.load(Ordering::Relaxed));
    NonZeroU64::new(number).map(Kept)
}

impl Kept {
    /// From now on the quarantine may give back the first page too, which is at `start`.
    ///
    /// # Safety
    /// `start` is that of the range, and this is called once.
    pub(super) unsafe fn release(&self, start: NonNull<u8>) {
        let queue = lock();
        let Some(table) = TABLE.get() else { return };
        if self.0.get() >= queue.oldest {
            slot(table, self.0.get()).needs_page.store(false, Ordering::Relaxed);
        } else {
            unmap(start.as_ptr().addr(), rustix::param::page_size());
        }
    }
}

/// The ranges that are kept: those from the number `oldest` to before `next`.
struct Queue {
    oldest: u64,
    next: u64,
    bytes: usize,
}

impl Queue {
    fn shrink(&mut self, max_bytes: usize) {
        let Some(table) = TABLE.get() else { return };
        while self.bytes > max_bytes {
            self.evict(table);
        }
    }

    /// Gives back the addresses of the oldest range, except for a first page that is still needed.
    fn evict(&mut self, table: &[Slot]) {
        let slot = slot(table, self.oldest);
        let (start, byte_length) = slot.clear();
        self.oldest += 1;
        self.bytes -= byte_length;
        let kept = if slot.needs_page.load(Ordering::Relaxed) { rustix::param::page_size() } else { 0 };
        if byte_length > kept {
            unmap(start + kept, byte_length - kept);
        }
    }
}

fn lock() -> MutexGuard<'static, Queue> {
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn slot(table: &[Slot], number: u64) -> &Slot {
    &table[(number % SLOTS as u64) as usize]
}

/// Unmaps pages that the quarantine keeps. Called once for each page.
fn unmap(start: usize, byte_length: usize) {
    let start = std::ptr::without_provenance_mut(start);
    // SAFETY: I-FREE-ONCE: pages that `keep` took over and replaced by pages without access. The lock is held, and the range
    // has just left the queue, or its last use has just ended. The system refuses where it has too many mappings to split one:
    // then the addresses stay, without access and without memory.
    let _ = unsafe { munmap(start, byte_length) };
}

/// A range, and what is told of it. Changed under the lock of the queue.
#[derive(Default)]
struct Slot {
    // Odd while the fields change.
    version: AtomicU64,
    start: AtomicUsize,
    // 0 while the slot is free.
    byte_length: AtomicUsize,
    needs_page: AtomicBool,
    store: AtomicU64,
    store_byte_length: AtomicUsize,
    made: Place,
    freed: Place,
    thread: AtomicU64,
    thread_name: [AtomicU64; 2],
}

/// A place in a program, in numbers. The file's name is that of a `Site`, which is never freed.
#[derive(Default)]
struct Place {
    file: AtomicUsize,
    file_length: AtomicUsize,
    line: AtomicU32,
    column: AtomicU32,
}

/// What the handler finds.
struct Found {
    offset: usize,
    store: u64,
    byte_length: usize,
    made: FoundPlace,
    freed: FoundPlace,
    thread: ThreadName,
}

/// A place. Without a file there is none.
struct FoundPlace {
    file: &'static str,
    line: u32,
    column: u32,
}

impl Slot {
    fn fill(&self, start: NonNull<u8>, byte_length: usize, freed: &Freed) {
        let thread = ThreadName::current();
        self.change(|| {
            self.start.store(start.as_ptr().addr(), Ordering::Relaxed);
            self.byte_length.store(byte_length, Ordering::Relaxed);
            self.store.store(freed.store.get(), Ordering::Relaxed);
            self.store_byte_length.store(freed.byte_length, Ordering::Relaxed);
            self.made.set(Some(freed.made));
            self.freed.set(freed.freed);
            self.thread.store(thread.number, Ordering::Relaxed);
            for (to, word) in self.thread_name.iter().zip(thread.words()) {
                to.store(word, Ordering::Relaxed);
            }
        });
        self.needs_page.store(true, Ordering::Relaxed);
    }

    /// Empties the slot, and returns its range.
    fn clear(&self) -> (usize, usize) {
        let range = (self.start.load(Ordering::Relaxed), self.byte_length.load(Ordering::Relaxed));
        self.change(|| self.byte_length.store(0, Ordering::Relaxed));
        range
    }

    fn change(&self, change: impl FnOnce()) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        change();
        self.version.store(version + 2, Ordering::Release);
    }

    /// What is in the slot, if its range has the address.
    fn find(&self, address: usize) -> Option<Found> {
        let version = self.version.load(Ordering::Acquire);
        let offset = address.wrapping_sub(self.start.load(Ordering::Relaxed));
        if offset >= self.byte_length.load(Ordering::Relaxed) {
            return None;
        }
        let [made, freed] = [&self.made, &self.freed].map(Place::numbers);
        let words = [0, 1].map(|at: usize| self.thread_name[at].load(Ordering::Relaxed));
        let number = self.thread.load(Ordering::Relaxed);
        let (store, byte_length) = (self.store.load(Ordering::Relaxed), self.store_byte_length.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        if !version.is_multiple_of(2) || self.version.load(Ordering::Relaxed) != version {
            return None;
        }
        // SAFETY: I-QUARANTINE: nobody changed the slot while it was read.
        let [made, freed] = [made, freed].map(|numbers| unsafe { FoundPlace::of(numbers) });
        Some(Found { offset, store, byte_length, made, freed, thread: ThreadName::of(number, words) })
    }
}

/// The address and length of a file's name, a line and a column.
type Numbers = (usize, usize, u32, u32);

impl Place {
    fn set(&self, site: Option<Site>) {
        let (file, line, column) = site.map_or(("", 0, 0), Site::parts);
        self.file.store(file.as_ptr().expose_provenance(), Ordering::Relaxed);
        self.file_length.store(file.len(), Ordering::Relaxed);
        self.line.store(line, Ordering::Relaxed);
        self.column.store(column, Ordering::Relaxed);
    }

    fn numbers(&self) -> Numbers {
        (
            self.file.load(Ordering::Relaxed),
            self.file_length.load(Ordering::Relaxed),
            self.line.load(Ordering::Relaxed),
            self.column.load(Ordering::Relaxed),
        )
    }
}

impl FoundPlace {
    /// # Safety
    /// One call of [`Place::set`] stored all of the numbers.
    unsafe fn of((file, file_length, line, column): Numbers) -> Self {
        let start = std::ptr::with_exposed_provenance(file);
        // SAFETY: I-QUARANTINE: address and length of one name, which is never freed.
        let bytes = unsafe { std::slice::from_raw_parts(start, file_length) };
        // SAFETY: I-QUARANTINE: they are those of a `str`.
        let file = unsafe { std::str::from_utf8_unchecked(bytes) };
        FoundPlace { file, line, column }
    }
}

/// What is kept at this address.
fn find(address: usize) -> Option<Found> {
    TABLE.get()?.iter().find_map(|slot| slot.find(address))
}
