//! Microtasks.

use rquickjs::{Ctx, qjs};

use crate::Error;
use crate::script::caught;

/// Runs the first microtask that is due, and says whether there was one. rquickjs's own call forgets what it throws.
pub(crate) fn run_job(ctx: &Ctx<'_>) -> Result<bool, Error> {
    // SAFETY: reads a field of a live context.
    let runtime = unsafe { qjs::JS_GetRuntime(ctx.as_raw().as_ptr()) };
    let mut ran_in = std::ptr::null_mut();
    // SAFETY: the runtime is alive and this thread's to use, as `ctx` shows.
    match unsafe { qjs::JS_ExecutePendingJob(runtime, &mut ran_in) } {
        // The exception is pending in the runtime, not in one of its contexts.
        ..0 => Err(caught(ctx)),
        count => Ok(count != 0),
    }
}
