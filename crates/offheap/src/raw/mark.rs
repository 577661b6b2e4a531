//! Marks in the access word. Each of them is removed once, by its drop.

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::access::{AccessWord, Denied};
use super::{RawStore, View};
use crate::IsolateId;

pub(crate) struct Read;
pub(crate) struct Write;

pub(crate) trait Mark {
    fn begin(access: &AccessWord, scope: Option<IsolateId>) -> Result<(), Denied>;
    fn end(access: &AccessWord);
}

impl Mark for Read {
    fn begin(access: &AccessWord, scope: Option<IsolateId>) -> Result<(), Denied> {
        access.begin_read(scope)
    }

    fn end(access: &AccessWord) {
        access.end_read();
    }
}

impl Mark for Write {
    fn begin(access: &AccessWord, scope: Option<IsolateId>) -> Result<(), Denied> {
        access.begin_write(scope)
    }

    fn end(access: &AccessWord) {
        access.end_write();
    }
}

/// A reader's or writer's mark, with the bytes that it is for.
///
/// While it lives the bytes stay mapped at their address (I-MAPPED), and no other code of this crate writes them. With
/// [`Write`], none reads them either. Script is kept away by the caller, who stopped the isolate of the `scope`; with
/// `None` no isolate has the memory.
pub(crate) struct Marked<M: Mark> {
    view: View,
    bytes: NonNull<[u8]>,
    mark: PhantomData<M>,
}

impl<M: Mark> Marked<M> {
    /// Marks `view`, in `scope` (the isolate whose script is stopped) or outside all isolates. `None` if the view is out of
    /// bounds.
    pub(crate) fn new(view: &View, scope: Option<IsolateId>) -> Result<Option<Self>, Denied> {
        M::begin(view.raw().access(), scope)?;
        // From here on this value removes the mark. While the mark is set, nobody can shrink the store below this length.
        let mut marked = Marked { view: view.unseen(), bytes: NonNull::from(&mut []), mark: PhantomData };
        let Some(byte_length) = view.present_byte_length() else { return Ok(None) };
        marked.bytes = NonNull::slice_from_raw_parts(view.data(), byte_length);
        Ok(Some(marked))
    }

    #[inline]
    pub(crate) fn bytes(&self) -> NonNull<[u8]> {
        self.bytes
    }
}

impl<M: Mark> Drop for Marked<M> {
    fn drop(&mut self) {
        M::end(self.view.raw().access());
    }
}

/// A writer's mark for the time of one copy into a block.
pub(crate) struct Writing<'a>(&'a AccessWord);

impl<'a> Writing<'a> {
    pub(crate) fn new(raw: &'a RawStore, scope: Option<IsolateId>) -> Result<Self, Denied> {
        raw.access().begin_write(scope)?;
        Ok(Writing(raw.access()))
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.end_write();
    }
}

/// The mark of a copy out of a block, which keeps writers in Rust away. Script may write, and the length may change.
pub(crate) struct Copying<'a>(&'a AccessWord);

impl<'a> Copying<'a> {
    #[inline]
    pub(crate) fn new(raw: &'a RawStore) -> Result<Self, Denied> {
        raw.access().begin_copy()?;
        Ok(Copying(raw.access()))
    }
}

impl Drop for Copying<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.end_copy();
    }
}
