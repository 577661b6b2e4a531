//! A context per runtime in which no user code ever ran: its functions are QuickJS's own, whatever script replaced in
//! the user's context.

use std::cell::Cell;
use std::ffi::{CStr, c_int};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use offheap::Site;
use rquickjs::{Ctx, qjs};

use super::layout;
use crate::{ENGINE, Error};

pub(crate) struct Realm {
    ctx: NonNull<qjs::JSContext>,
    /// `ArrayBuffer.prototype.resize`
    pub(super) resize: qjs::JSValue,
    /// The getter of `%TypedArray%.prototype.buffer`.
    typed_array_buffer: qjs::JSValue,
    /// The getter of `DataView.prototype.buffer`.
    data_view_buffer: qjs::JSValue,
    shared_class: qjs::JSClassID,
    /// Whether buffers are laid out as `layout` says.
    pub(super) layout_known: Cell<bool>,
}

/// Frames that are looked at: as many as QuickJS tells of.
const FRAMES: usize = 64;
const STACK_TRACE_LIMIT: &CStr = c"Error.stackTraceLimit = 64";
/// What a realm takes at the most (measured: 55 KiB). A context that runs out of memory while it is made corrupts its
/// runtime: QuickJS frees it and leaves it on the collector's list (`JS_NewContextRaw`). So none is made near the limit.
const REALM_BYTES: i64 = 128 << 10;
const RESIZE: &CStr = c"ArrayBuffer.prototype.resize";
const TYPED_ARRAY_BUFFER: &CStr =
    c"Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), 'buffer').get";
const DATA_VIEW_BUFFER: &CStr = c"Object.getOwnPropertyDescriptor(DataView.prototype, 'buffer').get";
const SHARED_BUFFER: &CStr = c"new SharedArrayBuffer(1)";
/// Should user code ever reach this realm, through an error that came from it, it finds nothing here that writes to
/// immutable buffers.
const NO_ATOMICS: &CStr = c"delete globalThis.Atomics";

impl Realm {
    pub(super) fn new(user: &Ctx<'_>) -> Result<Self, Error> {
        // SAFETY: reads a field of a live context.
        let runtime = unsafe { qjs::JS_GetRuntime(user.as_raw().as_ptr()) };
        let failed = Error::EngineFailed { engine: ENGINE, attempted: "make a context" };
        let mut usage = MaybeUninit::uninit();
        // SAFETY: the runtime is alive and this thread's to use, as `user` shows; the call writes all of `usage`.
        unsafe { qjs::JS_ComputeMemoryUsage(runtime, usage.as_mut_ptr()) };
        // SAFETY: written by the call.
        let usage: qjs::JSMemoryUsage = unsafe { usage.assume_init() };
        if usage.malloc_limit != 0 && usage.malloc_limit.saturating_sub(usage.malloc_size) < REALM_BYTES {
            return Err(failed);
        }
        // SAFETY: the runtime is alive and this thread's to use, as `user` shows.
        let ctx = unsafe { qjs::JS_NewContext(runtime) };
        let ctx = NonNull::new(ctx).ok_or(failed)?;
        let mut realm = Realm {
            ctx,
            resize: qjs::JS_UNDEFINED,
            typed_array_buffer: qjs::JS_UNDEFINED,
            data_view_buffer: qjs::JS_UNDEFINED,
            shared_class: 0,
            layout_known: Cell::new(false),
        };
        // From here on `realm` frees what it has, should a step fail.
        for source in [NO_ATOMICS, STACK_TRACE_LIMIT] {
            let value = realm.evaluate(source)?;
            realm.free(value);
        }
        realm.resize = realm.evaluate(RESIZE)?;
        realm.typed_array_buffer = realm.evaluate(TYPED_ARRAY_BUFFER)?;
        realm.data_view_buffer = realm.evaluate(DATA_VIEW_BUFFER)?;
        let shared = realm.evaluate(SHARED_BUFFER)?;
        // SAFETY: reads the class of a live object.
        realm.shared_class = unsafe { qjs::JS_GetClassID(shared) };
        realm.free(shared);
        // SAFETY: the realm's context is alive.
        realm.layout_known.set(unsafe { layout::is_known(ctx.as_ptr()) });
        Ok(realm)
    }

