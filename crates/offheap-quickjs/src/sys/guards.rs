//! Guards and copies of stores, for whoever has the runtime.

use bytemuck::NoUninit;
use offheap::adapter;
use offheap::{BackingStore, Bytes, BytesMut, Cells};
use rquickjs::Ctx;

use super::state;
use crate::Error;

/// The bytes of `store` to read; `scope` is borrowed for as long as the guard lives, and script runs through it alone.
pub(crate) fn bytes<'a, S>(ctx: &Ctx<'_>, store: &BackingStore, scope: &'a S) -> Result<Bytes<'a>, Error> {
    let isolate = state::isolate_id(ctx)?;
    let _: &'a S = scope;
    // SAFETY: I-BORROW: running script takes `&mut` of the scope.
    Ok(unsafe { adapter::bytes_in(store, isolate) }?)
}

/// The bytes of `store` to write; as for [`bytes`].
pub(crate) fn bytes_mut<'a, S>(ctx: &Ctx<'_>, store: &BackingStore, scope: &'a mut S) -> Result<BytesMut<'a>, Error> {
    let isolate = state::isolate_id(ctx)?;
    let _: &'a mut S = scope;
    // SAFETY: I-BORROW: running script takes `&mut` of the scope.
    Ok(unsafe { adapter::bytes_mut_in(store, isolate) }?)
}

/// The bytes of `store` as cells.
pub(crate) fn cells<'a>(ctx: &'a Ctx<'_>, store: &'a BackingStore) -> Result<Cells<'a>, Error> {
    let isolate = state::isolate_id(ctx)?;
    // SAFETY: I-BORROW: `ctx` shows that this thread has the runtime, and the guard borrows it and stays on the thread.
    Ok(unsafe { adapter::cells_in(store, isolate) }?)
}

/// Copies `from` into `store`.
pub(crate) fn copy_in<T: NoUninit>(
    ctx: &Ctx<'_>,
    store: &BackingStore,
    byte_offset: usize,
    from: &[T],
) -> Result<(), Error> {
    let isolate = state::isolate_id(ctx)?;
    // SAFETY: I-BORROW: `ctx` shows that this thread has the runtime, so no other runs its script.
    Ok(unsafe { adapter::copy_from_slice_in(store, isolate, byte_offset, bytemuck::cast_slice(from)) }?)
}
