//! The name of this thread.

/// The name of this thread, as the system has it: at most 15 bytes of it. `std` cannot be asked once the thread's locals
/// have ended, and a store may be freed after that.
pub(crate) fn thread_name() -> Option<String> {
    let mut name = [0_u8; 64];
    // SAFETY: I-LAYOUT: names this thread.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: I-LAYOUT: writes at most as many bytes as there are, and ends them with a 0.
    let failed = unsafe { libc::pthread_getname_np(this, name.as_mut_ptr().cast(), name.len()) };
    let text = std::ffi::CStr::from_bytes_until_nul(&name).ok()?.to_string_lossy();
    (failed == 0 && !text.is_empty()).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_thread_has_the_name_that_it_was_given() {
        let thread = std::thread::Builder::new().name("a-reader".into()).spawn(super::thread_name);
        assert_eq!(thread.unwrap().join().unwrap().as_deref(), Some("a-reader"));
    }
}
