//! Making buffers over stores, and the deleters that V8 calls when it releases one.

use std::ffi::c_void;
use std::ptr::NonNull;

use offheap::BackingStore;
use offheap::adapter;
use offheap_engine::check_aligned;
use offheap_engine::memory::Given;

use super::allocator;
use super::block::TABLE;
use super::counted::{self, COUNTED, MAX_BYTE_LENGTH};
use super::engine_memory::{expose_growable, expose_resizable};
use super::natives::{self, NewBlock, new_uncounted_block};
use super::object::Buffer;
use super::realm::Function;
use super::state::{State, state};
use crate::script::{catching, with_script_stack};
use crate::{ENGINE, Error};

/// The deleter of one of our blocks. V8 calls it once, when it drops its last reference: inside a detach, on a sweeper
/// thread, or when an isolate ends.
unsafe extern "C" fn drop_hold(data: *mut c_void, _byte_length: usize, hold: *mut c_void) {
    let hold = NonNull::new(hold).expect("made by `wrap`");
    // SAFETY: I-FREE-ONCE: `wrap` got this hold from the table for this block, and V8 calls a block's deleter once.
    unsafe { TABLE.finalize(data, hold) };
}

/// The deleter of a block whose bytes count towards the limit of V8's external memory.
unsafe extern "C" fn drop_counted_hold(data: *mut c_void, byte_length: usize, hold: *mut c_void) {
    COUNTED.give_back(byte_length);
    // SAFETY: I-FREE-ONCE: V8 calls this once, with the arguments of `drop_hold`.
    unsafe { drop_hold(data, byte_length, hold) };
}

/// Makes a block of V8 over the bytes of `store`. The block has a hold on the store.
#[inline]
fn wrap(state: &State, store: &BackingStore) -> Result<v8::SharedRef<v8::BackingStore>, Error> {
    let byte_length = store.byte_length();
    // V8 does not count shared memory.
    let is_counted = adapter::frees_bytes(store) && !store.kind().is_shared();
    let limit = if is_counted { counted::max_byte_length() } else { MAX_BYTE_LENGTH };
    if byte_length > limit {
        return Err(Error::TooLargeForEngine { engine: ENGINE, store: Some(store.id()), byte_length, limit });
    }
    check_aligned(ENGINE, store)?;
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
    // If V8 already counts as much as it may, these bytes are not counted.
    let is_counted = is_counted && COUNTED.take(byte_length);
    let uncounted = match is_counted || store.kind().is_shared() {
        true => None,
        // SAFETY: I-FREE-ONCE, I-MAPPED: the hold keeps the memory, and the deleter drops the hold once, as below.
        false => unsafe { new_uncounted_block(make, data.as_ptr(), byte_length, drop_hold, hold.as_ptr()) },
    };
    let deleter = if is_counted && COUNTED.is_set() { drop_counted_hold } else { drop_hold };
    // SAFETY: I-FREE-ONCE, I-MAPPED: the memory is there while the hold lives, and the deleter drops the hold once. The
    // address is not null, so V8 does call the deleter.
    let block = uncounted.unwrap_or_else(|| unsafe { make(data.as_ptr(), byte_length, deleter, hold.as_ptr()) });
    Ok(block.make_shared())
}

/// Makes an ArrayBuffer over the bytes of `store`, without a copy. Shared stores are refused.
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
    let _script = with_script_stack(scope, adapter::wants_script_stack_of(store));
    if let Some(buffer) = expose_resizable(scope, &state, store)? {
        return Ok(buffer);
    }
    let block = wrap(&state, store)?;
    Ok(v8::ArrayBuffer::with_backing_store(scope, &block))
}

/// Makes a SharedArrayBuffer over the bytes of `store`, which is shared, without a copy.
pub(crate) fn expose_shared<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    store: &BackingStore,
) -> Result<v8::Local<'s, v8::SharedArrayBuffer>, Error> {
    assert!(store.kind().is_shared(), "shared buffers are over shared memory");
    let state = state(scope)?;
    let _script = with_script_stack(scope, adapter::wants_script_stack_of(store));
    if let Some(buffer) = expose_growable(scope, store) {
        return Ok(buffer);
    }
    let block = wrap(&state, store)?;
    Ok(v8::SharedArrayBuffer::with_backing_store(scope, &block))
}

/// Makes an immutable ArrayBuffer over the bytes of `store`, which is read-only. Returns `None` if V8 does not enforce
/// that.
pub(crate) fn expose_immutable<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    store: &BackingStore,
) -> Result<Option<v8::Local<'s, v8::ArrayBuffer>>, Error> {
    let state = state(scope)?;
    let realm = state.realm(scope)?;
    if !realm.enforces_immutable {
        return Ok(None);
    }
    let _script = with_script_stack(scope, adapter::wants_script_stack_of(store));
    let block = wrap(&state, store)?;
    if store.byte_length() == 0 {
        // An empty buffer cannot be written, and transferring it would release the block.
        return Ok(Some(v8::ArrayBuffer::with_backing_store(scope, &block)));
    }
    // The first buffer makes the block immutable. It belongs to the realm, so script cannot reach it.
    let buffer = realm.buffer_over(scope, &block);
    realm.call(scope, Function::TransferToImmutable, buffer.into(), &[])?;
    // V8 itself confirms that the block became immutable.
    Ok(natives::is_block_immutable(&block).then(|| v8::ArrayBuffer::with_backing_store(scope, &block)))
}

/// A buffer of the entered context with the memory of `buffer`, which the [realm](super::realm)'s `transfer` returned. In
/// an isolate of a program's own, that function belongs to another context, and so does what it makes.
pub(crate) fn in_entered_context<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    buffer: Buffer<'s>,
) -> Result<v8::Local<'s, v8::ArrayBuffer>, Error> {
    const FAILED: Error = Error::EngineFailed { engine: ENGINE, attempted: "transfer a buffer" };
    // A program's snapshot may have replaced the function, so it may have returned anything.
    let Buffer::Unshared(made) = buffer else { return Err(FAILED) };
    if made.get_creation_context(scope) == Some(scope.get_current_context()) {
        return Ok(made);
    }
    if !made.is_detachable() || natives::is_immutable(made) || made.was_detached() {
        return Err(FAILED);
    }
    let block = made.get_backing_store();
    // First, because only one buffer may resize a block.
    catching(scope, |_| made.detach(None).filter(|&detached| detached))?;
    Ok(v8::ArrayBuffer::with_backing_store(scope, &block))
}
