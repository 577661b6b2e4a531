//! A reference to a block together with a range of its memory. Every handle of a user's is one.

use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use super::reference::Reference;
use super::{RawStore, RawWeak};

/// A reference to a block, and a range of its bytes.
///
/// Three invariants hold of the fields, which only this file can write. [`View::within`] is the one place that makes a range
/// and checks it.
///
/// - **V1, whole.** A range with the length [`WHOLE`] or [`FIRST`] starts at 0. Such a view is to all bytes of the block,
///   whatever its length becomes.
/// - **V2, inside.** Any other range lay inside the block's memory when it was made, or inside another range that did.
///   Memory never moves (I-NO-MOVE) and its addresses stay taken while a reference lives, so `start + byte_length` does not
///   overflow, and `data + start` is the address of a byte of the memory, or of its end.
/// - **V3, present.** Bytes of the range may be used only while it ends at or before the present length. Where the memory
///   was shrunk below its end, the view is *out of bounds*, and its [`byte_length`](Self::byte_length) is 0.
///
/// The drop of a view is the drop of its reference. With the feature `track-handles` the observer is told when a view is made
/// and dropped, except for [`unseen`](Self::unseen) ones.
pub(crate) struct View {
    // `drop` and `into_block` take it out.
    raw: ManuallyDrop<RawStore>,
    range: Range,
    reference: Reference,
}

/// A view that does not keep the memory alive.
#[derive(Clone)]
pub(crate) struct WeakView {
    raw: RawWeak,
    range: Range,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Range {
    start: usize,
    byte_length: usize,
}

/// The length of a range to all of a block.
const WHOLE: usize = usize::MAX;
/// The length of a range to all of a block, in a view whose reference was once the only one to the block. The drop of such a
/// view checks whether it still is, and then needs no locked instruction. The check takes a tenth of the time of a clone and
/// its drop, so views that were cloned do without it.
const FIRST: usize = usize::MAX - 1;

impl Range {
    #[inline]
    fn is_whole(self) -> bool {
        self.byte_length >= FIRST
    }

    /// The end of the range; `usize::MAX` for all of a block.
    #[inline]
    fn end(self) -> usize {
        if self.is_whole() { usize::MAX } else { self.start + self.byte_length }
    }

    /// The range of another view to the same bytes.
    #[inline]
    fn of_clone(self) -> Self {
        Range { byte_length: if self.is_whole() { WHOLE } else { self.byte_length }, ..self }
    }
}

impl View {
    #[inline]
    fn new(raw: RawStore, range: Range) -> Self {
        View { raw: ManuallyDrop::new(raw), range, reference: Reference::untold() }
    }

    /// A view to all of a block (V1).
    #[inline]
    #[track_caller]
    pub(crate) fn whole(raw: RawStore) -> Self {
        View::whole_unseen(raw).seen()
    }

    /// A view to all of a new block (V1), as its first handle.
    pub(crate) fn whole_new(raw: RawStore) -> Self {
        View::whole_unseen(raw).seen_first()
    }

    /// A view to all of a block (V1) that is no handle of a user's.
    #[inline]
    pub(crate) fn whole_unseen(raw: RawStore) -> Self {
        View::new(raw, Range { start: 0, byte_length: WHOLE })
    }

    /// The same view that is no handle of a user's, such as that of a guard.
    #[inline]
    pub(crate) fn unseen(&self) -> Self {
        View::new(RawStore::clone(&self.raw), self.range.of_clone())
    }

    /// Tells the observer of this view, which is a handle of a user's, made by the caller.
    #[inline]
    #[track_caller]
    fn seen(mut self) -> Self {
        self.begin_handle();
        self
    }

    /// A view to all of a block (V1) with the only reference to it.
    #[inline]
    pub(crate) fn first(raw: RawStore) -> Self {
        View::new(raw, Range { start: 0, byte_length: FIRST }).seen_first()
    }

    /// A view to the bytes `start..end` of a block; `None` unless they lie inside it.
    #[track_caller]
    pub(crate) fn part(raw: RawStore, start: usize, end: usize) -> Option<Self> {
        let byte_length = raw.byte_length();
        Self::within(raw, 0, byte_length, start, end)
    }

    /// A view to a part of this view: `range` gets the present length and returns the start and the end. If that part does
    /// not lie inside this view, its start and end come back.
    #[inline]
    #[track_caller]
    pub(crate) fn slice(&self, range: impl FnOnce(usize) -> (usize, usize)) -> Result<Self, (usize, usize)> {
        let byte_length = self.byte_length();
        let (start, end) = range(byte_length);
        // Checked first, so that a reference is counted only for a valid range.
        if start > end || end > byte_length {
            return Err((start, end));
        }
        Self::within(RawStore::clone(&self.raw), self.range.start, byte_length, start, end).ok_or((start, end))
    }

    /// A view to the bytes `start..end` of an outer range that keeps V2; `None` unless they lie inside that.
    #[inline]
    #[track_caller]
    fn within(raw: RawStore, outer_start: usize, outer_byte_length: usize, start: usize, end: usize) -> Option<Self> {
        let is_inside = start <= end && end <= outer_byte_length;
        match is_inside {
            true => Some(View::new(raw, Range { start: outer_start + start, byte_length: end - start }).seen()),
            false => None,
        }
    }

