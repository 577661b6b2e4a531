//! QuickJS-NG's `JSArrayBuffer`, as version 0.16.2 lays it out.
//!
//! The struct is private to `quickjs.c`, so this file verifies the layout instead of trusting it: [`is_known`]
//! makes a buffer and compares each field with its expected value. Every use of the layout checks that result
//! first.

#[cfg(test)]
use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::mem::offset_of;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use rquickjs::qjs;

use crate::script::try_text;
use crate::{ENGINE, Error};

/// The fields of `JSArrayBuffer` that we use. A detached buffer has null data and length 0.
#[repr(C)]
pub(crate) struct BufferFields {
    pub(crate) byte_length: c_int,
    /// -1 if the buffer is not resizable.
    pub(crate) max_byte_length: c_int,
    pub(crate) detached: u8,
    pub(crate) immutable: u8,
    pub(crate) shared: u8,
    pub(crate) data: *mut u8,
    pub(crate) views: [*mut c_void; 2],
    pub(crate) opaque: *mut c_void,
    pub(crate) realloc: qjs::JSReallocArrayBufferDataFunc,
}

impl BufferFields {
    /// The fields of the ArrayBuffer or SharedArrayBuffer `value`.
    ///
    /// # Safety
    /// `value` is a live buffer, and [`is_known`] has returned true.
    pub(crate) unsafe fn of(value: qjs::JSValue) -> NonNull<BufferFields> {
        let mut class = 0;
        // SAFETY: reads a field of a live object.
        let opaque = unsafe { qjs::JS_GetAnyOpaque(value, &mut class) };
        NonNull::new(opaque.cast()).expect("a buffer has its struct")
    }

    pub(crate) fn is_resizable(&self) -> bool {
        self.max_byte_length >= 0
    }
}

/// The callback of QuickJS's own memory; 0 until a realm has found that the layout is [known](is_known). All runtimes
/// of the process have the same QuickJS.
static OWN_REALLOC: AtomicUsize = AtomicUsize::new(0);

/// The class of ArrayBuffers, noted before `OWN_REALLOC`.
static ARRAY_BUFFER: AtomicU32 = AtomicU32::new(0);

#[cfg(test)]
thread_local! {
    static PRETENDS_CHANGE: Cell<bool> = const { Cell::new(false) };
}

/// Makes [`known_fields`] return nothing on this thread.
#[cfg(test)]
pub(super) fn pretend_change() {
    PRETENDS_CHANGE.set(true);
}

/// Notes the class of ArrayBuffers and the callback of QuickJS's own memory, after [`is_known`] has returned true.
pub(super) fn note_own_memory(class: qjs::JSClassID, realloc: qjs::JSReallocArrayBufferDataFunc) {
    ARRAY_BUFFER.store(class, Ordering::Relaxed);
    OWN_REALLOC.store(realloc.map_or(0, |realloc| realloc as usize), Ordering::Release);
}

/// The fields of the ArrayBuffer `value`, and the address of the callback of QuickJS's own memory. `None` for any
/// other value, and unless the layout is known. This does not ask for the state of a runtime, so it is fast.
///
/// # Safety
/// `value` is alive, and no code of QuickJS runs while the result is used.
#[inline]
pub(super) unsafe fn known_fields<'a>(value: qjs::JSValue) -> Option<(&'a BufferFields, usize)> {
    #[cfg(test)]
    if PRETENDS_CHANGE.get() {
        return None;
    }
    let own_realloc = OWN_REALLOC.load(Ordering::Acquire);
    let mut class = 0;
    // SAFETY: reads two fields of a live value.
    let fields = unsafe { qjs::JS_GetAnyOpaque(value, &mut class) }.cast::<BufferFields>();
    if own_realloc == 0 || class != ARRAY_BUFFER.load(Ordering::Relaxed) {
        return None;
    }
    // SAFETY: I-LAYOUT: the struct of a live ArrayBuffer, and a realm has probed the layout. The caller promises that no
    // code of QuickJS runs while the reference lives.
    Some((unsafe { fields.as_ref() }?, own_realloc))
}

/// The fields of `JSTypedArray` that we use: the struct of a typed array, and of a DataView.
#[repr(C)]
pub(crate) struct ViewFields {
    link: [*mut c_void; 2],
    /// The view itself.
    object: *mut c_void,
    buffer: *mut c_void,
    pub(crate) byte_offset: u32,
    /// The length in bytes, unless the view follows the length of its buffer.
    pub(crate) byte_length: u32,
    /// Whether the length of the view follows that of its buffer.
    pub(crate) follows: u8,
}

