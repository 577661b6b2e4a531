//! Growing from nothing to 64 MiB in steps of a page, each new page written: what a resizable store is for.

use std::hint::black_box;
use std::ptr;

use benches::{Row, row};
use offheap::UniqueStore;

const STEP: usize = 4 << 10;
const MOST: usize = 64 << 20;

/// Beside `Vec::resize`, which moves what it has when its room ends.
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

/// Beside a reservation by hand, to which each step adds the access that it needs.
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
        // SAFETY: a new mapping at an address of the system's choice touches no memory that exists.
        let start = unsafe { libc::mmap(ptr::null_mut(), MOST, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        Reserved(start.cast())
    }

    /// Makes the page before `end` readable and writable.
    fn commit(&self, end: usize) {
        let page = self.0.wrapping_add(end - STEP).cast();
        // SAFETY: a page of this reservation, since `end` is at most its length.
        let done = unsafe { libc::mprotect(page, STEP, libc::PROT_READ | libc::PROT_WRITE) };
        assert_eq!(done, 0);
    }

    fn write(&self, offset: usize) {
        let byte = self.0.wrapping_add(offset);
        // SAFETY: inside of a page that was committed just now, and nobody else's.
        unsafe { byte.write(black_box(1)) };
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and unmapped only here.
        let done = unsafe { libc::munmap(self.0.cast(), MOST) };
        assert_eq!(done, 0);
    }
}
