//! `AtomicSlice`: shared memory as numbers that any thread may change, without `unsafe`.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::AtomicU8;

use crate::{BackingStore, Error};

/// An integer of shared memory: `i8`, `u8`, `i16`, `u16`, `i32`, `u32`, `i64` or `u64`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an integer that script and Rust change atomically",
    note = "use `i8`, `u8`, `i16`, `u16`, `i32`, `u32`, `i64` or `u64`, as ECMAScript's `Atomics` do"
)]
pub trait AtomicInteger: sealed::Sealed + Send + Sync + 'static {}

mod sealed {
    use std::ops::{BitAnd, BitOr, BitXor};

    pub trait Sealed:
        crate::raw::Machine + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self>
    {
        fn negated(self) -> Self;
    }
}

macro_rules! atomic_integers {
    ($($int:ty),*) => {$(
        const _: () = assert!(size_of::<$int>() == align_of::<$int>());
        impl AtomicInteger for $int {}

        impl sealed::Sealed for $int {
            fn negated(self) -> Self {
                self.wrapping_neg()
            }
        }
    )*};
}

atomic_integers!(i8, u8, i16, u16, i32, u32, i64, u64);

/// Shared memory as integers, which any thread and script may change at the same time. It has the operations of
/// ECMAScript's `Atomics` on a typed array, and all of them are sequentially consistent, as those are.
///
/// [`SharedStore::atomic_slice`](crate::SharedStore::atomic_slice) makes it. Slices of several element sizes may be used on
/// the same bytes at the same time, which std's atomics do not allow. Each operation takes the index of an element.
///
/// ```
/// use offheap::SharedStore;
///
/// let store = SharedStore::zeroed(8)?;
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| store.atomic_slice::<i32>().unwrap().fetch_add(1, 10));
///     }
/// });
/// assert_eq!(store.copy_out::<i32>()?, [0, 40]);
/// # Ok::<(), offheap::Error>(())
/// ```
///
/// # Panics
/// An index beyond the end panics, as it does for a slice. The length is that of the store when the slice was made. If the
/// store [grows](crate::SharedStore::grow), make another slice.
#[derive(Clone, Copy)]
pub struct AtomicSlice<'a, T> {
    bytes: &'a [AtomicU8],
    elements: PhantomData<&'a [T]>,
}

impl<T: AtomicInteger> AtomicSlice<'_, T> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / size_of::<T>()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    #[track_caller]
    fn at(&self, index: usize) -> *mut T {
        let len = self.len();
        assert!(index < len, "index {index} is out of range for {len} elements");
        self.bytes[index * size_of::<T>()..].as_ptr().cast_mut().cast()
    }

    /// `Atomics.load`.
    #[inline]
    #[track_caller]
    pub fn load(&self, index: usize) -> T {
        // SAFETY: I-BORROW, I-MAPPED: an aligned element of shared memory, which `bytes` keeps mapped and which is never
        // lent as a slice.
        unsafe { T::load(self.at(index)) }
    }

    /// `Atomics.store`.
    #[inline]
    #[track_caller]
    pub fn store(&self, index: usize, value: T) {
        self.swap(index, value);
    }

    /// `Atomics.exchange`: stores a value, and returns the one that was there.
    #[inline]
    #[track_caller]
    pub fn swap(&self, index: usize, value: T) -> T {
        // SAFETY: I-BORROW, I-MAPPED: as for `load`, and shared memory may be written.
        unsafe { T::swap(self.at(index), value) }
    }

    /// `Atomics.compareExchange`: stores `new` if `expected` is there. Returns the value that was there: as `Ok` if `new` was
    /// stored, or else as `Err`.
    #[inline]
    #[track_caller]
    pub fn compare_exchange(&self, index: usize, expected: T, new: T) -> Result<T, T> {
        // SAFETY: I-BORROW, I-MAPPED: as for `load`, and shared memory may be written.
        let found = unsafe { T::compare_exchange(self.at(index), expected, new) };
        if found == expected { Ok(found) } else { Err(found) }
    }

    /// `Atomics.add`: adds a value, and returns the one that was there. It wraps around at the end of the type's range.
    #[inline]
    #[track_caller]
    pub fn fetch_add(&self, index: usize, value: T) -> T {
        // SAFETY: I-BORROW, I-MAPPED: as for `load`, and shared memory may be written.
        unsafe { T::add(self.at(index), value) }
    }

    /// `Atomics.sub`: subtracts a value, and returns the one that was there. It wraps around at the end of the type's range.
    #[inline]
    #[track_caller]
    pub fn fetch_sub(&self, index: usize, value: T) -> T {
        self.fetch_add(index, value.negated())
    }

    /// `Atomics.and`: keeps the bits that `value` has too, and returns the value that was there.
    #[inline]
    #[track_caller]
    pub fn fetch_and(&self, index: usize, value: T) -> T {
        self.update(index, |found| found & value)
    }

    /// `Atomics.or`: adds the bits of `value`, and returns the value that was there.
    #[inline]
    #[track_caller]
    pub fn fetch_or(&self, index: usize, value: T) -> T {
        self.update(index, |found| found | value)
    }

    /// `Atomics.xor`: flips the bits of `value`, and returns the value that was there.
    #[inline]
    #[track_caller]
    pub fn fetch_xor(&self, index: usize, value: T) -> T {
        self.update(index, |found| found ^ value)
    }

    #[inline]
    #[track_caller]
    fn update(&self, index: usize, change: impl Fn(T) -> T) -> T {
        let mut found = self.load(index);
        loop {
            match self.compare_exchange(index, found, change(found)) {
                Ok(found) => return found,
                Err(other) => found = other,
            }
        }
    }
}

impl<T: AtomicInteger> fmt::Debug for AtomicSlice<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtomicSlice").field("element", &std::any::type_name::<T>()).field("len", &self.len()).finish()
    }
}

impl BackingStore {
    /// The bytes of shared memory as integers, if its address and length fit them.
    pub(crate) fn atomic_slice<T: AtomicInteger>(&self) -> Result<AtomicSlice<'_, T>, Error> {
        let bytes = self.atomics();
        self.check_elements::<T>(bytes.len())?;
        Ok(AtomicSlice { bytes, elements: PhantomData })
    }
}
