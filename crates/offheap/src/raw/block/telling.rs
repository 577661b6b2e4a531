//! What is counted of a store, and told to the observer.

use super::RawStore;
use crate::event::{self, EventKind};

impl RawStore {
    #[inline]
    pub(in crate::raw) fn tell_created(&self) {
        self.tell(EventKind::Created);
    }

    /// Tells the observer an event of this store, if there is an observer and it wants this store.
    #[inline]
    pub(crate) fn tell(&self, kind: EventKind) {
        if self.is_told() {
            event::tell(&self.event(kind));
        }
    }

    /// Tells the observer that the memory is freed, and counts it.
    #[inline]
    pub(super) fn tell_freed(&self) {
        if event::is_off() {
            return;
        }
        if self.is_told() {
            self.tell_freed_now();
        } else {
            self.count_freed();
        }
    }

    // A function of its own, so that the end of a store that is not told stays short.
    #[cold]
    #[inline(never)]
    fn tell_freed_now(&self) {
        // Also if the observer panics at the first event.
        let _freed = Freed(self);
        if let Some(isolate) = self.access().engine() {
            self.tell(EventKind::Released { isolate: Some(isolate) });
        }
    }

    /// Whether the store is counted.
    pub(crate) fn is_counted(&self) -> bool {
        self.header().part.counted
    }

    #[inline]
    fn count_freed(&self) {
        if self.header().part.counted {
            event::count_freed(self.byte_length(), self.kind());
        }
    }

    /// Tells the observer that the length has changed, and counts the difference.
    pub(in crate::raw) fn tell_resized(&self, before: usize, byte_length: usize) {
        if self.header().part.counted {
            event::count_resized(before, byte_length);
        }
        self.tell(EventKind::Resized);
    }

    /// Whether there is an observer that hears of this store.
    #[inline]
    pub(crate) fn is_told(&self) -> bool {
        event::is_observed() && !self.header().part.declined
    }
}

/// The end of a store, of which the observer hears once.
struct Freed<'a>(&'a RawStore);

impl Drop for Freed<'_> {
    fn drop(&mut self) {
        self.0.count_freed();
        self.0.tell(EventKind::Freed { at: None });
    }
}
