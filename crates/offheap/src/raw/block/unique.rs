//! Unique references: making one, and taking its block apart.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::{Header, RawStore, RawWeak};
use crate::StoreKind;
use crate::observe::{self, EventKind};
use crate::raw::access::AccessWord;
use crate::raw::counts::{Counts, Unique};
use crate::sync::{AtomicUsize, Witness, alloc};

impl RawStore {
    /// Makes this reference unique. Weak ones are severed; if there are any, the owner moves to a new block.
    ///
    /// # Errors
    /// The store comes back with the count of strong references if there are others, and with `None` if there is no memory
    /// for a new block. Weak handles may have failed to upgrade during the call.
    pub(in crate::raw) fn into_unique(self) -> Result<RawStore, (Option<u32>, RawStore)> {
        let header = self.header();
        match header.counts.take_unique() {
            Err(count) => return Err((Some(count), self)),
            Ok(Unique::OfAnySort) => return Ok(self),
            // While the count is 0 no reference can be made: weak handles fail to upgrade, and there are no strong ones.
            Ok(Unique::Strong) => {}
        }
        let owner = header.owner;
        // SAFETY: I-LAYOUT: the layout of this block, which is not of size zero.
        let fresh = unsafe { alloc(owner.layout) };
        let Some(fresh) = NonNull::new(fresh) else {
            header.counts.give_back();
            return Err((None, self));
        };
        let moved = Header {
            counts: Counts::new(),
            access: AccessWord::new(),
            data: header.data,
            byte_length: AtomicUsize::new(self.byte_length()),
            owner,
            site: header.site,
            id: header.id,
            kind: header.kind,
            charged: header.charged,
            witness: Witness::new(),
        };
        let unique = RawStore(fresh.cast());
        // SAFETY: I-LAYOUT: the new block has room for a header at its beginning.
        unsafe { unique.0.write(moved) };
        let old = ManuallyDrop::new(self);
        let owner_size = owner.layout.size() - owner.offset;
        // SAFETY: I-FREE-ONCE: with the count at 0 nothing reaches the old owner, which is moved and never dropped there.
        // The owner and its padding end with the block in both blocks. An owner's memory does not move with it (`Owner`).
        unsafe { old.owner_ptr().cast::<u8>().copy_to_nonoverlapping(unique.owner_ptr().cast(), owner_size) };
        drop(RawWeak(old.0));
        Ok(unique)
    }

    /// Whether this reference is unique: there is no other one, not even a weak one.
    pub(in crate::raw) fn is_unique(&self) -> bool {
        self.header().counts.is_unique()
    }

    /// Changes the kind of the block. The caller makes sure that the memory is as the new kind says.
    ///
    /// # Panics
    /// If this reference is not unique.
    pub(in crate::raw) fn set_kind(&mut self, kind: StoreKind) {
        assert!(self.is_unique(), "others know the block by its kind");
        // SAFETY: I-FREE-ONCE: there is no other reference to the block, and `&mut self` keeps this one from being cloned.
        unsafe { self.0.as_mut() }.kind = kind;
    }

    /// Takes the owner out and frees the block. The caller has checked that this reference is unique.
    ///
    /// # Errors
    /// The store comes back if its owner is not an `O`.
    pub(in crate::raw) fn into_owner<O: 'static>(self) -> Result<O, RawStore> {
        if !self.is_from::<O>() {
            return Err(self);
        }
        assert_eq!(self.strong_count(), 1, "a unique store is held elsewhere");
        observe::emit(|| self.event(EventKind::Freed { at: None }));
        let store = ManuallyDrop::new(self);
        drop(store.charge());
        // SAFETY: I-LAYOUT, I-FREE-ONCE: the owner is an `O`; it is read out once, since the block is freed below.
        let owner = unsafe { store.owner_ptr().cast::<O>().read() };
        drop(RawWeak(store.0));
        Ok(owner)
    }
}
