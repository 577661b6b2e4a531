//! Externalizing without a copy: the block in which QuickJS has the memory of a buffer becomes a store's.
//!
//! The buffer keeps its address, so neither QuickJS nor script sees a difference. Only the callback and its opaque
//! change. QuickJS then frees the block, so that it no longer counts it, and [`Allocator`](super::Allocator) keeps it.

use std::ptr::NonNull;

use offheap::adapter::Hold;
use offheap::{BackingStore, Site};
use rquickjs::{Ctx, Value, qjs};

use super::allocator::{TakenBlock, keep_block};
use super::callback::store_realloc;
use super::layout::BufferFields;
use super::state::State;
use crate::Error;

/// The data of a block up to this size may be in QuickJS's arena, which is a part of a larger block.
const MOST_IN_ARENA: qjs::size_t = 504;

/// Makes a store of the memory of `buffer` where it is. `None` if the memory has to be copied. `site` is the place in
/// the program that asks for the store.
pub(super) fn take<'js>(
    ctx: &Ctx<'js>,
    state: &State,
    buffer: &Value<'js>,
    site: Site,
) -> Result<Option<BackingStore>, Error> {
    let realm = state.realm(ctx)?;
    // SAFETY: I-LAYOUT: a live buffer, and the caller's `find_store` checked that the layout was probed.
    let fields = unsafe { BufferFields::of(buffer.as_raw()) }.as_ptr();
    // SAFETY: I-LAYOUT: a live buffer, and the caller's `find_store` checked that the layout was probed.
    let before = unsafe { fields.read() };
    let Some(data) = NonNull::new(before.data).filter(|_| !before.is_resizable() && realm.takes_blocks(&before)) else {
        return Ok(None);
    };
    // SAFETY: reads a field of a live context.
    let runtime = unsafe { qjs::JS_GetRuntime(ctx.as_raw().as_ptr()) };
    // SAFETY: I-LAYOUT: QuickJS's own memory (`takes_blocks`), of this runtime.
    if unsafe { is_in_arena(runtime, data) } {
        return Ok(None);
    }
    let isolate = state.isolate();
    let block = TakenBlock::new(data, before.byte_length as usize);
    let hold = match Hold::of_owner(block, isolate, site) {
        Ok(hold) => hold,
        Err(rejected) => {
            let (error, block) = rejected.into_parts();
            // The block is QuickJS's, as before.
            std::mem::forget(block);
            return Err(error.into());
        }
    };
    // No step from here on fails, and no foreign code runs before the last.
    let (Ok(hold) | Err(hold)) = match (before.shared != 0, before.immutable != 0 && state.own().is_some()) {
        (true, _) => hold.into_shared(),
        // SAFETY: I-BORROW: the buffer is immutable, which an isolate's functions all respect.
        (false, true) => unsafe { hold.into_frozen() },
        (false, false) => Ok(hold),
    };
    let hold = hold.into_raw();
    // SAFETY: I-LAYOUT: a live buffer; no code of QuickJS runs while this reference lives.
    let after = unsafe { &mut *fields };
    after.opaque = hold.as_ptr();
    after.realloc = Some(store_realloc);
    let free = || {
        if let Some(realloc) = before.realloc {
            // SAFETY: I-FREE-ONCE: the buffer would have made this call, and no longer makes it.
            unsafe { realloc(runtime, before.opaque, data.as_ptr().cast(), 0) };
        }
    };
    if !keep_block(data, free) {
        // The buffer is over freed memory.
        eprintln!("offheap: an allocator that wraps `offheap_quickjs::Allocator` did not pass a call on");
        std::process::abort();
    }
    // SAFETY: I-FREE-ONCE: the buffer's hold, which lives on. A panic of the observer may pass: everything is done.
    Ok(Some(unsafe {
        Hold::with_raw(hold, |hold| {
            hold.tell_made(isolate);
            hold.store(data.as_ptr(), before.byte_length as usize)
        })
    }))
}

/// Whether memory of QuickJS may be in its arena, so that no allocator ever gets its block.
///
/// # Safety
/// QuickJS allocated `data` in `runtime`, and has not freed it.
unsafe fn is_in_arena(runtime: *mut qjs::JSRuntime, data: NonNull<u8>) -> bool {
    // SAFETY: I-LAYOUT: the caller's promise.
    unsafe { qjs::js_malloc_usable_size_rt(runtime, data.as_ptr().cast()) <= MOST_IN_ARENA }
}
