//! The functions of Node-API that make external memory, as addons call them under the audit.

use std::arch::naked_asm;
use std::ffi::{CStr, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::c::{Pointer, RTLD_DEFAULT};
use super::imports::Replaced;
use super::napi::{self, Env, OK, Status, Value};
use super::v8::WeakStore;
use super::{objects, place, preload, watch};
use crate::table::{self, Made};

/// The finalizer that an addon gave. Two kinds: one has an environment as its first argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finalizer {
    None,
    WithEnv { function: usize, hint: usize },
    WithoutEnv { function: usize, hint: usize },
}

type WithEnv = unsafe extern "C" fn(Env, Pointer, Pointer);
type WithoutEnv = unsafe extern "C" fn(Pointer, Pointer);

impl Finalizer {
    fn with_env(function: Option<WithEnv>, hint: Pointer) -> Self {
        let hint = hint as usize;
        function.map_or(Finalizer::None, |function| Finalizer::WithEnv { function: function as usize, hint })
    }

    fn without_env(function: Option<WithoutEnv>, hint: Pointer) -> Self {
        let hint = hint as usize;
        function.map_or(Finalizer::None, |function| Finalizer::WithoutEnv { function: function as usize, hint })
    }

    fn call(self, env: Env, data: Pointer) {
        match self {
            Finalizer::None => {}
            Finalizer::WithEnv { function, hint } => {
                // SAFETY: I-PASS-ON, the word is the address of the function that the addon gave.
                let function = unsafe { std::mem::transmute::<usize, WithEnv>(function) };
                // SAFETY: I-PASS-ON, the host finalizes the buffer; the arguments are those that it promised the addon.
                unsafe { function(env, data, hint as Pointer) }
            }
            Finalizer::WithoutEnv { function, hint } => {
                // SAFETY: I-PASS-ON, the word is the address of the function that the addon gave.
                let function = unsafe { std::mem::transmute::<usize, WithoutEnv>(function) };
                // SAFETY: I-PASS-ON, the host finalizes the buffer; the arguments are those that it promised the addon.
                unsafe { function(data, hint as Pointer) }
            }
        }
    }
}

/// Each wrapper passes on, behind the six arguments in registers, the address that it returns to: it is in the addon that
/// called. `push` aligns the stack too. The function behind it finds the address as its seventh argument, the same address
/// again as the eighth, and the caller's own seventh argument as the ninth.
macro_rules! wrappers {
    ($($wrapper:ident => $inner:ident, $real:ident, $name:literal;)*) => {
        $(
            static $real: AtomicUsize = AtomicUsize::new(0);
            #[unsafe(naked)]
            unsafe extern "C" fn $wrapper() {
                naked_asm!(
                    ".cfi_startproc",
                    "push qword ptr [rsp]",
                    ".cfi_adjust_cfa_offset 8",
                    "call {inner}",
                    "add rsp, 8",
                    ".cfi_adjust_cfa_offset -8",
                    "ret",
                    ".cfi_endproc",
                    inner = sym $inner,
                )
            }
        )*

        /// Finds the host's functions. Those that this host lacks are not wrapped.
        pub(super) fn find_real() {
            ALL.get_or_init(|| {
                let mut all = Vec::new();
                $(
                    let real = preload::look_up(RTLD_DEFAULT, $name);
                    $real.store(real, Ordering::Release);
                    if real != 0 {
                        all.push(Replaced { name: $name, real, by: $wrapper as *const () as usize });
                    }
                )*
                all
            });
        }
    };
}

static ALL: OnceLock<Vec<Replaced>> = OnceLock::new();

wrappers! {
    external_arraybuffer => on_external_arraybuffer, EXTERNAL_ARRAYBUFFER, c"napi_create_external_arraybuffer";
    external_buffer => on_external_buffer, EXTERNAL_BUFFER, c"napi_create_external_buffer";
    external_shared => on_external_shared, EXTERNAL_SHARED, c"node_api_create_external_sharedarraybuffer";
    external_latin1 => on_external_latin1, EXTERNAL_LATIN1, c"node_api_create_external_string_latin1";
    external_utf16 => on_external_utf16, EXTERNAL_UTF16, c"node_api_create_external_string_utf16";
}

/// What import tables are pointed at.
pub(super) fn all() -> &'static [Replaced] {
    ALL.get().map_or(&[], Vec::as_slice)
}

pub(super) fn wrapper_of(name: &CStr) -> Option<Replaced> {
    all().iter().find(|replaced| replaced.name == name).copied()
}

/// An address in the host.
pub(super) fn host_address() -> usize {
    EXTERNAL_ARRAYBUFFER.load(Ordering::Acquire)
}

macro_rules! real {
    ($real:ident as $type:ty) => {
        // SAFETY: I-PASS-ON, the word is the address of the host's function of this name, and only its wrapper comes here.
        unsafe { std::mem::transmute::<usize, $type>($real.load(Ordering::Acquire)) }
    };
}

unsafe extern "C" fn on_external_arraybuffer(
    env: Env,
    data: Pointer,
    byte_length: usize,
    finalize: Option<WithEnv>,
    hint: Pointer,
    result: *mut Value,
    from: usize,
) -> Status {
    type Real = unsafe extern "C" fn(Env, Pointer, usize, WithEnv, Pointer, *mut Value) -> Status;
    let real = real!(EXTERNAL_ARRAYBUFFER as Real);
    let made = made("ArrayBuffer", env, data, byte_length, Finalizer::with_env(finalize, hint), from);
    make(env, made, result, |key| {
        // SAFETY: I-PASS-ON, the arguments are the addon's, except for the finalizer and its hint.
        unsafe { real(env, data, byte_length, finalized, key, result) }
    })
}

