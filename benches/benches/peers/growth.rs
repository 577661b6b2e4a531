//! Growing from nothing to 64 MiB in steps of a page, and writing each new page: the purpose of a resizable store.

use std::hint::black_box;
use std::ptr;

use benches::{Row, row};
use offheap::UniqueStore;

const STEP: usize = 4 << 10;
const MOST: usize = 64 << 20;

/// Compared with `Vec::resize`, which moves the contents when the capacity is exhausted.
pub(crate) fn beside_vec(name: &'static str) -> Row {
    let peer = || {
        let mut vec = Vec::new();
        for end in (STEP..=MOST).step_by(STEP) {
            vec.resize(end, 0_u8);
            vec[end - STEP] = black_box(1);
        }
        vec
    };
    row(name, 1.0, ours, peer)
}

/// Compared with a reservation made by hand, to which each step adds access to the pages that it needs.
pub(crate) fn beside_mprotect(name: &'static str) -> Row {
    let peer = || {
        let reserved = Reserved::new();
        for end in (STEP..=MOST).step_by(STEP) {
            reserved.commit(end);
            reserved.write(end - STEP);
        }
        reserved
    };
    row(name, 0.85, ours, peer)
}

fn ours() -> UniqueStore {
    let mut store = UniqueStore::resizable(0, MOST).expect("room for a reservation");
    for end in (STEP..=MOST).step_by(STEP) {
        store.resize(end).expect("within the reservation");
        store[end - STEP] = black_box(1);
    }
    store
}

struct Reserved(*mut u8);

impl Reserved {
    fn new() -> Self {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping, at an address that the system chooses, touches no existing memory.
        let start = unsafe { libc::mmap(ptr::null_mut(), MOST, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        Reserved(start.cast())
    }

    /// Makes the page before `end` readable and writable.
    fn commit(&self, end: usize) {
        let page = self.0.wrapping_add(end - STEP).cast();
        // SAFETY: this page is inside the reservation, because `end` is at most its length.
        let done = unsafe { libc::mprotect(page, STEP, libc::PROT_READ | libc::PROT_WRITE) };
        assert_eq!(done, 0);
    }

    fn write(&self, offset: usize) {
        let byte = self.0.wrapping_add(offset);
        // SAFETY: this is inside a page that was committed just now, and no other code has it.
        unsafe { byte.write(black_box(1)) };
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // SAFETY: `new` mapped it with this length, and it is unmapped only here.
        let done = unsafe { libc::munmap(self.0.cast(), MOST) };
        assert_eq!(done, 0);
    }
}
