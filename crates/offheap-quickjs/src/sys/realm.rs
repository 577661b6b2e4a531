//! A context per runtime in which no user code ever runs. Its functions are QuickJS's own, even if script has
//! replaced those of the user's context.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use offheap::Site;
use offheap::adapter;
use offheap::observe::ScriptStack;
use rquickjs::{Ctx, Value, qjs};

use super::allocator::keeps_blocks;
use super::frames::{Frame, Frames};
use super::layout;
use super::middle::NoCollection;
use crate::script::try_text;
use crate::{ENGINE, Error, ScriptError};

pub(crate) struct Realm {
    ctx: NonNull<qjs::JSContext>,
    /// `ArrayBuffer.prototype.resize`
    pub(super) resize: qjs::JSValue,
    /// `SharedArrayBuffer.prototype.grow`
    pub(super) grow: qjs::JSValue,
    /// The getter of `%TypedArray%.prototype.buffer`.
    typed_array_buffer: qjs::JSValue,
    /// The getter of `DataView.prototype.buffer`.
    data_view_buffer: qjs::JSValue,
    shared_class: qjs::JSClassID,
    /// The callback that frees QuickJS's own memory.
    own_realloc: qjs::JSReallocArrayBufferDataFunc,
    /// Whether the runtime has our allocator, which keeps blocks that QuickJS frees.
    keeps_blocks: bool,
    /// Whether the layout of buffers is the one in `layout`.
    pub(super) layout_known: Cell<bool>,
    /// Whether SharedArrayBuffers call their callback, once that has been tried.
    pub(super) shared_released: Cell<Option<bool>>,
}

const STACK_TRACE_LIMIT: &CStr = c"Error.stackTraceLimit = 64";
/// Formats a stack as a text for [`frames`](super::frames): of the innermost `most` places in scripts. It reads call sites, so
/// the name of a function or file cannot be mistaken for a frame.
const PREPARE: &CStr = c"globalThis.most = 1;
Error.prepareStackTrace = (_, sites) => {
    let text = '';
    for (let at = 0, count = 0; at < sites.length && count < most; at++) {
        const site = sites[at], line = site.getLineNumber(), file = site.getFileName();
        if (line === null || file === 'offheap:setup') continue;
        const name = site.getFunctionName() ?? '';
        text += line + ':' + site.getColumnNumber() + ':' + name.length + ':' + file.length + ':' + name + file;
        count++;
    }
    return text;
}";
/// The memory that a realm needs at most (measured: 55 KiB). If a new context runs out of memory, QuickJS corrupts
/// the runtime: it frees the context but leaves it on the collector's list (`JS_NewContextRaw`). So no realm is
/// made near the memory limit.
const REALM_BYTES: i64 = 128 << 10;
const RESIZE: &CStr = c"ArrayBuffer.prototype.resize";
const GROW: &CStr = c"SharedArrayBuffer.prototype.grow";
const TYPED_ARRAY_BUFFER: &CStr =
    c"Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), 'buffer').get";
const DATA_VIEW_BUFFER: &CStr = c"Object.getOwnPropertyDescriptor(DataView.prototype, 'buffer').get";
/// Larger than any block of QuickJS's arena.
const LARGE_BUFFER: &CStr = c"new ArrayBuffer(1024)";
const SHARED_BUFFER: &CStr = c"new SharedArrayBuffer(1)";
/// User code may reach this realm through an error that was made here. It must then find no functions that write to
/// immutable buffers or grow a shared buffer without its store.
const NO_ATOMICS: &CStr = c"delete globalThis.Atomics";
const NO_GROW: &CStr = c"delete SharedArrayBuffer.prototype.grow";