unsafe extern "C" fn on_external_buffer(
    env: Env,
    byte_length: usize,
    data: Pointer,
    finalize: Option<WithEnv>,
    hint: Pointer,
    result: *mut Value,
    from: usize,
) -> Status {
    type Real = unsafe extern "C" fn(Env, usize, Pointer, WithEnv, Pointer, *mut Value) -> Status;
    let real = real!(EXTERNAL_BUFFER as Real);
    let made = made("Buffer", env, data, byte_length, Finalizer::with_env(finalize, hint), from);
    make(env, made, result, |key| {
        // SAFETY: I-PASS-ON, the arguments are the addon's, except for the finalizer and its hint.
        unsafe { real(env, byte_length, data, finalized, key, result) }
    })
}

unsafe extern "C" fn on_external_shared(
    env: Env,
    data: Pointer,
    byte_length: usize,
    finalize: Option<WithoutEnv>,
    hint: Pointer,
    result: *mut Value,
    from: usize,
) -> Status {
    type Real = unsafe extern "C" fn(Env, Pointer, usize, WithoutEnv, Pointer, *mut Value) -> Status;
    let real = real!(EXTERNAL_SHARED as Real);
    let made = made("SharedArrayBuffer", env, data, byte_length, Finalizer::without_env(finalize, hint), from);
    make(env, made, result, |key| {
        // SAFETY: I-PASS-ON, the arguments are the addon's, except for the finalizer and its hint.
        unsafe { real(env, data, byte_length, finalized_without_env, key, result) }
    })
}

type RealString = unsafe extern "C" fn(Env, Pointer, usize, WithEnv, Pointer, *mut Value, *mut bool) -> Status;

#[allow(clippy::too_many_arguments, reason = "they are Node-API's, and those of the wrapper")]
unsafe extern "C" fn on_external_latin1(
    env: Env,
    data: Pointer,
    length: usize,
    finalize: Option<WithEnv>,
    hint: Pointer,
    result: *mut Value,
    from: usize,
    _: usize,
    copied: *mut bool,
) -> Status {
    let real = real!(EXTERNAL_LATIN1 as RealString);
    // Without a length (`NAPI_AUTO_LENGTH`) the string ends with a 0.
    let byte_length = if length == usize::MAX { 0 } else { length };
    let made = made("string", env, data, byte_length, Finalizer::with_env(finalize, hint), from);
    make(env, made, result, |key| {
        // SAFETY: I-PASS-ON, the arguments are the addon's, except for the finalizer and its hint.
        unsafe { real(env, data, length, finalized, key, result, copied) }
    })
}

#[allow(clippy::too_many_arguments, reason = "they are Node-API's, and those of the wrapper")]
unsafe extern "C" fn on_external_utf16(
    env: Env,
    data: Pointer,
    length: usize,
    finalize: Option<WithEnv>,
    hint: Pointer,
    result: *mut Value,
    from: usize,
    _: usize,
    copied: *mut bool,
) -> Status {
    let real = real!(EXTERNAL_UTF16 as RealString);
    let byte_length = if length == usize::MAX { 0 } else { length.saturating_mul(2) };
    let made = made("string", env, data, byte_length, Finalizer::with_env(finalize, hint), from);
    make(env, made, result, |key| {
        // SAFETY: I-PASS-ON, the arguments are the addon's, except for the finalizer and its hint.
        unsafe { real(env, data, length, finalized, key, result, copied) }
    })
}

fn made(what: &'static str, env: Env, data: Pointer, byte_length: usize, finalizer: Finalizer, from: usize) -> Made {
    let address = data as usize;
    let addon = objects::name_of(from);
    Made { what, address, bytes: byte_length, addon, called_from: from, finalizer, stack: place::stack(env) }
}

/// Makes the buffer. The record comes first, since another thread may finalize the buffer before the host returns.
fn make(env: Env, made: Made, result: *mut Value, real: impl FnOnce(Pointer) -> Status) -> Status {
    let (what, is_empty, from) = (made.what, made.bytes == 0 || made.address == 0, made.called_from);
    let number = table::begin(made);
    let status = real(number as usize as Pointer);
    if status != OK {
        table::cancel(number);
        return status;
    }
    let mut store = None;
    if !is_empty && matches!(what, "ArrayBuffer" | "Buffer") {
        // SAFETY: I-PASS-ON, the host succeeded, so it wrote the value to where the addon wants it.
        let value = unsafe { *result };
        store = napi::array_buffer(env, value, what).and_then(WeakStore::of);
    }
    if table::complete(number, store) {
        watch::watch(from);
    }
    status
}

unsafe extern "C" fn finalized(env: Env, data: *mut c_void, key: *mut c_void) {
    finalize(env, data, key as usize as u64);
}

unsafe extern "C" fn finalized_without_env(data: *mut c_void, key: *mut c_void) {
    finalize(std::ptr::null_mut(), data, key as usize as u64);
}

/// No Node-API here on Deno, where a finalizer runs on a thread of the collector.
fn finalize(env: Env, data: Pointer, number: u64) {
    let Some(finalizer) = table::finalizing(number, || napi::is_ending(env)) else { return };
    watch::during(data as usize, number, || finalizer.call(env, data));
    table::finalized(number);
}
