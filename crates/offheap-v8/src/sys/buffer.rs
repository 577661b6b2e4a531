//! Buffers over stores: making them, and what V8 calls when it lets go of one.

use std::ffi::c_void;
use std::ptr::NonNull;

use offheap::BackingStore;
use offheap::adapter;
use offheap_engine::memory::Given;

use super::allocator;
use super::block::TABLE;
use super::counted::{self, COUNTED, MAX_BYTE_LENGTH};
use super::engine_memory::{expose_growable, expose_resizable};
use super::natives::{self, NewBlock, new_uncounted_block};
use super::realm::Function;
use super::state::{State, state};
use crate::{ENGINE, Error};

/// What a buffer's address must be a multiple of: elements of up to 8 bytes are used through aligned pointers, at
/// least by `Atomics`.
const ALIGNMENT: usize = 8;

/// Whether a buffer can be over these bytes.
pub(crate) fn is_aligned(bytes: &[u8]) -> bool {
    bytes.is_empty() || bytes.as_ptr().addr().is_multiple_of(ALIGNMENT)
}

/// What V8 calls once, when the last of its references to a block of ours goes: inside of a detach, on a thread that
/// sweeps, or when an isolate ends.
unsafe extern "C" fn let_go(data: *mut c_void, _byte_length: usize, hold: *mut c_void) {
    let hold = NonNull::new(hold).expect("made by `wrap`");
    // SAFETY: I-FREE-ONCE: what `wrap` got from the table for this block, whose deleter is called once.
    unsafe { TABLE.finalize(data, hold) };
}

/// The deleter of a block whose bytes were taken from what V8 may count.
unsafe extern "C" fn let_go_counted(data: *mut c_void, byte_length: usize, hold: *mut c_void) {
    COUNTED.give_back(byte_length);
    // SAFETY: I-FREE-ONCE: as V8 calls it.
    unsafe { let_go(data, byte_length, hold) };
}

/// A block of V8 over the bytes of `store`, which keeps a hold on it.
#[inline]
fn wrap(state: &State, store: &BackingStore) -> Result<v8::SharedRef<v8::BackingStore>, Error> {
    let byte_length = store.byte_length();
    // V8 itself counts nothing of shared memory.
    let is_counted = adapter::frees_bytes(store) && !store.kind().is_shared();
    let limit = if is_counted { counted::max_byte_length() } else { MAX_BYTE_LENGTH };
    if byte_length > limit {
        return Err(Error::TooLargeForEngine { engine: ENGINE, store: Some(store.id()), byte_length, limit });
    }
    if byte_length != 0 && !store.as_ptr().addr().is_multiple_of(ALIGNMENT) {
        let (store, byte_offset) = (store.id(), store.byte_offset());
        return Err(Error::Misaligned { engine: ENGINE, store, byte_offset, alignment: ALIGNMENT });
    }
    let make: NewBlock = match store.kind() {
        kind if kind.is_resizable_by_rust() => {
            return Err(Error::Unsupported {
                engine: ENGINE,
                what: "make a buffer over resizable memory of Rust",
                instead: "make the buffer with `Scope::allocate`, or copy with `Scope::expose_or_copy`",
            });
        }
        kind if kind.is_shared() => v8::SharedArrayBuffer::new_backing_store_from_ptr,
        _ => v8::ArrayBuffer::new_backing_store_from_ptr,
    };
    if let Some(other) = allocator::other_store(store) {
        return Err(Error::AddressTaken { engine: ENGINE, store: store.id(), other });
    }
    let Given { data, hold } = TABLE.expose(store, state.registration())?;
    // Where V8 counts as much as it may, it counts no more.
    let is_counted = is_counted && COUNTED.take(byte_length);
    let uncounted = match is_counted || store.kind().is_shared() {
        true => None,
        // SAFETY: I-FREE-ONCE, I-MAPPED: as below.
        false => unsafe { new_uncounted_block(make, data.as_ptr(), byte_length, let_go, hold.as_ptr()) },
    };
    let deleter = if is_counted && COUNTED.is_set() { let_go_counted } else { let_go };
    // SAFETY: I-FREE-ONCE, I-MAPPED: the memory is there while the hold lives, which the deleter drops once; it is not
    // null, so that V8 calls the deleter.
    let block = uncounted.unwrap_or_else(|| unsafe { make(data.as_ptr(), byte_length, deleter, hold.as_ptr()) });
    Ok(block.make_shared())
}

/// An ArrayBuffer over the bytes of `store`, which is not shared, without a copy.
#[inline]
pub(crate) fn expose<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    store: &BackingStore,
) -> Result<v8::Local<'s, v8::ArrayBuffer>, Error> {
    if store.kind().is_shared() {
        return Err(Error::Unsupported {
            engine: ENGINE,
            what: "make an ArrayBuffer over shared memory",
            instead: "use `SharedStore::expose`, or `Scope::expose`, for a SharedArrayBuffer",
        });
    }
    let state = state(scope)?;
    if let Some(buffer) = expose_resizable(scope, &state, store)? {
        return Ok(buffer);
    }
    let block = wrap(&state, store)?;
    Ok(v8::ArrayBuffer::with_backing_store(scope, &block))
}

/// A SharedArrayBuffer over the bytes of `store`, which is shared, without a copy.
pub(crate) fn expose_shared<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    store: &BackingStore,
) -> Result<v8::Local<'s, v8::SharedArrayBuffer>, Error> {
    assert!(store.kind().is_shared(), "shared buffers are over shared memory");
    let state = state(scope)?;
    if let Some(buffer) = expose_growable(scope, store) {
        return Ok(buffer);
    }
    let block = wrap(&state, store)?;
    Ok(v8::SharedArrayBuffer::with_backing_store(scope, &block))
}

/// An immutable ArrayBuffer over the bytes of `store`, which is read-only; `None` where V8 does not enforce that.
pub(crate) fn expose_immutable<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    store: &BackingStore,
) -> Result<Option<v8::Local<'s, v8::ArrayBuffer>>, Error> {
    let state = state(scope)?;
    let realm = state.realm(scope)?;
    if !realm.enforces_immutable {
        return Ok(None);
    }
    let block = wrap(&state, store)?;
    if store.byte_length() == 0 {
        // Nobody can write what has no bytes; transferring them would let go of the block.
        return Ok(Some(v8::ArrayBuffer::with_backing_store(scope, &block)));
    }
    // The block becomes immutable with the first buffer over it. That one is V8's own realm's, out of reach of script.
    let buffer = realm.buffer_over(scope, &block);
    realm.call(scope, Function::TransferToImmutable, buffer.into(), &[])?;
    // V8 itself tells whether that was done.
    Ok(natives::is_block_immutable(&block).then(|| v8::ArrayBuffer::with_backing_store(scope, &block)))
}
