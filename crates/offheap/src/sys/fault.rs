//! A mapped file that somebody cuts short: reading what is gone raises SIGBUS.
//!
//! The signal's handler finds the file by the address and ends the process with a message. It may do nothing that is
//! not safe in a signal handler: it reads atomics and path bytes that are never freed, and calls `write` and `_exit`.

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
// Not through `crate::sync`: a static cannot be a loom atomic, and the handler takes part in no model.
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};

/// As many mappings can be named at a time; a fault in one more ends the process by the signal itself.
const SLOTS: usize = 256;

struct Slot {
    // 0 while the slot is free.
    start: AtomicUsize,
    byte_length: AtomicUsize,
    path: AtomicPtr<libc::c_char>,
}

static MAPPINGS: [Slot; SLOTS] = [const {
    Slot { start: AtomicUsize::new(0), byte_length: AtomicUsize::new(0), path: AtomicPtr::new(ptr::null_mut()) }
}; SLOTS];

/// Taken while a slot is claimed; the handler does not need it.
static CLAIMING: Mutex<()> = Mutex::new(());

static EXIT_STATUS: AtomicI32 = AtomicI32::new(1);

/// A mapping that the handler knows by name, until it is dropped.
pub(crate) struct Watched(&'static Slot);

impl Watched {
    pub(crate) fn new(start: usize, byte_length: usize, path: &Path) -> Option<Self> {
        let path = CString::new(path.as_os_str().as_bytes()).ok()?;
        let _claiming = CLAIMING.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = MAPPINGS.iter().find(|slot| slot.start.load(Ordering::Relaxed) == 0)?;
        slot.byte_length.store(byte_length, Ordering::Relaxed);
        // The name before this one is not freed: a handler on another thread may be reading it. There are as many as a
        // program maps files one after the other, and they are short.
        slot.path.store(path.into_raw(), Ordering::Relaxed);
        slot.start.store(start, Ordering::Release);
        Some(Watched(slot))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.start.store(0, Ordering::Release);
    }
}

/// From now on, when a file that is mapped here is cut short by somebody and its missing bytes are touched, the process
/// prints the file's name to stderr and exits with `status`, instead of dying by SIGBUS. Buffered output is not flushed.
///
/// Process-wide, and for programs rather than libraries: it installs a handler for SIGBUS. Faults elsewhere go to the
/// system's default action.
pub fn exit_when_a_mapped_file_is_cut_short(status: i32) {
    static INSTALL: Once = Once::new();
    EXIT_STATUS.store(status, Ordering::Relaxed);
    INSTALL.call_once(|| {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        let pointer = action.as_mut_ptr();
        // SAFETY: zeroed memory of the type; each field is set before it is read.
        let action = unsafe { &mut *pointer };
        action.sa_sigaction = on_bus_error as extern "C" fn(_, _, _) as usize;
        action.sa_flags = libc::SA_SIGINFO;
        // SAFETY: `sa_mask` is memory for a signal set.
        unsafe { libc::sigemptyset(&mut action.sa_mask) };
        // SAFETY: the action is complete, and its handler is safe in a signal.
        let installed = unsafe { libc::sigaction(libc::SIGBUS, action, ptr::null_mut()) };
        assert_eq!(installed, 0, "SIGBUS has no handler: {}", std::io::Error::last_os_error());
    });
}

extern "C" fn on_bus_error(_signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t` with `SA_SIGINFO`.
    let info = unsafe { &*info };
    // SAFETY: SIGBUS carries an address.
    let address = unsafe { info.si_addr() }.addr();
    for slot in &MAPPINGS {
        let start = slot.start.load(Ordering::Acquire);
        if start == 0 || address.wrapping_sub(start) >= slot.byte_length.load(Ordering::Relaxed) {
            continue;
        }
        say(b"offheap: the file ");
        let path = slot.path.load(Ordering::Relaxed);
        // SAFETY: a C string that is never freed.
        let length = unsafe { libc::strlen(path) };
        // SAFETY: as above.
        say(unsafe { std::slice::from_raw_parts(path.cast(), length) });
        say(b" was cut short while it was mapped, and bytes that are gone were read; run again on the file as it is\n");
        // SAFETY: ends the process without running anything of it.
        unsafe { libc::_exit(EXIT_STATUS.load(Ordering::Relaxed)) };
    }
    // Not ours: the access is tried again when the handler returns, and the default action then ends the process.
    // SAFETY: changes the action of this signal alone.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
}

fn say(bytes: &[u8]) {
    // SAFETY: the bytes are live; what cannot be written is not.
    let _ = unsafe { libc::write(libc::STDERR_FILENO, bytes.as_ptr().cast(), bytes.len()) };
}
