//! The signal's handler: it reports a fault in kept memory, and passes every signal on to the handler that was there before.
//!
//! It does only what a handler may do at any moment. It reads atomics and names that are never freed, asks the system for the
//! thread, formats numbers and texts into a buffer on its stack, and calls `write`.

use std::fmt::Write;
use std::mem::{self, MaybeUninit};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::text::Text;
use super::thread::ThreadName;
use super::{Found, FoundPlace, find};

/// The signals of an access to a page without access. macOS raises SIGBUS for most of them.
#[cfg(target_os = "linux")]
const SIGNALS: [libc::c_int; 1] = [libc::SIGSEGV];
#[cfg(not(target_os = "linux"))]
const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// The actions for these signals before ours.
static PREVIOUS: [OnceLock<libc::sigaction>; SIGNALS.len()] = [const { OnceLock::new() }; SIGNALS.len()];

/// The number of the thread that reports, which ends the process afterwards. 0 while there is none.
static REPORTER: AtomicU64 = AtomicU64::new(0);

/// The address that was reported last.
static REPORTED: AtomicUsize = AtomicUsize::new(0);

/// Installs the handler, once. The caller has the lock of the queue.
pub(super) fn install() {
    for (signal, previous) in SIGNALS.into_iter().zip(&PREVIOUS) {
        // The earlier action is known before ours can be called.
        previous.get_or_init(|| {
            let mut previous = MaybeUninit::zeroed();
            // SAFETY: changes nothing; `previous` is memory for an action.
            let asked = unsafe { libc::sigaction(signal, ptr::null(), previous.as_mut_ptr()) };
            assert_eq!(asked, 0, "signal {signal} has no action: {}", std::io::Error::last_os_error());
            // SAFETY: written by the call, which succeeded.
            unsafe { previous.assume_init() }
        });
    }
    static INSTALLED: std::sync::Once = std::sync::Once::new();
    INSTALLED.call_once(|| {
        for signal in SIGNALS {
            let mut action = action(on_fault as extern "C" fn(_, _, _) as usize);
            // Runs on the thread's stack for signals, if it has one: the fault may be the end of the other stack.
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            // SAFETY: the action is complete, and its handler may be called at any moment.
            let installed = unsafe { libc::sigaction(signal, &action, ptr::null_mut()) };
            assert_eq!(installed, 0, "signal {signal} has no handler: {}", std::io::Error::last_os_error());
        }
    });
}

/// An action without flags that blocks no further signals.
fn action(handler: libc::sighandler_t) -> libc::sigaction {
    let action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: integers, and function pointers that may be null.
    let mut action = unsafe { action.assume_init() };
    action.sa_sigaction = handler;
    // SAFETY: `sa_mask` is memory for a signal set.
    unsafe { libc::sigemptyset(&mut action.sa_mask) };
    action
}

