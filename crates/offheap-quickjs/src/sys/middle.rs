//! Whether QuickJS is in the middle of something: a call that may run anybody's code, the freeing of a value, a collection.
//!
//! A buffer whose memory QuickJS is giving back still looks as if it had it, until the callback returns, and a collection
//! must not be begun inside of another. So nothing is moved into a store then. Calls are counted where they are made
//! ([`InCall`]); whether values are being freed QuickJS itself tells ([`is_freeing`]), which nobody's call has to announce.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::{self, NonNull};

use rquickjs::{Ctx, qjs};

use crate::{ENGINE, Error};

/// A call into QuickJS that may run code of others, for as long as this lives.
pub(crate) struct InCall<'a>(&'a Cell<u32>);

impl<'a> InCall<'a> {
    pub(super) fn new(calls: &'a Cell<u32>) -> Self {
        calls.set(calls.get() + 1);
        InCall(calls)
    }
}

impl Drop for InCall<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

thread_local! {
    /// How many probes QuickJS has let go of on this thread.
    static LET_GO: Cell<u64> = const { Cell::new(0) };
}

/// The memory of all probes, which have none of it.
static PROBE_MEMORY: u8 = 0;

extern "C" fn probe_realloc(
    _rt: *mut qjs::JSRuntime,
    _opaque: *mut c_void,
    _data: *mut c_void,
    _size: qjs::size_t,
) -> *mut c_void {
    // The thread may be ending.
    let _ = LET_GO.try_with(|count| count.set(count.get() + 1));
    ptr::null_mut()
}

/// Whether QuickJS is freeing values or collecting garbage, in the runtime of `ctx`: an object whose last reference goes is
/// finalized at once where it is not, and later where it is.
///
/// # Errors
/// [`Error::EngineFailed`] where there is no memory for the object.
fn is_freeing(ctx: NonNull<qjs::JSContext>) -> Result<bool, Error> {
    let _no_collection = NoCollection::begin(ctx);
    let ctx = ctx.as_ptr();
    let before = LET_GO.get();
    let memory = ptr::from_ref(&PROBE_MEMORY).cast_mut();
    // SAFETY: I-MAPPED: memory of which the buffer has no byte, and which lives for ever. It runs no user code.
    let probe = unsafe { qjs::JS_NewArrayBuffer(ctx, memory, 0, 0, Some(probe_realloc), ptr::null_mut(), false) };
    // SAFETY: looks at the tag alone.
    if unsafe { qjs::JS_IsException(probe) } {
        forget_exception(ctx);
        return Err(Error::EngineFailed { engine: ENGINE, attempted: "make an object" });
    }
    // SAFETY: the only reference, owned by the call above.
    unsafe { qjs::JS_FreeValue(ctx, probe) };
    Ok(LET_GO.get() == before)
}

/// QuickJS begins no collection while this lives: what is dropped in one may be anybody's code, and QuickJS does not look
/// whether it is inside of another.
pub(super) struct NoCollection {
    runtime: *mut qjs::JSRuntime,
    threshold: qjs::size_t,
}

impl NoCollection {
    /// `ctx` is a context of a runtime that this thread has, and that lives as long as the result.
    #[inline]
    pub(super) fn begin(ctx: NonNull<qjs::JSContext>) -> Self {
        // SAFETY: reads a field of a live context.
        let runtime = unsafe { qjs::JS_GetRuntime(ctx.as_ptr()) };
        // SAFETY: reads a field of a live runtime.
        let threshold = unsafe { qjs::JS_GetGCThreshold(runtime) };
        // SAFETY: sets a field of a live runtime. More bytes than that there never are.
        unsafe { qjs::JS_SetGCThreshold(runtime, qjs::size_t::MAX) };
        NoCollection { runtime, threshold }
    }
}

impl Drop for NoCollection {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: sets a field of a live runtime, as `begin` says.
        unsafe { qjs::JS_SetGCThreshold(self.runtime, self.threshold) };
    }
}

/// Takes the pending exception away.
pub(super) fn forget_exception(ctx: *mut qjs::JSContext) {
    // SAFETY: takes the exception that was just thrown, in a live context.
    let exception = unsafe { qjs::JS_GetException(ctx) };
    // SAFETY: owned by the call above.
    unsafe { qjs::JS_FreeValue(ctx, exception) };
}

/// What a handle is refused, whose buffer would have to get other memory, in the middle of a call.
pub(super) fn in_call() -> Error {
    Error::Unsupported {
        engine: ENGINE,
        what: "externalize a buffer by its handle while script, or a lent `Ctx`, is at work and may be letting go of it",
        instead: "call `BackingStore::from_js` with the buffer itself, or do it before or afterwards",
    }
}

/// An error while QuickJS frees values or collects, in the runtime of `ctx`.
pub(super) fn check_not_freeing(ctx: &Ctx<'_>) -> Result<(), Error> {
    match is_freeing(ctx.as_raw())? {
        false => Ok(()),
        true => Err(Error::Unsupported {
            engine: ENGINE,
            what: "externalize a buffer while it frees values or collects garbage",
            instead: "note the buffer, and do it afterwards",
        }),
    }
}
