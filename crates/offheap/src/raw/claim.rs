//! The claim that an isolate has on a block while it has a buffer over it.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::access::{Denied, Withdrawal};
use super::manual::note_host;
use super::{Memory, Owner, RawStore};
use crate::event::EventKind;
use crate::{Error, IsolateId, Length, Sharing, Site, StoreKind};

/// What an engine's buffer has of a block: it keeps the block.
///
/// If the block counts its buffers, that is one counted buffer of an isolate. A reference would cost two more locked
/// instructions, so there is one only in blocks that were [exposed when they were made](Self::of_new): often their buffer is
/// all that keeps them, and a handle that is made then would begin a [group](super::access). If the block counts no buffers,
/// it is one reference.
///
/// Its drop tells the observer, withdraws the buffer and then drops the reference.
pub(crate) struct Claim(ManuallyDrop<RawStore>);

impl Claim {
    /// Claims `raw` for a buffer in `isolate`. If the length of the memory changes, `check` runs while the buffer is counted,
    /// so no other code changes it. If it fails, the buffer is no longer counted and the observer hears nothing.
    #[inline]
    pub(crate) fn new<E: From<Denied>>(
        raw: &RawStore,
        isolate: IsolateId,
        check: impl FnOnce() -> Result<(), E>,
    ) -> Result<Self, E> {
        match raw.kind() {
            // A copy of the function without what the other kinds need.
            StoreKind::FIXED => Claim::counted(raw, StoreKind::FIXED, isolate, check),
            kind => Claim::of_other(raw, kind, isolate, check),
        }
    }

    #[inline(never)]
    fn of_other<E: From<Denied>>(
        raw: &RawStore,
        kind: StoreKind,
        isolate: IsolateId,
        check: impl FnOnce() -> Result<(), E>,
    ) -> Result<Self, E> {
        match counts_buffers(kind) {
            true => Claim::counted(raw, kind, isolate, check),
            false => Ok(Claim::uncounted(raw, isolate)?),
        }
    }

    /// A claim on a block that counts its buffers, and has this kind.
    #[inline(always)]
    fn counted<E: From<Denied>>(
        raw: &RawStore,
        kind: StoreKind,
        isolate: IsolateId,
        check: impl FnOnce() -> Result<(), E>,
    ) -> Result<Self, E> {
        count(raw, kind, isolate)?;
        if kind.length() != Length::Fixed {
            let counted = Counted(raw);
            check()?;
            std::mem::forget(counted);
        }
        if raw.claims_have_references() {
            std::mem::forget(raw.clone());
        }
        Ok(Claim(raw.of_buffer()))
    }

    /// A claim on a block that counts no buffers.
    fn uncounted(raw: &RawStore, isolate: IsolateId) -> Result<Self, Denied> {
        if isolate.is_host() {
            admit_to_host(raw, isolate)?;
        }
        // Checked after the reference was taken: from then on the memory is not freed.
        let held = raw.clone();
        if held.is_freed() { Err(Denied::Freed) } else { Ok(Claim(ManuallyDrop::new(held))) }
    }

    /// A claim on a new block over the memory of `owner`. [`tell_made`](Self::tell_made) tells the observer.
    pub(crate) fn of_owner<O: Owner>(owner: O, isolate: IsolateId, site: Site) -> Result<Self, (Error, O)> {
        let raw = RawStore::untold(owner, StoreKind::FIXED, site, |owner| Memory::from(owner.memory()))?;
        Ok(Claim::of_new(raw, isolate))
    }

    /// Claims a block to which there is no other reference.
    pub(crate) fn of_new(mut raw: RawStore, isolate: IsolateId) -> Self {
        raw.expose_new(isolate);
        isolate.add_external_bytes(accounted_bytes(&raw, raw.kind()));
        Claim(ManuallyDrop::new(raw))
    }

    /// The claim of the engine's own buffer over its own memory, from now on counted. `None` if there is none any more.
    ///
    /// # Safety
    /// The claim is dropped once the engine uses the memory no more.
    pub(crate) unsafe fn of_engine(raw: &RawStore) -> Option<Self> {
        let isolate = raw.access().count_engine()?;
        isolate.add_external_bytes(accounted_bytes(raw, raw.kind()));
        Some(Claim(raw.of_buffer()))
    }

    /// Tells the observer of the claim.
    pub(crate) fn tell(&self, isolate: IsolateId) {
        self.0.tell(EventKind::Exposed { isolate });
    }

    /// Tells the observer of the claim. A panic of the observer drops the claim.
    #[inline]
    pub(crate) fn told(self, isolate: IsolateId) -> Self {
        if self.0.is_told() { self.told_now(isolate) } else { self }
    }

    // It takes the claim, so that its caller stays short: it has nothing to drop if this panics.
    #[cold]
    #[inline(never)]
    fn told_now(self, isolate: IsolateId) -> Self {
        self.tell(isolate);
        self
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
        let mut claim = ManuallyDrop::new(self);
        // SAFETY: I-FREE-ONCE: what the claim has is taken out of a value that is not dropped.
        unsafe { ManuallyDrop::take(&mut claim.0) }.into_raw()
    }

