//! A range of addresses for a store that grows in place, and the memory behind its first bytes.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::OnceLock;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

use super::quarantine::{self, Freed, Kept};
use crate::Error;
use crate::sync::{AtomicUsize, Ordering};

/// The smallest step in which a reservation without access is committed.
const FIRST_STEP: usize = 64 << 10;

/// Reserved pages, which are zeroed. The committed ones are readable and writable until the reservation is dropped
/// (I-MAPPED).
///
/// If the kernel allows it, all pages are committed from the start, and memory is used only when they are written. If the
/// kernel counts such pages against a limit (`vm.overcommit_memory=2`, a limit on data), the range is reserved without
/// access and committed in steps that double.
pub(crate) struct Reservation {
    start: NonNull<u8>,
    // The reserved bytes, at least one whole page; after `give_back_but_a_page`, the rest of them.
    reserved: AtomicUsize,
    max_byte_length: usize,
    committed: AtomicUsize,
    // Once the quarantine has the range.
    kept: OnceLock<Kept>,
}

impl Reservation {
    /// # Errors
    /// [`Error::TooLarge`] beyond `isize::MAX` bytes, [`Error::OutOfMemory`].
    pub(crate) fn new(max_byte_length: usize) -> Result<Self, Error> {
        let reserved = whole_pages(max_byte_length)?;
        match map(reserved, ProtFlags::READ | ProtFlags::WRITE) {
            Some(start) => Ok(Self::of(start, reserved, max_byte_length, reserved)),
            None => Self::without_access(max_byte_length),
        }
    }

    /// A reservation with nothing committed, as if the kernel allowed no more.
    pub(crate) fn without_access(max_byte_length: usize) -> Result<Self, Error> {
        let reserved = whole_pages(max_byte_length)?;
        match map(reserved, ProtFlags::empty()) {
            Some(start) => Ok(Self::of(start, reserved, max_byte_length, 0)),
            None => Err(Error::OutOfMemory { requested: max_byte_length }),
        }
    }

