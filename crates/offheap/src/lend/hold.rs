//! The hold that an engine keeps while it has a buffer over a store.

use std::ffi::c_void;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use crate::raw::{Claim, Refused, View};
use crate::{BackingStore, Error, IsolateId, Length, StoreKind};

/// An engine's hold on a store: one reference and, for unshared memory, one counted live buffer.
///
/// An adapter makes one per buffer, gives it to the engine [as a pointer](Self::into_raw), and [takes it
/// back](Self::from_raw) when the engine releases the buffer. Dropping it withdraws the buffer and then the reference,
/// which may drop the owner. No lock is held during that. Any thread may drop it.
///
/// A panic of an owner or of the observer goes through that drop, and the adapter catches it before it reaches an engine.
///
/// ```
/// use offheap::adapter::{Hold, IsolateRegistration};
/// use offheap::{BackingStore, Error, UniqueStore};
///
/// let (first, second) = (IsolateRegistration::new("Mine")?, IsolateRegistration::new("Mine")?);
/// let store = BackingStore::from(UniqueStore::zeroed(8)?);
/// let buffer = Hold::new(&store, first.id())?;
/// assert!(matches!(store.bytes(), Err(Error::Exposed { .. })));
/// assert!(matches!(Hold::new(&store, second.id()), Err(Error::OtherIsolate { .. })));
/// drop(buffer);
/// assert_eq!(store.bytes()?.len(), 8);
/// # Ok::<(), Error>(())
/// ```
pub struct Hold(pub(super) Claim);

impl Hold {
    /// A hold on `store` for a buffer in `isolate`.
    ///
    /// # Errors
    /// [`Error::OtherIsolate`] if another isolate has the store; [`Error::Busy`] while a guard outside that isolate lives;
    /// [`Error::HostMayWrite`] if a host has or had the store and `isolate` is no host; [`Error::ReadOnlyInHost`] for
    /// read-only memory if it is one; [`Error::OneBuffer`] for resizable memory, or an engine's, that has a live buffer, and
    /// for any unshared memory in a host; [`Error::TooManyBuffers`];
    /// [`Error::OutOfRange`] for a part that is [out of bounds](BackingStore::is_out_of_bounds); [`Error::Freed`] for
    /// manual memory after its free.
    #[inline]
    pub fn new(store: &BackingStore, isolate: IsolateId) -> Result<Self, Error> {
        let check = || if store.is_out_of_bounds() { Err(Refused::Error(store.is_beyond())) } else { Ok(()) };
        match Claim::new(store.raw(), isolate, check) {
            Ok(claim) => Ok(Hold(claim.told(isolate))),
            Err(refused) => Err(store.refused("expose", Some(isolate), refused)),
        }
    }

    /// The store's address. The hold is on the whole store, even if it was made from a handle to a part. The adapter and
    /// the engine know which part a buffer shows.
    #[inline]
    pub fn data(&self) -> NonNull<u8> {
        self.0.raw().data()
    }

    /// The store's length in bytes.
    #[inline]
    pub fn byte_length(&self) -> usize {
        self.0.raw().byte_length()
    }

    /// Whether the buffer must be immutable.
    #[inline]
    pub fn is_read_only(&self) -> bool {
        self.0.raw().kind().is_read_only()
    }

    /// The store's kind.
    #[inline]
    pub fn kind(&self) -> StoreKind {
        self.0.raw().kind()
    }

    /// A reference to the `byte_length` bytes of the store that begin at the address `data`, or to the whole store if those
    /// are all of it.
    ///
    /// # Panics
    /// If the range does not lie in the store.
    #[inline]
    #[track_caller]
    pub fn store(&self, data: *const u8, byte_length: usize) -> BackingStore {
        let raw = self.0.raw();
        let start = data.addr().checked_sub(raw.data().as_ptr().addr()).expect("the buffer lies in its store");
        let has_room = raw.kind().is_resizable_by_rust() || raw.is_growable();
        if start == 0 && (byte_length == raw.byte_length() || has_room) {
            return BackingStore::over(raw.clone());
        }
        // Memory is not freed by hand while there is a hold on it, so its length is at least what it was.
        let end = start.checked_add(byte_length).expect("the buffer lies in its store");
        BackingStore::from_view(View::part(raw.clone(), start, end).expect("the buffer lies in its store"))
    }

    /// Whether the store is shared memory that can grow.
    pub fn is_growable(&self) -> bool {
        self.0.raw().is_growable()
    }

    /// The greatest length that the store can have.
    pub fn max_byte_length(&self) -> usize {
        self.0.raw().max_byte_length()
    }

