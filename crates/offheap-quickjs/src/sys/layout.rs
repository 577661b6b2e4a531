//! QuickJS-NG's `JSArrayBuffer`, as version 0.16.2 lays it out.
//!
//! The struct is private to `quickjs.c`, so this file verifies the layout instead of trusting it: [`is_known`]
//! makes a buffer and compares each field with its expected value. Every use of the layout checks that result
//! first.

use std::ffi::{CStr, c_int, c_void};
use std::mem::offset_of;
use std::ptr::{self, NonNull};

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

/// Whether this QuickJS lays out its ArrayBuffers like [`BufferFields`].
///
/// # Safety
/// `ctx` is a live context whose runtime this thread may use.
pub(crate) unsafe fn is_known(ctx: *mut qjs::JSContext) -> bool {
    let mut probe = Probe::new();
    // SAFETY: the buffer was made just now, over this probe.
    let look = |value, data, probe| unsafe { fields_match(value, data, probe) };
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