    fn of(start: NonNull<u8>, reserved: usize, max_byte_length: usize, committed: usize) -> Self {
        let (reserved, committed) = (AtomicUsize::new(reserved), AtomicUsize::new(committed));
        Reservation { start, reserved, max_byte_length, committed, kept: OnceLock::new() }
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(crate) fn max_byte_length(&self) -> usize {
        self.max_byte_length
    }

    /// Makes the first `byte_length` bytes readable and writable. Any number of threads may do so at the same time.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]. Nothing has changed then.
    ///
    /// # Panics
    /// If that is more than the reservation has.
    #[inline]
    pub(crate) fn commit(&self, byte_length: usize) -> Result<(), Error> {
        assert!(byte_length <= self.max_byte_length, "{} bytes are reserved", self.max_byte_length);
        let committed = self.committed.load(Ordering::Acquire);
        if byte_length <= committed { Ok(()) } else { self.commit_more(committed, byte_length) }
    }

    #[cold]
    fn commit_more(&self, committed: usize, byte_length: usize) -> Result<(), Error> {
        // Rounding up does not exceed the reservation, which is whole pages and at least the maximum.
        let needed = byte_length.next_multiple_of(page_size());
        let doubled = (committed * 2).max(FIRST_STEP).min(self.reserved.load(Ordering::Relaxed));
        for end in [needed.max(doubled), needed] {
            // SAFETY: I-LAYOUT: inside the reservation, since `committed` and `end` are.
            let from = unsafe { self.start.add(committed) };
            // SAFETY: I-MAPPED: whole pages of the reservation; access is added, and never removed.
            if unsafe { set_access(from, end - committed) } {
                // If two threads do this at once the larger value counts: everything before the start of either range is
                // committed.
                self.committed.fetch_max(end, Ordering::Release);
                return Ok(());
            }
        }
        Err(Error::OutOfMemory { requested: byte_length - committed })
    }

    /// The first byte at or after `offset` from which `release` can give whole pages back.
    pub(crate) fn next_page(offset: usize) -> usize {
        offset.next_multiple_of(page_size())
    }

    /// Gives back the memory of the committed pages from `from`, which is the start of a page, to `end`. They stay readable
    /// and writable, and read as zeros from now on. Returns false if the system refuses.
    #[must_use]
    pub(crate) fn release(&self, from: usize, end: usize) -> bool {
        let end = end.next_multiple_of(page_size()).min(self.committed.load(Ordering::Acquire));
        if from >= end {
            return true;
        }
        assert!(from.is_multiple_of(page_size()), "pages are given back whole");
        // SAFETY: I-LAYOUT: inside the reservation, since `from < end`.
        let start = unsafe { self.start.add(from) };
        // SAFETY: I-MAPPED: committed pages of the reservation.
        unsafe { give_back(start.as_ptr().cast(), end - from) }
    }

    /// Gives the range to the quarantine, if there is one. Returns whether it has the range.
    ///
    /// # Safety
    /// From now on the bytes are not used and none are committed, and neither this nor `give_back_but_a_page` is called again
    /// if the quarantine has the range.
    pub(crate) unsafe fn quarantine(&self, freed: &Freed) -> bool {
        // SAFETY: I-FREE-ONCE: only this range, which is not used any more. `drop` sees that it was kept.
        let kept = unsafe { quarantine::keep(self.start, self.reserved.load(Ordering::Relaxed), freed) };
        kept.is_some_and(|kept| self.kept.set(kept).is_ok())
    }

    /// Gives back all memory. The addresses go to the quarantine; without one, all except the first page's are given back too.
    /// So no other memory begins at this address. If the system refuses, the addresses are kept.
    ///
    /// # Safety
    /// From now on the bytes are not used and none are committed, and this is not called again.
    pub(crate) unsafe fn give_back_but_a_page(&self, freed: &Freed) {
        // SAFETY: I-FREE-ONCE: the caller's promise.
        if unsafe { self.quarantine(freed) } {
            return;
        }
        let (page, reserved) = (page_size(), self.reserved.load(Ordering::Relaxed));
        // If the system refuses, as it does for locked pages, the memory goes with the addresses.
        let _ = self.release(0, self.max_byte_length);
        if reserved > page {
            // SAFETY: I-LAYOUT: inside the reservation, which is longer.
            let second = unsafe { self.start.add(page) };
            // SAFETY: I-MAPPED: whole pages of the reservation, which are not used any more.
            if unsafe { munmap(second.as_ptr().cast(), reserved - page) }.is_ok() {
                self.reserved.store(page, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(kept) = self.kept.get() {
            // SAFETY: I-QUARANTINE: the range's own start; a value is dropped once.
            unsafe { kept.release(self.start) };
            return;
        }
        // SAFETY: I-FREE-ONCE: the rest of a constructor's mapping, which only this unmaps.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.reserved.load(Ordering::Relaxed)) };
        debug_assert!(unmapped.is_ok());
    }
}

// SAFETY: I-OWNER-SEND: the range is owned, and pages belong to no thread.
unsafe impl Send for Reservation {}
// SAFETY: I-OWNER-SEND: through `&Reservation` threads add access to pages and zero pages of their own, and the system
// orders both.
unsafe impl Sync for Reservation {}

fn page_size() -> usize {
    rustix::param::page_size()
}

fn whole_pages(byte_length: usize) -> Result<usize, Error> {
    let limit = isize::MAX as usize;
    if byte_length > limit {
        return Err(Error::TooLarge { requested: byte_length, limit });
    }
    // At most `isize::MAX` rounded up, which does not overflow, and which the system refuses.
    Ok(byte_length.max(1).next_multiple_of(page_size()))
}

fn map(byte_length: usize, protection: ProtFlags) -> Option<NonNull<u8>> {
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY: I-LAYOUT: a new mapping at an address of the system's choice touches no memory that exists.
    let start = unsafe { mmap_anonymous(std::ptr::null_mut(), byte_length, protection, flags) };
    start.ok().and_then(|start| NonNull::new(start.cast()))
}

/// # Safety
/// The caller passes whole pages of its own mapping.
unsafe fn set_access(start: NonNull<u8>, byte_length: usize) -> bool {
    let access = MprotectFlags::READ | MprotectFlags::WRITE;
    // SAFETY: I-MAPPED: the caller's promise; access is added.
    unsafe { mprotect(start.as_ptr().cast(), byte_length, access) }.is_ok()
}

/// # Safety
/// The caller passes whole, writable pages of its own private anonymous mapping, whose content may be lost.
#[cfg(target_os = "linux")]
unsafe fn give_back(start: *mut c_void, byte_length: usize) -> bool {
    // SAFETY: I-MAPPED: the caller's promise. The pages stay mapped, and are zero when they are next used.
    unsafe { rustix::mm::madvise(start, byte_length, rustix::mm::Advice::LinuxDontNeed) }.is_ok()
}

/// # Safety
/// The caller passes whole, writable pages of its own private anonymous mapping, whose content may be lost.
#[cfg(not(target_os = "linux"))]
unsafe fn give_back(start: *mut c_void, byte_length: usize) -> bool {
    // On this system advice may leave the bytes as they are, so the pages are replaced, in one step.
    let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
    // SAFETY: I-MAPPED: the caller's promise; pages with the same access take their place.
    unsafe { mmap_anonymous(start, byte_length, ProtFlags::READ | ProtFlags::WRITE, flags) }.is_ok()
}