impl Realm {
    pub(super) fn new(user: &Ctx<'_>) -> Result<Self, Error> {
        // SAFETY: reads a field of a live context.
        let runtime = unsafe { qjs::JS_GetRuntime(user.as_raw().as_ptr()) };
        let failed = Error::EngineFailed { engine: ENGINE, attempted: "make a context" };
        let mut usage = MaybeUninit::uninit();
        // SAFETY: the runtime is alive and belongs to this thread, as `user` shows; the call writes all of `usage`.
        unsafe { qjs::JS_ComputeMemoryUsage(runtime, usage.as_mut_ptr()) };
        // SAFETY: the call above has written it.
        let usage: qjs::JSMemoryUsage = unsafe { usage.assume_init() };
        if usage.malloc_limit != 0 && usage.malloc_limit.saturating_sub(usage.malloc_size) < REALM_BYTES {
            return Err(failed);
        }
        // SAFETY: the runtime is alive and belongs to this thread, as `user` shows.
        let ctx = unsafe { qjs::JS_NewContext(runtime) };
        let ctx = NonNull::new(ctx).ok_or(failed)?;
        let mut realm = Realm {
            ctx,
            resize: qjs::JS_UNDEFINED,
            grow: qjs::JS_UNDEFINED,
            typed_array_buffer: qjs::JS_UNDEFINED,
            data_view_buffer: qjs::JS_UNDEFINED,
            shared_class: 0,
            own_realloc: None,
            keeps_blocks: false,
            layout_known: Cell::new(false),
            shared_released: Cell::new(None),
        };
        // If a later step fails, dropping `realm` frees what it has.
        realm.grow = realm.evaluate(GROW)?;
        for source in [NO_ATOMICS, NO_GROW, STACK_TRACE_LIMIT, PREPARE] {
            let value = realm.evaluate(source)?;
            realm.free(value);
        }
        realm.resize = realm.evaluate(RESIZE)?;
        realm.typed_array_buffer = realm.evaluate(TYPED_ARRAY_BUFFER)?;
        realm.data_view_buffer = realm.evaluate(DATA_VIEW_BUFFER)?;
        // SAFETY: the realm's context is alive.
        realm.layout_known.set(unsafe { layout::is_known(ctx.as_ptr()) });
        let shared = realm.evaluate(SHARED_BUFFER)?;
        // SAFETY: reads the class of a live object.
        realm.shared_class = unsafe { qjs::JS_GetClassID(shared) };
        if realm.layout_known.get() {
            // SAFETY: I-LAYOUT: a live SharedArrayBuffer, which has the same struct, and the layout was probed.
            let fields = unsafe { layout::BufferFields::of(shared) };
            // SAFETY: I-LAYOUT: no code of QuickJS runs while this reference lives.
            realm.own_realloc = unsafe { fields.as_ref() }.realloc;
            let large = realm.evaluate(LARGE_BUFFER)?;
            // SAFETY: reads the class of a live object.
            layout::note_own_memory(unsafe { qjs::JS_GetClassID(large) }, realm.own_realloc);
            // SAFETY: I-LAYOUT: a live buffer, and the layout was probed.
            let fields = unsafe { layout::BufferFields::of(large) };
            // SAFETY: I-LAYOUT: no code of QuickJS runs while this reference lives.
            let fields = unsafe { fields.as_ref() };
            let data = NonNull::new(fields.data).expect("the buffer is not detached");
            let byte_length = fields.byte_length as usize;
            realm.keeps_blocks = keeps_blocks(data, byte_length, || realm.free(large));
        }
        realm.free(shared);
        Ok(realm)
    }

