//! Whole pages, zeroed, whose memory can be given back while the address stays taken.

use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use super::quarantine::{self, Freed, Kept};
use crate::Error;

/// A range of zeroed pages.
pub(crate) struct Pages {
    start: NonNull<u8>,
    // The requested length, or the part that is left. It is not zero; the system rounds it up to whole pages.
    byte_length: usize,
    // Once the quarantine has the range.
    kept: Option<Kept>,
}

impl Pages {
    pub(crate) fn zeroed(byte_length: usize) -> Result<Self, Error> {
        assert_ne!(byte_length, 0, "no page for no byte");
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: I-LAYOUT: a new mapping at an address of the system's choice touches no memory that exists.
        let start = unsafe { mmap_anonymous(std::ptr::null_mut(), byte_length, protection, MapFlags::PRIVATE) };
        match start.ok().and_then(|start| NonNull::new(start.cast())) {
            Some(start) => Ok(Pages { start, byte_length, kept: None }),
            None => Err(Error::OutOfMemory { requested: byte_length }),
        }
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Gives back the memory. The addresses go to the quarantine; without one, all except the first page's are given back too.
    /// So no other memory begins at this address. An access to what is left faults from now on.
    pub(crate) fn give_back_but_a_page(&mut self, freed: &Freed) {
        // SAFETY: I-FREE-ONCE: only this range, which is not used any more: the caller is its only holder. `drop` sees that it
        // was kept.
        self.kept = unsafe { quarantine::keep(self.start, self.byte_length, freed) };
        if self.kept.is_some() {
            return;
        }
        let page = rustix::param::page_size();
        if self.byte_length > page {
            // SAFETY: I-LAYOUT: inside the range, which is longer.
            let second = unsafe { self.start.add(page) };
            // SAFETY: I-LAYOUT: whole pages of only this range, which is not used any more: the caller is its only holder.
            if unsafe { munmap(second.as_ptr().cast(), self.byte_length - page) }.is_ok() {
                self.byte_length = page;
            }
        }
        let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
        // SAFETY: I-LAYOUT: replaces only the rest of this range, which is not used any more.
        let replaced =
            unsafe { mmap_anonymous(self.start.as_ptr().cast(), self.byte_length, ProtFlags::empty(), flags) };
        debug_assert!(replaced.is_ok());
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if let Some(kept) = &self.kept {
            // SAFETY: I-QUARANTINE: the range's own start; a value is dropped once.
            unsafe { kept.release(self.start) };
            return;
        }
        // SAFETY: I-FREE-ONCE: mapped by `zeroed` and only unmapped here.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.byte_length) };
        debug_assert!(unmapped.is_ok());
    }
}

// SAFETY: I-OWNER-SEND: the range is owned, and pages belong to no thread.
unsafe impl Send for Pages {}
