//! The stack of a thread, which may be shorter than an engine assumes.

use std::ops::Range;

thread_local! {
    // Asked once: for the first thread of a process the system has to read a file.
    static STACK: Option<Range<usize>> = bounds();
}

/// The addresses of this thread's stack, which grows from the end to the start; `None` if the system does not tell.
pub fn thread_stack() -> Option<Range<usize>> {
    STACK.with(Clone::clone)
}

/// The address of the stack that this thread has used last. It is not the address of a variable, because the address sanitizer may
/// keep variables elsewhere.
#[inline]
pub fn stack_pointer() -> usize {
    let address: usize;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: I-LAYOUT: only reads a register.
    unsafe {
        std::arch::asm!("mov {}, rsp", out(reg) address, options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: I-LAYOUT: only reads a register.
    unsafe {
        std::arch::asm!("mov {}, sp", out(reg) address, options(nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        let variable = 0_u8;
        address = (&raw const variable).addr();
    }
    address
}

#[cfg(target_os = "linux")]
fn bounds() -> Option<Range<usize>> {
    use std::mem::MaybeUninit;
    use std::ptr::null_mut;

    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: I-LAYOUT: names this thread.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: I-LAYOUT: fills in the attributes of a living thread.
    if unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    let (mut start, mut byte_length) = (null_mut(), 0);
    // SAFETY: I-LAYOUT: filled in above.
    let failed = unsafe { libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut byte_length) };
    // SAFETY: I-FREE-ONCE: filled in above, and not used afterwards.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    let start = start.addr();
    (failed == 0).then_some(start..start.saturating_add(byte_length))
}

#[cfg(target_os = "macos")]
fn bounds() -> Option<Range<usize>> {
    // SAFETY: I-LAYOUT: names this thread.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: I-LAYOUT: a living thread.
    let end = unsafe { libc::pthread_get_stackaddr_np(this) }.addr();
    // SAFETY: I-LAYOUT: a living thread.
    let byte_length = unsafe { libc::pthread_get_stacksize_np(this) };
    Some(end.checked_sub(byte_length)?..end)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn bounds() -> Option<Range<usize>> {
    None
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::{stack_pointer, thread_stack};

    #[test]
    fn it_is_around_what_is_on_it_and_as_long_as_asked_for() {
        let thread = std::thread::Builder::new().stack_size(800 << 10).spawn(|| {
            let stack = thread_stack().expect("tests run where the system tells");
            assert!(stack.contains(&stack_pointer()));
            // It may be longer, if it was the stack of a thread that has ended.
            assert!(stack.len() > 700 << 10, "{}", stack.len());
            assert_eq!(thread_stack(), Some(stack));
        });
        thread.unwrap().join().unwrap();
    }
}