extern "C" fn on_fault(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t` with `SA_SIGINFO`.
    let sent = unsafe { &*info };
    // Otherwise a process sent the signal, and there is no address.
    if sent.si_code > 0 {
        // SAFETY: reads a field, which a fault has.
        let address = unsafe { sent.si_addr() }.addr();
        if let Some(found) = find(address) {
            let thread = ThreadName::current();
            match REPORTER.compare_exchange(0, thread.number, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => report(signal, address, &found, &thread, context),
                // The earlier handler returned after the report, and the access was repeated.
                Err(reporter) if reporter == thread.number && REPORTED.load(Ordering::Relaxed) == address => {
                    return default(signal);
                }
                // The earlier handler went on elsewhere, and this is another access.
                Err(reporter) if reporter == thread.number => report(signal, address, &found, &thread, context),
                Err(_) => {
                    // The other thread ends the process. If it does not, because its handler went on elsewhere, this one does.
                    wait();
                    return default(signal);
                }
            }
        }
    }
    pass_on(signal, info, context);
}

/// Does what would have been done without this handler.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: as in `on_fault`.
    let was_sent = unsafe { &*info }.si_code <= 0;
    let at = SIGNALS.iter().position(|known| *known == signal);
    let previous = at.and_then(|at| PREVIOUS[at].get());
    if let Some(previous) = previous.filter(|previous| ![libc::SIG_DFL, libc::SIG_IGN].contains(&previous.sa_sigaction))
    {
        as_the_system_does(signal, previous);
    }
    match previous.map(|previous| (previous.sa_sigaction, previous.sa_flags & libc::SA_SIGINFO != 0)) {
        Some((libc::SIG_IGN, _)) if was_sent => {}
        None | Some((libc::SIG_DFL | libc::SIG_IGN, _)) => {
            // The access is repeated when the handler returns, and ends the process.
            default(signal);
            if was_sent {
                // No access will raise it again. SAFETY: the signal is blocked until the handler returns.
                unsafe { libc::raise(signal) };
            }
        }
        // The handler is called and not put back: V8's for WebAssembly handles a fault and returns, any number of times.
        Some((handler, true)) => {
            // SAFETY: I-QUARANTINE: the system gave it as a function of this type, by `SA_SIGINFO`.
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                unsafe { mem::transmute(handler) };
            handler(signal, info, context);
        }
        Some((handler, false)) => {
            // SAFETY: I-QUARANTINE: the system gave it as a function of this type, without `SA_SIGINFO`.
            let handler: extern "C" fn(libc::c_int) = unsafe { mem::transmute(handler) };
            handler(signal);
        }
    }
}

/// Does what the system does before it calls a handler: it may block signals, leave this one unblocked, or put the default
/// back. A handler with `SA_RESETHAND` relies on that: when it returns, the repeated access has to end the process.
fn as_the_system_does(signal: libc::c_int, previous: &libc::sigaction) {
    // SAFETY: blocks the signals of a set that the system gave us.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &previous.sa_mask, ptr::null_mut()) };
    if previous.sa_flags & libc::SA_NODEFER != 0 {
        let mut only = action(libc::SIG_DFL).sa_mask;
        // SAFETY: `only` is a signal set.
        unsafe { libc::sigaddset(&mut only, signal) };
        // SAFETY: unblocks one signal.
        unsafe { libc::pthread_sigmask(libc::SIG_UNBLOCK, &only, ptr::null_mut()) };
    }
    if previous.sa_flags & libc::SA_RESETHAND != 0 {
        default(signal);
    }
}

/// Lets the signal end the process when it is raised again.
fn default(signal: libc::c_int) {
    // SAFETY: changes only the action of this signal.
    unsafe { libc::sigaction(signal, &action(libc::SIG_DFL), ptr::null_mut()) };
}

/// Waits for two seconds.
fn wait() {
    let mut time = libc::timespec { tv_sec: 2, tv_nsec: 0 };
    // SAFETY: reads and writes a time. An interruption returns early, with the time that is left.
    while unsafe { libc::nanosleep(&time, &mut time) } != 0 {}
}

/// Writes the line. A function of its own: a fault elsewhere, as at the end of a stack, needs no room for it.
#[inline(never)]
fn report(signal: libc::c_int, address: usize, found: &Found, thread: &ThreadName, context: *mut libc::c_void) {
    REPORTED.store(address, Ordering::Relaxed);
    let mut text = Text::new();
    // Formatting of numbers and texts allocates nothing, and writing to the text does not fail.
    let _ = write!(text, "offheap: {} at {address:#x}, which is freed memory, by ", access(context));
    push_thread(&mut text, thread);
    let _ = write!(text, ": byte {} of store {} ({} bytes", found.offset, found.store, found.byte_length);
    if found.offset >= found.byte_length {
        text.push(b", so beyond its end");
    }
    text.push(b"), made at ");
    push_place(&mut text, &found.made);
    match found.freed.file {
        "" => text.push(b", freed with its last reference by "),
        _ => {
            text.push(b", freed at ");
            push_place(&mut text, &found.freed);
            text.push(b" by ");
        }
    }
    push_thread(&mut text, &found.thread);
    let name = if signal == libc::SIGSEGV { "SIGSEGV" } else { "SIGBUS" };
    let _ = write!(text, "; the pointer is older than the free: free later, or drop the pointer before ({name})");
    let mut rest = text.line();
    while !rest.is_empty() {
        // SAFETY: the bytes are live.
        let written = unsafe { libc::write(libc::STDERR_FILENO, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(written) {
            Ok(written) if written != 0 => rest = &rest[written..],
            // Another signal came first.
            Err(_) if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {}
            // There is nobody to tell.
            _ => break,
        }
    }
}

fn push_thread(text: &mut Text, thread: &ThreadName) {
    let _ = write!(text, "thread {}", thread.number);
    if !thread.name().is_empty() {
        text.push(b" \"");
        for byte in thread.name() {
            text.push(if byte.is_ascii_control() { b"?" } else { std::slice::from_ref(byte) });
        }
        text.push(b"\"");
    }
}

/// A place, in the form of `Site`'s `Display`.
fn push_place(text: &mut Text, place: &FoundPlace) {
    text.push(place.file.as_bytes());
    for number in [place.line, place.column].into_iter().take_while(|number| *number != 0) {
        let _ = write!(text, ":{number}");
    }
}

/// What the access was.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn access(context: *mut libc::c_void) -> &'static str {
    // SAFETY: the kernel passes a valid `ucontext_t` with `SA_SIGINFO`.
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    // Bit 1 of the processor's error code.
    if context.uc_mcontext.gregs[libc::REG_ERR as usize] & 2 != 0 { "a write" } else { "a read" }
}

/// What the access was: this platform does not say it in a way that is easy to read.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn access(_context: *mut libc::c_void) -> &'static str {
    "an access"
}
