//! A range of addresses for a store that grows in place, and the memory behind its first bytes.

use std::ffi::c_void;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

use crate::Error;
use crate::sync::{AtomicUsize, Ordering};

/// The least that is committed at a time where a reservation has to be.
const FIRST_STEP: usize = 64 << 10;

/// Reserved pages, zeroed, readable and writable as far as they are committed. What is committed stays so until the
/// reservation is dropped (I-MAPPED).
///
/// Where the kernel allows it all of it is committed from the start, without memory set aside for it: pages come into
/// being when they are written. Where the kernel counts such pages against a limit (`vm.overcommit_memory=2`, a limit
/// on data) the range is reserved without access, and committed in steps that double.
pub(crate) struct Reservation {
    start: NonNull<u8>,
    // At least one whole page; what is left of them after `give_back_but_a_page`.
    reserved: AtomicUsize,
    max_byte_length: usize,
    committed: AtomicUsize,
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

    /// The same with nothing committed, as where the kernel refuses more.
    pub(crate) fn without_access(max_byte_length: usize) -> Result<Self, Error> {
        let reserved = whole_pages(max_byte_length)?;
        match map(reserved, ProtFlags::empty()) {
            Some(start) => Ok(Self::of(start, reserved, max_byte_length, 0)),
            None => Err(Error::OutOfMemory { requested: max_byte_length }),
        }
    }

    fn of(start: NonNull<u8>, reserved: usize, max_byte_length: usize, committed: usize) -> Self {
        let (reserved, committed) = (AtomicUsize::new(reserved), AtomicUsize::new(committed));
        Reservation { start, reserved, max_byte_length, committed }
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
    /// [`Error::OutOfMemory`]; nothing has changed then.
    ///
    /// # Panics
    /// If that is more than was reserved.
    #[inline]
    pub(crate) fn commit(&self, byte_length: usize) -> Result<(), Error> {
        assert!(byte_length <= self.max_byte_length, "{} bytes are reserved", self.max_byte_length);
        let committed = self.committed.load(Ordering::Acquire);
        if byte_length <= committed { Ok(()) } else { self.commit_more(committed, byte_length) }
    }

    #[cold]
    fn commit_more(&self, committed: usize, byte_length: usize) -> Result<(), Error> {
        // Rounding up stays below what is reserved, which is whole pages and no less than the maximum.
        let needed = byte_length.next_multiple_of(page_size());
        let doubled = (committed * 2).max(FIRST_STEP).min(self.reserved.load(Ordering::Relaxed));
        for end in [needed.max(doubled), needed] {
            // SAFETY: I-LAYOUT: inside the reservation, since `committed` and `end` are.
            let from = unsafe { self.start.add(committed) };
            // SAFETY: I-MAPPED: whole pages of the reservation, from a whole page on; access is added, never taken.
            if unsafe { set_access(from, end - committed) } {
                // Of two that do this at once the larger counts: all before either one's beginning is committed.
                self.committed.fetch_max(end, Ordering::Release);
                return Ok(());
            }
        }
        Err(Error::OutOfMemory { requested: byte_length - committed })
    }

    /// Where the whole pages begin that `release` can give back for bytes from `offset` on.
    pub(crate) fn next_page(offset: usize) -> usize {
        offset.next_multiple_of(page_size())
    }

    /// Gives the memory of all committed pages before `end` back, beginning at `from`, which is the start of one. They
    /// read as zeros from now on, and stay readable and writable meanwhile. False where the system refuses.
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

    /// Gives back all memory, and all addresses but the first page's, so that nobody else's memory begins where this does.
    /// Where the system refuses the addresses are kept.
    ///
    /// # Safety
    /// From here on nobody uses the bytes or commits any, and this is not called again.
    pub(crate) unsafe fn give_back_but_a_page(&self) {
        let (page, reserved) = (page_size(), self.reserved.load(Ordering::Relaxed));
        // Where the system refuses, as for pages that are locked in memory, the memory goes with the addresses.
        let _ = self.release(0, self.max_byte_length);
        if reserved > page {
            // SAFETY: I-LAYOUT: inside the reservation, which is longer.
            let second = unsafe { self.start.add(page) };
            // SAFETY: I-MAPPED: whole pages of the reservation, which nobody uses any more.
            if unsafe { munmap(second.as_ptr().cast(), reserved - page) }.is_ok() {
                self.reserved.store(page, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: I-FREE-ONCE: mapped by a constructor; this is what is left of it, and only this unmaps it.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.reserved.load(Ordering::Relaxed)) };
        debug_assert!(unmapped.is_ok());
    }
}

// SAFETY: I-OWNER-SEND: the range is owned, and pages belong to no thread.
unsafe impl Send for Reservation {}
// SAFETY: I-OWNER-SEND: `&Reservation` adds access to pages and zeroes those that its caller answers for, both of which
// the system orders.
unsafe impl Sync for Reservation {}

fn page_size() -> usize {
    rustix::param::page_size()
}

fn whole_pages(byte_length: usize) -> Result<usize, Error> {
    let limit = isize::MAX as usize;
    if byte_length > limit {
        return Err(Error::TooLarge { requested: byte_length, limit });
    }
    // At most `isize::MAX` rounded up, which is no overflow; the system refuses it.
    Ok(byte_length.max(1).next_multiple_of(page_size()))
}

fn map(byte_length: usize, protection: ProtFlags) -> Option<NonNull<u8>> {
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    // SAFETY: I-LAYOUT: a new mapping at an address of the system's choice touches no memory that exists.
    let start = unsafe { mmap_anonymous(std::ptr::null_mut(), byte_length, protection, flags) };
    start.ok().and_then(|start| NonNull::new(start.cast()))
}

/// # Safety
/// Whole pages of a mapping that is the caller's.
unsafe fn set_access(start: NonNull<u8>, byte_length: usize) -> bool {
    let access = MprotectFlags::READ | MprotectFlags::WRITE;
    // SAFETY: I-MAPPED: the caller's promise; access is added.
    unsafe { mprotect(start.as_ptr().cast(), byte_length, access) }.is_ok()
}

/// # Safety
/// Whole, writable pages of a private anonymous mapping that is the caller's; what is in them is lost.
#[cfg(target_os = "linux")]
unsafe fn give_back(start: *mut c_void, byte_length: usize) -> bool {
    // SAFETY: I-MAPPED: the caller's promise. The pages stay mapped, and are zero when they are next used.
    unsafe { rustix::mm::madvise(start, byte_length, rustix::mm::Advice::LinuxDontNeed) }.is_ok()
}

/// # Safety
/// As for the other `give_back`.
#[cfg(not(target_os = "linux"))]
unsafe fn give_back(start: *mut c_void, byte_length: usize) -> bool {
    // Advice may leave the bytes as they are here, so the pages are replaced, in one step.
    let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
    // SAFETY: I-MAPPED: the caller's promise; pages with the same access take their place.
    unsafe { mmap_anonymous(start, byte_length, ProtFlags::READ | ProtFlags::WRITE, flags) }.is_ok()
}
