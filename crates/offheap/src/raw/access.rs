//! The access word: one atomic number that says who uses the bytes of a store at this moment, and who keeps its block.
//!
//! ```text
//!  63            48 47     46       32 31     30           19 18       17      16         5 4        0
//! +----------------+-------+-----------+------+---------------+---------+-------+-----------+----------+
//! | isolate        |engine | buffers   |writer| guards        |shrinking|growing| copies    | groups   |
//! +----------------+-------+-----------+------+---------------+---------+-------+-----------+----------+
//! ```
//!
//! All uses that exclude each other are in the same word, so each step is one compare-and-swap and no two steps can miss
//! each other. A guard on a store that is exposed nowhere excludes exposing it, a writer excludes readers and copies, an
//! isolate excludes every other isolate. Only one thread resizes at a time. Growing touches no byte that is in use, so
//! besides that it excludes only exposing. Shrinking zeroes bytes, so it excludes guards too. Copies tolerate both: the
//! bytes that they read stay mapped.
//!
//! A block lives while it has live buffers or handles. All handles together are a *group*, which begins with the first of
//! them and is ended by the thread that drops the last (`Counts` says which is which). Buffers and groups are in one word, so
//! exactly one step leaves none of either, and the thread that makes this step ends the block. So a buffer needs two atomic
//! steps in its life: the one that counts it, and the one that does not any more. Mostly there is one group. There are more
//! for a moment if a buffer gives a new handle before the last group was ended.
//!
//! An engine's own memory is kept by the engine, for its own buffer. So that buffer is one bit, `engine`, which exposes the
//! store as live buffers do, and does not keep the block.
//!
//! The last buffer leaves the isolate's bits behind. They mean nothing then, unless they are those of a *host* such as Node:
//! calls of a host may write the memory later, while no script runs. So the bits of a host are a mark that stays. It refuses
//! what would have the bytes to itself, until the program says that the host is done. The ids of hosts are the greatest, so
//! one comparison finds both this mark and freed memory.

use crate::isolate::FIRST_HOST;
use crate::sync::{AtomicU64, Ordering, fence, yield_now};
use crate::{Holder, IsolateId};

const GROUP: u64 = 1;
const GROUPS: u64 = 0x1f;
const COPY: u64 = 1 << 5;
const COPIES: u64 = 0xfff << 5;
const GROWING: u64 = 1 << 17;
const SHRINKING: u64 = 1 << 18;
const GUARD: u64 = 1 << 19;
const GUARDS: u64 = 0xfff << 19;
const WRITER: u64 = 1 << 31;
const BUFFER: u64 = 1 << 32;
const BUFFERS: u64 = 0x7fff << 32;
const ENGINE: u64 = 1 << 47;
/// What exposes the store.
const EXPOSED: u64 = BUFFERS | ENGINE;
const ISOLATE_SHIFT: u32 = 48;
const ISOLATE: u64 = 0xffff << ISOLATE_SHIFT;
/// Manual memory that was freed has these bits. No isolate has this id.
const FREED: u64 = ISOLATE;
/// From here on a word has the bits of a host, or of freed memory.
const HOSTS: u64 = (FIRST_HOST as u64) << ISOLATE_SHIFT;
/// The bits in a word from which a host's mark was taken away. An isolate that is no host may have this id.
const NO_HOST: u64 = 1 << ISOLATE_SHIFT;
/// What excludes the first buffer of an isolate.
const NOT_IDLE: u64 = EXPOSED | WRITER | GUARDS | SHRINKING | GROWING;

/// The most live buffers that one store may have in its isolate.
pub(crate) const MAX_BUFFERS: u16 = 0x7fff;

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
    /// A host had the store, and its calls may still write the bytes.
    OfHost { host: IsolateId },
    /// A host was to get read-only memory, which its functions would write.
    ReadOnlyInHost { host: IsolateId },
    /// The memory was freed by hand.
    Freed,
}

pub(crate) struct AccessWord(AtomicU64);

/// The isolate that has the store. The last buffer leaves its bits behind.
#[inline]
fn isolate(word: u64) -> Option<IsolateId> {
    if word & EXPOSED == 0 { None } else { IsolateId::from_bits((word >> ISOLATE_SHIFT) as u16) }
}

