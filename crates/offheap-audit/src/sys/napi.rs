//! The few functions of Node-API that the audit calls itself. The host has them, so they are found by name.

use std::ffi::{CStr, c_char};
use std::ptr::null_mut;
use std::sync::LazyLock;

use super::c::{Pointer, RTLD_DEFAULT};
use super::preload;

pub(super) type Env = Pointer;
/// `napi_value`
pub(super) type Value = Pointer;
pub(super) type Status = i32;

/// `napi_ok`
pub(super) const OK: Status = 0;
/// `NAPI_AUTO_LENGTH`
const AUTO_LENGTH: usize = usize::MAX;

macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*);)*) => {
        struct Functions {
            $($name: unsafe extern "C" fn($($argument),*) -> Status,)*
        }

        /// None if the host lacks one.
        static FUNCTIONS: LazyLock<Option<Functions>> = LazyLock::new(|| {
            Some(Functions {
                $($name: {
                    let name = CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()).ok()?;
                    let address = preload::look_up(RTLD_DEFAULT, name);
                    if address == 0 {
                        return None;
                    }
                    // SAFETY: I-PASS-ON, the word is the address of the host's function of this name, with Node-API's signature.
                    unsafe { std::mem::transmute::<usize, unsafe extern "C" fn($($argument),*) -> Status>(address) }
                },)*
            })
        });
    };
}

functions! {
    napi_get_typedarray_info: fn(Env, Value, *mut i32, *mut usize, *mut Pointer, *mut Value, *mut usize);
    napi_open_handle_scope: fn(Env, *mut Pointer);
    napi_close_handle_scope: fn(Env, Pointer);
    napi_get_undefined: fn(Env, *mut Value);
    napi_strict_equals: fn(Env, Value, Value, *mut bool);
    napi_is_exception_pending: fn(Env, *mut bool);
    napi_get_and_clear_last_exception: fn(Env, *mut Value);
    napi_create_string_utf8: fn(Env, *const c_char, usize, *mut Value);
    napi_create_error: fn(Env, Value, Value, *mut Value);
    napi_get_named_property: fn(Env, Value, *const c_char, *mut Value);
    napi_get_value_string_utf8: fn(Env, Value, *mut c_char, usize, *mut usize);
}

/// The ArrayBuffer of what an addon has just made.
pub(super) fn array_buffer(env: Env, value: Value, what: &str) -> Option<Value> {
    if what == "ArrayBuffer" {
        return Some(value);
    }
    let functions = FUNCTIONS.as_ref()?;
    let mut buffer = null_mut();
    let (of_type, length, data, offset) = (null_mut(), null_mut(), null_mut(), null_mut());
    // SAFETY: I-PASS-ON, the addon is in a call of its own on this thread; a pointer that is null asks for nothing.
    let status =
        unsafe { (functions.napi_get_typedarray_info)(env, value, of_type, length, data, &mut buffer, offset) };
    (status == OK).then_some(buffer)
}

/// Whether the environment ends, asked in the finalizer of a buffer: script cannot run any more, so a call that might run some
/// is refused. Only where a finalizer may call Node-API, which Deno does not allow.
pub(super) fn is_ending(env: Env) -> bool {
    static MAY_ASK: LazyLock<bool> = LazyLock::new(|| {
        // A name of Node itself, and one that Node and Bun have.
        let names = [c"_ZN4node5StartEiPPc", c"_ZN2v811ArrayBuffer15GetBackingStoreEv"];
        names.iter().any(|name| preload::look_up(RTLD_DEFAULT, name) != 0)
    });
    let Some(functions) = FUNCTIONS.as_ref().filter(|_| *MAY_ASK && !env.is_null()) else { return false };
    let (mut undefined, mut is_equal) = (null_mut(), false);
    // SAFETY: I-PASS-ON, the finalizer of a buffer runs on the thread of the environment, and may call Node-API.
    if unsafe { (functions.napi_get_undefined)(env, &mut undefined) } != OK {
        return true;
    }
    // SAFETY: I-PASS-ON, as above. It compares a constant with itself, which runs nothing.
    unsafe { (functions.napi_strict_equals)(env, undefined, undefined, &mut is_equal) != OK }
}

/// Calls `inner` in a scope of its own, so that the addon's has no more handles than without the audit.
pub(super) fn in_handle_scope<T>(env: Env, inner: impl FnOnce() -> T) -> Option<T> {
    let functions = FUNCTIONS.as_ref()?;
    let mut scope = null_mut();
    // SAFETY: I-PASS-ON, the addon is in a call of its own on this thread.
    if unsafe { (functions.napi_open_handle_scope)(env, &mut scope) } != OK {
        return None;
    }
    let result = inner();
    // SAFETY: I-PASS-ON, the scope is the innermost one: it was opened above, and `inner` closed what it opened.
    unsafe { (functions.napi_close_handle_scope)(env, scope) };
    Some(result)
}

/// The text of `new Error().stack` here. None where an exception is pending, since then nothing can be asked.
pub(super) fn error_stack(env: Env) -> Option<String> {
    let functions = FUNCTIONS.as_ref()?;
    let mut is_pending = true;
    // SAFETY: I-PASS-ON, the addon is in a call of its own on this thread.
    let status = unsafe { (functions.napi_is_exception_pending)(env, &mut is_pending) };
    if status != OK || is_pending {
        return None;
    }
    in_handle_scope(env, || {
        let (mut text, mut error, mut stack) = (null_mut(), null_mut(), null_mut());
        // SAFETY: I-PASS-ON, as above; the string ends with a 0.
        let status = unsafe { (functions.napi_create_string_utf8)(env, c"".as_ptr(), AUTO_LENGTH, &mut text) };
        if status != OK {
            return None;
        }
        // SAFETY: I-PASS-ON, as above; `text` is a handle of this scope.
        let status = unsafe { (functions.napi_create_error)(env, null_mut(), text, &mut error) };
        if status != OK {
            return None;
        }
        // SAFETY: I-PASS-ON, as above; `error` is a handle of this scope.
        let status = unsafe { (functions.napi_get_named_property)(env, error, c"stack".as_ptr(), &mut stack) };
        if status != OK {
            // A program's own `Error.prepareStackTrace` threw.
            let mut thrown = null_mut();
            // SAFETY: I-PASS-ON, as above; no exception was pending before, so this is the one of the line before.
            unsafe { (functions.napi_get_and_clear_last_exception)(env, &mut thrown) };
            return None;
        }
        string(env, stack)
    })
    .flatten()
}

/// The text of a value that is a string.
pub(super) fn string(env: Env, value: Value) -> Option<String> {
    let functions = FUNCTIONS.as_ref()?;
    let mut length = 0;
    // SAFETY: I-PASS-ON, the addon is in a call of its own on this thread; null asks for the length only.
    let status = unsafe { (functions.napi_get_value_string_utf8)(env, value, null_mut(), 0, &mut length) };
    if status != OK {
        return None;
    }
    let mut bytes = vec![0_u8; length + 1];
    // SAFETY: I-PASS-ON, as above; the host writes at most as many bytes as it is told, a 0 among them.
    let status = unsafe {
        (functions.napi_get_value_string_utf8)(env, value, bytes.as_mut_ptr().cast(), bytes.len(), &mut length)
    };
    bytes.truncate(length);
    (status == OK).then(|| String::from_utf8_lossy(&bytes).into_owned())
}
