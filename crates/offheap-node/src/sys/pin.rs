//! This addon, as a file that the system loaded.
//!
//! Node unloads an addon with the last environment that loaded it, and its buffers live on. The host then calls a deleter
//! that is not there any more.

use std::path::PathBuf;

/// Keeps this addon mapped for good: its functions can be called at any time. Says whether that succeeded. Memory of
/// buffers may be given to the host only then.
#[cfg(unix)]
pub(crate) fn pin() -> bool {
    let Some(path) = raw_path() else {
        return false;
    };
    // SAFETY: I-PINNED: with NOLOAD nothing is loaded, so no code runs.
    let object = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE) };
    !object.is_null()
}

#[cfg(not(unix))]
pub(crate) fn pin() -> bool {
    false
}

/// The path of this addon's file, as it was given to the system.
#[cfg(unix)]
pub(crate) fn path() -> Option<PathBuf> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    raw_path().map(|path| PathBuf::from(OsStr::from_bytes(path.to_bytes())))
}

#[cfg(not(unix))]
pub(crate) fn path() -> Option<PathBuf> {
    None
}

/// `dladdr` compares the address with all names of its object. An addon has few.
#[cfg(unix)]
fn raw_path() -> Option<&'static std::ffi::CStr> {
    use std::ffi::CStr;
    use std::mem::MaybeUninit;

    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    let here = (raw_path as fn() -> Option<&'static CStr> as *const std::ffi::c_void).cast_mut();
    // SAFETY: I-PINNED: it fills in the description of the object that has this function.
    if unsafe { libc::dladdr(here, info.as_mut_ptr()) } == 0 {
        return None;
    }
    // SAFETY: I-PINNED: zeroed, and filled in above.
    let info = unsafe { info.assume_init() };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: I-PINNED: the system's own copy of the path, which lives as long as this code is loaded.
    Some(unsafe { CStr::from_ptr(info.dli_fname) })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_its_own_file() {
        let (path, program) = (path().unwrap(), std::env::current_exe().unwrap());
        assert_eq!(path.file_name(), program.file_name());
    }
}
