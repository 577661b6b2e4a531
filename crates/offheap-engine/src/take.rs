//! Taking the memory of a buffer: externalizing and detaching it in one step.

use offheap::{BackingStore, UniqueStore};

use crate::{Error, Window, check_mutable, check_unshared};

const ATTEMPTED: &str = "take the memory of";

/// A buffer whose memory is to be taken, for [`take`]. For adapters. No method here runs script.
pub trait Takeable {
    /// The engine's name.
    const ENGINE: &'static str;

    /// Whether the buffer is a SharedArrayBuffer.
    ///
    /// # Errors
    /// Those of the engine.
    fn is_shared(&self) -> Result<bool, Error>;

    /// Whether the buffer is immutable.
    ///
    /// # Errors
    /// Those of the engine.
    fn is_immutable(&self) -> Result<bool, Error>;

    /// What the given object, the buffer or a view of it, shows of the buffer.
    ///
    /// # Errors
    /// Those of the engine.
    fn window(&self) -> Result<Window, Error>;

    /// The store of the buffer.
    ///
    /// # Errors
    /// Those of the engine.
    fn externalize(&self) -> Result<BackingStore, Error>;

    /// Checks that nothing would refer to the memory of `store` except for `store` itself, once the buffer is
    /// detached: no other buffer, no other reference, and no reference to the engine's own block.
    /// [`check_only_buffer`](offheap::adapter::check_only_buffer) checks the references of the core.
    ///
    /// # Errors
    /// [`Error::Memory`] with [`NotUnique`](offheap::Error::NotUnique), [`Error::NotLent`].
    fn check_only_buffer(&self, store: &BackingStore) -> Result<(), Error>;

    /// Detaches the buffer, if the caller gave its key and `check` agrees. `check` is the last step before that, because
    /// comparing the keys may run an interrupt handler. After an error nothing has changed.
    ///
    /// # Errors
    /// [`Error::WrongDetachKey`], [`Error::NotDetachable`], and the error of `check`.
    fn detach(&self, check: impl FnOnce() -> Result<(), Error>) -> Result<(), Error>;
}

/// Externalizes and detaches a buffer, and returns its memory, which nothing else refers to. After an error the buffer
/// is as it was. For adapters.
///
/// # Errors
/// [`Error::NotDetachable`], [`Error::Immutable`], [`Error::Detached`], [`Error::OutOfBounds`];
/// [`Error::Unsupported`] for a view that shows only a part of the buffer; the errors of
/// [`check_only_buffer`](Takeable::check_only_buffer) and of [`detach`](Takeable::detach).
#[track_caller]
pub fn take<T: Takeable>(buffer: &T) -> Result<UniqueStore, Error> {
    check_unshared(T::ENGINE, ATTEMPTED, buffer.is_shared()?)?;
    check_mutable(T::ENGINE, ATTEMPTED, buffer.is_immutable()?)?;
    let window = buffer.window()?.check(T::ENGINE, ATTEMPTED)?;
    let store = buffer.externalize()?;
    if let Window::View { byte_offset, byte_length, .. } = window
        && (byte_offset, byte_length) != (0, store.byte_length())
    {
        return Err(Error::Unsupported {
            engine: T::ENGINE,
            what: "take the memory of a view that shows only a part of its buffer",
            instead: "take the buffer of the view, or copy the part",
        });
    }
    if store.byte_length() == 0 && store.max_byte_length() == 0 {
        // There is no memory to share, and an engine may have no store for it.
        let empty = UniqueStore::zeroed(0)?;
        buffer.detach(|| Ok(()))?;
        return Ok(store.try_into_unique().unwrap_or(empty));
    }
    buffer.check_only_buffer(&store)?;
    buffer.detach(|| buffer.check_only_buffer(&store))?;
    Ok(store.try_into_unique()?)
}
