//! The traits of values that own the memory of a store.

use std::ptr::NonNull;
use std::sync::Arc;

use bytemuck::{NoUninit, Pod};

use super::Memory;

/// A value that owns memory which script may read and write through a store.
///
/// Implemented for `Vec<T>` and `Box<[T]>` with `T: Pod`, with the feature `bytes` for `bytes::BytesMut`, and with the
/// feature `memmap2` for `memmap2::MmapMut`. Implement it for a type of your own to hand its memory over without a copy.
/// For memory of C, [`UniqueStore::from_raw_parts`](crate::UniqueStore::from_raw_parts) is shorter.
///
/// The owner is dropped exactly once, with the last reference to its store, by the thread that drops that reference. So it
/// must be `Send`. It must be `'static` because an engine may keep the store for as long as it likes.
///
/// ```
/// use std::ptr::NonNull;
/// use offheap::{Owner, UniqueStore};
///
/// struct Frame {
///     pixels: Box<[u8]>,
///     number: u64,
/// }
///
/// // SAFETY: the content of a box stays where it is, and nobody else reaches it.
/// unsafe impl Owner for Frame {
///     fn memory(&mut self) -> NonNull<[u8]> {
///         NonNull::from(&mut *self.pixels)
///     }
/// }
///
/// let store = UniqueStore::from_owner(Frame { pixels: vec![0; 640].into(), number: 7 })?;
/// let frame: Frame = store.try_into_owner()?;
/// assert_eq!(frame.number, 7);
/// # Ok::<(), offheap::Error>(())
/// ```
///
/// # Safety
/// From the first call of [`memory`](Self::memory) until the owner is dropped:
/// - every call returns the same address and length;
/// - the bytes are initialised, mapped for reading and writing, and may take any value;
/// - only the holder of the owner reads or writes them;
/// - they stay where they are when the owner is moved.
///
/// The owner may be dropped on any thread, and its drop must not call an engine.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the owner of a store that is written",
    note = "an owner has its bytes to itself and keeps them until it is dropped: a `Vec` or a `Box<[T]>` of plain elements \
            does, a borrowed slice does not (`.to_vec()`)",
    note = "for bytes that others may read, such as those of an `Arc<[u8]>`, use `FrozenStore::from_owner`"
)]
pub unsafe trait Owner: Send + 'static {
    /// The address and the length in bytes. The address is not null, even for length 0.
    fn memory(&mut self) -> NonNull<[u8]>;
}

/// A value that owns memory which is not written any more.
///
/// Implemented for `Vec<T>`, `Box<[T]>`, `Arc<[T]>`, `Arc<Vec<T>>`, `&'static [T]` and `&'static [T; N]` with `T: NoUninit`,
/// for `String` and `&'static str`, for [`UniqueStore`](crate::UniqueStore), with the feature `bytes` for `bytes::Bytes`, and
/// with the feature `arrow` for `arrow_buffer::Buffer`.
///
/// # Safety
/// From the first call of [`memory`](Self::memory) until the owner is dropped:
/// - every call returns the same address and length;
/// - the bytes are initialised and mapped for reading, and nobody writes them;
/// - they stay where they are when the owner is moved;
/// - any thread may read them.
///
/// The owner may be dropped on any thread, and its drop must not call an engine.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the owner of a frozen store",
    note = "an owner keeps its bytes until it is dropped, and nobody writes them: a `Vec`, a `Box<[T]>`, an `Arc<[T]>`, a \
            `String` or a static does, and with a feature `bytes::Bytes` or Arrow's `Buffer`; a borrowed slice does not \
            (`.to_vec()`)"
)]
pub unsafe trait FrozenOwner: Send + 'static {
    /// The address and the length in bytes. The address is not null, even for length 0.
    fn memory(&self) -> NonNull<[u8]>;
}

#[inline]
pub(crate) fn bytes_of_slice<T>(slice: NonNull<[T]>) -> NonNull<[u8]> {
    // The product is the size of a slice that exists, so it does not overflow.
    NonNull::slice_from_raw_parts(slice.cast(), slice.len() * size_of::<T>())
}

