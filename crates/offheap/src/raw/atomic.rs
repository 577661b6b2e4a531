//! Atomic operations on integers that Rust may use as atomics of another size at the same time.
//!
//! Rust does not define two atomic accesses of different sizes to the same bytes at the same time. The machine does, and
//! script does it all the time: `Atomics.add` of an `Int32Array` and of a `Uint8Array` over one buffer. So these operations
//! are machine code that the compiler cannot look into, like those of an engine. To the compiler, a block stands for
//! sequentially consistent accesses of the size with which Rust uses the bytes elsewhere: one after the other for an element
//! that is larger, and a compare-exchange loop for one that is smaller. The machine makes all of them at one moment, which
//! is one of the orders in which Rust allows them to happen.

/// An integer that the machine changes in one step.
pub trait Machine: Copy + Eq {
    /// # Safety
    /// The integer is mapped, aligned to its size, and used only by atomics, by this crate's copies and by engines.
    unsafe fn load(from: *mut Self) -> Self;

    /// Stores a value, and returns the one that was there.
    ///
    /// # Safety
    /// As for [`load`](Self::load), and the integer may be written.
    unsafe fn swap(at: *mut Self, value: Self) -> Self;

    /// Adds a value, around the end of the range, and returns the one that was there.
    ///
    /// # Safety
    /// As for [`swap`](Self::swap).
    unsafe fn add(at: *mut Self, value: Self) -> Self;

    /// Stores `new` if `expected` is there, and returns what was there.
    ///
    /// # Safety
    /// As for [`swap`](Self::swap).
    unsafe fn compare_exchange(at: *mut Self, expected: Self, new: Self) -> Self;
}

#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
macro_rules! machine {
    ($($int:ty, $class:ident, $size:literal, $accumulator:tt;)*) => {$(
        impl Machine for $int {
            #[inline]
            unsafe fn load(from: *mut Self) -> Self {
                let value: Self;
                // SAFETY: I-BORROW: reads the integer, which is mapped. Loads that follow stores by `xchg` are in one order
                // with them.
                unsafe {
                    std::arch::asm!(
                        concat!("mov {value", $size, "}, [{from}]"),
                        from = in(reg) from,
                        value = lateout($class) value,
                        options(nostack, preserves_flags),
                    );
                }
                value
            }

            #[inline]
            unsafe fn swap(at: *mut Self, mut value: Self) -> Self {
                // SAFETY: I-BORROW: changes the integer, which is mapped and writable.
                unsafe {
                    std::arch::asm!(
                        concat!("xchg [{at}], {value", $size, "}"),
                        at = in(reg) at,
                        value = inout($class) value,
                        options(nostack, preserves_flags),
                    );
                }
                value
            }

            #[inline]
            unsafe fn add(at: *mut Self, mut value: Self) -> Self {
                // SAFETY: I-BORROW: changes the integer, which is mapped and writable.
                unsafe {
                    std::arch::asm!(
                        concat!("lock xadd [{at}], {value", $size, "}"),
                        at = in(reg) at,
                        value = inout($class) value,
                        options(nostack),
                    );
                }
                value
            }

            #[inline]
            unsafe fn compare_exchange(at: *mut Self, expected: Self, new: Self) -> Self {
                let found: Self;
                // SAFETY: I-BORROW: changes the integer, which is mapped and writable.
                unsafe {
                    std::arch::asm!(
                        concat!("lock cmpxchg [{at}], {new", $size, "}"),
                        at = in(reg) at,
                        new = in($class) new,
                        inout($accumulator) expected => found,
                        options(nostack),
                    );
                }
                found
            }
        }
    )*};
}

#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
machine! {
    u8, reg_byte, "", "al";
    i8, reg_byte, "", "al";
    u16, reg, ":x", "ax";
    i16, reg, ":x", "ax";
    u32, reg, ":e", "eax";
    i32, reg, ":e", "eax";
    u64, reg, ":r", "rax";
    i64, reg, ":r", "rax";
}

