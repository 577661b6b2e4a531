//! What is called of the C library, and the layouts of its structs on Linux x86-64.

use std::ffi::{c_char, c_int, c_void};
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd};

pub(super) type Pointer = *mut c_void;

/// The program and everything that was loaded with it, in the order of the search.
pub(super) const RTLD_DEFAULT: Pointer = std::ptr::null_mut();
/// What comes after the caller in that order.
pub(super) const RTLD_NEXT: Pointer = -1_isize as Pointer;
pub(super) const PROT_READ: c_int = 1;
pub(super) const PROT_WRITE: c_int = 2;

unsafe extern "C" {
    pub(super) fn dlvsym(handle: Pointer, name: *const c_char, version: *const c_char) -> Pointer;
    pub(super) fn dl_iterate_phdr(each: EachObject, data: Pointer) -> c_int;
    pub(super) fn mprotect(address: Pointer, byte_length: usize, protection: c_int) -> c_int;
    pub(super) fn atexit(function: extern "C" fn()) -> c_int;
    pub(super) fn pthread_atfork(
        before: Option<extern "C" fn()>,
        in_parent: Option<extern "C" fn()>,
        in_child: Option<extern "C" fn()>,
    ) -> c_int;
    safe fn gettid() -> c_int;
    fn fcntl(descriptor: c_int, command: c_int, ...) -> c_int;
}

pub(super) type EachObject = unsafe extern "C" fn(*const ObjectInfo, usize, Pointer) -> c_int;

/// `dl_phdr_info`
#[repr(C)]
pub(super) struct ObjectInfo {
    pub(super) base: usize,
    pub(super) name: *const c_char,
    pub(super) headers: *const ProgramHeader,
    pub(super) header_count: u16,
    pub(super) loads: u64,
    pub(super) unloads: u64,
}

/// `Elf64_Phdr`
#[repr(C)]
pub(super) struct ProgramHeader {
    pub(super) kind: u32,
    pub(super) flags: u32,
    pub(super) offset: usize,
    pub(super) address: usize,
    pub(super) physical: usize,
    pub(super) file_length: usize,
    pub(super) byte_length: usize,
    pub(super) align: usize,
}

pub(super) const PT_LOAD: u32 = 1;
pub(super) const PT_DYNAMIC: u32 = 2;
pub(super) const PT_GNU_RELRO: u32 = 0x6474_e552;

/// The system's number of this thread.
pub(crate) fn thread_number() -> u64 {
    u64::try_from(gettid()).unwrap_or(0)
}

/// The same file under a descriptor that no program expects to get: most rely on the lowest one that is free.
pub(crate) fn move_descriptor_up(file: File) -> File {
    const F_DUPFD_CLOEXEC: c_int = 1030;
    for lowest in [1000, 200] {
        // SAFETY: I-PASS-ON, a call of the C library by its manual; the descriptor is open, since `file` has it.
        let descriptor = unsafe { fcntl(file.as_raw_fd(), F_DUPFD_CLOEXEC, lowest as c_int) };
        if descriptor >= 0 {
            // SAFETY: I-PASS-ON, the descriptor is new, and nobody else has it.
            return unsafe { File::from_raw_fd(descriptor) };
        }
    }
    file
}