    fn evaluate(&self, source: &CStr) -> Result<qjs::JSValue, Error> {
        let flags = qjs::JS_EVAL_TYPE_GLOBAL as c_int;
        // SAFETY: a live context, and a source text that ends with NUL.
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

    /// Calls one of QuickJS's own functions with arguments that are not objects made by script. So no foreign code
    /// runs except an interrupt handler. If that interrupts the call, the error is made in this realm.
    pub(super) fn call(
        &self,
        function: qjs::JSValue,
        this: qjs::JSValue,
        arguments: &mut [qjs::JSValue],
    ) -> Result<qjs::JSValue, Error> {
        let _no_collection = NoCollection::begin(self.ctx);
        let count = arguments.len() as c_int;
        // SAFETY: live values of this runtime, and `count` of them.
        let result = unsafe { qjs::JS_Call(self.ctx.as_ptr(), function, this, count, arguments.as_mut_ptr()) };
        self.checked(result)
    }

    /// Returns a value of this realm, or the exception as an error.
    fn checked(&self, value: qjs::JSValue) -> Result<qjs::JSValue, Error> {
        // SAFETY: only reads the tag.
        if !unsafe { qjs::JS_IsException(value) } {
            return Ok(value);
        }
        // SAFETY: takes the exception that was just thrown.
        let exception = unsafe { qjs::JS_GetException(self.ctx.as_ptr()) };
        let message = self.message_of(exception);
        self.free(exception);
        Err(match message {
            Some(message) => ScriptError::new(ENGINE, message, String::new()).into(),
            // QuickJS throws null if it has no memory for an error object.
            None => Error::EngineFailed { engine: ENGINE, attempted: "continue" },
        })
    }

    /// The message of an error, if it is an own property. Nothing is converted or inherited, because that could run
    /// script.
    fn message_of(&self, error: qjs::JSValue) -> Option<String> {
        // SAFETY: reads the class of a live value.
        if !unsafe { qjs::JS_IsError(error) } {
            return None;
        }
        let ctx = self.ctx.as_ptr();
        // SAFETY: a live context, and text that ends with NUL.
        let name = unsafe { qjs::JS_NewAtom(ctx, c"message".as_ptr()) };
        let mut property = MaybeUninit::uninit();
        // SAFETY: a live object of a class that has only ordinary properties.
        let found = unsafe { qjs::JS_GetOwnProperty(ctx, property.as_mut_ptr(), error, name) };
        // SAFETY: `JS_NewAtom` above returned an owned atom.
        unsafe { qjs::JS_FreeAtom(ctx, name) };
        if found != 1 {
            return None;
        }
        // SAFETY: the call has written it, because it found the property.
        let property: qjs::JSPropertyDescriptor = unsafe { property.assume_init() };
        // SAFETY: only reads the tag.
        let text = if unsafe { qjs::JS_IsString(property.value) } { self.string(property.value) } else { None };
        for value in [property.value, property.getter, property.setter] {
            self.free(value);
        }
        text
    }

    pub(super) fn free(&self, value: qjs::JSValue) {
        // SAFETY: I-NO-JS-OWNER: a value of this runtime, which the caller owns.
        unsafe { qjs::JS_FreeValue(self.ctx.as_ptr(), value) };
    }

    pub(super) fn as_ptr(&self) -> *mut qjs::JSContext {
        self.ctx.as_ptr()
    }

    pub(super) fn context(&self) -> NonNull<qjs::JSContext> {
        self.ctx
    }

    /// The text of a live name, and the description of a symbol. `None` if there is no memory.
    pub(super) fn atom_text(&self, name: qjs::JSAtom) -> Option<String> {
        let mut byte_length = 0;
        // SAFETY: a live context and a live name; the result is freed by `copied`.
        let text = unsafe { qjs::JS_AtomToCStringLen(self.ctx.as_ptr(), &mut byte_length, name) };
        // SAFETY: QuickJS made the text, of this length.
        unsafe { copied(self.ctx, text, byte_length) }
    }

    fn string(&self, value: qjs::JSValue) -> Option<String> {
        text(self.ctx, value)
    }

    pub(super) fn is_shared(&self, value: qjs::JSValue) -> bool {
        // SAFETY: reads the class of a live value.
        unsafe { qjs::JS_GetClassID(value) == self.shared_class }
    }

    /// Whether a buffer with this callback and opaque has memory that QuickJS allocated for this buffer only.
    pub(super) fn is_own_memory(
        &self,
        realloc: qjs::JSReallocArrayBufferDataFunc,
        opaque: Option<NonNull<c_void>>,
    ) -> bool {
        let address = |function: qjs::JSReallocArrayBufferDataFunc| function.map(|function| function as usize);
        opaque.is_none() && realloc.is_some() && address(realloc) == address(self.own_realloc)
    }

    /// Whether a buffer with these fields has memory of QuickJS's own, in a block that can be taken unless it is part
    /// of QuickJS's arena.
    pub(super) fn takes_blocks(&self, fields: &layout::BufferFields) -> bool {
        self.keeps_blocks && self.is_own_memory(fields.realloc, NonNull::new(fields.opaque))
    }

    /// The buffer of the view `value`, even if script has changed the view's prototype; the caller owns it. `None`
    /// if `value` is not a view.
    pub(super) fn buffer_of_view(&self, value: qjs::JSValue) -> Result<Option<qjs::JSValue>, Error> {
        // SAFETY: reads the class of a live value.
        let getter = if unsafe { qjs::JS_IsDataView(value) } {
            self.data_view_buffer
        // SAFETY: reads the class of a live value.
        } else if unsafe { qjs::JS_GetTypedArrayType(value) } >= 0 {
            self.typed_array_buffer
        } else {
            return Ok(None);
        };
        self.call(getter, value, &mut []).map(Some)
    }

    /// The innermost `most` places in scripts of the running call, in the format of `PREPARE`. `None` if QuickJS gives none: it
    /// has no memory or stack, it was interrupted, or it is already making a stack trace.
    fn stack(&self, most: u8) -> Option<String> {
        let _no_collection = NoCollection::begin(self.ctx);
        // SAFETY: a live context; the caller owns the result.
        let global = unsafe { qjs::JS_GetGlobalObject(self.ctx.as_ptr()) };
        let most = qjs::JS_MKVAL(qjs::JS_TAG_INT, most.into());
        // SAFETY: a live object, a name that ends with NUL, and a number.
        let is_set = unsafe { qjs::JS_SetPropertyStr(self.ctx.as_ptr(), global, c"most".as_ptr(), most) };
        self.free(global);
        if is_set < 0 {
            // SAFETY: takes the exception that was just thrown.
            self.free(unsafe { qjs::JS_GetException(self.ctx.as_ptr()) });
            return None;
        }
        // SAFETY: a live context. The error gets the runtime's stack, with this realm's settings.
        let error = unsafe { qjs::JS_NewError(self.ctx.as_ptr()) };
        let error = self.checked(error).ok()?;
        // SAFETY: a live object, and a name that ends with NUL.
        let stack = unsafe { qjs::JS_GetPropertyStr(self.ctx.as_ptr(), error, c"stack".as_ptr()) };
        self.free(error);
        let stack = self.checked(stack).ok()?;
        // SAFETY: only reads the tag.
        let text = if unsafe { qjs::JS_IsString(stack) } { self.string(stack) } else { None };
        self.free(stack);
        text
    }

    /// The innermost place in a script, in the running call.
    pub(crate) fn site(&self) -> Option<Site> {
        let stack = self.stack(1)?;
        let place = Frames::of(&stack).next()?;
        Some(adapter::script_site(place.file, place.line, place.column))
    }

    /// The functions of scripts in the running call.
    pub(crate) fn script_stack(&self) -> ScriptStack {
        let stack = self.stack(ScriptStack::MOST_FRAMES as u8).unwrap_or_default();
        let mut frames = ScriptStack::new();
        // A script of this project's own is not the program's.
        let of_program = Frames::of(&stack).filter(|frame| !frame.file.starts_with("offheap:"));
        for Frame { function, file, line, column } in of_program {
            frames.push(adapter::script_frame(function, file, line, column));
        }
        frames
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        for value in [self.resize, self.grow, self.typed_array_buffer, self.data_view_buffer] {
            self.free(value);
        }
        // SAFETY: I-NO-JS-OWNER: `JS_NewContext` made it, and it is freed once, while the runtime lives (`State`).
        unsafe { qjs::JS_FreeContext(self.ctx.as_ptr()) };
    }
}

/// The text of `value`; `None` if there is no memory. Bytes that are not valid UTF-8 are replaced, for example lone
/// halves of surrogate pairs.
pub(crate) fn text_of(value: &Value<'_>) -> Option<String> {
    text(value.ctx().as_raw(), value.as_raw())
}

/// The text of a live value, with invalid UTF-8 replaced; `None` if there is no memory. `ctx` is a context of the
/// value's runtime, which belongs to this thread. A value that is not a string is converted, which may run script
/// of that context.
pub(super) fn text(ctx: NonNull<qjs::JSContext>, value: qjs::JSValue) -> Option<String> {
    let mut byte_length = 0;
    // SAFETY: a live context and a live value; the result is freed by `copied`.
    let text = unsafe { qjs::JS_ToCStringLen2(ctx.as_ptr(), &mut byte_length, value, false) };
    // SAFETY: QuickJS made the text, of this length.
    unsafe { copied(ctx, text, byte_length) }
}

/// A copy of a text of QuickJS, which is freed. `None` if it is null or there is no memory.
///
/// # Safety
/// QuickJS made the text, of this length, in a runtime that this thread may use, and nothing else frees it.
unsafe fn copied(ctx: NonNull<qjs::JSContext>, text: *const c_char, byte_length: qjs::size_t) -> Option<String> {
    let text = NonNull::new(text.cast_mut())?;
    let bytes = NonNull::slice_from_raw_parts(text.cast::<u8>(), byte_length as usize);
    // SAFETY: I-LAYOUT: QuickJS says that there are this many bytes, which live until they are freed.
    let string = try_text(unsafe { bytes.as_ref() });
    // SAFETY: the caller promises that QuickJS made the text.
    unsafe { qjs::JS_FreeCString(ctx.as_ptr(), text.as_ptr()) };
    string
}
