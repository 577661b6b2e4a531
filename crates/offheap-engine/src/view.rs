//! What a typed array or DataView shows of its buffer, and the store of that part.

use offheap::{BackingStore, Length};

use crate::{Element, Error};

/// The store of a view: the bytes that a typed array or DataView showed when it was externalized, with their type.
///
/// A buffer gives one too. It has no element type and begins at 0.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExternalizedView {
    /// The bytes that the view showed. If the view showed a whole buffer of fixed length, this is the store of the
    /// buffer, which [`try_into_unique`](BackingStore::try_into_unique) can take. Otherwise it is a handle to a part,
    /// whose length stays the same when the buffer or the view gets another length.
    pub store: BackingStore,
    /// The type of the elements; `None` for a DataView and for a buffer.
    pub element: Option<Element>,
    /// The offset of the first byte in the buffer of the view (`byteOffset`).
    pub byte_offset: usize,
}

/// What an object shows of the bytes of a buffer at this moment, read from the engine's own slots. For adapters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The object is a buffer, which is not detached.
    Buffer,
    /// The object is a view, which is not out of bounds and has these bytes of its buffer.
    View {
        /// The type of the elements; `None` for a DataView.
        element: Option<Element>,
        /// The offset of the first byte in the buffer.
        byte_offset: usize,
        /// The length in bytes. An empty view is in bounds.
        byte_length: usize,
    },
    /// The object is a buffer that is detached, or a view of one.
    Detached,
    /// The object is a view that does not lie in its buffer, because the buffer was made shorter (ECMAScript's
    /// `IsTypedArrayOutOfBounds` and `IsViewOutOfBounds`). The buffer is not detached.
    OutOfBounds,
}

impl Window {
    /// The window, unless it shows nothing. `attempted` is the operation for which bytes are wanted.
    ///
    /// # Errors
    /// [`Error::Detached`], [`Error::OutOfBounds`].
    pub fn check(self, engine: &'static str, attempted: &'static str) -> Result<Self, Error> {
        match self {
            Window::Detached => Err(Error::Detached { engine, attempted }),
            Window::OutOfBounds => Err(Error::OutOfBounds { engine, attempted }),
            window => Ok(window),
        }
    }

    /// The part of `buffer`, the store of the buffer, that a window shows which was [checked](Self::check).
    ///
    /// # Errors
    /// [`Error::Memory`] with [`OutOfRange`](offheap::Error::OutOfRange) if the buffer got shorter since then.
    #[inline]
    pub fn of(self, buffer: BackingStore) -> Result<ExternalizedView, Error> {
        let Window::View { element, byte_offset, byte_length } = self else {
            return Ok(ExternalizedView { store: buffer, element: None, byte_offset: 0 });
        };
        Ok(ExternalizedView { store: part(buffer, byte_offset, byte_length)?, element, byte_offset })
    }
}

/// The part of a buffer that a view shows. It is the buffer itself if the view shows all of it, and always will.
fn part(buffer: BackingStore, byte_offset: usize, byte_length: usize) -> Result<BackingStore, Error> {
    let is_whole = buffer.kind().length() == Length::Fixed && (byte_offset, byte_length) == (0, buffer.byte_length());
    if is_whole {
        return Ok(buffer);
    }
    Ok(buffer.slice(byte_offset..byte_offset.saturating_add(byte_length))?)
}
