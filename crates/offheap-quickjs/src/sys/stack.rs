//! The stack that script may use. QuickJS takes 1 MiB for granted, and overflows a thread that has less.

use offheap::adapter::thread_stack;
use rquickjs::{Ctx, qjs};

/// What is left to calls that script makes near the end: QuickJS's own, and those of Rust.
const RESERVE: usize = 128 << 10;

/// What QuickJS takes unless it is told something else (`JS_DEFAULT_STACK_SIZE`).
pub(crate) const DEFAULT_STACK_SIZE: usize = 1 << 20;

/// Gives script that is called from here that many bytes of stack, where this thread has them.
pub(crate) fn limit_stack(ctx: &Ctx<'_>, byte_length: usize) {
    let here = 0_u8;
    let here = (&raw const here).addr();
    // A program may have gone to a stack of its own, of which nobody tells.
    let left = thread_stack().filter(|stack| stack.contains(&here)).map_or(usize::MAX, |stack| here - stack.start);
    // 0 would be no limit.
    let byte_length = byte_length.min(left.saturating_sub(RESERVE)).max(1);
    // SAFETY: I-LAYOUT: a living context.
    let runtime = unsafe { qjs::JS_GetRuntime(ctx.as_raw().as_ptr()) };
    // SAFETY: I-LAYOUT: a living runtime, on its thread.
    unsafe { qjs::JS_UpdateStackTop(runtime) };
    // SAFETY: I-LAYOUT: as above.
    unsafe { qjs::JS_SetMaxStackSize(runtime, byte_length as _) };
}
