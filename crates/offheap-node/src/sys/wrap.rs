//! Blocks of V8 over stores.

use std::ptr::NonNull;

use offheap::BackingStore;
use offheap_engine::memory::Given;

use super::block::{Block, TABLE};
use super::symbols::Pointer;
use super::v8::V8;
use crate::Error;
use crate::environment::Process;

/// The deleter of one of our blocks. V8 calls it once, when it drops its last reference: inside a detach, on a sweeper
/// thread, at the end of an isolate or after it. It uses no environment.
unsafe extern "C" fn drop_hold(data: Pointer, _byte_length: usize, hold: Pointer) {
    let hold = NonNull::new(hold).expect("made by `wrap`");
    // SAFETY: I-FREE-ONCE: `wrap` got this hold from the table for this block, and V8 calls a block's deleter once.
    unsafe { TABLE.finalize(data, hold) };
}

/// Makes a block of V8 over the bytes of `store`. The block has a hold on the store.
///
/// # Errors
/// Those of [`AddressTable::expose`](offheap_engine::memory::AddressTable::expose).
#[inline]
pub(crate) fn wrap(v8: V8, process: &Process, store: &BackingStore) -> Result<Block, Error> {
    let Given { data, hold } = TABLE.expose(store, process.registration())?;
    // SAFETY: I-FREE-ONCE, I-MAPPED: the memory is there while the hold lives, and the deleter drops the hold once. The
    // address is not null, so V8 does call the deleter.
    Ok(unsafe { v8.new_block(store.kind().is_shared(), data, store.byte_length(), drop_hold, hold) })
}
