//! Detects whether QuickJS is busy: in a call that may run any code, freeing a value, or collecting.
//!
//! While QuickJS frees a buffer's memory, the buffer still looks as if it had that memory, until the callback
//! returns. And a collection must not begin inside another. So nothing is moved into a store while QuickJS is busy.
//! Calls are counted where they are made ([`InCall`]). Whether values are being freed is found out from QuickJS
//! itself ([`Probe`]), so no call has to announce it.

use std::cell::Cell;
use std::ptr::{self, NonNull};

use rquickjs::{Ctx, qjs};

use crate::{ENGINE, Error};

/// A call into QuickJS that may run foreign code, for as long as this value lives.
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
    /// The number of probes that were finalized on this thread.
    static FINALIZED: Cell<u64> = const { Cell::new(0) };
}

extern "C" fn finalize_probe(_rt: *mut qjs::JSRuntime, _value: qjs::JSValue) {
    // The thread may be ending, so the thread-local may be gone.
    let _ = FINALIZED.try_with(|count| count.set(count.get() + 1));
}

/// Detects whether QuickJS is freeing values or collecting garbage. When an object loses its last reference,
/// QuickJS finalizes it at once if it is not, and later if it is.
#[derive(Default)]
pub(super) struct Probe {
    /// The class of probe objects in this runtime; 0 until it is made.
    class: Cell<qjs::JSClassID>,
}

impl Probe {
    /// Returns an error if QuickJS is freeing values or collecting in the runtime of `ctx`, to which this probe
    /// belongs.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it is, [`Error::EngineFailed`] if there is no memory for a probe.
    pub(super) fn check(&self, ctx: &Ctx<'_>) -> Result<(), Error> {
        let failed = Error::EngineFailed { engine: ENGINE, attempted: "make an object" };
        match self.is_freeing(ctx.as_raw()).ok_or(failed)? {
            false => Ok(()),
            true => Err(Error::Unsupported {
                engine: ENGINE,
                what: "externalize a buffer while it frees values or collects garbage",
                instead: "record the buffer, and do it afterwards",
            }),
        }
    }

    /// Whether QuickJS is freeing values; `None` if there is no memory.
    fn is_freeing(&self, ctx: NonNull<qjs::JSContext>) -> Option<bool> {
        let _no_collection = NoCollection::begin(ctx);
        let class = self.class(ctx)?;
        let ctx = ctx.as_ptr();
        // Objects with the same prototype share a shape, and QuickJS does not expect a shape that it is collecting
        // to be used again. The shape of arrays belongs to the context, and objects that have this new array as
        // their prototype get a new shape.
        // SAFETY: a live context; it runs no user code.
        let prototype = made(ctx, unsafe { qjs::JS_NewArray(ctx) })?;
        // SAFETY: a live object, and a class of this runtime; it runs no user code.
        let probe = made(ctx, unsafe { qjs::JS_NewObjectProtoClass(ctx, prototype, class) });
        let before = FINALIZED.get();
        for value in probe.into_iter().chain([prototype]) {
            // SAFETY: the calls above returned owned values.
            unsafe { qjs::JS_FreeValue(ctx, value) };
        }
        probe.map(|_| FINALIZED.get() == before)
    }

    /// The class, which the first call makes.
    fn class(&self, ctx: NonNull<qjs::JSContext>) -> Option<qjs::JSClassID> {
        if self.class.get() == 0 {
            // SAFETY: reads a field of a live context.
            let runtime = unsafe { qjs::JS_GetRuntime(ctx.as_ptr()) };
            let mut class = 0;
            // SAFETY: a live runtime, and a place for the number.
            unsafe { qjs::JS_NewClassID(runtime, &mut class) };
            let definition = qjs::JSClassDef {
                class_name: c"offheap probe".as_ptr(),
                finalizer: Some(finalize_probe),
                gc_mark: None,
                call: None,
                exotic: ptr::null_mut(),
            };
            // SAFETY: a live runtime, a class id of it that no class has, and a definition that is copied.
            if unsafe { qjs::JS_NewClass(runtime, class, &definition) } != 0 {
                return None;
            }
            self.class.set(class);
        }
        Some(self.class.get())
    }
}

/// The value, or `None` if it stands for an exception, which is then cleared.
fn made(ctx: *mut qjs::JSContext, value: qjs::JSValue) -> Option<qjs::JSValue> {
    // SAFETY: only reads the tag.
    if unsafe { qjs::JS_IsException(value) } {
        forget_exception(ctx);
        return None;
    }
    Some(value)
}

/// Keeps QuickJS from beginning a collection while this value lives. The drop of a value in a collection may run
/// any code, and QuickJS does not check whether it is already collecting.
pub(super) struct NoCollection {
    runtime: *mut qjs::JSRuntime,
    threshold: qjs::size_t,
}

impl NoCollection {
    /// `ctx` must be a context of a runtime that this thread has and that lives as long as the result.
    #[inline]
    pub(super) fn begin(ctx: NonNull<qjs::JSContext>) -> Self {
        // SAFETY: reads a field of a live context.
        let runtime = unsafe { qjs::JS_GetRuntime(ctx.as_ptr()) };
        // SAFETY: reads a field of a live runtime.
        let threshold = unsafe { qjs::JS_GetGCThreshold(runtime) };
        // SAFETY: sets a field of a live runtime. QuickJS never has this many bytes.
        unsafe { qjs::JS_SetGCThreshold(runtime, qjs::size_t::MAX) };
        NoCollection { runtime, threshold }
    }
}

impl Drop for NoCollection {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: sets a field of a live runtime, which lives as long as this value (`begin`).
        unsafe { qjs::JS_SetGCThreshold(self.runtime, self.threshold) };
    }
}

/// Clears the pending exception.
pub(super) fn forget_exception(ctx: *mut qjs::JSContext) {
    // SAFETY: takes the exception that was just thrown, in a live context.
    let exception = unsafe { qjs::JS_GetException(ctx) };
    // SAFETY: the call above returned an owned value.
    unsafe { qjs::JS_FreeValue(ctx, exception) };
}

/// The error for a handle whose buffer would have to get other memory during a call.
pub(super) fn in_call() -> Error {
    Error::Unsupported {
        engine: ENGINE,
        what: "externalize a buffer by its handle while script or a lent `Ctx` runs, which may be freeing it",
        instead: "call `BackingStore::externalize` with the buffer itself, or do it before or afterwards",
    }
}
