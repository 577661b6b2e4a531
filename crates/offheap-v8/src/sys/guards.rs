//! A scope of the crate `v8` as the proof for guards, and access to the bytes of stores with that proof.

use bytemuck::NoUninit;
use offheap::adapter::IsolateRegistration;
use offheap::{BackingStore, Cells, IsolateId, StoreKind};
use offheap_engine::HasIsolate;
use offheap_engine::memory::LendingAdvice;

use super::block::TABLE;
use super::state::known_isolate_id;
use crate::{ENGINE, Error};

/// The reasons why bytes are not lent, and remedies.
pub(super) const ADVICE: LendingAdvice = LendingAdvice {
    unknown: "`with_v8` lent a scope, so the program may have given the memory to another isolate, and V8 does not \
        report which isolates have it; keep a handle to each of its buffers and drop other references to their \
        `v8::BackingStore`s, or copy the bytes",
    moved: "its buffer was moved here with V8's own functions, so it counts as exposed in the previous isolate until V8 \
        releases the memory; copy the bytes, or move the store instead: externalize and detach there, expose here",
    held: "its `v8::BackingStore` has another reference besides its buffer, possibly a buffer in another isolate; \
        drop that reference, or copy the bytes",
};

/// Proves that this thread has the isolate of a scope.
struct OnThread<'a, 's, 'i> {
    _scope: &'a v8::PinScope<'s, 'i>,
    id: IsolateId,
    /// Set if the isolate has no id yet: then none of its buffers is over a store. The id of this registration belongs
    /// to no isolate.
    _nobody: Option<IsolateRegistration>,
}

impl<'a, 's, 'i> OnThread<'a, 's, 'i> {
    fn new(scope: &'a v8::PinScope<'s, 'i>) -> Result<Self, Error> {
        if let Some(id) = known_isolate_id(scope)? {
            return Ok(OnThread { _scope: scope, id, _nobody: None });
        }
        let nobody = IsolateRegistration::new(ENGINE)?;
        Ok(OnThread { _scope: scope, id: nobody.id(), _nobody: Some(nobody) })
    }
}

// SAFETY: I-BORROW: code that has a scope has the isolate, on the isolate's thread. Scopes are not `Send`.
unsafe impl HasIsolate for OnThread<'_, '_, '_> {
    fn isolate(&self) -> Result<IsolateId, Error> {
        Ok(self.id)
    }
}

/// Returns the bytes of `store` as cells.
pub(crate) fn cells<'a>(scope: &'a v8::PinScope<'_, '_>, store: &'a BackingStore) -> Result<Cells<'a>, Error> {
    let proof = OnThread::new(scope)?;
    check_not_held(store, proof.id, "lend cells of")?;
    offheap_engine::cells(proof, store)
}

/// Copies `into.len()` bytes out of `store`.
pub(crate) fn copy_to(
    scope: &v8::PinScope<'_, '_>,
    store: &BackingStore,
    byte_offset: usize,
    into: &mut [u8],
) -> Result<(), Error> {
    if store.kind() != StoreKind::ENGINE_RESIZABLE {
        return Ok(store.copy_to_slice(byte_offset, into)?);
    }
    let proof = OnThread::new(scope)?;
    check_not_held(store, proof.id, "read")?;
    offheap_engine::copy_to(proof, store, byte_offset, into)
}

/// Copies `from` into `store`.
pub(crate) fn copy_in<T: NoUninit>(
    scope: &v8::PinScope<'_, '_>,
    store: &BackingStore,
    byte_offset: usize,
    from: &[T],
) -> Result<(), Error> {
    let proof = OnThread::new(scope)?;
    if store.kind() == StoreKind::ENGINE_RESIZABLE {
        check_not_held(store, proof.id, "write")?;
    }
    offheap_engine::copy_in(proof, store, byte_offset, bytemuck::cast_slice(from))
}

/// Refuses direct access to bytes of V8's memory if anything besides one buffer refers to the memory.
pub(super) fn check_not_held(store: &BackingStore, here: IsolateId, attempted: &'static str) -> Result<(), Error> {
    // Memory of WebAssembly has two references: its buffer and its `WebAssembly.Memory`.
    TABLE.check_not_held(&ADVICE, store, here, 2, attempted)
}