impl From<NonNull<[u8]>> for Memory {
    #[inline]
    fn from(bytes: NonNull<[u8]>) -> Memory {
        Memory { data: bytes.cast(), byte_length: bytes.len() }
    }
}

// SAFETY: I-OWNER-SEND: a `Vec`'s elements are on the heap and stay there; `Pod` has no padding and takes any bytes.
unsafe impl<T: Pod + Send> Owner for Vec<T> {
    #[inline]
    fn memory(&mut self) -> NonNull<[u8]> {
        bytes_of_slice(NonNull::from(self.as_mut_slice()))
    }
}

// SAFETY: I-OWNER-SEND: a box's elements stay where they are, as a `Vec`'s do; `Pod` has no padding and takes any bytes.
unsafe impl<T: Pod + Send> Owner for Box<[T]> {
    fn memory(&mut self) -> NonNull<[u8]> {
        bytes_of_slice(NonNull::from(&mut **self))
    }
}

// SAFETY: I-OWNER-SEND: a static is never moved, freed or written; `NoUninit` has no padding.
unsafe impl<T: NoUninit + Sync> FrozenOwner for &'static [T] {
    fn memory(&self) -> NonNull<[u8]> {
        bytes_of_slice(NonNull::from(*self))
    }
}

// SAFETY: I-OWNER-SEND: an `Arc`'s elements stay where they are, and `NoUninit` leaves no way to write through `&T`: it
// excludes interior mutability. While this `Arc` lives, `Arc::get_mut` fails for any other one.
unsafe impl<T: NoUninit + Send + Sync> FrozenOwner for Arc<[T]> {
    fn memory(&self) -> NonNull<[u8]> {
        bytes_of_slice(NonNull::from(&**self))
    }
}

// SAFETY: I-OWNER-SEND: a `Vec`'s elements are on the heap and stay there. Its holder lends no `&mut` of it, and `NoUninit`
// leaves no padding and no way to write through `&T`.
unsafe impl<T: NoUninit + Send + Sync> FrozenOwner for Vec<T> {
    fn memory(&self) -> NonNull<[u8]> {
        bytes_of_slice(NonNull::from(self.as_slice()))
    }
}

// SAFETY: I-OWNER-SEND: a box's elements stay where they are, and are not written, as a `Vec`'s.
unsafe impl<T: NoUninit + Send + Sync> FrozenOwner for Box<[T]> {
    fn memory(&self) -> NonNull<[u8]> {
        bytes_of_slice(NonNull::from(&**self))
    }
}

// SAFETY: I-OWNER-SEND: while this `Arc` lives, no other one gives a `&mut` of the `Vec`, so nobody writes its elements,
// moves them or frees them.
unsafe impl<T: NoUninit + Send + Sync> FrozenOwner for Arc<Vec<T>> {
    fn memory(&self) -> NonNull<[u8]> {
        bytes_of_slice(NonNull::from(self.as_slice()))
    }
}

// SAFETY: I-OWNER-SEND: a static is never moved, freed or written; `NoUninit` has no padding.
unsafe impl<T: NoUninit + Sync, const N: usize> FrozenOwner for &'static [T; N] {
    fn memory(&self) -> NonNull<[u8]> {
        bytes_of_slice(NonNull::from(self.as_slice()))
    }
}

// SAFETY: I-OWNER-SEND: a `String` is a `Vec<u8>`.
unsafe impl FrozenOwner for String {
    fn memory(&self) -> NonNull<[u8]> {
        NonNull::from(self.as_bytes())
    }
}

// SAFETY: I-OWNER-SEND: a `str` is a `[u8]`, and a static is never moved, freed or written.
unsafe impl FrozenOwner for &'static str {
    fn memory(&self) -> NonNull<[u8]> {
        NonNull::from(self.as_bytes())
    }
}
