//! Finds what is behind a buffer: a store, foreign memory, or nothing.

use std::ptr::NonNull;

use offheap::BackingStore;
use offheap::adapter::{self, Hold, in_finalizer};
use offheap_engine::memory::{BlockUse, copy_into_store};
use rquickjs::{Ctx, Value, qjs};

use super::callback::hold_of_buffer;
use super::layout::{BufferFields, known_fields, layout_changed};
use super::moved::with_hold;
use super::state::State;
use crate::{ENGINE, Error};

pub(super) enum Found {
    /// The buffer is detached.
    Detached,
    /// The buffer is over this store.
    Store(BackingStore),
    /// The buffer is over memory that belongs to no store.
    Foreign(ForeignMemory),
}

/// The memory of a buffer that is not over a store.
pub(super) struct ForeignMemory {
    data: *const u8,
    byte_length: usize,
    max_byte_length: Option<usize>,
    /// Whether no code in this runtime writes the memory any more.
    frozen: bool,
    is_shared: bool,
}

impl ForeignMemory {
    pub(super) fn byte_length(&self) -> usize {
        self.byte_length
    }

    /// Copies the bytes from `byte_offset` on. No script has run since the buffer was examined.
    pub(super) fn copy_to(&self, byte_offset: usize, into: &mut [u8]) {
        // SAFETY: I-BORROW: the address and length are the buffer's; script does not run during the call.
        let from = unsafe { std::slice::from_raw_parts(self.data, self.byte_length) };
        into.copy_from_slice(&from[byte_offset..byte_offset + into.len()]);
    }

    /// Copies the memory into a new store. No script has run since the buffer was examined.
    #[track_caller]
    pub(super) fn into_store(self) -> Result<BackingStore, Error> {
        // SAFETY: I-BORROW: the address and length are the buffer's; script does not run during the call.
        let from = unsafe { std::slice::from_raw_parts(self.data, self.byte_length) };
        let usage = match (self.is_shared, self.max_byte_length, self.frozen) {
            (true, ..) => BlockUse::Shared,
            (false, Some(_), _) => BlockUse::Resizable,
            (false, None, true) => BlockUse::Frozen,
            (false, None, false) => BlockUse::Fixed,
        };
        copy_into_store(from, usage, self.max_byte_length)
    }
}

pub(super) fn find_store<'js>(ctx: &Ctx<'js>, state: &State, buffer: &Value<'js>) -> Result<Found, Error> {
    let realm = state.realm(ctx)?;
    if !realm.layout_known.get() {
        return Err(layout_changed());
    }
    // SAFETY: I-LAYOUT: a live ArrayBuffer, and the layout was probed.
    let fields = unsafe { BufferFields::of(buffer.as_raw()) };
    // SAFETY: I-LAYOUT: no code of QuickJS runs while this reference lives.
    let fields = unsafe { fields.as_ref() };
    if fields.detached != 0 {
        return Ok(Found::Detached);
    }
    let byte_length = fields.byte_length as usize;
    if let Some(hold) = hold_of_buffer(fields) {
        // SAFETY: I-FREE-ONCE: a buffer of ours that is not detached, so QuickJS has not freed its hold. While
        // QuickJS is freeing it, the buffer looks the same, but then `with_state` refuses (`in_finalizer`).
        let store = unsafe { with_hold(hold, fields.data, |hold, data| store_of(hold, data, byte_length)) };
        return Ok(Found::Store(store));
    }
    if fields.shared != 0 && !realm.is_own_memory(fields.realloc, NonNull::new(fields.opaque)) {
        return Err(Error::Unsupported {
            engine: ENGINE,
            what: "externalize a SharedArrayBuffer over memory of another library, which may share it with others",
            instead: "make it from a `SharedStore`",
        });
    }
    let in_isolate = state.own().is_some();
    // QuickJS's own `resize` asks for at least one byte. The replacement in an isolate does not ask if the maximum
    // is 0.
    let least = usize::from(!in_isolate && fields.shared == 0);
    let max_byte_length = fields.is_resizable().then(|| least.max(fields.max_byte_length as usize));
    Ok(Found::Foreign(ForeignMemory {
        data: fields.data,
        byte_length,
        max_byte_length,
        // Outside of an isolate, the `Atomics` functions that write could still write it.
        frozen: fields.immutable != 0 && in_isolate,
        is_shared: fields.shared != 0,
    }))
}

/// The store of the ArrayBuffer `value`, which is alive, if that can be found out without the state of its runtime.
/// If an observer has to hear of it, it cannot.
#[inline]
pub(crate) fn find_existing(value: qjs::JSValue) -> Option<BackingStore> {
    if in_finalizer() || adapter::is_observed() {
        return None;
    }
    // SAFETY: I-LAYOUT: the value is alive, and what follows calls nothing of QuickJS's.
    let (fields, _) = unsafe { known_fields(value) }?;
    let hold = hold_of_buffer(fields)?;
    let byte_length = fields.byte_length as usize;
    // SAFETY: I-FREE-ONCE: a buffer of ours that is not detached, as in `find_store`.
    Some(unsafe { with_hold(hold, fields.data, |hold, data| store_of(hold, data, byte_length)) })
}

/// The bytes of the ArrayBuffer `value`, which is alive, if they are memory of QuickJS's own and in no store. `None` for
/// any other value, and if the layout is not known.
#[inline]
pub(crate) fn engine_bytes(value: qjs::JSValue) -> Option<NonNull<[u8]>> {
    // SAFETY: I-LAYOUT: the value is alive, and what follows calls nothing of QuickJS's.
    let (fields, own_realloc) = unsafe { known_fields(value) }?;
    // A detached buffer has no callback.
    if fields.realloc? as usize != own_realloc || !fields.opaque.is_null() {
        return None;
    }
    let data = NonNull::new(fields.data)?;
    Some(NonNull::slice_from_raw_parts(data, fields.byte_length as usize))
}

#[inline]
fn store_of(hold: &Hold, data: *const u8, byte_length: usize) -> BackingStore {
    if hold.kind().is_resizable_by_rust() {
        // The buffer can only be shorter: the callback has made room for it. A guard that lives keeps the store's
        // length for now.
        let _ = hold.resize(byte_length);
    }
    hold.store(data, byte_length)
}
