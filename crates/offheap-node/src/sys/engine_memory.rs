//! Stores over memory that script made, and copies of it.

use std::ffi::c_void;
use std::ptr::NonNull;

use napi::Env;
use offheap::adapter::load_bytes;
use offheap::{BackingStore, UniqueStore};
use offheap_engine::memory::{Adopted, Block as _, BlockUse};

use super::block::{Block, TABLE};
use super::lent::may_be_lent;
use super::v8::{Buffer, V8};
use crate::environment::Process;
use crate::{Error, engine};

/// A buffer that is in a handle and is not detached, with its block, which has memory.
pub(crate) struct Memory<'s> {
    v8: V8,
    buffer: Buffer<'s>,
    block: Block,
    data: NonNull<c_void>,
    byte_length: usize,
}

/// The store of an ArrayBuffer, if it is over a store. This is the fast path: V8 is not asked for the block.
#[inline]
pub(crate) fn store_of(v8: V8, buffer: Buffer<'_>) -> Option<BackingStore> {
    let data = v8.data(buffer)?;
    find(data, v8.byte_length(buffer), buffer)
}

#[inline]
fn find(data: NonNull<c_void>, byte_length: usize, _in_a_handle: Buffer<'_>) -> Option<BackingStore> {
    // SAFETY: I-FREE-ONCE: the buffer has these bytes, and the host does not drop a buffer that is in a handle.
    unsafe { TABLE.find(data.addr().get(), byte_length) }
}

impl<'s> Memory<'s> {
    /// The memory of a buffer that is not detached. `None` if it has none: it is empty, or V8 is detaching it at this moment.
    pub(crate) fn of(v8: V8, buffer: Buffer<'s>) -> Option<Self> {
        let block = v8.block(buffer)?;
        let data = block.data()?;
        // When V8 detaches a buffer, it takes the block away first (V8's I8), which may drop the owner of the memory. During
        // that drop the buffer still has the address, but an empty block.
        if matches!(buffer, Buffer::Unshared(_)) && v8.data(buffer) != Some(data) {
            return None;
        }
        let byte_length = v8.byte_length(buffer);
        Some(Memory { v8, buffer, block, data, byte_length })
    }

    /// The store that the buffer is over.
    pub(crate) fn store(&self) -> Option<BackingStore> {
        find(self.data, self.byte_length, self.buffer)
    }

    /// Whether the memory may get shorter while it is in use: script shrinks it, or posts it to a worker that does.
    pub(crate) fn may_shrink(&self) -> bool {
        matches!(self.buffer, Buffer::Unshared(_)) && self.block.is_resizable()
    }

    /// Whether another addon owns the memory, and frees it when its environment ends. Also true if that cannot be told.
    pub(crate) fn may_be_lent(&self, env: &Env) -> bool {
        matches!(self.buffer, Buffer::Unshared(_)) && may_be_lent(self.v8, env, &self.block)
    }

    /// A store over the memory itself, which does not [shrink](Self::may_shrink) and is not [lent](Self::may_be_lent).
    #[track_caller]
    pub(crate) fn adopt(self, process: &Process) -> Result<BackingStore, Error> {
        assert!(!self.may_shrink(), "such memory is copied");
        let Memory { v8, buffer, block, data, byte_length } = self;
        let usage = match buffer {
            Buffer::Shared(_) => BlockUse::Shared,
            // Memory of WebAssembly, which only grows.
            Buffer::Unshared(_) if !v8.is_detachable(buffer) => BlockUse::Growable,
            // The host writes into immutable buffers, so such memory is not frozen.
            Buffer::Unshared(_) => BlockUse::Fixed,
        };
        let max_byte_length = (usage != BlockUse::Fixed).then(|| block.max_byte_length().max(byte_length));
        let adopted = Adopted { block, data, byte_length, max_byte_length, usage };
        // SAFETY: I-MAPPED: the block, the address and the length are those of a live buffer. Shared memory never gets shorter
        // (V8's I17), and neither does WebAssembly's. All environments of the process are one isolate.
        let (store, made) = unsafe { TABLE.adopt(adopted, process.registration().id()) }?;
        debug_assert!(made.is_none(), "the process is a host");
        Ok(store)
    }

    /// A store with a copy of the bytes. The observer hears of the store first. It must not run script; if it does, what the buffer
    /// does not have any more stays zero.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is no memory; [`Error::Detached`].
    #[track_caller]
    pub(crate) fn copy(&self) -> Result<UniqueStore, Error> {
        let mut copy = UniqueStore::zeroed(self.byte_length)?;
        if self.v8.data(self.buffer) != Some(self.data) {
            return Err(Error::Detached { engine: engine(), attempted: "externalize" });
        }
        let byte_length = self.v8.byte_length(self.buffer).min(self.byte_length);
        // SAFETY: I-BORROW, I-MAPPED: the buffer is in a handle, and was just found attached with these bytes. No script runs
        // until they are copied. The host may write them.
        unsafe { load_bytes(self.data.as_ptr().cast(), &mut copy[..byte_length]) };
        Ok(copy)
    }
}
