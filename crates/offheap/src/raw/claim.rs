//! The claim that an isolate has on a block while it has a buffer over it.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::access::Denied;
use super::{Memory, Owner, RawStore};
use crate::observe::{self, EventKind};
use crate::{Error, IsolateId, Length, Sharing, Site, StoreKind};

/// One reference to a block and, if the block counts its buffers, one counted buffer of an isolate.
///
/// Its drop tells the observer, withdraws the buffer and then drops the reference.
pub(crate) struct Claim(RawStore);

impl Claim {
    /// Claims `raw` for a buffer in `isolate`. `check` runs while the buffer is counted, so no other code changes the
    /// length. If it fails, the buffer is no longer counted and the observer hears nothing.
    #[inline]
    pub(crate) fn new<E: From<Denied>>(
        raw: &RawStore,
        isolate: IsolateId,
        check: impl FnOnce() -> Result<(), E>,
    ) -> Result<Self, E> {
        if !counts_buffers(raw.kind()) {
            // Checked after the reference was taken: from then on the memory is not freed.
            let held = raw.clone();
            return if held.is_freed() { Err(Denied::Freed.into()) } else { Ok(Claim(held)) };
        }
        count(raw, isolate)?;
        let counted = Withdrawn(raw);
        check()?;
        std::mem::forget(counted);
        Ok(Claim(raw.clone()))
    }

    /// A claim on a new block over the memory of `owner`. [`tell_made`](Self::tell_made) tells the observer.
    pub(crate) fn of_owner<O: Owner>(owner: O, isolate: IsolateId, site: Site) -> Result<Self, (Error, O)> {
        let raw = RawStore::untold(owner, StoreKind::FIXED, site, |owner| Memory::from(owner.memory()))?;
        Ok(Claim::of_new(raw, isolate))
    }

    /// Claims a block to which there is no other reference.
    pub(crate) fn of_new(raw: RawStore, isolate: IsolateId) -> Self {
        assert!(raw.is_unique(), "nobody else has the block yet");
        count(&raw, isolate).expect("nobody else has the block yet");
        Claim(raw)
    }

    /// Claims read-only memory, which any number of isolates may have and which counts no buffers.
    pub(crate) fn of_frozen(raw: RawStore) -> Self {
        assert!(raw.kind().is_read_only(), "memory of another kind counts its buffers");
        Claim(raw)
    }

    /// Tells the observer of the claim. A panic of the observer drops the claim.
    #[inline]
    pub(crate) fn tell(&self, isolate: IsolateId) {
        observe::emit(|| self.0.event(EventKind::Exposed { isolate }));
    }

    /// Tells the observer of the block that [`of_owner`](Self::of_owner) made, and of the claim.
    pub(crate) fn tell_made(&self, isolate: IsolateId) {
        self.0.tell_created();
        self.tell(isolate);
    }

    #[inline]
    pub(crate) fn raw(&self) -> &RawStore {
        &self.0
    }

    /// The claim as a pointer, for an engine to keep.
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<c_void> {
        let claim = ManuallyDrop::new(self);
        // SAFETY: I-FREE-ONCE: the reference is read out of a value that is not dropped.
        unsafe { std::ptr::read(&claim.0) }.into_raw()
    }

    /// # Safety
    /// `raw` came from [`into_raw`](Self::into_raw), and is given back once.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: NonNull<c_void>) -> Self {
        // SAFETY: I-FREE-ONCE: the caller's promise.
        Claim(unsafe { RawStore::from_raw(raw) })
    }

    /// Makes the memory shared, if there is no other reference to it.
    pub(crate) fn into_shared(self) -> Result<Self, Self> {
        self.into_kind(StoreKind::SHARED)
    }

    /// Makes the memory frozen, if there is no other reference to it.
    ///
    /// # Safety
    /// Nobody writes the memory any more.
    pub(crate) unsafe fn into_frozen(self) -> Result<Self, Self> {
        self.into_kind(StoreKind::FROZEN)
    }

    fn into_kind(mut self, kind: StoreKind) -> Result<Self, Self> {
        if self.0.kind() != StoreKind::FIXED || !self.0.is_unique() {
            return Err(self);
        }
        // Memory of these kinds counts no buffers.
        drop(Withdrawn(&self.0));
        self.0.set_kind(kind);
        Ok(self)
    }
}

impl Drop for Claim {
    #[inline]
    fn drop(&mut self) {
        let raw = &self.0;
        let is_counted = counts_buffers(raw.kind());
        // Withdrawn after the event, so that the observer hears of another isolate's claim later. Withdrawn even if the
        // observer panics.
        let _withdrawn = is_counted.then(|| Withdrawn(raw));
        observe::emit(|| {
            let isolate = raw.access().exposure().filter(|_| is_counted).map(|(isolate, _)| isolate);
            raw.event(EventKind::Released { isolate })
        });
    }
}

/// Counts a buffer in `isolate`.
#[inline]
fn count(raw: &RawStore, isolate: IsolateId) -> Result<(), Denied> {
    let one_buffer = raw.kind().length() != Length::Fixed;
    if raw.access().expose(isolate, one_buffer)? {
        isolate.add_external_bytes(accounted_bytes(raw));
    }
    Ok(())
}

/// A buffer that is withdrawn with this value.
struct Withdrawn<'a>(&'a RawStore);

impl Drop for Withdrawn<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(isolate) = self.0.access().withdraw() {
            isolate.subtract_external_bytes(accounted_bytes(self.0));
        }
    }
}

/// Any number of isolates may have read-only memory, which is not written through a buffer, and shared memory, whose users
/// all allow for other writers.
#[inline]
fn counts_buffers(kind: StoreKind) -> bool {
    kind.sharing() == Sharing::Unshared
}

/// The bytes that count as kept alive by the isolate. Memory that the end of its buffers would not free counts as 0, as
/// memory behind `EmptyDeleter` does in V8 (I-ACCOUNTED).
#[inline]
fn accounted_bytes(raw: &RawStore) -> usize {
    match raw.kind() {
        StoreKind::FIXED => raw.byte_length(),
        StoreKind::RESIZABLE => raw.max_byte_length(),
        // An engine counts its own memory itself.
        _ => 0,
    }
}
