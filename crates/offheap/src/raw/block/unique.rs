//! Unique references: making one, and taking its block apart.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::{Header, RawStore, RawWeak};
use crate::event::{self, EventKind};
use crate::raw::access::{AccessWord, Denied};
use crate::raw::counts::Counts;
use crate::sync::{AtomicBool, AtomicUsize, Ordering, Witness, alloc, yield_now};
use crate::{IsolateId, StoreKind};

/// Why a reference did not become unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// There are this many references.
    References(u32),
    /// A host had the memory, and may still write it.
    OfHost(IsolateId),
    /// There is no memory for a new block.
    OutOfMemory,
}

impl RawStore {
    /// Makes this reference unique. Weak ones are severed; if there are any, the owner moves to a new block.
    ///
    /// # Errors
    /// The store comes back with the reason. Weak handles may have failed to upgrade during the call.
    pub(in crate::raw) fn into_unique(self) -> Result<RawStore, (NotTaken, RawStore)> {
        if self.is_only() {
            return Ok(self);
        }
        let header = self.header();
        while let Err(denied) = self.leave_only_group() {
            match (denied, self.reference_count()) {
                (Some(Denied::OfHost { host }), _) => return Err((NotTaken::OfHost(host), self)),
                // Another reference has just gone, or its thread has one more step to do.
                (_, 1) => yield_now(),
                (_, count) => return Err((NotTaken::References(count), self)),
            }
        }
        // No reference can be made any more: there is no buffer, and weak handles fail to upgrade.
        if header.counts.has_no_weak() {
            header.access.begin_only_group();
            self.give_back();
            return Ok(self);
        }
        let owner = header.owner;
        // SAFETY: I-LAYOUT: the layout of this block, which is not of size zero.
        let fresh = unsafe { alloc(owner.layout) };
        let Some(fresh) = NonNull::new(fresh) else {
            header.access.begin_only_group();
            self.give_back();
            return Err((NotTaken::OutOfMemory, self));
        };
        let moved = Header {
            counts: Counts::new(),
            access: AccessWord::new(),
            data: header.data,
            byte_length: AtomicUsize::new(self.byte_length()),
            owner,
            site: header.site,
            id: header.id,
            kind: header.kind.clone(),
            charged: header.charged,
            claims_have_references: AtomicBool::new(false),
            part: header.part,
            witness: Witness::new(),
        };
        let unique = RawStore(fresh.cast());
        // SAFETY: I-LAYOUT: the new block has room for a header at its beginning.
        unsafe { unique.0.write(moved) };
        let old = ManuallyDrop::new(self);
        let owner_size = owner.layout.size() - owner.offset;
        // SAFETY: I-FREE-ONCE: without a group and a buffer nothing reaches the old owner, which is moved and never dropped
        // there.
        // The owner and its padding end with the block in both blocks. An owner's memory does not move with it (`Owner`).
        unsafe { old.owner_ptr().cast::<u8>().copy_to_nonoverlapping(unique.owner_ptr().cast(), owner_size) };
        let old = RawWeak(old.0);
        // Told while the old block is still there, since the observer may be looking at it. If it panics, the store is freed.
        unique.tell(EventKind::BlockMoved);
        drop(old);
        Ok(unique)
    }

    /// Ends the count of this reference and its group, if there is nothing else.
    fn leave_only_group(&self) -> Result<(), Option<Denied>> {
        let header = self.header();
        if !header.counts.take_only_strong() {
            return Err(None);
        }
        // This reference is not counted now, but its group is. A reference that a buffer or a weak handle gives meanwhile
        // begins another group.
        let is_left = header.access.end_only_group();
        if is_left.is_err() {
            self.give_back();
        }
        is_left.map_err(Some)
    }

    /// Counts this reference again, after `take_only_strong`. Its group is still counted.
    fn give_back(&self) {
        if !self.header().counts.add_strong() {
            // Another reference has begun a group in the meantime.
            let is_over = self.access().end_group();
            debug_assert!(!is_over, "there are strong references");
        }
    }

    /// Makes this the block of a new claim: its first buffer is counted, and each of its claims has a strong reference. So
    /// references that buffers give begin no group.
    ///
    /// # Panics
    /// If there is another reference.
    pub(in crate::raw) fn expose_new(&mut self, isolate: IsolateId) {
        assert!(self.is_only(), "nobody else has the block yet");
        self.access().expose_new(isolate);
        // An observer may be looking at the block.
        self.header().claims_have_references.store(true, Ordering::Relaxed);
    }

    /// Makes this the block of memory that an engine owns and has its own buffer over, in `isolate`. Tells the observer. The
    /// weak reference costs no locked instruction.
    ///
    /// # Panics
    /// If there is another reference.
    #[inline]
    pub(in crate::raw) fn expose_to_engine(&mut self, isolate: IsolateId) -> RawWeak {
        assert!(self.is_only(), "nobody else has the block yet");
        // An observer may be looking at the block.
        self.header().counts.add_first_weak();
        self.access().expose_to_engine(isolate);
        let weak = RawWeak(self.0);
        self.tell(EventKind::Exposed { isolate });
        weak
    }

    /// Changes the kind of a block that `expose_new` exposed, if there is nothing but this reference and its buffer. The
    /// caller makes sure that the memory is as the new kind says.
    pub(in crate::raw) fn set_kind_if_new(&mut self, kind: StoreKind) -> bool {
        let header = self.header();
        // Weak handles are made from strong ones. Without both, only another buffer could give a reference.
        if !self.claims_have_references() || !header.counts.take_only_strong() {
            return false;
        }
        let is_new = header.counts.has_no_weak() && header.access.has_one_group(1);
        if is_new {
            // There is no other reference to the block, and none can be made: as above, with this buffer being the only one.
            // `&mut self` keeps this one from being cloned.
            header.kind.set(kind);
            if kind.is_shared() && self.header().part.counted {
                event::count_shared();
            }
        }
        self.give_back();
        is_new
    }

    /// Takes the owner out and frees the block. The caller has checked that this reference is unique.
    ///
    /// # Errors
    /// The store comes back if its owner is not an `O`.
    pub(in crate::raw) fn into_owner<O: 'static>(self) -> Result<O, RawStore> {
        if !self.is_from::<O>() {
            return Err(self);
        }
        assert_eq!(self.reference_count(), 1, "a unique store is held elsewhere");
        self.tell_freed();
        let store = ManuallyDrop::new(self);
        drop(store.charge());
        // SAFETY: I-LAYOUT, I-FREE-ONCE: the owner is an `O`; it is read out once, since the block is freed below.
        let owner = unsafe { store.owner_ptr().cast::<O>().read() };
        drop(RawWeak(store.0));
        Ok(owner)
    }
}
