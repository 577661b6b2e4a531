//! Whether QuickJS is in the middle of something: a call that may run any code, the freeing of a value, a collection.
//!
//! A buffer whose memory QuickJS is giving back still looks as if it had it, until the callback returns, and a collection
//! must not be begun inside of another. So nothing is moved into a store then. Calls are counted where they are made
//! ([`InCall`]); whether values are being freed QuickJS itself tells ([`Probe`]), which nobody's call has to announce.

use std::cell::Cell;
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
    /// How many probes were finalized on this thread.
    static FINALIZED: Cell<u64> = const { Cell::new(0) };
}

extern "C" fn finalize_probe(_rt: *mut qjs::JSRuntime, _value: qjs::JSValue) {
    // The thread may be ending.
    let _ = FINALIZED.try_with(|count| count.set(count.get() + 1));
}

/// Tells whether QuickJS is freeing values or collecting garbage: an object whose last reference goes is finalized at once
/// where it is not, and later where it is.
#[derive(Default)]
pub(super) struct Probe {
    /// The class of such objects in this runtime, 0 until it is made.
    class: Cell<qjs::JSClassID>,
}

impl Probe {
    /// An error while QuickJS frees values or collects, in the runtime of `ctx`, which is this one's.
    ///
    /// # Errors
    /// [`Error::Unsupported`] then, [`Error::EngineFailed`] where there is no memory for the question.
    pub(super) fn check(&self, ctx: &Ctx<'_>) -> Result<(), Error> {
        let failed = Error::EngineFailed { engine: ENGINE, attempted: "make an object" };
        match self.is_freeing(ctx.as_raw()).ok_or(failed)? {
            false => Ok(()),
            true => Err(Error::Unsupported {
                engine: ENGINE,
                what: "externalize a buffer while it frees values or collects garbage",
                instead: "note the buffer, and do it afterwards",
            }),
        }
    }

    /// `None` where there is no memory.
    fn is_freeing(&self, ctx: NonNull<qjs::JSContext>) -> Option<bool> {
        let _no_collection = NoCollection::begin(ctx);
        let class = self.class(ctx)?;
        let ctx = ctx.as_ptr();
        // QuickJS shares the shape of objects with the same prototype, and does not expect one that it is collecting to be
        // used again. The shape of arrays is the context's own, and that of objects which have this very array as their
        // prototype is new.
        // SAFETY: a live context; it runs no user code.
        let prototype = made(ctx, unsafe { qjs::JS_NewArray(ctx) })?;
        // SAFETY: a live object, and a class of this runtime; it runs no user code.
        let probe = made(ctx, unsafe { qjs::JS_NewObjectProtoClass(ctx, prototype, class) });
        let before = FINALIZED.get();
        for value in probe.into_iter().chain([prototype]) {
            // SAFETY: owned by the calls above.
            unsafe { qjs::JS_FreeValue(ctx, value) };
        }
        probe.map(|_| FINALIZED.get() == before)
    }

    /// The class, made at the first call.
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
            // SAFETY: a live runtime, a number of it that no class has, and a definition that is copied.
            if unsafe { qjs::JS_NewClass(runtime, class, &definition) } != 0 {
                return None;
            }
            self.class.set(class);
        }
        Some(self.class.get())
    }
}

/// The value, unless it stands for an exception, which is taken away.
fn made(ctx: *mut qjs::JSContext, value: qjs::JSValue) -> Option<qjs::JSValue> {
    // SAFETY: only looks at the tag.
    if unsafe { qjs::JS_IsException(value) } {
        forget_exception(ctx);
        return None;
    }
    Some(value)
}

/// QuickJS begins no collection while this lives: the drop of a value in one may run any code, and QuickJS does not look
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
        instead: "call `BackingStore::externalize` with the buffer itself, or do it before or afterwards",
    }
}