    /// Copies the view, as one more handle beside this one that shares its reference to the block. The observer is not told
    /// yet.
    ///
    /// # Safety
    /// One of the two is dropped; the other is only [ended](Self::end_handle).
    pub(super) unsafe fn share(&self) -> ManuallyDrop<Self> {
        // SAFETY: I-FREE-ONCE: the caller drops the reference once.
        let raw = unsafe { ptr::read(&self.raw) };
        ManuallyDrop::new(View { raw, range: self.range, reference: Reference::untold() })
    }

    /// Tells the observer of a handle that the caller made, if it was not told before.
    #[inline]
    #[track_caller]
    pub(super) fn begin_handle(&mut self) {
        self.reference.begin(&self.raw, self.range.start, self.range.end());
    }

    /// Tells the observer that the handle is dropped, if it was told of it.
    #[inline]
    pub(super) fn end_handle(&mut self) {
        self.reference.end(&self.raw);
    }

    /// Tells the observer of this view, which is the first handle and was made where the store was.
    #[inline]
    fn seen_first(mut self) -> Self {
        self.reference.begin_first(&self.raw, self.range.end());
        self
    }

    #[inline]
    pub(crate) fn raw(&self) -> &RawStore {
        &self.raw
    }

    #[inline]
    pub(crate) fn into_block(self) -> RawStore {
        let mut view = ManuallyDrop::new(self);
        // SAFETY: I-FREE-ONCE: the reference is taken out of a view that is not dropped.
        let raw = unsafe { ManuallyDrop::take(&mut view.raw) };
        view.reference.end(&raw);
        raw
    }

    /// Whether this is a view to all of the block, whatever its length becomes.
    #[inline]
    pub(crate) fn is_whole(&self) -> bool {
        self.range.is_whole()
    }

    /// Where it begins in the block's memory.
    #[inline]
    pub(crate) fn start(&self) -> usize {
        self.range.start
    }

    /// Where it ends, unless it is to all of the block.
    #[inline]
    pub(crate) fn end(&self) -> Option<usize> {
        // Does not overflow: V2.
        (!self.is_whole()).then(|| self.range.start + self.range.byte_length)
    }

    /// The address of the first byte.
    #[inline]
    pub(crate) fn data(&self) -> NonNull<u8> {
        let data = self.raw.data().as_ptr().wrapping_add(self.range.start);
        NonNull::new(data).expect("a range lies inside its memory")
    }

    /// The present length of the bytes; `None` if the view is out of bounds (V3).
    #[inline]
    pub(crate) fn present_byte_length(&self) -> Option<usize> {
        match self.is_whole() {
            true => Some(self.raw.byte_length()),
            false => (!self.is_out_of_bounds()).then_some(self.range.byte_length),
        }
    }

    /// The present length of the bytes; 0 if the view is out of bounds.
    #[inline]
    pub(crate) fn byte_length(&self) -> usize {
        self.present_byte_length().unwrap_or(0)
    }

    /// The length of shared memory, read in one total order with every growth of it.
    #[inline]
    pub(crate) fn byte_length_in_order(&self) -> usize {
        if self.is_whole() { self.raw.byte_length_in_order() } else { self.range.byte_length }
    }

    /// Whether the range ends beyond the present length of the block's memory.
    #[inline]
    pub(crate) fn is_out_of_bounds(&self) -> bool {
        match self.end() {
            Some(end) => self.raw.kind().may_shrink() && end > self.raw.byte_length(),
            None => false,
        }
    }

    /// Whether both are to the same bytes of the same memory.
    pub(crate) fn is_same(&self, other: &View) -> bool {
        // A range has the length that it was made with, even while it is out of bounds.
        let byte_length = |view: &View| if view.is_whole() { view.raw.byte_length() } else { view.range.byte_length };
        // Two views to all of it are the same, even if it grows between the two reads of its length.
        self.raw.same_block(&other.raw)
            && (self.range.of_clone() == other.range.of_clone()
                || self.range.start == other.range.start && byte_length(self) == byte_length(other))
    }

    pub(crate) fn downgrade(&self) -> WeakView {
        WeakView { raw: self.raw.downgrade(), range: self.range.of_clone() }
    }
}

impl Clone for View {
    #[inline]
    #[track_caller]
    fn clone(&self) -> Self {
        self.unseen().seen()
    }
}

impl Drop for View {
    #[inline]
    fn drop(&mut self) {
        let is_first = self.range.byte_length == FIRST;
        // SAFETY: I-FREE-ONCE: the reference is taken out once: this view is being dropped.
        let raw = unsafe { ManuallyDrop::take(&mut self.raw) };
        // If the observer panics, `raw` is dropped by that.
        self.reference.end(&raw);
        match is_first {
            true => raw.drop_only(),
            false => drop(raw),
        }
    }
}

impl WeakView {
    /// A weak view to all of a block (V1).
    pub(super) fn whole(raw: RawWeak) -> Self {
        WeakView { raw, range: Range { start: 0, byte_length: WHOLE } }
    }

    /// A view to the same range, unless the memory is gone.
    #[track_caller]
    pub(crate) fn upgrade(&self) -> Option<View> {
        let raw = self.raw.upgrade()?;
        // V2: the range was made for this block, whose memory never moves.
        Some(View::new(raw, self.range).seen())
    }
}
