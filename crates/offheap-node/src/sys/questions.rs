//! What the decision at load asks the host, through Node-API.
//!
//! Script may have put anything where the host's own properties were: getters that throw, or that call this addon again.
//! So a property that cannot be read is `None`, and nothing here holds a lock.

use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::ptr::{null, null_mut};

use napi::{Env, sys};

/// A value of script, as long as the [`Questions`] that it came from.
#[derive(Clone, Copy)]
pub(crate) struct Answer<'q> {
    value: sys::napi_value,
    questions: PhantomData<&'q Questions>,
}

/// A handle scope, in which no exception is pending. One that was pending before is thrown again at the end.
pub(crate) struct Questions {
    env: sys::napi_env,
    scope: sys::napi_handle_scope,
    exception: sys::napi_value,
}

/// The environment runs no script any more.
pub(crate) struct Ending;

impl Questions {
    pub(crate) fn new(env: &Env) -> Result<Self, Ending> {
        let (env, mut pending, mut exception, mut scope) = (env.raw(), false, null_mut(), null_mut());
        // SAFETY: I-ENV: the caller is on the environment's thread.
        unsafe { sys::napi_is_exception_pending(env, &raw mut pending) };
        if pending {
            // SAFETY: I-ENV: as above. The exception's handle is in the caller's scope, so it outlives this one.
            unsafe { sys::napi_get_and_clear_last_exception(env, &raw mut exception) };
        }
        // SAFETY: I-ENV: as above.
        match unsafe { sys::napi_open_handle_scope(env, &raw mut scope) } {
            sys::Status::napi_ok => Ok(Questions { env, scope, exception }),
            _ => Err(Ending),
        }
    }

    pub(super) fn env(&self) -> sys::napi_env {
        self.env
    }

