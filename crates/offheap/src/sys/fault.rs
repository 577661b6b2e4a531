//! Mapped files that another program truncates: an access to the missing bytes raises SIGBUS.
//!
//! The signal's handler finds the file by the address and ends the process with a message. It does only what a signal
//! handler may do: it reads atomics and path bytes that are never freed, and calls `write` and `_exit`.

use std::collections::HashSet;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr;
// Not through `crate::sync`: a static cannot be a loom atomic, and the handler takes part in no model.
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, Once, OnceLock, PoisonError};

use crate::Error;

/// How many mappings can be named at a time. A fault in any other one ends the process by the signal itself.
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

/// The names of all files that were mapped. Each is kept once and never freed, since a handler may be reading it. Locked
/// while a slot is claimed; the handler does not use it.
static NAMES: LazyLock<Mutex<HashSet<&'static CStr>>> = LazyLock::new(Mutex::default);

/// The action for SIGBUS before ours, which is put back for a fault that is not in a mapping of ours.
static PREVIOUS: OnceLock<libc::sigaction> = OnceLock::new();

static EXIT_STATUS: AtomicI32 = AtomicI32::new(1);

/// A mapping that the handler knows by name, until it is dropped.
pub(crate) struct Watched(&'static Slot);

impl Watched {
    /// Watches a mapping of the file at `path`; `None` if there is no free slot.
    pub(super) fn new(start: usize, byte_length: usize, path: &CStr) -> Result<Option<Self>, Error> {
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = MAPPINGS.iter().find(|slot| slot.start.load(Ordering::Relaxed) == 0) else {
            return Ok(None);
        };
        let name = kept(&mut names, path)?;
        slot.byte_length.store(byte_length, Ordering::Relaxed);
        slot.path.store(name.as_ptr().cast_mut(), Ordering::Relaxed);
        slot.start.store(start, Ordering::Release);
        Ok(Some(Watched(slot)))
    }
}

/// The kept copy of a name.
fn kept(names: &mut HashSet<&'static CStr>, name: &CStr) -> Result<&'static CStr, Error> {
    if let Some(known) = names.get(name) {
        return Ok(known);
    }
    let bytes = name.to_bytes_with_nul();
    let mut copy = Vec::new();
    if names.try_reserve(1).is_err() || copy.try_reserve_exact(bytes.len()).is_err() {
        return Err(Error::OutOfMemory { requested: bytes.len() });
    }
    copy.extend_from_slice(bytes);
    let copy = CStr::from_bytes_with_nul(copy.leak()).expect("copied from one");
    names.insert(copy);
    Ok(copy)
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.start.store(0, Ordering::Release);
    }
}

/// From now on, if another program truncates a file that is mapped here and its missing bytes are accessed, the process
/// prints the file's name to stderr and exits with `status`, instead of dying by SIGBUS. Buffered output is not flushed.
///
/// This is for programs and not for libraries, since it applies to the whole process: it installs a handler for SIGBUS,
/// once. A later call changes the status. At the first fault elsewhere the earlier handler is put back, and gets that
/// fault.
///
/// # Panics
/// If the system does not accept the handler.
pub fn exit_when_a_mapped_file_is_cut_short(status: i32) {
    static INSTALL: Once = Once::new();
    EXIT_STATUS.store(status, Ordering::Relaxed);
    INSTALL.call_once(|| {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        let pointer = action.as_mut_ptr();
        // SAFETY: zeroed memory of the type; each field is set before it is read.
        let action = unsafe { &mut *pointer };
        action.sa_sigaction = on_bus_error as extern "C" fn(_, _, _) as usize;
        // Runs on the thread's stack for signals, if it has one.
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: `sa_mask` is memory for a signal set.
        unsafe { libc::sigemptyset(&mut action.sa_mask) };
        let mut previous = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: the action is complete, its handler is safe in a signal, and `previous` is memory for another.
        let installed = unsafe { libc::sigaction(libc::SIGBUS, action, previous.as_mut_ptr()) };
        assert_eq!(installed, 0, "SIGBUS has no handler: {}", std::io::Error::last_os_error());
        // SAFETY: written by the call, which succeeded.
        let _ = PREVIOUS.set(unsafe { previous.assume_init() });
    });
}

extern "C" fn on_bus_error(_signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t` with `SA_SIGINFO`.
    let info = unsafe { &*info };
    // SAFETY: reads a field. If a process sent the signal it is not an address, and lies in no mapping.
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
        say(b" was cut short while it was mapped (or its disk is full or broken): bytes that are gone were used; ");
        say(b"run again on the file as it is\n");
        // SAFETY: ends the process without running anything of it.
        unsafe { libc::_exit(EXIT_STATUS.load(Ordering::Relaxed)) };
    }
    // Not in a mapping of ours. The access is repeated when the handler returns, and the earlier action gets the fault.
    match PREVIOUS.get() {
        // SAFETY: changes only the action of this signal, to one that the system gave us.
        Some(previous) => unsafe { libc::sigaction(libc::SIGBUS, previous, ptr::null_mut()) },
        // SAFETY: changes only the action of this signal.
        None => unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) as libc::c_int },
    };
    if info.si_code <= 0 {
        // A process sent the signal, so no access will raise it again. SAFETY: the signal is blocked until the handler
        // returns.
        unsafe { libc::raise(libc::SIGBUS) };
    }
}

fn say(bytes: &[u8]) {
    // SAFETY: the bytes are live. A failed write is ignored.
    let _ = unsafe { libc::write(libc::STDERR_FILENO, bytes.as_ptr().cast(), bytes.len()) };
}
