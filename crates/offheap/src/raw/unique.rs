//! Unique references, and references to frozen blocks: their slices need no mark in the access word.

use std::ptr::NonNull;

use super::{FrozenOwner, Memory, NotTaken, Owner, RawStore, View};
use crate::{Error, Site, StoreKind};

/// A unique reference: there is no other one to the block, not even a weak one. The block's memory is its owner's,
/// exposed nowhere, and no host may write it.
pub(crate) struct UniqueRef(View);

impl UniqueRef {
    #[inline]
    pub(crate) fn new<O: Owner>(owner: O, kind: StoreKind, site: Site) -> Result<Self, (Error, O)> {
        RawStore::new(owner, kind, site, |owner| Memory::from(owner.memory())).map(UniqueRef::of)
    }

    /// The reference to a new block whose memory is its owner's.
    pub(super) fn of(raw: RawStore) -> Self {
        UniqueRef(View::first(raw))
    }

    /// The reference as a unique one, if it is the last strong one; weak ones are severed.
    pub(crate) fn if_unique(raw: RawStore) -> Result<Self, (NotTaken, RawStore)> {
        let has_slices = matches!(raw.kind(), StoreKind::FIXED | StoreKind::RESIZABLE);
        assert!(has_slices, "memory of another kind has no owner that answers for slices");
        let unique = raw.into_unique()?;
        assert_eq!(unique.exposure(), None, "a live buffer keeps the block");
        Ok(UniqueRef::of(unique))
    }

    #[inline]
    pub(crate) fn raw(&self) -> &RawStore {
        self.0.raw()
    }

    #[inline]
    pub(crate) fn into_view(self) -> View {
        self.0
    }

    /// The owner, if it is an `O`.
    pub(crate) fn try_into_owner<O: Owner>(self) -> Result<O, UniqueRef> {
        self.0.into_block().into_owner().map_err(UniqueRef::of)
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        let data = NonNull::slice_from_raw_parts(self.0.data(), self.0.byte_length());
        // SAFETY: I-BORROW: the memory of a live `Owner`, which no other reference reaches; `&self` excludes
        // `as_mut_slice`.
        unsafe { data.as_ref() }
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        let mut data = NonNull::slice_from_raw_parts(self.0.data(), self.0.byte_length());
        // SAFETY: I-BORROW: as above, and `&mut self` excludes both.
        unsafe { data.as_mut() }
    }
}

/// A view of a block whose memory is not written any more. Its length never changes, so the view is never out of bounds.
pub(crate) struct FrozenRef(View);

impl Clone for FrozenRef {
    #[inline]
    #[track_caller]
    fn clone(&self) -> Self {
        FrozenRef(self.0.clone())
    }
}

impl FrozenRef {
    #[inline]
    pub(crate) fn new<O: FrozenOwner>(owner: O, site: Site) -> Result<Self, (Error, O)> {
        let raw = RawStore::new(owner, StoreKind::FROZEN, site, |owner| Memory::from(owner.memory()))?;
        Ok(FrozenRef(View::first(raw)))
    }

    /// The view, if its block is frozen. Only `new` and `Claim::into_frozen` make blocks of this kind.
    pub(crate) fn if_frozen(view: View) -> Result<Self, View> {
        if view.raw().kind() == StoreKind::FROZEN { Ok(FrozenRef(view)) } else { Err(view) }
    }

    #[inline]
    pub(crate) fn view(&self) -> &View {
        &self.0
    }

    #[inline]
    pub(crate) fn into_view(self) -> View {
        self.0
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        let data = NonNull::slice_from_raw_parts(self.0.data(), self.0.byte_length());
        // SAFETY: I-BORROW: frozen memory, which nobody writes and any thread may read; the view lies inside it.
        unsafe { data.as_ref() }
    }
}