#[inline]
fn is_freed(word: u64) -> bool {
    word & ISOLATE == FREED
}

/// The host that has the store, or had it.
#[inline]
fn host(word: u64) -> Option<IsolateId> {
    if word < HOSTS || is_freed(word) { None } else { IsolateId::from_bits((word >> ISOLATE_SHIFT) as u16) }
}

/// Refuses a step on freed memory, and one on memory that a host had, unless that is `allowed`. While the host has live
/// buffers, the step itself finds the isolate.
#[cold]
fn admit_beside_host(word: u64, allowed: bool) -> Result<(), Denied> {
    match host(word) {
        None => Err(Denied::Freed),
        Some(host) if word & EXPOSED == 0 && !allowed => Err(Denied::OfHost { host }),
        Some(_) => Ok(()),
    }
}

/// Whether no handle and no buffer is left.
#[inline]
fn is_over(word: u64) -> bool {
    word & (BUFFERS | GROUPS) == 0
}

/// The number of buffers, the engine's own included.
#[inline]
fn buffers(word: u64) -> u16 {
    ((word & BUFFERS) >> 32) as u16 + u16::from(word & ENGINE != 0)
}

/// The word after the first buffer was counted, in the isolate `id`.
#[inline]
fn exposed(word: u64, id: IsolateId) -> u64 {
    word & !ISOLATE | u64::from(id.bits()) << ISOLATE_SHIFT | BUFFER
}

/// The isolate that has the store no more once a buffer is withdrawn.
#[inline]
fn unexposed(word: u64) -> Option<IsolateId> {
    if word & EXPOSED == BUFFER { isolate(word) } else { None }
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
    let readers = (word & GUARDS) / GUARD + (word & COPIES) / COPY;
    (readers != 0).then_some(Holder::Readers(readers as u32))
}

/// What became of a store when a buffer was no longer counted.
pub(super) struct Withdrawal {
    /// The isolate that the store was exposed in, if this was its last buffer.
    pub(super) unexposed: Option<IsolateId>,
    /// Whether no handle and no buffer is left. All uses through the others came before, and the caller ends the block.
    pub(super) is_over: bool,
}

impl AccessWord {
    /// The word of a block with one group of handles, which nobody uses.
    #[inline]
    pub(super) fn new() -> Self {
        AccessWord(AtomicU64::new(GROUP))
    }