    fn answer(&self, value: sys::napi_value) -> Option<Answer<'_>> {
        (!value.is_null()).then_some(Answer { value, questions: PhantomData })
    }

    fn forget_exception(&self) {
        let mut exception = null_mut();
        // SAFETY: I-ENV: the environment was checked by `new`; without an exception this does nothing.
        unsafe { sys::napi_get_and_clear_last_exception(self.env, &raw mut exception) };
    }

    /// `globalThis`
    pub(crate) fn global(&self) -> Option<Answer<'_>> {
        let mut value = null_mut();
        // SAFETY: I-ENV: as above.
        unsafe { sys::napi_get_global(self.env, &raw mut value) };
        self.answer(value)
    }

    /// `object[name]`, unless reading it throws.
    pub(crate) fn property<'q>(&'q self, object: Answer<'q>, name: &CStr) -> Option<Answer<'q>> {
        let mut value = null_mut();
        // SAFETY: I-ENV: the object is a handle of this scope.
        match unsafe { sys::napi_get_named_property(self.env, object.value, name.as_ptr(), &raw mut value) } {
            sys::Status::napi_ok => self.answer(value),
            _ => {
                self.forget_exception();
                None
            }
        }
    }

    /// `object[name](argument)`, unless that throws.
    pub(crate) fn call<'q>(&'q self, object: Answer<'q>, name: &CStr, argument: Option<&str>) -> Option<Answer<'q>> {
        let function = self.property(object, name)?;
        let mut text = null_mut();
        if let Some(argument) = argument {
            // SAFETY: I-ENV: as above; the text is copied.
            unsafe {
                sys::napi_create_string_utf8(self.env, argument.as_ptr().cast(), argument.len() as isize, &raw mut text)
            };
            self.answer(text)?;
        }
        let (count, arguments) = if text.is_null() { (0, null()) } else { (1, &raw const text) };
        let mut value = null_mut();
        // SAFETY: I-ENV: all of these are handles of this scope; what is not a function is refused with a status.
        match unsafe {
            sys::napi_call_function(self.env, object.value, function.value, count, arguments, &raw mut value)
        } {
            sys::Status::napi_ok => self.answer(value),
            _ => {
                self.forget_exception();
                None
            }
        }
    }

    /// A text of at most 255 bytes; longer ones are cut.
    pub(crate) fn text(&self, value: Answer<'_>) -> Option<String> {
        let (mut bytes, mut byte_length) = ([0_u8; 256], 0);
        // SAFETY: I-ENV: a handle of this scope; the host writes at most the length that it is told, with a zero.
        let status = unsafe {
            let (start, all) = (bytes.as_mut_ptr().cast(), bytes.len());
            sys::napi_get_value_string_utf8(self.env, value.value, start, all, &raw mut byte_length)
        };
        let told = bytes.get(..byte_length).filter(|_| status == sys::Status::napi_ok)?;
        Some(String::from_utf8_lossy(told).into_owned())
    }

    /// Whether a value is `true`, or a number other than 0.
    pub(crate) fn is_set(&self, value: Answer<'_>) -> bool {
        let (mut truth, mut number) = (false, 0_i32);
        // SAFETY: I-ENV: a handle of this scope; what is not a boolean is refused with a status.
        let is_bool = unsafe { sys::napi_get_value_bool(self.env, value.value, &raw mut truth) };
        // SAFETY: I-ENV: a handle of this scope; what is not a number is refused with a status.
        let is_number = unsafe { sys::napi_get_value_int32(self.env, value.value, &raw mut number) };
        (is_bool == sys::Status::napi_ok && truth) || (is_number == sys::Status::napi_ok && number != 0)
    }

    /// What the host's native code calls itself, which no script can change: Node and Bun say `node`.
    pub(crate) fn release(&self) -> Option<String> {
        let mut version = null();
        // SAFETY: I-ENV: the environment was checked by `new`.
        let status = unsafe { sys::napi_get_node_version(self.env, &raw mut version) };
        // SAFETY: I-ENV: the host's own static description, if it gave one.
        let version = unsafe { version.as_ref() }.filter(|_| status == sys::Status::napi_ok)?;
        if version.release.is_null() {
            return None;
        }
        // SAFETY: I-ENV: the host's own static text, which ends with a zero.
        Some(unsafe { CStr::from_ptr(version.release) }.to_string_lossy().into_owned())
    }

    /// Makes an external ArrayBuffer and releases it: the status of making it.
    pub(crate) fn external_status(&self) -> sys::napi_status {
        let mut buffer = null_mut();
        // SAFETY: I-ENV: the memory is never freed, and nobody reads it.
        let status = unsafe {
            let (memory, byte_length) = (SCRATCH.address(), Scratch::BYTE_LENGTH);
            sys::napi_create_external_arraybuffer(self.env, memory, byte_length, None, null_mut(), &raw mut buffer)
        };
        if status == sys::Status::napi_ok {
            // SAFETY: I-ENV: the handle of the buffer that was just made.
            unsafe { sys::napi_detach_arraybuffer(self.env, buffer) };
        }
        self.forget_exception();
        status
    }
}

impl Drop for Questions {
    fn drop(&mut self) {
        // SAFETY: I-ENV: the scope that `new` opened; scopes are closed in reverse order.
        unsafe { sys::napi_close_handle_scope(self.env, self.scope) };
        if !self.exception.is_null() {
            // SAFETY: I-ENV: the exception that `new` found, in the caller's scope.
            unsafe { sys::napi_throw(self.env, self.exception) };
        }
    }
}

/// Memory for buffers that are only looked at. It is static, so V8 may have it for as long as it likes.
pub(super) struct Scratch(std::cell::UnsafeCell<[u64; 8]>);

// SAFETY: I-ENV: nothing of ours reads or writes the bytes.
unsafe impl Sync for Scratch {}

pub(super) static SCRATCH: Scratch = Scratch(std::cell::UnsafeCell::new([0; 8]));

impl Scratch {
    pub(super) const BYTE_LENGTH: usize = size_of::<Self>();

    pub(super) fn address(&self) -> *mut c_void {
        self.0.get().cast()
    }
}
