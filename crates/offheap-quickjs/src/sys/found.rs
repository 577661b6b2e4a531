//! What is behind a buffer: a store, memory of others, or nothing.

use std::ops::Range;
use std::ptr::NonNull;

use offheap::BackingStore;
use offheap::adapter::Hold;
use offheap_engine::memory::{BlockUse, copy_into_store};
use rquickjs::{Ctx, Value};

use super::callback::hold_of_buffer;
use super::layout::{BufferFields, layout_changed};
use super::moved::with_hold;
use super::state::State;
use crate::{ENGINE, Error};

pub(super) enum Found {
    /// It is detached.
    Detached,
    /// It is over this store.
    Store(BackingStore),
    /// It is over other memory.
    Foreign(ForeignMemory),
}

/// The memory of a buffer that is not over a store.
pub(super) struct ForeignMemory {
    data: *const u8,
    byte_length: usize,
    max_byte_length: Option<usize>,
    /// Whether nothing in this runtime writes it any more.
    frozen: bool,
    is_shared: bool,
}

impl ForeignMemory {
    /// A copy of these bytes of it. No script ran since the buffer was looked at.
    pub(super) fn copy(&self, range: Range<usize>) -> Result<Vec<u8>, Error> {
        // SAFETY: I-BORROW: the buffer's memory, of its length; script does not run during the call.
        let from = unsafe { std::slice::from_raw_parts(self.data, self.byte_length) };
        let requested = range.len();
        let mut copy = Vec::new();
        copy.try_reserve_exact(requested).map_err(|_| offheap::Error::OutOfMemory { requested })?;
        copy.extend_from_slice(&from[range]);
        Ok(copy)
    }

    /// A store with these bytes. No script ran since the buffer was looked at.
    #[track_caller]
    pub(super) fn into_store(self) -> Result<BackingStore, Error> {
        // SAFETY: I-BORROW: the buffer's memory, of its length; script does not run during the call.
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
    // SAFETY: I-LAYOUT: nothing of QuickJS runs while this reference lives.
    let fields = unsafe { fields.as_ref() };
    if fields.detached != 0 {
        return Ok(Found::Detached);
    }
    let byte_length = fields.byte_length as usize;
    if let Some(hold) = hold_of_buffer(fields) {
        // SAFETY: I-FREE-ONCE: a buffer of ours that is not detached, so QuickJS has not let go of the hold; while it is
        // doing so the buffer looks the same, and `with_state` refuses (`in_finalizer`).
        let store = unsafe { with_hold(hold, fields.data, |hold, data| store_of(hold, data, byte_length)) };
        return Ok(Found::Store(store));
    }
    if fields.shared != 0 && !realm.is_own_memory(fields.realloc, NonNull::new(fields.opaque)) {
        return Err(Error::Unsupported {
            engine: ENGINE,
            what: "externalize a SharedArrayBuffer over memory of somebody else, who may share it with others",
            instead: "make it from a `SharedStore`",
        });
    }
    let in_isolate = state.own().is_some();
    // QuickJS's own `resize` asks for at least one byte. An isolate's does not ask if the maximum is 0.
    let least = usize::from(!in_isolate && fields.shared == 0);
    let max_byte_length = fields.is_resizable().then(|| least.max(fields.max_byte_length as usize));
    Ok(Found::Foreign(ForeignMemory {
        data: fields.data,
        byte_length,
        max_byte_length,
        // Elsewhere the writing `Atomics` would still write it.
        frozen: fields.immutable != 0 && in_isolate,
        is_shared: fields.shared != 0,
    }))
}

fn store_of(hold: &Hold, data: *const u8, byte_length: usize) -> BackingStore {
    if hold.kind().is_resizable_by_rust() {
        // Shorter, if anything: the callback made room for it. A guard that lives keeps the length for now.
        let _ = hold.resize(byte_length);
    }
    hold.store(data, byte_length)
}
