//! The number and the name of a thread, as the system has them. Reading them is safe in a signal's handler.

/// The number and the name of a thread.
#[derive(Clone, Copy)]
pub(super) struct ThreadName {
    pub(super) number: u64,
    // Up to the first zero.
    name: [u8; 16],
}

impl ThreadName {
    /// The caller's.
    pub(super) fn current() -> Self {
        let (number, name) = current();
        ThreadName { number, name }
    }

    /// A name from the numbers that [`words`](Self::words) gave.
    pub(super) fn of(number: u64, words: [u64; 2]) -> Self {
        let mut name = [0; 16];
        for (to, word) in name.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        ThreadName { number, name }
    }

    /// The name in two numbers, for [`of`](Self::of).
    pub(super) fn words(&self) -> [u64; 2] {
        [0, 8].map(|from| {
            let mut word = [0; 8];
            word.copy_from_slice(&self.name[from..from + 8]);
            u64::from_ne_bytes(word)
        })
    }

    pub(super) fn name(&self) -> &[u8] {
        self.name.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

#[cfg(target_os = "linux")]
fn current() -> (u64, [u8; 16]) {
    let mut name = [0; 16];
    // SAFETY: the system writes at most 16 bytes, with a zero at their end.
    unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
    // SAFETY: asks for a number.
    let number = unsafe { libc::syscall(libc::SYS_gettid) };
    (number as u64, name)
}

#[cfg(not(target_os = "linux"))]
fn current() -> (u64, [u8; 16]) {
    let mut number = 0;
    // SAFETY: thread 0 is the caller's; `number` is memory for its number.
    unsafe { libc::pthread_threadid_np(0, &mut number) };
    let mut name = [0; 16];
    // SAFETY: the caller's own thread.
    let thread = unsafe { libc::pthread_self() };
    // SAFETY: the system writes at most 16 bytes, with a zero at their end.
    unsafe { libc::pthread_getname_np(thread, name.as_mut_ptr().cast(), name.len()) };
    (number, name)
}
