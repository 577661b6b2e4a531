//! Calls of the host's V8 about its buffers, with types.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::OnceLock;

use napi::Env;
use napi::bindgen_prelude::{JsValue, Unknown};
use napi_sys::napi_value;
use offheap_engine::Window;

use super::block::Block;
use super::napi::{element, unknown};
use super::shared_ptr::{SharedPtr, share};
use super::symbols::{Deleter, Functions};
use crate::{Error, engine};

/// V8's functions, which are what their names say.
#[derive(Clone, Copy)]
pub(crate) struct V8(pub(super) &'static Functions);

/// A value of script in the handle scope `'s`: the address of a slot, which is both a `napi_value` and a `v8::Local`.
#[derive(Clone, Copy)]
pub(crate) struct Handle<'s>(NonNull<c_void>, PhantomData<&'s ()>);

/// An ArrayBuffer or a SharedArrayBuffer.
#[derive(Clone, Copy)]
pub(crate) enum Buffer<'s> {
    Unshared(Handle<'s>),
    Shared(Handle<'s>),
}

impl<'s> Handle<'s> {
    /// The handle of a value. Node makes no `napi_value` without one.
    #[inline]
    pub(crate) fn of(value: &Unknown<'s>) -> Option<Self> {
        Some(Handle(NonNull::new(value.raw())?.cast(), PhantomData))
    }

    #[inline]
    fn pointer(self) -> *mut c_void {
        self.0.as_ptr()
    }

    /// The `napi_value`.
    pub(crate) fn raw(self) -> napi_value {
        self.0.as_ptr().cast()
    }
}

static IN_USE: OnceLock<V8> = OnceLock::new();

impl V8 {
    /// V8's functions, to be tried.
    ///
    /// # Safety
    /// They are what their names say, the host's handles are V8's, and this library stays mapped before a block is made.
    pub(crate) unsafe fn new(functions: &'static Functions) -> Self {
        V8(functions)
    }

    /// The functions that this process uses, once [`use_from_now_on`](Self::use_from_now_on) was called.
    ///
    /// # Errors
    /// [`Error::Unsupported`] before that. The mode *stores* is not chosen then.
    #[inline]
    pub(crate) fn in_use() -> Result<Self, Error> {
        IN_USE.get().copied().ok_or_else(|| Error::Unsupported {
            engine: engine(),
            what: "use V8's own stores: they were not chosen for this process",
            instead: "let the mode decide",
        })
    }

    /// Uses these functions for the rest of the process. The first ones stay.
    pub(crate) fn use_from_now_on(self) {
        IN_USE.get_or_init(|| self);
    }

    /// Whether the value is an ArrayBuffer, and not a shared one.
    #[inline]
    pub(crate) fn as_array_buffer(self, value: Handle<'_>) -> Option<Buffer<'_>> {
        // SAFETY: I-LAYOUT: a live handle.
        unsafe { (self.0.is_array_buffer)(value.pointer()) }.then_some(Buffer::Unshared(value))
    }

    /// The buffer that a value is.
    #[inline]
    pub(crate) fn as_buffer(self, value: Handle<'_>) -> Option<Buffer<'_>> {
        self.as_array_buffer(value).or_else(|| {
            // SAFETY: I-LAYOUT: a live handle.
            unsafe { (self.0.is_shared_array_buffer)(value.pointer()) }.then_some(Buffer::Shared(value))
        })
    }

    /// The buffer of a value that is a typed array or a DataView. If V8 has the bytes of a small typed array on its heap, it
    /// moves them to a buffer.
    #[inline]
    pub(crate) fn buffer_of_view(self, view: Handle<'_>) -> Option<Buffer<'_>> {
        // SAFETY: I-LAYOUT: a live handle.
        if !unsafe { (self.0.is_view)(view.pointer()) } {
            return None;
        }
        // SAFETY: I-LAYOUT: a live handle of a view.
        let buffer = unsafe { (self.0.view_buffer)(view.pointer()) };
        // V8 gives a SharedArrayBuffer the type of an ArrayBuffer here.
        self.as_buffer(Handle(NonNull::new(buffer)?, PhantomData))
    }

    /// What a view shows of its buffer. One that is out of bounds, or whose buffer is detached, shows no bytes.
    pub(crate) fn window(self, env: &Env, view: Handle<'_>) -> Window {
        // SAFETY: I-LAYOUT: a live handle of a view.
        let byte_offset = unsafe { (self.0.view_byte_offset)(view.pointer()) };
        // SAFETY: I-LAYOUT: a live handle of a view.
        let byte_length = unsafe { (self.0.view_byte_length)(view.pointer()) };
        Window::View { element: element(env, view), byte_offset, byte_length }
    }

    /// The address of a buffer's bytes. `None` for a SharedArrayBuffer, for a detached buffer, and for most empty ones.
    #[inline]
    pub(crate) fn data(self, buffer: Buffer<'_>) -> Option<NonNull<c_void>> {
        let Buffer::Unshared(buffer) = buffer else { return None };
        // SAFETY: I-LAYOUT: a live handle of an ArrayBuffer.
        NonNull::new(unsafe { (self.0.buffer_data)(buffer.pointer()) })
    }

    /// The length of a buffer in bytes.
    #[inline]
    pub(crate) fn byte_length(self, buffer: Buffer<'_>) -> usize {
        match buffer {
            // SAFETY: I-LAYOUT: a live handle of an ArrayBuffer.
            Buffer::Unshared(buffer) => unsafe { (self.0.buffer_byte_length)(buffer.pointer()) },
            // SAFETY: I-LAYOUT: a live handle of a SharedArrayBuffer.
            Buffer::Shared(buffer) => unsafe { (self.0.shared_buffer_byte_length)(buffer.pointer()) },
        }
    }

    /// Whether the buffer is detached.
    pub(crate) fn is_detached(self, buffer: Buffer<'_>) -> bool {
        let Buffer::Unshared(buffer) = buffer else { return false };
        // SAFETY: I-LAYOUT: a live handle of an ArrayBuffer.
        unsafe { (self.0.was_detached)(buffer.pointer()) }
    }

    /// Whether the buffer can be detached. Shared memory and that of a `WebAssembly.Memory` cannot.
    pub(crate) fn is_detachable(self, buffer: Buffer<'_>) -> bool {
        let Buffer::Unshared(buffer) = buffer else { return false };
        // SAFETY: I-LAYOUT: a live handle of an ArrayBuffer.
        unsafe { (self.0.is_detachable)(buffer.pointer()) }
    }

    /// The block of a buffer. V8 makes an empty one if the buffer is detached or has none.
    #[inline]
    pub(crate) fn block(self, buffer: Buffer<'_>) -> Option<Block> {
        let reference = match buffer {
            // SAFETY: I-LAYOUT: a live handle of an ArrayBuffer.
            Buffer::Unshared(buffer) => unsafe { (self.0.block)(buffer.pointer()) },
            // SAFETY: I-LAYOUT: a live handle of a SharedArrayBuffer.
            Buffer::Shared(buffer) => unsafe { (self.0.shared_block)(buffer.pointer()) },
        };
        // SAFETY: I-FREE-ONCE: V8 returned a `shared_ptr`, whose reference is taken once.
        let raw = unsafe { reference.shared_ptr() };
        // SAFETY: I-FREE-ONCE: as above.
        let reference = unsafe { SharedPtr::from_raw(raw) }?;
        Some(Block::new(reference, self.0))
    }

    /// A new block over memory that is not V8's. V8 calls `deleter` once, with the arguments given here, on the thread that
    /// drops the last reference.
    ///
    /// # Safety
    /// The bytes are mapped until then, and the deleter may be called with these arguments on any thread. `data` is not
    /// null. The length is at most 2^53 - 1. Memory that is not `shared` is not used by other threads than those that have
    /// the block.
    #[inline]
    pub(crate) unsafe fn new_block(
        self,
        shared: bool,
        data: NonNull<c_void>,
        byte_length: usize,
        deleter: Deleter,
        deleter_data: NonNull<c_void>,
    ) -> Block {
        let make = if shared { self.0.new_shared_block } else { self.0.new_block };
        // SAFETY: I-FREE-ONCE, I-MAPPED: the caller's promises. No isolate is needed.
        let made = unsafe { make(data.as_ptr(), byte_length, deleter, deleter_data.as_ptr()) };
        // SAFETY: I-LAYOUT: V8 returned a `unique_ptr`.
        let block = NonNull::new(unsafe { made.unique_ptr() }).expect("V8 ends the process if it cannot make a block");
        // SAFETY: I-FREE-ONCE: this is the block that V8 just made.
        Block::new(unsafe { share(self.0, block) }, self.0)
    }

    /// The isolate that this thread has entered; `None` outside of the host's calls.
    #[inline]
    pub(crate) fn isolate(self) -> Option<NonNull<c_void>> {
        // SAFETY: I-LAYOUT: it takes nothing.
        NonNull::new(unsafe { (self.0.current_isolate)() })
    }

    /// A new buffer over a block: a SharedArrayBuffer if the block is shared. V8 gets this reference to the block.
    ///
    /// # Errors
    /// [`Error::EngineFailed`] if the thread has entered no isolate, as outside of the host's calls.
    #[inline]
    pub(crate) fn buffer_over<'env>(self, env: &'env Env, block: Block) -> Result<Unknown<'env>, Error> {
        let Some(isolate) = self.isolate() else {
            return Err(Error::EngineFailed { engine: engine(), attempted: "make a buffer outside of its calls" });
        };
        let make = if block.is_shared() { self.0.new_shared_buffer } else { self.0.new_buffer };
        let mut argument = block.into_reference().into_raw();
        // SAFETY: I-LAYOUT: the current isolate, and a live block of the right kind at an address that V8 may write to.
        let buffer = unsafe { make(isolate.as_ptr(), &mut argument) };
        // V8 moved the reference out of it. If not, it is dropped here.
        // SAFETY: I-FREE-ONCE: what V8 left in the argument is taken once.
        drop(unsafe { SharedPtr::from_raw(argument) });
        // SAFETY: I-LAYOUT: a `v8::Local` is a `napi_value`, in the innermost handle scope.
        Ok(unsafe { unknown(env, buffer.cast()) })
    }
}