#[cfg(all(target_arch = "aarch64", not(miri), not(loom)))]
macro_rules! machine {
    ($($int:ty, $unsigned:ty, $wide:ty, $suffix:literal, $size:literal;)*) => {$(
        impl Machine for $int {
            #[inline]
            unsafe fn load(from: *mut Self) -> Self {
                let value: Self;
                // SAFETY: I-BORROW: reads the integer, which is mapped and aligned.
                unsafe {
                    std::arch::asm!(
                        concat!("ldar", $suffix, " {value", $size, "}, [{from}]"),
                        from = in(reg) from,
                        value = lateout(reg) value,
                        options(nostack, preserves_flags),
                    );
                }
                value
            }

            #[inline]
            unsafe fn swap(at: *mut Self, value: Self) -> Self {
                let found: Self;
                // SAFETY: I-BORROW: changes the integer, which is mapped, aligned and writable.
                unsafe {
                    std::arch::asm!(
                        "2:",
                        concat!("ldaxr", $suffix, " {found", $size, "}, [{at}]"),
                        concat!("stlxr", $suffix, " {failed:w}, {value", $size, "}, [{at}]"),
                        "cbnz {failed:w}, 2b",
                        at = in(reg) at,
                        value = in(reg) value,
                        found = out(reg) found,
                        failed = out(reg) _,
                        options(nostack, preserves_flags),
                    );
                }
                found
            }

            #[inline]
            unsafe fn add(at: *mut Self, value: Self) -> Self {
                let found: Self;
                // SAFETY: I-BORROW: changes the integer, which is mapped, aligned and writable.
                unsafe {
                    std::arch::asm!(
                        "2:",
                        concat!("ldaxr", $suffix, " {found", $size, "}, [{at}]"),
                        concat!("add {sum", $size, "}, {found", $size, "}, {value", $size, "}"),
                        concat!("stlxr", $suffix, " {failed:w}, {sum", $size, "}, [{at}]"),
                        "cbnz {failed:w}, 2b",
                        at = in(reg) at,
                        value = in(reg) value,
                        found = out(reg) found,
                        sum = out(reg) _,
                        failed = out(reg) _,
                        options(nostack, preserves_flags),
                    );
                }
                found
            }

            #[inline]
            unsafe fn compare_exchange(at: *mut Self, expected: Self, new: Self) -> Self {
                // Loads of short integers fill their register with zeros.
                let expected = <$wide>::from(expected as $unsigned);
                let found: Self;
                // SAFETY: I-BORROW: changes the integer, which is mapped, aligned and writable.
                unsafe {
                    std::arch::asm!(
                        "2:",
                        concat!("ldaxr", $suffix, " {found", $size, "}, [{at}]"),
                        concat!("cmp {found", $size, "}, {expected", $size, "}"),
                        "b.ne 3f",
                        concat!("stlxr", $suffix, " {failed:w}, {new", $size, "}, [{at}]"),
                        "cbnz {failed:w}, 2b",
                        "3:",
                        "clrex",
                        at = in(reg) at,
                        expected = in(reg) expected,
                        new = in(reg) new,
                        found = out(reg) found,
                        failed = out(reg) _,
                        options(nostack),
                    );
                }
                found
            }
        }
    )*};
}

#[cfg(all(target_arch = "aarch64", not(miri), not(loom)))]
machine! {
    u8, u8, u32, "b", ":w";
    i8, u8, u32, "b", ":w";
    u16, u16, u32, "h", ":w";
    i16, u16, u32, "h", ":w";
    u32, u32, u32, "", ":w";
    i32, u32, u32, "", ":w";
    u64, u64, u64, "", ":x";
    i64, u64, u64, "", ":x";
}

#[cfg(any(miri, loom))]
macro_rules! machine {
    ($($int:ty, $atomic:ident;)*) => {$(
        impl Machine for $int {
            unsafe fn load(from: *mut Self) -> Self {
                // SAFETY: I-BORROW: the caller's promise. Tools that run this use the bytes in one size.
                unsafe { std::sync::atomic::$atomic::from_ptr(from) }.load(std::sync::atomic::Ordering::SeqCst)
            }

            unsafe fn swap(at: *mut Self, value: Self) -> Self {
                // SAFETY: I-BORROW: as for `load`.
                unsafe { std::sync::atomic::$atomic::from_ptr(at) }.swap(value, std::sync::atomic::Ordering::SeqCst)
            }

            unsafe fn add(at: *mut Self, value: Self) -> Self {
                // SAFETY: I-BORROW: as for `load`.
                unsafe { std::sync::atomic::$atomic::from_ptr(at) }.fetch_add(value, std::sync::atomic::Ordering::SeqCst)
            }

            unsafe fn compare_exchange(at: *mut Self, expected: Self, new: Self) -> Self {
                use std::sync::atomic::Ordering::SeqCst;
                // SAFETY: I-BORROW: as for `load`.
                let at = unsafe { std::sync::atomic::$atomic::from_ptr(at) };
                at.compare_exchange(expected, new, SeqCst, SeqCst).unwrap_or_else(|found| found)
            }
        }
    )*};
}

#[cfg(any(miri, loom))]
machine! {
    u8, AtomicU8;
    i8, AtomicI8;
    u16, AtomicU16;
    i16, AtomicI16;
    u32, AtomicU32;
    i32, AtomicI32;
    u64, AtomicU64;
    i64, AtomicI64;
}