    /// # Safety
    /// `raw` came from [`into_raw`](Self::into_raw), and is given back once.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: NonNull<c_void>) -> Self {
        // SAFETY: I-FREE-ONCE: the caller's promise.
        Claim(ManuallyDrop::new(unsafe { RawStore::from_raw(raw) }))
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
        // A host writes into frozen memory.
        if self.0.kind() != StoreKind::FIXED || kind.is_read_only() && self.0.host().is_some() {
            return Err(self);
        }
        let accounted_bytes = accounted_bytes(&self.0, StoreKind::FIXED);
        if !self.0.set_kind_if_new(kind) {
            return Err(self);
        }
        // Memory of these kinds counts no buffers. The reference stays.
        withdraw(&self.0, accounted_bytes);
        Ok(self)
    }
}

impl Claim {
    #[inline]
    fn end(&mut self) {
        let kind = self.0.kind();
        let is_counted = counts_buffers(kind);
        let has_reference = !is_counted || self.0.claims_have_references();
        // Without a reference, the block may end once the buffer is withdrawn.
        let is_over = is_counted && withdraw(&self.0, accounted_bytes(&self.0, kind));
        if has_reference {
            // SAFETY: I-FREE-ONCE: the claim's reference. It is dropped once: this is called by the drop of the claim.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        } else if is_over {
            RawStore::free_after_buffer(&mut self.0);
        }
    }

    /// Ends the claim if that runs no code of the program's: the observer does not hear of it, and something else keeps the
    /// block. Otherwise the claim comes back.
    #[inline]
    pub(crate) fn end_if_kept(self) -> Result<(), Self> {
        let claim = ManuallyDrop::new(self);
        let raw = &*claim.0;
        // The most frequent kind. It costs less than to ask what others count.
        if raw.kind() != StoreKind::FIXED || raw.claims_have_references() || raw.is_told() {
            return Err(ManuallyDrop::into_inner(claim));
        }
        let accounted_bytes = accounted_bytes(raw, StoreKind::FIXED);
        let Ok(unexposed) = raw.access().withdraw_if_kept() else { return Err(ManuallyDrop::into_inner(claim)) };
        // The block may be gone now.
        if let Some(isolate) = unexposed {
            isolate.subtract_external_bytes(accounted_bytes);
        }
        Ok(())
    }

    /// Ends the claim. `isolate` is asked only if there is an observer, and used only if the block does not know which isolate
    /// it was exposed in.
    #[inline]
    pub(crate) fn end_in(self, isolate: impl FnOnce() -> Option<IsolateId>) {
        let mut claim = ManuallyDrop::new(self);
        if claim.0.is_told() { claim.tell_and_end(isolate()) } else { claim.end() }
    }

    #[cold]
    fn tell_and_end(&mut self, known: Option<IsolateId>) {
        // It ends after the event, so that the observer hears of another isolate's claim later. It ends even if the observer
        // panics.
        let ending = Ending(self);
        let raw = &ending.0.0;
        let isolate = raw.exposure().filter(|_| counts_buffers(raw.kind())).map(|(isolate, _)| isolate).or(known);
        raw.tell(EventKind::Released { isolate });
    }
}

/// The end of a claim.
struct Ending<'a>(&'a mut Claim);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Drop for Claim {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_told() { self.tell_and_end(None) } else { self.end() }
    }
}

/// Admits a host to memory that counts no buffers, and notes it there.
#[cold]
fn admit_to_host(raw: &RawStore, host: IsolateId) -> Result<(), Denied> {
    if raw.kind().is_read_only() {
        return Err(Denied::ReadOnlyInHost { host });
    }
    note_host(raw, host);
    Ok(())
}

/// Counts a buffer in `isolate`.
#[inline]
fn count(raw: &RawStore, kind: StoreKind, isolate: IsolateId) -> Result<(), Denied> {
    let one_buffer = kind.length() != Length::Fixed;
    if raw.access().expose(isolate, one_buffer)? {
        isolate.add_external_bytes(accounted_bytes(raw, kind));
    }
    Ok(())
}

/// Counts a buffer less. Returns whether no handle and no buffer is left; then the caller ends the block.
#[inline]
fn withdraw(raw: &RawStore, accounted_bytes: usize) -> bool {
    let Withdrawal { unexposed, is_over } = raw.access().withdraw();
    if let Some(isolate) = unexposed {
        isolate.subtract_external_bytes(accounted_bytes);
    }
    is_over
}

/// A counted buffer, which is withdrawn with this value. There is a handle, so the block does not end.
struct Counted<'a>(&'a RawStore);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        withdraw(self.0, accounted_bytes(self.0, self.0.kind()));
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
fn accounted_bytes(raw: &RawStore, kind: StoreKind) -> usize {
    match kind {
        StoreKind::FIXED => raw.stored_byte_length(),
        StoreKind::RESIZABLE => raw.max_byte_length(),
        // An engine counts its own memory itself.
        _ => 0,
    }
}
