//! The access word: one atomic number that says who uses the bytes of a store at this moment.
//!
//! ```text
//!  63            48 47            32 31     30           16 15       14      13           0
//! +----------------+----------------+------+---------------+---------+-------+-------------+
//! | isolate        | live buffers   |writer| guards        |shrinking|growing| copies      |
//! +----------------+----------------+------+---------------+---------+-------+-------------+
//! ```
//!
//! All uses that exclude each other are in the same word, so each step is one compare-and-swap and no two steps can miss
//! each other. A guard on a store that is exposed nowhere excludes exposing it, a writer excludes readers and copies, an
//! isolate excludes every other isolate. Only one thread resizes at a time. Growing touches no byte that is in use, so
//! besides that it excludes only exposing. Shrinking zeroes bytes, so it excludes guards too. Copies tolerate both: the
//! bytes that they read stay mapped.

use crate::sync::{AtomicU64, Ordering};
use crate::{Holder, IsolateId};

const COPY: u64 = 1;
const COPIES: u64 = 0x3fff;
const GROWING: u64 = 1 << 14;
const SHRINKING: u64 = 1 << 15;
const GUARD: u64 = 1 << 16;
const GUARDS: u64 = 0x7fff << 16;
const WRITER: u64 = 1 << 31;
const BUFFER: u64 = 1 << 32;
const BUFFERS: u64 = 0xffff << 32;
const ISOLATE_SHIFT: u32 = 48;
/// The word of manual memory that was freed. No other step reaches this bit pattern, since it has an isolate and no buffer.
const FREED: u64 = WRITER | 0xffff << ISOLATE_SHIFT;

/// The most live buffers that one store may have in its isolate.
pub(crate) const MAX_BUFFERS: u16 = 0xffff;

/// Why a step was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The bytes are in use.
    Busy(Holder),
    /// An isolate has the store.
    Exposed { isolate: IsolateId, buffers: u16 },
    /// A second buffer over a store that may have only one.
    OneBuffer { isolate: IsolateId },
    /// The store has as many buffers as can be counted.
    TooManyBuffers { isolate: IsolateId },
    /// The memory was freed by hand.
    Freed,
}

pub(crate) struct AccessWord(AtomicU64);

#[inline]
fn isolate(word: u64) -> Option<IsolateId> {
    IsolateId::from_bits((word >> ISOLATE_SHIFT) as u16)
}

#[inline]
fn buffers(word: u64) -> u16 {
    ((word & BUFFERS) >> 32) as u16
}

/// The present reader, writer or resizer, if there is one.
#[inline]
fn user(word: u64) -> Option<Holder> {
    if word & WRITER != 0 {
        return Some(Holder::Writer);
    }
    if word & (GROWING | SHRINKING) != 0 {
        return Some(Holder::Resizing);
    }
    let readers = ((word & GUARDS) >> 16) + (word & COPIES);
    (readers != 0).then_some(Holder::Readers(readers as u32))
}

impl AccessWord {
    #[inline]
    pub(super) fn new() -> Self {
        AccessWord(AtomicU64::new(0))
    }

