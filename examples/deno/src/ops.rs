//! The ops. Those that take or return memory are never *fast* ops: V8 calls a fast op from compiled code, and there the op
//! must not make an object, detach a buffer, or do anything else that can run script. An op with a type of `buffers` in its
//! signature is not fast in any case. The macro asks for a decision, `fast` or `nofast`, only if all types in a signature
//! could be those of a fast op, as in [`op_detach`].

use deno_core::{OpState, extension, op2, v8};
use deno_error::JsErrorBox;
use offheap_v8::BackingStoreExt;
use offheap_v8::offheap::{FrozenStore, SharedStore, UniqueStore};

use crate::buffers::{Buffer, FrozenOrCopy, OpError, Shared, Taken, TypedArrayOf};

extension!(memory, ops = [op_squares, op_sum, op_keep, op_kept, op_detach, op_sort, op_table, op_counter, op_reverse],);

/// Out of Rust: a `Vec` becomes a `Float64Array`, without a copy.
#[op2]
fn op_squares(#[smi] count: u32) -> TypedArrayOf<f64> {
    TypedArrayOf((0..count).map(|number| f64::from(number * number)).collect())
}

/// Into Rust: reads whatever buffer or view script has. While script may write the bytes, Rust has cells of them, and no
/// slice.
#[op2]
fn op_sum<'s>(scope: &mut v8::PinScope<'s, '_>, #[scoped] Buffer(store): Buffer) -> Result<u32, OpError> {
    let bytes = store.cells(scope)?;
    Ok(bytes.iter().map(|byte| u32::from(byte.get())).sum())
}

/// The store outlives the call, and script's buffer.
#[op2]
fn op_keep(state: &mut OpState, #[scoped] buffer: Buffer) {
    state.put(buffer);
}

/// The store that [`op_keep`] kept. It goes back to script as a buffer over the same memory.
#[op2]
fn op_kept(state: &mut OpState) -> Result<Buffer, JsErrorBox> {
    state.try_take::<Buffer>().ok_or_else(|| JsErrorBox::type_error("nothing is kept"))
}

/// Detaching runs code of V8 that may not run in a fast op.
#[op2(nofast)]
fn op_detach<'s>(scope: &mut v8::PinScope<'s, '_>, buffer: v8::Local<'s, v8::Value>) -> Result<(), OpError> {
    Ok(offheap_v8::detach(scope, buffer, None)?)
}

/// Takes the memory from script, so that Rust may have a slice of it, and gives it back.
#[op2]
fn op_sort(#[scoped] Taken(mut store): Taken) -> Buffer {
    store.sort_unstable();
    Buffer(store.into())
}

/// Read-only memory of the program.
#[op2]
fn op_table() -> Result<FrozenOrCopy, OpError> {
    static TABLE: [u64; 4] = [1, 10, 100, 1000];
    Ok(FrozenOrCopy(FrozenStore::from_owner(&TABLE[..])?))
}

/// Memory that script and Rust change at the same time.
#[op2]
fn op_counter(state: &mut OpState) -> Result<Shared, OpError> {
    let store = SharedStore::zeroed(8)?;
    state.put(store.clone());
    Ok(Shared(store))
}

/// An async op. The store crosses to another thread and back. It is read by a copy, which another thread may make while
/// script writes.
#[op2]
async fn op_reverse(#[scoped] Buffer(store): Buffer) -> Result<Buffer, JsErrorBox> {
    let work = move || -> Result<UniqueStore, OpError> {
        let mut bytes = store.to_vec()?;
        bytes.reverse();
        Ok(UniqueStore::from_owner(bytes)?)
    };
    let reversed = tokio::task::spawn_blocking(work).await;
    let reversed = reversed.map_err(|error| JsErrorBox::generic(error.to_string()))?;
    Ok(Buffer(reversed?.into()))
}