    /// Gives resizable memory the length that the engine gave its buffer, or is about to give it. New bytes are zero. Bytes
    /// behind a shorter length are zeroed and given back to the system, and stay readable.
    ///
    /// A length that the store has already is not an error, even while the bytes are in use. Shared memory grows
    /// ([`SharedStore::grow`](crate::SharedStore::grow)).
    ///
    /// # Errors
    /// [`Error::NotResizable`]; [`Error::AboveMaximum`]; [`Error::OutOfMemory`]; [`Error::EngineResizes`] for an engine's
    /// memory that has another length; [`Error::Busy`] for a shorter length while a guard lives, such as a
    /// [`Cells`](crate::Cells), which may live while script runs; [`Error::SharedShrink`] for shared memory that is longer.
    pub fn resize(&self, byte_length: usize) -> Result<(), Error> {
        let (raw, kind) = (self.0.raw(), self.0.raw().kind());
        if !kind.is_shared() && kind.length() != Length::Fixed && byte_length == raw.byte_length() {
            return Ok(());
        }
        let scope = raw.exposure().map(|(isolate, _)| isolate);
        let (attempted, resized) = match kind.is_shared() {
            true => ("grow", raw.grow(byte_length, true).map_err(Refused::Error)),
            false => ("resize", raw.resize(scope, byte_length)),
        };
        resized.map_err(|refused| BackingStore::unseen(raw.clone()).refused(attempted, scope, refused))
    }

    /// Drops the hold, for an adapter that knows which isolate released the buffer. Shared and read-only memory does not know
    /// it, so the observer is told what `isolate` returns. It is not called if there is no observer.
    #[inline]
    pub fn release(self, isolate: impl FnOnce() -> Option<IsolateId>) {
        self.0.end_in(isolate);
    }

    /// Drops the hold if that runs no code of the program's: the observer does not hear of it, and something else keeps the
    /// store. Otherwise the hold comes back, for a [`release`](Self::release) that is marked as a
    /// [finalizer](crate::adapter::InFinalizer) and whose panics are caught.
    ///
    /// ```
    /// # use offheap::adapter::{Hold, IsolateRegistration};
    /// # use offheap::{BackingStore, UniqueStore};
    /// # let isolate = IsolateRegistration::new("Mine")?;
    /// let store = BackingStore::from(UniqueStore::zeroed(8)?);
    /// let buffers = [Hold::new(&store, isolate.id())?, Hold::new(&store, isolate.id())?];
    /// drop(store);
    /// let [first, last] = buffers.map(Hold::release_if_kept);
    /// assert!(first.is_ok() && last.is_err());
    /// # Ok::<(), offheap::Error>(())
    /// ```
    ///
    /// # Errors
    /// The hold, as it was. Memory other than [`StoreKind::FIXED`] is always released by `release`.
    #[inline]
    pub fn release_if_kept(self) -> Result<(), Hold> {
        self.0.end_if_kept().map_err(Hold)
    }

    /// The hold as a pointer, for an engine to keep.
    #[inline]
    pub fn into_raw(self) -> NonNull<c_void> {
        self.0.into_raw()
    }

    /// Takes the hold back from its pointer.
    ///
    /// # Safety
    /// `raw` came from [`into_raw`](Self::into_raw), and is taken back once.
    #[inline]
    pub unsafe fn from_raw(raw: NonNull<c_void>) -> Self {
        // SAFETY: I-FREE-ONCE: the caller's promise.
        Hold(unsafe { Claim::from_raw(raw) })
    }

    /// Looks at a hold that an engine keeps.
    ///
    /// # Safety
    /// `raw` came from [`into_raw`](Self::into_raw), and is not taken back during the call; where `look` resizes, no other
    /// thread runs script of the isolate.
    pub unsafe fn with_raw<R>(raw: NonNull<c_void>, look: impl FnOnce(&Hold) -> R) -> R {
        // SAFETY: I-FREE-ONCE: the engine's hold lives on, and this copy of it is not dropped, not even by a panic.
        let held = ManuallyDrop::new(unsafe { Hold::from_raw(raw) });
        look(&held)
    }
}

/// Whether the bytes are freed when the last reference goes, so that an engine frees memory by collecting sooner. That is
/// not so for manual memory, for a mapped file, and for an owner that has nothing to drop, such as a `static`.
#[inline]
pub fn frees_bytes(store: &BackingStore) -> bool {
    let kind = store.kind();
    !kind.is_file() && !kind.is_manual() && store.raw().owner_needs_drop()
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hold({:?})", self.0.raw().id())
    }
}