    /// One step: replaces the word by the result of `next`.
    #[inline]
    fn step(&self, success: Ordering, next: impl Fn(u64) -> Result<u64, Denied>) -> Result<u64, Denied> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let new = if word == FREED { return Err(Denied::Freed) } else { next(word)? };
            match self.0.compare_exchange_weak(word, new, success, Ordering::Relaxed) {
                Ok(_) => return Ok(word),
                Err(seen) => word = seen,
            }
        }
    }

    /// Begins a copy out of the store, on any thread. Ended by [`end_copy`](Self::end_copy).
    #[inline]
    pub(super) fn begin_copy(&self) -> Result<(), Denied> {
        self.step(Ordering::Acquire, |word| match word {
            _ if word & WRITER != 0 => Err(Denied::Busy(Holder::Writer)),
            _ if word & COPIES == COPIES => Err(Denied::Busy(Holder::Readers(COPIES as u32))),
            _ => Ok(word + COPY),
        })
        .map(drop)
    }

    #[inline]
    pub(super) fn end_copy(&self) {
        let before = self.0.fetch_sub(COPY, Ordering::Release);
        debug_assert_ne!(before & COPIES, 0);
    }

    /// Begins a guard that reads, in `scope` (the isolate whose script is stopped) or, with `None`, outside all isolates.
    #[inline]
    pub(super) fn begin_read(&self, scope: Option<IsolateId>) -> Result<(), Denied> {
        self.step(Ordering::Acquire, |word| {
            admit(word, scope)?;
            match word {
                _ if word & WRITER != 0 => Err(Denied::Busy(Holder::Writer)),
                _ if word & SHRINKING != 0 => Err(Denied::Busy(Holder::Resizing)),
                _ if word & GUARDS == GUARDS => Err(Denied::Busy(Holder::Readers((GUARDS >> 16) as u32))),
                _ => Ok(word + GUARD),
            }
        })
        .map(drop)
    }

    #[inline]
    pub(super) fn end_read(&self) {
        let before = self.0.fetch_sub(GUARD, Ordering::Release);
        debug_assert_ne!(before & GUARDS, 0);
    }

    /// Begins a guard that writes. `scope` is the isolate whose script is stopped, or `None`.
    #[inline]
    pub(super) fn begin_write(&self, scope: Option<IsolateId>) -> Result<(), Denied> {
        self.step(Ordering::Acquire, |word| {
            admit(word, scope)?;
            match user(word & !GROWING) {
                Some(holder) => Err(Denied::Busy(holder)),
                None => Ok(word | WRITER),
            }
        })
        .map(drop)
    }

    #[inline]
    pub(super) fn end_write(&self) {
        let before = self.0.fetch_and(!WRITER, Ordering::Release);
        debug_assert_ne!(before & WRITER, 0);
    }

    /// Begins a change of the length. `scope` is the isolate whose script is stopped, or `None`. Ended by
    /// [`end_resize`](Self::end_resize).
    #[inline]
    pub(super) fn begin_resize(&self, scope: Option<IsolateId>, shrinks: bool) -> Result<(), Denied> {
        self.step(Ordering::Acquire, |word| {
            admit(word, scope)?;
            match user(word & if shrinks { !COPIES } else { GROWING | SHRINKING }) {
                Some(holder) => Err(Denied::Busy(holder)),
                None => Ok(word | if shrinks { SHRINKING } else { GROWING }),
            }
        })
        .map(drop)
    }

    #[inline]
    pub(super) fn end_resize(&self) {
        let before = self.0.fetch_and(!(GROWING | SHRINKING), Ordering::Release);
        debug_assert_ne!(before & (GROWING | SHRINKING), 0);
    }

    /// Counts one more live buffer in `id`. Returns whether it is the first.
    ///
    /// The first buffer claims the store for that isolate, whose script may write from then on. So it is refused while a
    /// guard lives. Copies may go on, since they tolerate writers.
    #[inline]
    pub(super) fn expose(&self, id: IsolateId, one_buffer: bool) -> Result<bool, Denied> {
        self.step(Ordering::AcqRel, |word| match isolate(word) {
            None => match user(word & !COPIES) {
                Some(holder) => Err(Denied::Busy(holder)),
                None => Ok(word | u64::from(id.bits()) << ISOLATE_SHIFT | BUFFER),
            },
            Some(other) if other != id => Err(Denied::Exposed { isolate: other, buffers: buffers(word) }),
            Some(_) if one_buffer => Err(Denied::OneBuffer { isolate: id }),
            Some(_) if buffers(word) == MAX_BUFFERS => Err(Denied::TooManyBuffers { isolate: id }),
            Some(_) => Ok(word + BUFFER),
        })
        .map(|before| buffers(before) == 0)
    }

    /// Counts one live buffer less. The last one ends the isolate's claim, and that isolate is returned.
    #[inline]
    pub(super) fn withdraw(&self) -> Option<IsolateId> {
        let before = self.step(Ordering::Release, |word| {
            debug_assert_ne!(buffers(word), 0);
            match buffers(word) {
                1 => Ok(word & (WRITER | GUARDS | SHRINKING | GROWING | COPIES)),
                _ => Ok(word - BUFFER),
            }
        });
        debug_assert!(before.is_ok(), "freed while exposed");
        before.ok().filter(|&before| buffers(before) == 1).and_then(isolate)
    }

    /// Marks manual memory as freed, which is final. Refused while the memory is in use.
    pub(super) fn free(&self) -> Result<(), Denied> {
        self.step(Ordering::AcqRel, |word| match (isolate(word), user(word)) {
            (Some(isolate), _) => Err(Denied::Exposed { isolate, buffers: buffers(word) }),
            (None, Some(holder)) => Err(Denied::Busy(holder)),
            (None, None) => Ok(FREED),
        })
        .map(drop)
    }

    /// Whether it was marked as freed.
    #[inline]
    pub(super) fn is_freed(&self) -> bool {
        self.0.load(Ordering::Acquire) == FREED
    }

    /// The isolate that has the store, and the number of its live buffers.
    #[inline]
    pub(super) fn exposure(&self) -> Option<(IsolateId, u16)> {
        let word = self.0.load(Ordering::Acquire);
        if word == FREED {
            return None;
        }
        isolate(word).map(|id| (id, buffers(word)))
    }
}

