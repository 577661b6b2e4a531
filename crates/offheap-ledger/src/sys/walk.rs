//! Walking over the frames of this thread's stack.

use std::arch::asm;
use std::ops::Range;
use std::sync::Arc;

use framehop::{CacheNative, FrameAddress, MayAllocateDuringUnwind, UnwindRegsNative, Unwinder as _};

use super::modules::{self, Unwinder};

/// The innermost frames of a stack that are recorded. Frames further out are left out.
pub(crate) const MOST_FRAMES: usize = 64;

/// Walks over the stack of the thread that made it.
///
/// It reads only words of this thread's own stack, from the stack pointer to its end, whatever the frames say. On a stack
/// that the program made itself, for a coroutine, it finds no frames.
pub(crate) struct Walker {
    list: u64,
    unwinder: Arc<Unwinder>,
    cache: CacheNative<MayAllocateDuringUnwind>,
    stack: Range<usize>,
}

impl Walker {
    /// For this thread.
    pub(crate) fn new() -> Self {
        let (list, unwinder) = modules::current();
        let stack = offheap::adapter::thread_stack().unwrap_or_default();
        Walker { list, unwinder, cache: CacheNative::new(), stack }
    }

    /// Whether modules were loaded or unloaded, so that a stack has to be walked again.
    pub(crate) fn refresh(&mut self) -> bool {
        modules::refresh()
    }

    /// Writes the return addresses of this thread's frames, the innermost first. Returns their number.
    #[inline(never)]
    pub(crate) fn walk(&mut self, into: &mut [usize; MOST_FRAMES]) -> usize {
        if self.list != modules::newest() {
            (self.list, self.unwinder) = modules::current();
        }
        let Here { pc, sp, mut registers } = Here::get();
        let Some(last) = self.stack.end.checked_sub(8).filter(|&last| sp >= self.stack.start && sp <= last) else {
            return 0;
        };
        let mut read = |address: u64| {
            let address = address as usize;
            match address >= sp && address <= last && address.is_multiple_of(8) {
                // SAFETY: I-OWN-STACK: a whole word between this thread's stack pointer and the end of its stack.
                true => Ok(unsafe { load(address) }),
                false => Err(()),
            }
        };
        let mut at = FrameAddress::from_instruction_pointer(pc);
        for (count, slot) in into.iter_mut().enumerate() {
            let next = self.unwinder.unwind_frame(at, &mut registers, &mut self.cache, &mut read);
            let Some(found) = next.ok().flatten().and_then(FrameAddress::from_return_address) else { return count };
            *slot = found.address() as usize;
            at = found;
        }
        MOST_FRAMES
    }
}

/// The registers that tell where this function's own frame is.
struct Here {
    pc: u64,
    sp: usize,
    registers: UnwindRegsNative,
}

impl Here {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn get() -> Here {
        let (pc, sp, fp): (u64, u64, u64);
        // SAFETY: I-OWN-STACK: only reads registers.
        unsafe {
            asm!("lea {pc}, [rip]", "mov {sp}, rsp", "mov {fp}, rbp", pc = out(reg) pc, sp = out(reg) sp,
                fp = out(reg) fp, options(nomem, nostack, preserves_flags));
        }
        Here { pc, sp: sp as usize, registers: UnwindRegsNative::new(pc, sp, fp) }
    }

    #[cfg(target_arch = "aarch64")]
    #[inline(always)]
    fn get() -> Here {
        let (pc, sp, fp, lr): (u64, u64, u64, u64);
        // SAFETY: I-OWN-STACK: only reads registers.
        unsafe {
            asm!("adr {pc}, .", "mov {sp}, sp", "mov {fp}, x29", "mov {lr}, x30", pc = out(reg) pc, sp = out(reg) sp,
                fp = out(reg) fp, lr = out(reg) lr, options(nomem, nostack, preserves_flags));
        }
        Here { pc, sp: sp as usize, registers: UnwindRegsNative::new(lr, sp, fp) }
    }
}

/// Reads a word that Rust may have no value in: a slot that is not in use, or the place of a return address.
///
/// # Safety
/// The eight bytes at `address` are readable.
#[inline(always)]
unsafe fn load(address: usize) -> u64 {
    let word;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: I-OWN-STACK: as the caller promises.
    unsafe {
        asm!("mov {}, [{}]", out(reg) word, in(reg) address, options(readonly, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: I-OWN-STACK: as the caller promises.
    unsafe {
        asm!("ldr {}, [{}]", out(reg) word, in(reg) address, options(readonly, nostack, preserves_flags));
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn down(depth: u32, walker: &mut Walker) -> (Vec<usize>, u32) {
        if depth == 0 {
            let mut frames = [0; MOST_FRAMES];
            let count = walker.walk(&mut frames);
            return (frames[..count].to_vec(), 0);
        }
        let (frames, calls) = down(depth - 1, walker);
        (frames, std::hint::black_box(calls + 1))
    }

    #[test]
    fn it_finds_each_frame_up_to_the_start_of_the_thread() {
        let mut walker = Walker::new();
        let (frames, _) = down(10, &mut walker);
        assert!(frames.len() > 12, "{frames:x?}");
        // The frames of the recursion return to the same place.
        assert!(frames.windows(2).filter(|pair| pair[0] == pair[1]).count() >= 8, "{frames:x?}");
        let (more, _) = down(11, &mut walker);
        assert_eq!(more.len(), frames.len() + 1);
        let (same, _) = down(200, &mut walker);
        assert_eq!(same.len(), MOST_FRAMES);
    }

    #[test]
    fn each_thread_walks_over_its_own_stack() {
        let count = || down(5, &mut Walker::new()).0.len();
        assert!(std::thread::spawn(count).join().unwrap() > 7);
    }
}
