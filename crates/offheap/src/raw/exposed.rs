//! What an engine holds while it has a buffer over a store.

use std::ffi::c_void;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::RawStore;
use crate::access::Denied;
use crate::observe::{self, EventKind};
use crate::{BackingStore, Error, FrozenStore, IsolateId, Length, Sharing, StoreKind};

/// An engine's hold on a store: one reference and, for unshared memory that is written, one live buffer.
///
/// An adapter makes one per buffer, gives it to the engine [as a pointer](Self::into_raw), and
/// [takes it back](Self::from_raw) when the engine lets go. Dropping it withdraws the buffer and then the reference,
/// which may drop the owner; no lock is held meanwhile. Any thread may do so.
///
/// A panic of an owner or of the observer goes through that drop: an adapter catches it before it reaches an engine.
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
pub struct Hold(pub(super) RawStore);

impl Hold {
    /// A hold on `store` for a buffer in `isolate`.
    ///
    /// # Errors
    /// [`Error::OtherIsolate`] where another isolate has the store, [`Error::Busy`] while a guard outside of that isolate
    /// lives, [`Error::OneBuffer`] for resizable memory, and for memory of an engine, with a live buffer, [`Error::TooManyBuffers`],
    /// [`Error::OutOfRange`] for a part that is [out of bounds](BackingStore::is_out_of_bounds), [`Error::Freed`] for manual
    /// memory after its free.
    #[inline]
    pub fn new(store: &BackingStore, isolate: IsolateId) -> Result<Self, Error> {
        let raw = store.raw();
        let denied = |denied| store.denied("expose", Some(isolate), denied);
        let hold = match counts_buffers(raw.kind()) {
            true => {
                claim(raw, isolate).map_err(denied)?;
                let claimed = Withdrawn(raw);
                // From here on nobody else changes the length.
                store.present_byte_length()?;
                std::mem::forget(claimed);
                Hold(raw.clone())
            }
            // Asked with the reference in hand, which keeps it from being freed from then on.
            false => {
                let held = raw.clone();
                if held.is_freed() {
                    return Err(denied(Denied::Freed));
                }
                Hold(held)
            }
        };
        hold.tell(isolate);
        Ok(hold)
    }

    /// A hold on frozen memory, which any number of isolates may have.
    pub fn frozen(store: &FrozenStore, isolate: IsolateId) -> Self {
        let hold = Hold(store.raw().clone());
        hold.tell(isolate);
        hold
    }

    /// Tells it, once a panic of the observer would withdraw it.
    #[inline]
    pub(super) fn tell(&self, isolate: IsolateId) {
        observe::emit(|| self.0.event(EventKind::Exposed { isolate }));
    }

    /// The store's address. The hold is on the whole store, also where it was made from a handle to a part: which part
    /// a buffer shows is between its adapter and the engine.
    #[inline]
    pub fn data(&self) -> NonNull<u8> {
        self.0.data()
    }

    /// The store's length in bytes.
    #[inline]
    pub fn byte_length(&self) -> usize {
        self.0.byte_length()
    }

    /// Whether the buffer must be one that the engine keeps script from writing.
    #[inline]
    pub fn is_read_only(&self) -> bool {
        self.0.kind().is_read_only()
    }

    /// The store's kind.
    #[inline]
    pub fn kind(&self) -> StoreKind {
        self.0.kind()
    }

    /// A reference to the store, or to the `byte_length` bytes of it that begin at the address `data`.
    ///
    /// # Panics
    /// If the range does not lie in the store.
    #[inline]
    pub fn store(&self, data: *const u8, byte_length: usize) -> BackingStore {
        let start = data.addr().checked_sub(self.0.data().as_ptr().addr()).expect("the buffer lies in its store");
        let has_room = self.0.kind().is_resizable_by_rust() || self.0.is_growable();
        if start == 0 && (byte_length == self.0.byte_length() || has_room) {
            return BackingStore::from_raw(self.0.clone());
        }
        let end = start.checked_add(byte_length).expect("the buffer lies in its store");
        // Memory is not freed by hand while there is a hold on it, so this is at least the length that it had.
        assert!(end <= self.0.byte_length(), "the buffer lies in its store");
        BackingStore::part(self.0.clone(), start, byte_length)
    }

    /// Whether the store is shared memory that may get longer.
    pub fn is_growable(&self) -> bool {
        self.0.is_growable()
    }

    /// The most bytes that the store can have without moving.
    pub fn max_byte_length(&self) -> usize {
        self.0.max_byte_length()
    }

