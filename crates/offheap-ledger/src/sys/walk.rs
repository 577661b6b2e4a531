//! Walking over the frames of this thread's stack.

use std::arch::asm;
use std::cell::Cell;
use std::ops::Range;
use std::sync::Arc;

use framehop::{CacheNative, FrameAddress, MayAllocateDuringUnwind, UnwindRegsNative, Unwinder as _};

use super::modules::{self, Unwinder};
use crate::stack::Stack;

/// The innermost frames of a stack that are recorded. Frames further out are left out.
const MOST_FRAMES: usize = 64;

/// Walks over the stack of the thread that made it.
///
/// It reads only words of this thread's own stack, from the stack pointer to its end, whatever the frames say. On a stack
/// that the program made itself, for a coroutine, it finds no frames.
pub(crate) struct Walker {
    list: u64,
    unwinder: Arc<Unwinder>,
    cache: CacheNative<MayAllocateDuringUnwind>,
    stack: Range<usize>,
    /// Of the last walk that is not remembered.
    frames: Box<[usize; MOST_FRAMES]>,
    /// The latest walks, each at the place that its stack pointer names.
    latest: Box<[Walk; LATEST]>,
}

/// How many walks a thread remembers.
const LATEST: usize = 4;

/// A walk that is remembered. On x86-64, what an unwinder does in a function depends on the place in it, on the stack pointer, and in
/// some functions on the frame pointer, which is somewhere on the stack then. So a walk that begins at the same place with the same
/// stack pointer, and finds the same words where they were, is the same walk. Only the words that matter are compared: return
/// addresses, and addresses on the stack. Most others are values of the program, which differ each time. Whether the walk is the same
/// without them is tried once.
struct Walk {
    list: u64,
    sp: usize,
    /// The frame pointer, or 0 if it was no address on the stack.
    fp: u64,
    frames: [usize; MOST_FRAMES],
    count: usize,
    /// The words that matter, with their addresses.
    words: [(usize, u64); MOST_WORDS],
    /// Nothing is remembered if it is 0.
    word_count: usize,
    /// Whether these words are enough, once that was tried.
    is_enough: Option<bool>,
    /// What [`Walker::walk`] lets its caller remember of these frames.
    stack: Option<Stack>,
}

/// A frame has two words: its return address, and a register that it saved.
const MOST_WORDS: usize = 2 * MOST_FRAMES;

impl Walk {
    const NONE: Walk = Walk {
        list: 0,
        sp: 0,
        fp: 0,
        frames: [0; MOST_FRAMES],
        count: 0,
        words: [(0, 0); MOST_WORDS],
        word_count: 0,
        is_enough: None,
        stack: None,
    };

    /// Whether the words that matter to a walk from here are where they were.
    fn is_at_same(&self, list: u64, sp: usize, fp: u64) -> bool {
        (self.list, self.sp) == (list, sp)
            && self.word_count != 0
            && (self.fp == 0 || self.fp == fp)
            && self.words[..self.word_count].iter().all(|&(address, word)| {
                // SAFETY: I-OWN-STACK: it was between the same stack pointer and the end of the same stack.
                word == unsafe { load(address) }
            })
    }

    /// Whether a walk finds the same if everything that was not remembered is another number.
    #[cold]
    #[inline(never)]
    fn try_alone(&self, unwinder: &Unwinder, cache: &mut CacheNative<MayAllocateDuringUnwind>, pc: u64) -> bool {
        // No address on a stack.
        const NUMBER: u64 = 0x0101_0101_0101_0100;
        let mut read = |address: u64| {
            let known = self.words[..self.word_count].iter().find(|&&(known, _)| known as u64 == address);
            let is_on_stack = (self.sp as u64..NUMBER - (1 << 32)).contains(&address);
            if is_on_stack { Ok(known.map_or(NUMBER, |&(_, word)| word)) } else { Err(()) }
        };
        let fp = if self.fp == 0 { NUMBER } else { self.fp };
        let mut registers = UnwindRegsNative::new(pc, self.sp as u64, fp);
        let (mut at, mut count) = (FrameAddress::from_instruction_pointer(pc), 0);
        while count < MOST_FRAMES {
            let next = unwinder.unwind_frame(at, &mut registers, cache, &mut read);
            let Some(found) = next.ok().flatten().and_then(FrameAddress::from_return_address) else { break };
            if self.frames[count] != found.address() as usize {
                return false;
            }
            at = found;
            count += 1;
        }
        count == self.count
    }
}

impl Walker {
    /// For this thread.
    pub(crate) fn new() -> Self {
        let (list, unwinder) = modules::current();
        let stack = offheap::adapter::thread_stack().unwrap_or_default();
        let (frames, latest) = (Box::new([0; MOST_FRAMES]), Box::new([Walk::NONE; LATEST]));
        Walker { list, unwinder, cache: CacheNative::new(), stack, frames, latest }
    }

    /// Whether modules were loaded or unloaded, so that a stack has to be walked again.
    pub(crate) fn refresh() -> bool {
        modules::refresh()
    }