    /// One step: replaces the word by the result of `next`. It is refused if the memory was freed, and if a host had it,
    /// unless the step is allowed `beside_host`.
    #[inline]
    fn step(
        &self,
        success: Ordering,
        beside_host: bool,
        next: impl Fn(u64) -> Result<u64, Denied>,
    ) -> Result<u64, Denied> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word >= HOSTS {
                admit_beside_host(word, beside_host)?;
            }
            let new = next(word)?;
            match self.0.compare_exchange_weak(word, new, success, Ordering::Relaxed) {
                Ok(_) => return Ok(word),
                Err(seen) => word = seen,
            }
        }
    }

    /// Begins a copy out of the store, on any thread. Ended by [`end_copy`](Self::end_copy).
    #[inline]
    pub(super) fn begin_copy(&self) -> Result<(), Denied> {
        self.step(Ordering::Acquire, true, |word| match word {
            _ if word & WRITER != 0 => Err(Denied::Busy(Holder::Writer)),
            _ if word & COPIES == COPIES => Err(Denied::Busy(Holder::Readers((COPIES / COPY) as u32))),
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
        self.step(Ordering::Acquire, is_host(scope), |word| {
            admit(word, scope)?;
            match word {
                _ if word & WRITER != 0 => Err(Denied::Busy(Holder::Writer)),
                _ if word & SHRINKING != 0 => Err(Denied::Busy(Holder::Resizing)),
                _ if word & GUARDS == GUARDS => Err(Denied::Busy(Holder::Readers((GUARDS / GUARD) as u32))),
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
        self.step(Ordering::Acquire, is_host(scope), |word| {
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
        self.step(Ordering::Acquire, is_host(scope), |word| {
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
        // Mostly nobody uses the store. The code for that stays short.
        let word = self.0.load(Ordering::Relaxed);
        if word & NOT_IDLE == 0
            && word < HOSTS
            && self.0.compare_exchange(word, exposed(word, id), Ordering::AcqRel, Ordering::Relaxed).is_ok()
        {
            return Ok(true);
        }
        self.expose_in_use(id, one_buffer)
    }

    #[inline(never)]
    fn expose_in_use(&self, id: IsolateId, one_buffer: bool) -> Result<bool, Denied> {
        self.step(Ordering::AcqRel, id.is_host(), |word| match isolate(word) {
            _ if word & NOT_IDLE == 0 => Ok(exposed(word, id)),
            None => {
                Err(Denied::Busy(user(word & !COPIES).expect("it is not idle and has no buffer, so it has a user")))
            }
            Some(other) if other != id => Err(Denied::Exposed { isolate: other, buffers: buffers(word) }),
            // A host moves buffers between its isolates untold, so two buffers might be in two of them.
            Some(_) if one_buffer || id.is_host() => Err(Denied::OneBuffer { isolate: id }),
            // The engine's own buffer becomes one that is counted (`count_engine`).
            Some(_) if buffers(word) >= MAX_BUFFERS => Err(Denied::TooManyBuffers { isolate: id }),
            Some(_) => Ok(word + BUFFER),
        })
        .map(|before| buffers(before) == 0)
    }

    /// Counts one live buffer less. The last one ends the isolate's claim.
    #[inline]
    pub(super) fn withdraw(&self) -> Withdrawal {
        let before = self.0.fetch_sub(BUFFER, Ordering::Release);
        debug_assert!(before & BUFFERS != 0 && !is_freed(before));
        let is_over = is_over(before - BUFFER);
        if is_over {
            fence(Ordering::Acquire);
        }
        Withdrawal { unexposed: unexposed(before), is_over }
    }

    /// Counts one live buffer less, if something else keeps the block. Returns the isolate in that case, if this was its last
    /// buffer. It is `Err` if no handle and no other buffer is left; then the word has not changed.
    #[inline]
    pub(super) fn withdraw_if_kept(&self) -> Result<Option<IsolateId>, ()> {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            debug_assert!(word & BUFFERS != 0 && !is_freed(word));
            if is_over(word - BUFFER) {
                return Err(());
            }
            match self.0.compare_exchange_weak(word, word - BUFFER, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return Ok(unexposed(word)),
                Err(seen) => word = seen,
            }
        }
    }

    /// Marks manual memory as freed, which is final. Refused while the memory is in use.
    pub(super) fn free(&self) -> Result<(), Denied> {
        self.step(Ordering::AcqRel, false, |word| match (isolate(word), user(word)) {
            (Some(isolate), _) => Err(Denied::Exposed { isolate, buffers: buffers(word) }),
            (None, Some(holder)) => Err(Denied::Busy(holder)),
            (None, None) => Ok(word | FREED),
        })
        .map(drop)
    }

    /// Notes a host that has shared memory, whose buffers are not counted.
    pub(super) fn note_host(&self, id: IsolateId) {
        debug_assert!(id.is_host());
        // Freed shared memory has no mark here. Its reference counts have it.
        let _ = self.step(Ordering::Relaxed, true, |word| Ok(word & !ISOLATE | u64::from(id.bits()) << ISOLATE_SHIFT));
    }

    /// The host that has the store, or had it and may still write it.
    pub(super) fn host(&self) -> Option<IsolateId> {
        host(self.0.load(Ordering::Acquire))
    }

    /// Takes the mark of a host away. Refused while the host has live buffers.
    pub(super) fn end_host(&self) -> Result<(), Denied> {
        // Not zero, since a word that was touched by a buffer never looks untouched again (`is_untouched`).
        self.step(Ordering::AcqRel, true, |word| match (host(word), isolate(word)) {
            (Some(_), Some(isolate)) => Err(Denied::Exposed { isolate, buffers: buffers(word) }),
            (Some(_), None) => Ok(word & !ISOLATE | NO_HOST),
            (None, _) => Ok(word),
        })
        .map(drop)
    }

    /// Whether it was marked as freed.
    #[inline]
    pub(super) fn is_freed(&self) -> bool {
        is_freed(self.0.load(Ordering::Acquire))
    }

    /// The number of guards that read and of copies, and whether there is a guard that writes.
    pub(super) fn guards(&self) -> (u32, bool) {
        let word = self.0.load(Ordering::Acquire);
        let readers = (word & GUARDS) / GUARD + (word & COPIES) / COPY;
        (readers as u32, !is_freed(word) && word & WRITER != 0)
    }

    /// The isolate that has the store, and the number of its live buffers.
    #[inline]
    pub(super) fn exposure(&self) -> Option<(IsolateId, u16)> {
        let word = self.0.load(Ordering::Acquire);
        isolate(word).map(|id| (id, buffers(word)))
    }
}

/// Groups of handles.
impl AccessWord {
    /// Counts one more group, unless no handle and no buffer is left.
    #[cold]
    pub(super) fn begin_group(&self) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if is_over(word) {
                return false;
            }
            if word & GROUPS == GROUPS {
                // The other threads only have one more step to do.
                yield_now();
                word = self.0.load(Ordering::Relaxed);
                continue;
            }
            match self.0.compare_exchange_weak(word, word + GROUP, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => word = seen,
            }
        }
    }

    /// Ends a group. Returns whether no handle and no buffer is left. If so, all uses through the others came before, and the
    /// caller ends the block.
    pub(super) fn end_group(&self) -> bool {
        is_over(self.0.fetch_sub(GROUP, Ordering::AcqRel) - GROUP)
    }

    /// Whether there is one group, and there never was a buffer.
    #[inline]
    pub(super) fn is_untouched(&self) -> bool {
        self.0.load(Ordering::Relaxed) == GROUP
    }

    /// Whether there is one group, and this number of buffers.
    pub(super) fn has_one_group(&self, buffers: u64) -> bool {
        self.0.load(Ordering::Acquire) & (EXPOSED | GROUPS) == buffers * BUFFER + GROUP
    }

    /// Ends the only group if there is no buffer. No other can begin then.
    pub(super) fn end_only_group(&self) -> Result<(), Denied> {
        self.step(Ordering::Acquire, false, |word| match word & (EXPOSED | GROUPS) {
            GROUP => Ok(0),
            _ => Err(Denied::Busy(Holder::References((word & GROUPS) as u32))),
        })
        .map(drop)
    }

    /// Undoes [`end_only_group`](Self::end_only_group).
    pub(super) fn begin_only_group(&self) {
        self.0.store(GROUP, Ordering::Release);
    }

    /// Counts the first buffer of a new block, which nobody else has.
    pub(super) fn expose_new(&self, id: IsolateId) {
        self.0.store(u64::from(id.bits()) << ISOLATE_SHIFT | BUFFER | GROUP, Ordering::Relaxed);
    }
}

/// The engine's own buffer over its own memory.
impl AccessWord {
    /// Notes the engine's own buffer of a new block, which nobody else has.
    #[inline]
    pub(super) fn expose_to_engine(&self, id: IsolateId) {
        self.0.store(u64::from(id.bits()) << ISOLATE_SHIFT | ENGINE | GROUP, Ordering::Relaxed);
    }

    /// The isolate in which the engine has its own buffer.
    pub(super) fn engine(&self) -> Option<IsolateId> {
        let word = self.0.load(Ordering::Relaxed);
        if word & ENGINE == 0 { None } else { isolate(word) }
    }

    /// Makes the engine's own buffer one that is counted and keeps the block. Returns its isolate; `None` if there is none any
    /// more. The caller has a handle.
    pub(super) fn count_engine(&self) -> Option<IsolateId> {
        let counted = |word| match word & ENGINE {
            0 => Err(Denied::Busy(Holder::References(0))),
            _ => Ok(word - ENGINE + BUFFER),
        };
        self.step(Ordering::AcqRel, true, counted).ok().and_then(isolate)
    }
}

/// Whether `scope` is a host. Whoever works in one promises what no check can find (`adapter`).
#[inline]
fn is_host(scope: Option<IsolateId>) -> bool {
    scope.is_some_and(IsolateId::is_host)
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
mod tests;