    /// Gives resizable memory the length that the engine gave its buffer, or wants to give it. New bytes are zero;
    /// those that are taken are zeroed and given back to the system, and stay readable.
    ///
    /// A length that it has already is no error, whoever uses the bytes. Shared memory grows
    /// ([`SharedStore::grow`](crate::SharedStore::grow)).
    ///
    /// # Errors
    /// [`Error::NotResizable`], [`Error::AboveMaximum`], [`Error::OutOfMemory`], [`Error::EngineResizes`] for memory of an
    /// engine that has another length; [`Error::Busy`] while a guard lives and
    /// the length is shorter: a [`Cells`](crate::Cells) is one that may live while script runs.
    /// [`Error::SharedShrink`] for shared memory that is longer.
    pub fn resize(&self, byte_length: usize) -> Result<(), Error> {
        match self.0.kind() {
            kind if kind.is_of_engine() && byte_length == self.0.byte_length() => return Ok(()),
            kind if kind.is_shared() => return self.0.grow(byte_length, true),
            kind if kind.may_shrink() && byte_length == self.0.byte_length() => return Ok(()),
            _ => {}
        }
        let scope = self.0.access().exposure().map(|(isolate, _)| isolate);
        self.0
            .resize(scope, byte_length)
            .map_err(|refused| BackingStore::from_raw(self.0.clone()).refused("resize", scope, refused))
    }

    /// The hold as a pointer, for an engine to keep.
    #[inline]
    pub fn into_raw(self) -> NonNull<c_void> {
        let held = ManuallyDrop::new(self);
        // SAFETY: I-FREE-ONCE: the reference is read out of a value that is not dropped.
        unsafe { std::ptr::read(&held.0) }.into_raw()
    }

    /// The hold back from its pointer.
    ///
    /// # Safety
    /// `raw` came from [`into_raw`](Self::into_raw), and is taken back once.
    #[inline]
    pub unsafe fn from_raw(raw: NonNull<c_void>) -> Self {
        // SAFETY: I-FREE-ONCE: the caller's promise.
        Hold(unsafe { RawStore::from_raw(raw) })
    }

    /// Looks at a hold that an engine keeps.
    ///
    /// # Safety
    /// `raw` came from [`into_raw`](Self::into_raw), and is not taken back during the call; where `look` resizes, no other
    /// thread runs script of the isolate.
    pub unsafe fn with_raw<R>(raw: NonNull<c_void>, look: impl FnOnce(&Hold) -> R) -> R {
        // SAFETY: I-FREE-ONCE: the engine's hold lives on; this one is not dropped, not even by a panic.
        let held = ManuallyDrop::new(unsafe { Hold::from_raw(raw) });
        look(&held)
    }
}

/// Counts a buffer in `isolate` over memory that counts them.
#[inline]
pub(super) fn claim(raw: &RawStore, isolate: IsolateId) -> Result<(), Denied> {
    let one_buffer = raw.kind().length() != Length::Fixed;
    if raw.access().expose(isolate, one_buffer)? {
        isolate.add_external_bytes(accounted_bytes(raw));
    }
    Ok(())
}

/// Frozen memory may be exposed in any number of isolates, and so may a read-only map: nobody writes through either.
/// Shared memory may, since everybody who writes it reckons with others.
#[inline]
fn counts_buffers(kind: StoreKind) -> bool {
    kind.sharing() == Sharing::Unshared
}

/// Whether the bytes are freed when the last reference goes, so that an engine that collects sooner frees memory. Bytes
/// that are freed by hand are not, nor those of a mapped file, nor those whose owner has nothing to drop, such as a `static`.
#[inline]
pub fn frees_bytes(store: &BackingStore) -> bool {
    let kind = store.kind();
    !kind.is_file() && !kind.is_manual() && store.raw().owner_needs_drop()
}

/// What an isolate that has the store is told to keep alive: nothing of memory that its letting go would not free, as V8
/// counts nothing behind its `EmptyDeleter` (I-ACCOUNTED).
#[inline]
fn accounted_bytes(raw: &RawStore) -> usize {
    match raw.kind() {
        StoreKind::FIXED => raw.byte_length(),
        StoreKind::RESIZABLE => raw.max_byte_length(),
        // An engine counts its own memory itself.
        _ => 0,
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hold({:?})", self.0.id())
    }
}

impl Drop for Hold {
    #[inline]
    fn drop(&mut self) {
        let raw = &self.0;
        let counted = counts_buffers(raw.kind());
        // Withdrawn after the event, so that another isolate's `Hold` is told after it; and also if that panics.
        let _withdrawn = counted.then(|| Withdrawn(raw));
        observe::emit(|| {
            let isolate = raw.access().exposure().filter(|_| counted).map(|(isolate, _)| isolate);
            raw.event(EventKind::Released { isolate })
        });
    }
}

/// A buffer that is withdrawn with this value.
pub(super) struct Withdrawn<'a>(pub(super) &'a RawStore);

impl Drop for Withdrawn<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(isolate) = self.0.access().withdraw() {
            isolate.subtract_external_bytes(accounted_bytes(self.0));
        }
    }
}