    /// The return addresses of this thread's frames, the innermost first, and what the caller remembered of them: nothing if
    /// they are not known to be those of an earlier walk. `None` on a stack that is not this thread's own.
    #[inline(never)]
    pub(crate) fn walk(&mut self) -> Option<(&[usize], &mut Option<Stack>)> {
        if self.list != modules::newest() {
            (self.list, self.unwinder) = modules::current();
        }
        let Here { pc, sp, fp, mut registers } = Here::get();
        let last = self.stack.end.checked_sub(8).filter(|&last| sp >= self.stack.start && sp <= last)?;
        let walk = &mut self.latest[sp / 16 % LATEST];
        let is_at_same = REMEMBERS && walk.is_at_same(self.list, sp, fp);
        if is_at_same {
            let is_enough = match walk.is_enough {
                Some(is_enough) => is_enough,
                None => walk.try_alone(&self.unwinder, &mut self.cache, pc),
            };
            walk.is_enough = Some(is_enough);
            if is_enough {
                return Some((&walk.frames[..walk.count], &mut walk.stack));
            }
        }
        let words = Words::default();
        let mut read = |address: u64| {
            let address = address as usize;
            if address < sp || address > last || !address.is_multiple_of(8) {
                return Err(());
            }
            // SAFETY: I-OWN-STACK: a whole word between this thread's stack pointer and the end of its stack.
            let word = unsafe { load(address) };
            words.note(address, word);
            Ok(word)
        };
        let is_on_stack = |word: u64| (sp as u64..=last as u64).contains(&word);
        // If it is tried already, it stays so. A panic of the unwinder leaves nothing that is remembered.
        let remembers = REMEMBERS && !is_at_same;
        if remembers {
            (walk.word_count, walk.is_enough) = (0, None);
        }
        walk.stack = None;
        let into = &mut self.frames;
        let (mut at, mut count, mut word_count) = (FrameAddress::from_instruction_pointer(pc), 0, 0);
        while count < MOST_FRAMES {
            let next = self.unwinder.unwind_frame(at, &mut registers, &mut self.cache, &mut read);
            let Some(found) = next.ok().flatten().and_then(FrameAddress::from_return_address) else { break };
            into[count] = found.address() as usize;
            if words.has_lost() {
                word_count = MOST_WORDS + 1;
            }
            for (address, word) in words.take() {
                if remembers && (word == found.address() || is_on_stack(word)) && word_count <= MOST_WORDS {
                    if let Some(slot) = walk.words.get_mut(word_count) {
                        *slot = (address, word);
                    }
                    word_count += 1;
                }
            }
            at = found;
            count += 1;
        }
        if remembers && word_count <= MOST_WORDS {
            walk.frames[..count].copy_from_slice(&into[..count]);
            let fp = if is_on_stack(fp) { fp } else { 0 };
            (walk.list, walk.sp, walk.fp, walk.count, walk.word_count) = (self.list, sp, fp, count, word_count);
        }
        Some((&into[..count], &mut walk.stack))
    }
}

/// Whether walks are remembered. Elsewhere a return address may be in a register.
const REMEMBERS: bool = cfg!(target_arch = "x86_64");

/// The last words, at most four, that the unwinder read for one frame, with their addresses.
#[derive(Default)]
struct Words {
    words: [Cell<(usize, u64)>; 4],
    count: Cell<usize>,
}

impl Words {
    fn note(&self, address: usize, word: u64) {
        self.words[self.count.get() % 4].set((address, word));
        self.count.set(self.count.get() + 1);
    }

    /// Whether there were more than four.
    fn has_lost(&self) -> bool {
        self.count.get() > 4
    }

    /// The words. Forgets all.
    fn take(&self) -> impl Iterator<Item = (usize, u64)> {
        let count = self.count.replace(0).min(4);
        self.words[..count].iter().map(Cell::get)
    }
}

/// The registers that tell where this function's own frame is.
struct Here {
    pc: u64,
    sp: usize,
    fp: u64,
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
        Here { pc, sp: sp as usize, fp, registers: UnwindRegsNative::new(pc, sp, fp) }
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
        Here { pc, sp: sp as usize, fp, registers: UnwindRegsNative::new(lr, sp, fp) }
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
            return (walker.walk().expect("the thread's own stack").0.to_vec(), 0);
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

    #[inline(never)]
    fn first(walker: &mut Walker) -> Vec<usize> {
        let found = down(std::hint::black_box(2) - 2, walker).0;
        std::hint::black_box(found)
    }

    #[inline(never)]
    fn second(walker: &mut Walker) -> Vec<usize> {
        // Not the code of the first.
        let found = down(std::hint::black_box(1) - 1, walker).0;
        std::hint::black_box(found)
    }

    /// Two callers whose frames are at the same addresses take turns.
    #[test]
    fn what_is_remembered_is_what_a_new_walk_finds() {
        let callers: [fn(&mut Walker) -> Vec<usize>; 2] = [first, second];
        let mut walker = Walker::new();
        let mut found = Vec::new();
        // The one walker sees the same stack again and again, and each of the others only once.
        for turn in 0..24 {
            let mut new = Walker::new();
            let walker = if turn % 4 < 2 { &mut walker } else { &mut new };
            found.push(std::hint::black_box(callers[turn / 4 % 2])(walker));
        }
        for (turn, frames) in found.iter().enumerate() {
            assert_eq!(*frames, found[turn / 4 % 2 * 4], "{turn}");
        }
        assert_ne!(found[0], found[4]);
        assert!(found[0].len() > 4);
    }

    #[test]
    fn each_thread_walks_over_its_own_stack() {
        let count = || down(5, &mut Walker::new()).0.len();
        assert!(std::thread::spawn(count).join().unwrap() > 7);
    }
}