    fn evaluate(&self, source: &CStr) -> Result<qjs::JSValue, Error> {
        let flags = qjs::JS_EVAL_TYPE_GLOBAL as c_int;
        // SAFETY: a live context, and source text that ends with NUL.
        let value = unsafe {
            qjs::JS_Eval(
                self.ctx.as_ptr(),
                source.as_ptr(),
                source.count_bytes() as qjs::size_t,
                c"offheap".as_ptr(),
                flags,
            )
        };
        self.checked(value)
    }

    /// A value of this realm, or what was thrown instead.
    pub(super) fn checked(&self, value: qjs::JSValue) -> Result<qjs::JSValue, Error> {
        // SAFETY: looks at the tag alone.
        if !unsafe { qjs::JS_IsException(value) } {
            return Ok(value);
        }
        // SAFETY: takes the exception that was just thrown.
        let exception = unsafe { qjs::JS_GetException(self.ctx.as_ptr()) };
        let message = self.string(exception).unwrap_or_default();
        self.free(exception);
        Err(Error::Script { engine: ENGINE, message, stack: String::new() })
    }

    pub(super) fn free(&self, value: qjs::JSValue) {
        // SAFETY: I-NO-JS-OWNER: a value that the caller owns, of this runtime.
        unsafe { qjs::JS_FreeValue(self.ctx.as_ptr(), value) };
    }

    pub(super) fn as_ptr(&self) -> *mut qjs::JSContext {
        self.ctx.as_ptr()
    }

    fn string(&self, value: qjs::JSValue) -> Option<String> {
        // SAFETY: a live value; the result is freed below.
        let text = unsafe { qjs::JS_ToCString(self.ctx.as_ptr(), value) };
        let text = NonNull::new(text.cast_mut())?;
        // SAFETY: QuickJS ends it with NUL.
        let string = unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned();
        // SAFETY: made by `JS_ToCString` above.
        unsafe { qjs::JS_FreeCString(self.ctx.as_ptr(), text.as_ptr()) };
        Some(string)
    }

    pub(super) fn is_shared(&self, value: qjs::JSValue) -> bool {
        // SAFETY: reads the class of a live value.
        unsafe { qjs::JS_GetClassID(value) == self.shared_class }
    }

    /// The buffer of the view `value`, owned by the caller, whatever script made of its prototype; `None` for what is no
    /// view.
    pub(super) fn buffer_of_view(&self, value: qjs::JSValue) -> Option<qjs::JSValue> {
        // SAFETY: looks at the class of a live value.
        let getter = if unsafe { qjs::JS_IsDataView(value) } { self.data_view_buffer } else { self.typed_array_buffer };
        // SAFETY: a live function of this runtime, called without arguments. It runs no user code.
        let buffer = unsafe { qjs::JS_Call(self.ctx.as_ptr(), getter, value, 0, std::ptr::null_mut()) };
        self.checked(buffer).ok()
    }

    /// The call stack, innermost first, one frame a line; empty where nothing is running, `None` where QuickJS does not
    /// tell: it has no memory, was interrupted, or is making a stack trace already.
    fn stack(&self) -> Option<String> {
        // SAFETY: a live context. The error's stack is that of the runtime, with this realm's settings for it.
        let error = unsafe { qjs::JS_NewError(self.ctx.as_ptr()) };
        let error = self.checked(error).ok()?;
        // SAFETY: a live object, and a name that ends with NUL.
        let stack = unsafe { qjs::JS_GetPropertyStr(self.ctx.as_ptr(), error, c"stack".as_ptr()) };
        self.free(error);
        let stack = self.checked(stack).ok()?;
        // SAFETY: looks at the tag alone.
        let text = if unsafe { qjs::JS_IsString(stack) } { self.string(stack) } else { None };
        self.free(stack);
        text
    }

    /// Whether functions of the engine itself are waiting for what they called: `sort` for its callback. Where it cannot
    /// be told, they are.
    pub(super) fn is_native_code_waiting(&self) -> bool {
        self.stack().is_none_or(|stack| {
            let mut frame_count = 0;
            let all_script = stack.lines().inspect(|_| frame_count += 1).all(|frame| parse_frame(frame).is_some());
            !all_script || frame_count >= FRAMES
        })
    }

