//! Guards and copies of stores, for whoever has the isolate.

use bytemuck::NoUninit;
use offheap::adapter::{self, IsolateRegistration};
use offheap::{BackingStore, Bytes, BytesMut, Cells, IsolateId, StoreKind};
use offheap_engine::memory::LendingAdvice;

use super::block::TABLE;
use super::state::known_isolate_id;
use crate::{ENGINE, Error};

/// Why bytes are not lent.
pub(super) const ADVICE: LendingAdvice = LendingAdvice {
    unknown: "since `with_v8` lent a scope a program may have taken the memory to another isolate, and V8 does not \
        say who has it; keep a handle to each of its buffers, let go of what else refers to their `v8::BackingStore`s, or copy \
        the bytes",
    moved: "its buffer was moved here by means of V8's own, and it counts as exposed where it was until V8 lets go \
        of the memory; copy the bytes, and move the store instead: externalize and detach there, expose here",
    held: "something beside its buffer refers to its `v8::BackingStore`, which may be a buffer in another isolate; \
        let go of that, or copy the bytes",
};

/// The bytes of `store` to read; `scope` is borrowed for as long as the guard lives, and script runs through it alone.
pub(crate) fn bytes<'a, S>(isolate: IsolateId, store: &BackingStore, scope: &'a S) -> Result<Bytes<'a>, Error> {
    let _: &'a S = scope;
    // SAFETY: I-BORROW: running script takes `&mut` of the scope.
    Ok(unsafe { adapter::bytes_in(store, isolate) }?)
}

/// The bytes of `store` to write; as for [`bytes`].
pub(crate) fn bytes_mut<'a, S>(
    isolate: IsolateId,
    store: &BackingStore,
    scope: &'a mut S,
) -> Result<BytesMut<'a>, Error> {
    let _: &'a mut S = scope;
    // SAFETY: I-BORROW: running script takes `&mut` of the scope.
    Ok(unsafe { adapter::bytes_mut_in(store, isolate) }?)
}

/// The id of the isolate of `scope`, or one of nobody: then no buffer of that isolate is over a store.
fn id_in(scope: &v8::PinScope<'_, '_>) -> Result<(IsolateId, Option<IsolateRegistration>), Error> {
    if let Some(id) = known_isolate_id(scope)? {
        return Ok((id, None));
    }
    let registration = IsolateRegistration::new(ENGINE)?;
    Ok((registration.id(), Some(registration)))
}

/// The bytes of `store` as cells.
pub(crate) fn cells<'a>(scope: &'a v8::PinScope<'_, '_>, store: &'a BackingStore) -> Result<Cells<'a>, Error> {
    let (isolate, _registration) = id_in(scope)?;
    check_not_held(store, isolate, "lend cells of")?;
    // SAFETY: I-BORROW: `scope` shows that this thread has the isolate; the guard borrows it and stays on the thread.
    Ok(unsafe { adapter::cells_in(store, isolate) }?)
}

/// Copies `into.len()` bytes of `store` out.
pub(crate) fn copy_to(
    scope: &v8::PinScope<'_, '_>,
    store: &BackingStore,
    byte_offset: usize,
    into: &mut [u8],
) -> Result<(), Error> {
    if store.kind() != StoreKind::ENGINE_RESIZABLE {
        return Ok(store.copy_to_slice(byte_offset, into)?);
    }
    let (isolate, _registration) = id_in(scope)?;
    check_not_held(store, isolate, "read")?;
    // The length that the part has while the guard keeps others from changing it.
    let part = store.slice(byte_offset..byte_offset.saturating_add(into.len()))?;
    // SAFETY: I-BORROW: `scope` shows that this thread has the isolate, and it runs no script until the copy is done.
    let bytes = unsafe { adapter::bytes_in(&part, isolate) }?;
    into.copy_from_slice(&bytes);
    Ok(())
}

/// Copies `from` into `store`.
pub(crate) fn copy_in<T: NoUninit>(
    scope: &v8::PinScope<'_, '_>,
    store: &BackingStore,
    byte_offset: usize,
    from: &[T],
) -> Result<(), Error> {
    let (isolate, _registration) = id_in(scope)?;
    if store.kind() == StoreKind::ENGINE_RESIZABLE {
        check_not_held(store, isolate, "write")?;
    }
    // SAFETY: I-BORROW: `scope` shows that this thread has the isolate, so no other runs its script.
    Ok(unsafe { adapter::copy_from_slice_in(store, isolate, byte_offset, bytemuck::cast_slice(from)) }?)
}

/// Refuses to touch bytes of V8's memory as they are, where something beside one buffer refers to it.
fn check_not_held(store: &BackingStore, here: IsolateId, attempted: &'static str) -> Result<(), Error> {
    // To memory of WebAssembly its buffer and its `WebAssembly.Memory` refer.
    TABLE.check_not_held(&ADVICE, store, here, 2, attempted)
}