impl ViewFields {
    /// The fields of the typed array or DataView `value`.
    ///
    /// # Safety
    /// `value` is a live typed array or DataView, and [`is_known`] has returned true.
    pub(crate) unsafe fn of(value: qjs::JSValue) -> NonNull<ViewFields> {
        let mut class = 0;
        // SAFETY: reads a field of a live object.
        let opaque = unsafe { qjs::JS_GetAnyOpaque(value, &mut class) };
        NonNull::new(opaque.cast()).expect("a view has its struct")
    }
}

/// The version that the library reports.
pub(crate) fn version() -> &'static str {
    // SAFETY: returns a constant string that ends with NUL.
    let version = unsafe { qjs::JS_GetVersion() };
    // SAFETY: the string is constant and ends with NUL.
    let version = unsafe { CStr::from_ptr(version) };
    version.to_str().unwrap_or("of unknown version")
}

/// The error of an operation that needs the layout if the layout is not known.
pub(super) fn layout_changed() -> Error {
    Error::LayoutChanged { engine: ENGINE, version: try_text(version().as_bytes()).unwrap_or_default() }
}

/// The properties of a probe buffer: distinct lengths, and addresses that nothing else has.
const PROBE_LENGTH: usize = 24;
const PROBE_MAX_LENGTH: usize = 40;

struct Probe {
    memory: [u8; PROBE_MAX_LENGTH],
    freed: bool,
}

extern "C" fn probe_realloc(
    _rt: *mut qjs::JSRuntime,
    opaque: *mut c_void,
    data: *mut c_void,
    size: qjs::size_t,
) -> *mut c_void {
    if size != 0 {
        return data;
    }
    // SAFETY: the opaque is the probe, which outlives its buffer.
    unsafe { (*opaque.cast::<Probe>()).freed = true };
    ptr::null_mut()
}

impl Probe {
    fn new() -> Self {
        Probe { memory: [0; PROBE_MAX_LENGTH], freed: false }
    }
}

/// Whether this QuickJS lays out its ArrayBuffers like [`BufferFields`], and their views like [`ViewFields`].
///
/// # Safety
/// `ctx` is a live context in which no user code has run, and whose runtime this thread may use.
pub(crate) unsafe fn is_known(ctx: *mut qjs::JSContext) -> bool {
    let mut probe = Probe::new();
    let look = |value, data, probe| {
        // SAFETY: the buffer was made just now, over this probe.
        let is_known = unsafe { fields_match(value, data, probe) };
        // SAFETY: the buffer was made just now, in this context.
        is_known && unsafe { views_match(ctx, value) }
    };
    // SAFETY: the caller promises a live context; the probe outlives the call.
    let is_known = unsafe { with_probe(ctx, &raw mut probe, false, look) };
    is_known && probe.freed
}

/// Whether the SharedArrayBuffers of this runtime call their callback when they die.
///
/// # Safety
/// `ctx` is a live context whose runtime this thread may use.
pub(crate) unsafe fn is_shared_released(ctx: *mut qjs::JSContext) -> bool {
    let mut probe = Probe::new();
    // SAFETY: the caller promises a live context; the probe outlives the call.
    unsafe { with_probe(ctx, &raw mut probe, true, |_, _, _| true) };
    probe.freed
}

/// Makes a buffer over a probe, calls `look` with it, and frees it. Returns false if the buffer cannot be made.
///
/// # Safety
/// `ctx` is a live context whose runtime this thread may use, and no other code uses `probe`.
unsafe fn with_probe(
    ctx: *mut qjs::JSContext,
    probe: *mut Probe,
    is_shared: bool,
    look: impl FnOnce(qjs::JSValue, *mut u8, *mut Probe) -> bool,
) -> bool {
    let data = probe.cast::<u8>().wrapping_add(offset_of!(Probe, memory));
    // SAFETY: I-LAYOUT: the memory is longer than the buffer, and outlives it.
    let value = unsafe {
        qjs::JS_NewArrayBuffer(
            ctx,
            data,
            PROBE_LENGTH as qjs::size_t,
            PROBE_MAX_LENGTH as qjs::size_t,
            Some(probe_realloc),
            probe.cast(),
            is_shared,
        )
    };
    // SAFETY: only reads the tag.
    if unsafe { qjs::JS_IsException(value) } {
        // SAFETY: takes the exception that was just thrown.
        let exception = unsafe { qjs::JS_GetException(ctx) };
        // SAFETY: the call above returned an owned value.
        unsafe { qjs::JS_FreeValue(ctx, exception) };
        return false;
    }
    let seen = look(value, data, probe);
    // SAFETY: the only reference; the buffer dies here and calls `probe_realloc`.
    unsafe { qjs::JS_FreeValue(ctx, value) };
    seen
}

