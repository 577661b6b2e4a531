//! Copies of bytes that script or another process may write at the same time.
//!
//! Each byte that is read is a value that was stored there at some time, in no particular order. The compiler cannot look
//! into the `asm!` blocks, which stand for one relaxed atomic access per byte. Memory that is never written is not read
//! this way, since an atomic needs an address that may be written.

/// Reads `into.len()` bytes from `from`.
///
/// # Safety
/// The bytes are mapped for reading and do not overlap `into`. Other code may write them, which a shared reference to them
/// would not allow.
#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
#[inline]
pub unsafe fn load_bytes(from: *const u8, into: &mut [u8]) {
    // SAFETY: I-BORROW: readable as the caller says; `into` is ours.
    unsafe { copy(from, into.as_mut_ptr(), into.len()) }
}

/// Writes `from` to the bytes at `into`.
///
/// # Safety
/// The bytes are mapped for writing, and do not overlap `from`.
#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
#[inline]
pub(crate) unsafe fn store_bytes(into: *mut u8, from: &[u8]) {
    // SAFETY: I-BORROW: writable as the caller says; `from` is only read.
    unsafe { copy(from.as_ptr(), into, from.len()) }
}

/// # Safety
/// `count` bytes are mapped at both addresses, for reading at `from` and for writing at `into`, and do not overlap.
#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
#[inline]
unsafe fn copy(mut from: *const u8, mut into: *mut u8, mut count: usize) {
    use std::arch::asm;
    // Up to this length 16-byte moves are faster than `rep movsb`, which starts slowly (Zen 5 with FSRM: equal at about
    // 1,200).
    const SHORT: usize = 1024;
    if count <= SHORT {
        let steps = count / 64;
        if steps != 0 {
            // SAFETY: I-BORROW: reads and writes `steps * 64 <= count` bytes at the two addresses.
            unsafe {
                asm!(
                    "2:",
                    "movdqu {a}, [{from}]",
                    "movdqu {b}, [{from} + 16]",
                    "movdqu {c}, [{from} + 32]",
                    "movdqu {d}, [{from} + 48]",
                    "movdqu [{into}], {a}",
                    "movdqu [{into} + 16], {b}",
                    "movdqu [{into} + 32], {c}",
                    "movdqu [{into} + 48], {d}",
                    "add {from}, 64",
                    "add {into}, 64",
                    "dec {steps}",
                    "jnz 2b",
                    from = inout(reg) from,
                    into = inout(reg) into,
                    steps = inout(reg) steps => _,
                    a = out(xmm_reg) _, b = out(xmm_reg) _, c = out(xmm_reg) _, d = out(xmm_reg) _,
                    options(nostack),
                );
            }
            count %= 64;
        }
    }
    if count == 0 {
        return;
    }
    // SAFETY: I-BORROW: reads and writes the `count` bytes that are left; the direction flag is clear on entry (ABI).
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") count => _,
            inout("rsi") from => _,
            inout("rdi") into => _,
            options(nostack, preserves_flags),
        );
    }
}

/// # Safety
/// The bytes are mapped for reading and do not overlap `into`. Other code may write them, which a shared reference to them
/// would not allow.
#[cfg(any(not(target_arch = "x86_64"), miri, loom))]
pub unsafe fn load_bytes(from: *const u8, into: &mut [u8]) {
    use std::sync::atomic::{AtomicU8, Ordering};
    for (index, byte) in into.iter_mut().enumerate() {
        // SAFETY: I-BORROW: inside the range of the caller's promise.
        let source = unsafe { from.add(index) };
        // SAFETY: I-BORROW: as above. Other code may write it, which an `AtomicU8` allows. It is only loaded here.
        let source = unsafe { AtomicU8::from_ptr(source.cast_mut()) };
        *byte = source.load(Ordering::Relaxed);
    }
}

/// # Safety
/// The bytes are mapped for writing, and do not overlap `from`.
#[cfg(any(not(target_arch = "x86_64"), miri, loom))]
pub(crate) unsafe fn store_bytes(into: *mut u8, from: &[u8]) {
    use std::sync::atomic::{AtomicU8, Ordering};
    for (index, &byte) in from.iter().enumerate() {
        // SAFETY: I-BORROW: inside the range of the caller's promise.
        let target = unsafe { into.add(index) };
        // SAFETY: I-BORROW: as above. Other code may read it, which an `AtomicU8` allows.
        unsafe { AtomicU8::from_ptr(target) }.store(byte, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_alignment_is_copied_exactly() {
        let source: Vec<u8> = (0..2100).map(|n| (n * 7 + n / 256) as u8).collect();
        for length in (0..200).chain([255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 2049]) {
            for shift in [0, 1, 7, 15] {
                let from = &source[shift..shift + length];
                let mut into = vec![0xaa; length + 2];
                // SAFETY: both ranges are live and apart.
                unsafe { load_bytes(from.as_ptr(), &mut into[1..=length]) };
                assert_eq!(into[0], 0xaa);
                assert_eq!(into[length + 1], 0xaa);
                assert_eq!(&into[1..=length], from, "{length} {shift}");
                // SAFETY: both ranges are live and apart.
                unsafe { store_bytes(into[1..=length].as_mut_ptr(), &vec![0x55; length]) };
                assert!(into[1..=length].iter().all(|&byte| byte == 0x55));
                assert_eq!((into[0], into[length + 1]), (0xaa, 0xaa));
            }
        }
    }
}
