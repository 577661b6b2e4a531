//! Microtasks.

use rquickjs::{Ctx, qjs};

/// Runs the first pending microtask and returns whether there was one. If it throws, the exception is pending
/// afterwards; rquickjs's own function loses it.
pub(crate) fn run_job(ctx: &Ctx<'_>) -> rquickjs::Result<bool> {
    // SAFETY: reads a field of a live context.
    let runtime = unsafe { qjs::JS_GetRuntime(ctx.as_raw().as_ptr()) };
    let mut ran_in = std::ptr::null_mut();
    // SAFETY: the runtime is alive and belongs to this thread, as `ctx` shows.
    match unsafe { qjs::JS_ExecutePendingJob(runtime, &mut ran_in) } {
        // The exception is pending in the runtime, not in one of its contexts.
        ..0 => Err(rquickjs::Error::Exception),
        count => Ok(count != 0),
    }
}
