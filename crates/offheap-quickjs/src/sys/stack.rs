//! The stack limit of script. QuickJS assumes that a thread has 1 MiB, and overflows the stack if it has less.

use std::ptr::NonNull;

use offheap::adapter::{stack_pointer, thread_stack};
use rquickjs::{Ctx, qjs};

/// The stack that is left for calls near the limit, by QuickJS itself and by Rust.
const RESERVE: usize = 128 << 10;

/// QuickJS's default stack size (`JS_DEFAULT_STACK_SIZE`).
pub(crate) const DEFAULT_STACK_SIZE: usize = 1 << 20;

/// Limits script that is called from here to this many bytes of stack, or to the rest of this thread's stack if
/// that is less. Returns the address where that stack ends.
pub(crate) fn limit_stack(ctx: &Ctx<'_>, byte_length: usize) -> usize {
    let here = stack_pointer();
    // A program may have switched to another stack, whose bounds are unknown.
    let left = thread_stack().filter(|stack| stack.contains(&here)).map_or(usize::MAX, |stack| here - stack.start);
    // 0 would mean no limit.
    let byte_length = byte_length.min(left.saturating_sub(RESERVE)).max(1);
    // SAFETY: I-LAYOUT: a live context.
    let runtime = unsafe { qjs::JS_GetRuntime(ctx.as_raw().as_ptr()) };
    // SAFETY: I-LAYOUT: a live runtime, on its thread.
    unsafe { qjs::JS_UpdateStackTop(runtime) };
    // SAFETY: I-LAYOUT: a live runtime, on its thread.
    unsafe { qjs::JS_SetMaxStackSize(runtime, byte_length as _) };
    here.saturating_sub(byte_length)
}

/// Limits script that is called from here to the stack before `end`, an address that [`limit_stack`] returned. With rquickjs's
/// feature `parallel`, each call of script begins a stack of the full size where it is made.
#[inline]
pub(super) fn limit_stack_at(ctx: NonNull<qjs::JSContext>, end: usize) {
    // SAFETY: I-LAYOUT: a live context.
    let runtime = unsafe { qjs::JS_GetRuntime(ctx.as_ptr()) };
    // SAFETY: I-LAYOUT: a live runtime, on its thread.
    unsafe { qjs::JS_UpdateStackTop(runtime) };
    // 0 would mean no limit.
    let byte_length = stack_pointer().saturating_sub(end).max(1);
    // SAFETY: I-LAYOUT: a live runtime, on its thread.
    unsafe { qjs::JS_SetMaxStackSize(runtime, byte_length as _) };
}