/// # Safety
/// `value` is the buffer that was made over `data`, with `probe` as its opaque.
unsafe fn fields_match(value: qjs::JSValue, data: *mut u8, probe: *mut Probe) -> bool {
    // SAFETY: QuickJS allocates the struct separately, at least as large as its fields. The first field is read
    // first, and a shorter struct would still be an allocation of QuickJS's allocator (of at least 16 bytes).
    let fields = unsafe { BufferFields::of(value) };
    // SAFETY: the struct is readable, as said above; whether its fields match is what this function finds out.
    let fields = unsafe { fields.as_ref() };
    let expected = probe_realloc as extern "C" fn(_, _, _, _) -> _ as usize;
    fields.byte_length == PROBE_LENGTH as c_int
        && fields.max_byte_length == PROBE_MAX_LENGTH as c_int
        && (fields.detached, fields.immutable, fields.shared) == (0, 0, 0)
        && fields.data == data
        && fields.opaque == probe.cast()
        && fields.realloc.is_some_and(|function| function as usize == expected)
}

/// The views that are made over a probe buffer: the script of a function that makes one, with the expected fields.
const PROBE_VIEWS: [(&CStr, u32, Option<u32>); 4] = [
    (c"(buffer) => new Uint16Array(buffer, 6, 5)", 6, Some(10)),
    (c"(buffer) => new Uint16Array(buffer, 4)", 4, None),
    (c"(buffer) => new DataView(buffer, 3, 7)", 3, Some(7)),
    (c"(buffer) => new DataView(buffer, 5)", 5, None),
];

/// # Safety
/// `ctx` is a live context in which no user code has run, and `buffer` a live, resizable ArrayBuffer of its runtime.
unsafe fn views_match(ctx: *mut qjs::JSContext, buffer: qjs::JSValue) -> bool {
    PROBE_VIEWS.iter().all(|(make, byte_offset, byte_length)| {
        // SAFETY: a live context, and a source text that ends with NUL.
        let make = unsafe {
            let length = make.count_bytes() as qjs::size_t;
            qjs::JS_Eval(ctx, make.as_ptr(), length, c"offheap".as_ptr(), qjs::JS_EVAL_TYPE_GLOBAL as c_int)
        };
        let mut argument = buffer;
        // SAFETY: live values, or an exception, which is not a function; the function takes one argument.
        let view = unsafe { qjs::JS_Call(ctx, make, qjs::JS_UNDEFINED, 1, &raw mut argument) };
        // SAFETY: `JS_Eval` above returned an owned value.
        unsafe { qjs::JS_FreeValue(ctx, make) };
        // SAFETY: only reads the tag.
        if !unsafe { qjs::JS_IsObject(view) } {
            // SAFETY: takes the exception that was just thrown.
            let exception = unsafe { qjs::JS_GetException(ctx) };
            // SAFETY: the call above returned an owned value.
            unsafe { qjs::JS_FreeValue(ctx, exception) };
            return false;
        }
        // SAFETY: the struct is readable, as said below; whether its fields match is what this function finds out.
        let fields = unsafe { ViewFields::of(view) };
        // SAFETY: QuickJS allocates the struct separately. A shorter one than the fields, of 48 bytes, would still be an
        // allocation from QuickJS's arena, whose blocks of that size are next to each other, or longer.
        let fields = unsafe { fields.as_ptr().read_unaligned() };
        // SAFETY: both are objects.
        let [object, over] = unsafe { [view, buffer].map(|value| qjs::JS_VALUE_GET_PTR(value)) };
        let is_same = (fields.object, fields.buffer) == (object, over)
            && fields.byte_offset == *byte_offset
            && fields.follows == u8::from(byte_length.is_none())
            && byte_length.is_none_or(|byte_length| byte_length == fields.byte_length);
        // SAFETY: the only reference.
        unsafe { qjs::JS_FreeValue(ctx, view) };
        is_same
    })
}