    /// The innermost place in a script, of the call that is going on.
    pub(crate) fn site(&self) -> Option<Site> {
        let stack = self.stack()?;
        let (file, line, column) = stack.lines().find_map(parse_frame)?;
        Some(Site::script(file, line, column))
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        for value in [self.resize, self.typed_array_buffer, self.data_view_buffer] {
            self.free(value);
        }
        // SAFETY: I-NO-JS-OWNER: made by `JS_NewContext`, freed once, while the runtime lives (`State`).
        unsafe { qjs::JS_FreeContext(self.ctx.as_ptr()) };
    }
}

/// `    at name (file:line:column)`, or without the name and the parentheses; native frames have no line.
fn parse_frame(frame: &str) -> Option<(&str, u32, u32)> {
    let frame = frame.trim().strip_prefix("at ")?;
    let place = match frame.strip_suffix(')') {
        Some(frame) => frame.rsplit_once(" (")?.1,
        None => frame.rsplit_once(' ').map_or(frame, |(_, place)| place),
    };
    let (place, column) = place.rsplit_once(':')?;
    let (file, line) = place.rsplit_once(':')?;
    Some((file, line.parse().ok()?, column.parse().ok()?))
}

/// A function for script, `isImmutableView(value)`: whether it is a typed array over an immutable buffer.
pub(crate) fn is_immutable_view<'js>(ctx: &Ctx<'js>) -> rquickjs::Result<rquickjs::Value<'js>> {
    unsafe extern "C" fn check(
        ctx: *mut qjs::JSContext,
        _this: qjs::JSValue,
        _argc: c_int,
        argv: *mut qjs::JSValue,
    ) -> qjs::JSValue {
        // SAFETY: QuickJS fills up the arguments to the length that the function was made with: one.
        let view = unsafe { *argv };
        // SAFETY: looks at the class of a live value.
        if unsafe { qjs::JS_GetTypedArrayType(view) } < 0 {
            return qjs::JS_FALSE;
        }
        let none = std::ptr::null_mut();
        // SAFETY: a typed array; null where a result is not wanted.
        let buffer = unsafe { qjs::JS_GetTypedArrayBuffer(ctx, view, none, none, none) };
        // SAFETY: looks at the tag alone.
        if unsafe { qjs::JS_IsException(buffer) } {
            // Out of bounds, which no view of an immutable buffer is: such a buffer has one length.
            // SAFETY: takes the exception that was just thrown.
            let exception = unsafe { qjs::JS_GetException(ctx) };
            // SAFETY: owned by the call above.
            unsafe { qjs::JS_FreeValue(ctx, exception) };
            return qjs::JS_FALSE;
        }
        // SAFETY: reads a flag of a live object; -1 for another class.
        let immutable = unsafe { qjs::JS_IsImmutableArrayBuffer(buffer) } == 1;
        // SAFETY: owned by the call above.
        unsafe { qjs::JS_FreeValue(ctx, buffer) };
        if immutable { qjs::JS_TRUE } else { qjs::JS_FALSE }
    }
    // SAFETY: a live context, a name that ends with NUL, and a function that does not unwind.
    let function = unsafe {
        qjs::JS_NewCFunction2(
            ctx.as_raw().as_ptr(),
            Some(check),
            c"isImmutableView".as_ptr(),
            1,
            qjs::JSCFunctionEnum_JS_CFUNC_generic,
            0,
        )
    };
    // SAFETY: looks at the tag alone.
    if unsafe { qjs::JS_IsException(function) } {
        return Err(rquickjs::Error::Exception);
    }
    // SAFETY: owned by the call above, and of the runtime of `ctx`.
    Ok(unsafe { rquickjs::Value::from_raw(ctx.clone(), function) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_places() {
        let at = |frame: &str| parse_frame(frame).map(|(file, line, column)| format!("{file}:{line}:{column}"));
        assert_eq!(at("    at f (examples/a.js:3:7)").as_deref(), Some("examples/a.js:3:7"));
        assert_eq!(at("    at <anonymous> (a b.js:3:7)").as_deref(), Some("a b.js:3:7"));
        assert_eq!(at("    at a.js:3:7").as_deref(), Some("a.js:3:7"));
        assert_eq!(at("    at map (native)"), None);
        assert_eq!(at("    at free"), None);
        assert_eq!(at(""), None);
    }
}
