//! What the program calls instead of the C library: `dlopen` and `dlsym`. And what happens when a process begins and ends.
//!
//! The C library's functions look at the address that they return to: for `RTLD_NEXT`, and for a name without a slash. So
//! they are not called but jumped to, except where a path or a name of Node-API is asked for.

use std::arch::naked_asm;
use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::c::{self, Pointer, RTLD_DEFAULT, RTLD_NEXT};
use super::{imports, objects, watch, wrappers};
use crate::stream;

static REAL_DLSYM: AtomicUsize = AtomicUsize::new(0);
static REAL_DLOPEN: AtomicUsize = AtomicUsize::new(0);
/// Whether this process has Node-API and writes what it sees.
static IS_HOST: AtomicBool = AtomicBool::new(false);

/// `dlsym`: the answer for a name of Node-API is a wrapper. The arguments stay in their registers for the jump.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn dlsym(handle: Pointer, name: *const c_char) -> Pointer {
    naked_asm!(
        ".cfi_startproc",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "push rsi",
        ".cfi_adjust_cfa_offset 8",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "call {answer}",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "pop rsi",
        ".cfi_adjust_cfa_offset -8",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "test rax, rax",
        "jne 2f",
        "jmp qword ptr [rip + {real}]",
        "2: ret",
        ".cfi_endproc",
        answer = sym answer,
        real = sym REAL_DLSYM,
    )
}

/// `dlopen`: what a path opened gets its slots pointed at the wrappers.
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
unsafe extern "C" fn dlopen(path: *const c_char, flags: c_int) -> Pointer {
    naked_asm!(
        ".cfi_startproc",
        "push rdi",
        ".cfi_adjust_cfa_offset 8",
        "push rsi",
        ".cfi_adjust_cfa_offset 8",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 8",
        "call {is_ours}",
        "add rsp, 8",
        ".cfi_adjust_cfa_offset -8",
        "pop rsi",
        ".cfi_adjust_cfa_offset -8",
        "pop rdi",
        ".cfi_adjust_cfa_offset -8",
        "test al, al",
        "jne {open}",
        "jmp qword ptr [rip + {real}]",
        ".cfi_endproc",
        is_ours = sym is_ours,
        open = sym open,
        real = sym REAL_DLOPEN,
    )
}

/// A wrapper, or null if the C library is to answer. Allocators call `dlsym` while they begin, so this allocates nothing.
unsafe extern "C" fn answer(handle: Pointer, name: *const c_char) -> usize {
    find_real();
    if name.is_null() || handle == RTLD_NEXT || !IS_HOST.load(Ordering::Acquire) {
        return 0;
    }
    // SAFETY: I-PASS-ON, `dlsym` is called with a C string by its manual.
    let name = unsafe { CStr::from_ptr(name) };
    match wrappers::wrapper_of(name) {
        // Another library may have a function of this name, which is none of the host's.
        Some(replaced) if look_up(handle, name) == replaced.real => replaced.by,
        _ => 0,
    }
}

/// Whether `open` is to open this: a path that means the same to every caller.
unsafe extern "C" fn is_ours(path: *const c_char, _: c_int) -> bool {
    find_real();
    if path.is_null() {
        return false;
    }
    // SAFETY: I-PASS-ON, `dlopen` is called with a C string by its manual.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    // The C library puts the folder of the caller in the place of `$ORIGIN`.
    path.contains(&b'/') && !path.contains(&b'$') && is_host()
}

unsafe extern "C" fn open(path: *const c_char, flags: c_int) -> Pointer {
    type Open = unsafe extern "C" fn(*const c_char, c_int) -> Pointer;
    // SAFETY: I-PASS-ON, the word is the address of the C library's `dlopen`, which `is_ours` has found.
    let real = unsafe { std::mem::transmute::<usize, Open>(REAL_DLOPEN.load(Ordering::Acquire)) };
    // SAFETY: I-PASS-ON, the arguments are those of the caller.
    let handle = unsafe { real(path, flags) };
    if !handle.is_null() {
        objects::forget_names();
        // What was loaded with it too. An addon that went with its worker may be back.
        imports::replace_in_new_objects(wrappers::all(), wrappers::host_address());
    }
    handle
}

/// Finds the functions that this library stands before.
fn find_real() {
    if REAL_DLSYM.load(Ordering::Acquire) != 0 {
        return;
    }
    let find = |name: &CStr| {
        // SAFETY: I-PASS-ON, a call of the C library by its manual. Every version of it for x86-64 has this version of the name.
        unsafe { c::dlvsym(RTLD_NEXT, name.as_ptr(), c"GLIBC_2.2.5".as_ptr()) as usize }
    };
    REAL_DLOPEN.store(find(c"dlopen"), Ordering::Release);
    REAL_DLSYM.store(find(c"dlsym"), Ordering::Release);
}

/// What the C library's `dlsym` answers, 0 if there is no such symbol.
pub(super) fn look_up(handle: Pointer, name: &CStr) -> usize {
    type LookUp = unsafe extern "C" fn(Pointer, *const c_char) -> Pointer;
    find_real();
    let real = REAL_DLSYM.load(Ordering::Acquire);
    if real == 0 {
        return 0;
    }
    // SAFETY: I-PASS-ON, the word is the address of the C library's `dlsym`.
    let real = unsafe { std::mem::transmute::<usize, LookUp>(real) };
    // SAFETY: I-PASS-ON, a call by the manual; the handle is the caller's or one that always exists.
    unsafe { real(handle, name.as_ptr()) as usize }
}

/// Whether the program is one that the audit follows. Looked up each time until it is: a program may load its engine later.
fn is_host() -> bool {
    if IS_HOST.load(Ordering::Acquire) {
        return true;
    }
    if look_up(RTLD_DEFAULT, c"napi_create_external_arraybuffer") == 0 || !stream::begin() {
        return false;
    }
    wrappers::find_real();
    watch::find_real();
    // SAFETY: I-PASS-ON, a call of the C library by its manual. This library is never unloaded.
    unsafe { c::atexit(at_exit) };
    // SAFETY: I-PASS-ON, a call of the C library by its manual. This library is never unloaded.
    unsafe { c::pthread_atfork(None, None, Some(in_child)) };
    IS_HOST.store(true, Ordering::Release);
    true
}

extern "C" fn at_exit() {
    stream::end();
}

/// A child that was forked and has not started a program has the buffers of its parent, and no engine that works.
extern "C" fn in_child() {
    stream::abandon();
}

/// The loader calls this before the program begins.
extern "C" fn at_start() {
    // `is_ours` looks again, for a host that loads its engine.
    is_host();
}

#[cfg_attr(not(test), unsafe(link_section = ".init_array"))]
#[cfg_attr(not(test), used)]
#[cfg_attr(test, allow(dead_code, reason = "a test begins by itself"))]
static AT_START: extern "C" fn() = at_start;
