//! Starts V8: once in a process, before any isolate, and before the threads that run it.

use std::sync::{Mutex, PoisonError};

use super::counted::COUNTED;
use super::stack;
use crate::{ENGINE, Error};

unsafe extern "C" {
    /// `v8::internal::SandboxIsEnabled`, which the crate `v8` links and does not offer.
    safe fn v8__V8__IsSandboxEnabled() -> bool;
}

/// V8 with its sandbox ends the process if it is given memory from outside the sandbox.
pub(super) fn check_sandbox() -> Result<(), Error> {
    match v8__V8__IsSandboxEnabled() {
        false => Ok(()),
        true => Err(Error::Unsupported {
            engine: ENGINE,
            what: "share memory with Rust, since it was built with its sandbox",
            instead: "build the crate `v8` without the feature `v8_enable_sandbox`",
        }),
    }
}

enum Started {
    No,
    /// The memory-protection keys that V8 took, as the bits of the PKRU register that deny access.
    ByUs(u32),
    ByTheProgram,
}

static STARTED: Mutex<Started> = Mutex::new(Started::No);

/// Starts V8 with these flags, unless it was started before.
pub(crate) fn start(flags: &str) -> Result<(), Error> {
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if !matches!(*started, Started::No) {
        return match flags.trim().is_empty() {
            true => Ok(()),
            false => Err(Error::Unsupported {
                engine: ENGINE,
                what: "take flags after it was started",
                instead: "call `start` before the first isolate is made, once",
            }),
        };
    }
    super::flags::set(flags)?;
    let before = denied_keys();
    v8::V8::initialize_platform(v8::new_default_platform(0, false).make_shared());
    v8::V8::initialize();
    *started = Started::ByUs(before & !denied_keys());
    Ok(())
}

/// Records that the program started V8 itself: it has an isolate, or says so.
pub(crate) fn started_by_the_program() {
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Started::No = *started {
        *started = Started::ByTheProgram;
        COUNTED.set();
    }
}

/// Whether this thread may run V8. A thread that is older than V8's memory-protection key has no access to the memory
/// that the key protects, and would end with SIGSEGV.
pub(crate) fn check_thread() -> Result<(), Error> {
    let keys = match *STARTED.lock().unwrap_or_else(PoisonError::into_inner) {
        Started::ByUs(keys) => keys,
        Started::No | Started::ByTheProgram => 0,
    };
    if denied_keys() & keys == 0 {
        return stack::check();
    }
    Err(Error::Unsupported {
        engine: ENGINE,
        what: "run on a thread that is older than V8: the thread has no access to V8's memory-protection key",
        instead: "call `start` before you make threads, or start V8 with the flag `--no-memory-protection-keys`",
    })
}

/// The memory-protection keys that this thread may not read, as bits of PKRU.
#[cfg(target_arch = "x86_64")]
fn denied_keys() -> u32 {
    use std::arch::x86_64::{__cpuid, __cpuid_count};

    const ACCESS_DENIED: u32 = 0x5555_5555;
    const FEATURES: u32 = 7;
    const OSPKE: u32 = 1 << 4;
    if __cpuid(0).eax < FEATURES || __cpuid_count(FEATURES, 0).ecx & OSPKE == 0 {
        return 0;
    }
    let pkru: u32;
    // SAFETY: I-BORROW: this reads a register of this thread. `OSPKE` shows that the system enabled the instruction.
    unsafe {
        std::arch::asm!("rdpkru", in("ecx") 0, out("eax") pkru, out("edx") _, options(nomem, nostack, preserves_flags));
    }
    pkru & ACCESS_DENIED
}

#[cfg(not(target_arch = "x86_64"))]
fn denied_keys() -> u32 {
    0
}