/// Whether the exposure allows a guard in `scope`.
#[inline]
fn admit(word: u64, scope: Option<IsolateId>) -> Result<(), Denied> {
    match isolate(word) {
        Some(id) if scope != Some(id) => Err(Denied::Exposed { isolate: id, buffers: buffers(word) }),
        _ => Ok(()),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn id(bits: u16) -> IsolateId {
        IsolateId::from_bits(bits).expect("not zero")
    }

    #[test]
    fn a_writer_excludes_all_others() {
        let word = AccessWord::new();
        word.begin_write(None).unwrap();
        assert_eq!(word.begin_copy(), Err(Denied::Busy(Holder::Writer)));
        assert_eq!(word.begin_read(None), Err(Denied::Busy(Holder::Writer)));
        assert_eq!(word.begin_write(None), Err(Denied::Busy(Holder::Writer)));
        assert_eq!(word.expose(id(1), false), Err(Denied::Busy(Holder::Writer)));
        assert_eq!(word.free(), Err(Denied::Busy(Holder::Writer)));
        word.end_write();
        word.begin_copy().unwrap();
        assert_eq!(word.begin_write(None), Err(Denied::Busy(Holder::Readers(1))));
    }

    #[test]
    fn a_guard_outside_all_isolates_excludes_exposing_and_a_copy_does_not() {
        let word = AccessWord::new();
        word.begin_read(None).unwrap();
        assert_eq!(word.expose(id(7), false), Err(Denied::Busy(Holder::Readers(1))));
        word.end_read();
        word.begin_copy().unwrap();
        word.expose(id(7), false).unwrap();
        word.end_copy();
        assert_eq!(word.exposure(), Some((id(7), 1)));
    }

    #[test]
    fn one_isolate_at_a_time() {
        let word = AccessWord::new();
        word.expose(id(7), false).unwrap();
        word.expose(id(7), false).unwrap();
        assert_eq!(word.expose(id(8), false), Err(Denied::Exposed { isolate: id(7), buffers: 2 }));
        assert_eq!(word.begin_read(None), Err(Denied::Exposed { isolate: id(7), buffers: 2 }));
        assert_eq!(word.begin_write(Some(id(8))), Err(Denied::Exposed { isolate: id(7), buffers: 2 }));
        word.begin_write(Some(id(7))).unwrap();
        word.end_write();
        word.withdraw();
        assert_eq!(word.exposure(), Some((id(7), 1)));
        word.withdraw();
        word.expose(id(8), true).unwrap();
        assert_eq!(word.expose(id(8), true), Err(Denied::OneBuffer { isolate: id(8) }));
    }

    #[test]
    fn buffers_are_counted_up_to_the_limit() {
        let word = AccessWord::new();
        for _ in 0..MAX_BUFFERS {
            word.expose(id(u16::MAX - 1), false).unwrap();
        }
        let full = word.expose(id(u16::MAX - 1), false);
        assert_eq!(full, Err(Denied::TooManyBuffers { isolate: id(u16::MAX - 1) }));
        for _ in 0..MAX_BUFFERS {
            word.withdraw();
        }
        assert_eq!(word.exposure(), None);
        assert_eq!(word.free(), Ok(()));
    }

    #[test]
    fn freed_is_for_good() {
        let word = AccessWord::new();
        word.free().unwrap();
        assert_eq!(word.free(), Err(Denied::Freed));
        assert_eq!(word.begin_copy(), Err(Denied::Freed));
        assert_eq!(word.begin_read(None), Err(Denied::Freed));
        assert_eq!(word.expose(id(1), false), Err(Denied::Freed));
        assert_eq!(word.exposure(), None);
    }

    #[test]
    fn guards_are_counted_up_to_the_limit() {
        let word = AccessWord::new();
        for _ in 0..0x7fff {
            word.begin_read(None).unwrap();
        }
        assert_eq!(word.begin_read(None), Err(Denied::Busy(Holder::Readers(0x7fff))));
        for _ in 0..0x7fff {
            word.end_read();
        }
        word.begin_write(None).unwrap();
    }
}
