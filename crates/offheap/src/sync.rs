//! The atomics of this crate, and the allocation of control blocks, so that loom can stand in for them.

#[cfg(not(loom))]
pub(crate) use std::alloc::{alloc, dealloc};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::thread::yield_now;

#[cfg(loom)]
pub(crate) use loom::alloc::{alloc, dealloc};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};
#[cfg(loom)]
pub(crate) use loom::thread::yield_now;

/// Part of every control block, so that loom sees a use of a block that is not ordered with its end.
pub(crate) struct Witness(#[cfg(loom)] loom::cell::UnsafeCell<()>);

impl Witness {
    pub(crate) fn new() -> Self {
        Witness(
            #[cfg(loom)]
            loom::cell::UnsafeCell::new(()),
        )
    }

    #[inline]
    pub(crate) fn used(&self) {
        #[cfg(loom)]
        self.0.with(|_| ());
    }

    #[inline]
    pub(crate) fn ends(&self) {
        #[cfg(loom)]
        self.0.with_mut(|_| ());
    }
}
