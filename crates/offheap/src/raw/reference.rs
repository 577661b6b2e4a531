//! The number by which the observer knows a handle, with the feature `track-handles`. Without it a [`Reference`] has no bytes,
//! and its functions do nothing.

use super::RawStore;
#[cfg(feature = "track-handles")]
use crate::Site;
#[cfg(feature = "track-handles")]
use crate::event::{EventKind, ReferenceId};

/// Part of each handle.
pub(super) struct Reference {
    // `None` until the observer was told, and for what is no handle of a user's.
    #[cfg(feature = "track-handles")]
    id: Option<ReferenceId>,
}

impl Reference {
    /// That of a handle of which the observer was not told.
    #[inline(always)]
    pub(super) fn untold() -> Self {
        Reference {
            #[cfg(feature = "track-handles")]
            id: None,
        }
    }
}

#[cfg(feature = "track-handles")]
impl Reference {
    /// Tells the observer of a handle to the bytes `from..to` that the caller made. If the observer panics, the handle that
    /// has this reference is dropped.
    #[track_caller]
    pub(super) fn begin(&mut self, raw: &RawStore, from: usize, to: usize) {
        self.begin_at(raw, from, to, Site::here());
    }

    /// Tells the observer of the first handle to a new block, which was made where the block was.
    pub(super) fn begin_first(&mut self, raw: &RawStore, to: usize) {
        self.begin_at(raw, 0, to, raw.site());
    }

    fn begin_at(&mut self, raw: &RawStore, from: usize, to: usize, at: Site) {
        if raw.is_told() {
            let reference = ReferenceId::next();
            self.id = Some(reference);
            raw.tell(EventKind::Referenced { reference, at, from, to });
        }
    }

    /// Tells the observer that the handle is dropped. The caller drops it even if the observer panics.
    pub(super) fn end(&mut self, raw: &RawStore) {
        if let Some(reference) = self.id.take() {
            raw.tell(EventKind::Dropped { reference });
        }
    }
}

#[cfg(not(feature = "track-handles"))]
impl Reference {
    #[inline(always)]
    pub(super) fn begin(&mut self, _: &RawStore, _: usize, _: usize) {}

    #[inline(always)]
    pub(super) fn begin_first(&mut self, _: &RawStore, _: usize) {}

    #[inline(always)]
    pub(super) fn end(&mut self, _: &RawStore) {}
}
