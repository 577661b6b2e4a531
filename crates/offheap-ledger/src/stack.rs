//! Stacks: walked when something happens, kept once each, and given names only when they are asked for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use offheap::Site;
use offheap::observe::{ScriptFrame, ScriptStack};
use offheap_report::format::Frame;

use rustc_hash::FxBuildHasher;

use crate::frames;
use crate::site::identity;
use crate::sys::Walker;
use crate::thread_cache::ThreadCache;

/// The distinct stacks that a process keeps. When there are more, new ones are not recorded; the place still is.
pub const MOST_STACKS: u32 = 1 << 16;

/// The stack of an event: the functions that this thread was in, the innermost first. Functions of script are there too, where
/// script waited for the native code that told the event.
///
/// It costs one pointer. It is given names when they are asked for, from the program's debug information.
#[derive(Clone, Copy)]
pub struct Stack(&'static Kept);

pub(crate) struct Kept {
    number: u32,
    addresses: Box<[usize]>,
    script: Box<[ScriptFrame]>,
    frames: OnceLock<Vec<Frame>>,
}

/// What a stack is found by: its return addresses, and the functions of script.
#[derive(Clone, Copy)]
struct Walked<'a> {
    addresses: &'a [usize],
    script: Option<&'a ScriptStack>,
}

/// Stacks by their hash.
type Shard = Mutex<HashMap<u64, Vec<&'static Kept>, FxBuildHasher>>;
const SHARDS: usize = 64;
static KEPT: [Shard; SHARDS] = [const { Mutex::new(HashMap::with_hasher(FxBuildHasher)) }; SHARDS];
static COUNT: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static WALKER: RefCell<Option<Walker>> = const { RefCell::new(None) };
    static RECENT: ThreadCache<Kept, 256> = const { ThreadCache::new() };
}

impl Stack {
    /// The stack of this thread, here, where `script` is running. `None` where it cannot be walked, at the end of a thread for
    /// example, and where [`MOST_STACKS`] are kept. Never panics.
    #[inline]
    pub(crate) fn here(script: Option<&ScriptStack>) -> Option<Stack> {
        // A panic must not keep the caller from recording what happened: it would go on asking for a block that is gone.
        let walked = catch_unwind(AssertUnwindSafe(|| {
            WALKER.try_with(|walker| Stack::walked(&mut *walker.try_borrow_mut().ok()?, script)).ok()?
        }));
        walked.unwrap_or_default()
    }

    /// A stack of functions of script.
    #[cold]
    pub(crate) fn of_script(script: &ScriptStack) -> Option<Stack> {
        let walked = Walked { addresses: &[], script: Some(script) };
        walked.recent().or_else(|| walked.keep())
    }

    fn walked(walker: &mut Option<Walker>, script: Option<&ScriptStack>) -> Option<Stack> {
        let walker = walker.get_or_insert_with(Walker::new);
        let mut is_refreshed = false;
        loop {
            let mut nothing = None;
            let (addresses, remembered) = walker.walk().unwrap_or((&[], &mut nothing));
            if script.is_none() && remembered.is_some() {
                return *remembered;
            }
            let walked = Walked { addresses, script };
            let mut stack = walked.recent();
            if stack.is_none() {
                // Before a new stack is believed, the list of modules is. Code of a new library makes new stacks only.
                if !is_refreshed && Walker::refresh() {
                    is_refreshed = true;
                    continue;
                }
                stack = walked.keep();
            }
            if script.is_none() {
                *remembered = stack;
            }
            return stack;
        }
    }

    /// Whether functions of script are in it.
    pub(crate) fn has_script(&self) -> bool {
        !self.0.script.is_empty()
    }

    /// The place in script that was running.
    pub(crate) fn script_site(&self) -> Option<Site> {
        self.0.script.first().map(|frame| frame.at)
    }

    /// The number of the stack, counted from 1. No other stack of the process has it.
    pub fn number(&self) -> u32 {
        self.0.number
    }

    /// The frames with their names: without those of the recording itself. The first time, this reads debug information,
    /// which may take a tenth of a second. No lock of the ledger is held while it does.
    pub fn frames(&self) -> &'static [Frame] {
        self.0.frames.get_or_init(|| frames::resolve(&self.0.addresses, &self.0.script))
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stack({})", self.0.number)
    }
}

impl PartialEq for Stack {
    fn eq(&self, other: &Stack) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for Stack {}

impl Walked<'_> {
    /// The kept stack, if this thread has it among its latest ones.
    #[inline]
    fn recent(self) -> Option<Stack> {
        RECENT.with(|recent| recent.get_or(1, self.hash(), |kept| self.is(kept), || None)).map(Stack)
    }

    /// Keeps the stack, if it is not kept yet.
    fn keep(self) -> Option<Stack> {
        let hash = self.hash();
        RECENT.with(|recent| recent.get_or(1, hash, |_| false, || self.find(hash))).map(Stack)
    }

    fn is(self, kept: &Kept) -> bool {
        *kept.addresses == *self.addresses && self.script().eq(kept.script.iter().copied())
    }

    fn script(&self) -> impl Iterator<Item = ScriptFrame> {
        self.script.into_iter().flat_map(ScriptStack::frames)
    }

    #[cold]
    fn find(self, hash: u64) -> Option<&'static Kept> {
        if self.addresses.is_empty() && self.script.is_none() {
            return None;
        }
        let mut shard = KEPT[(hash >> 32) as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner);
        let known = shard.entry(hash).or_default();
        if let Some(kept) = known.iter().find(|kept| self.is(kept)) {
            return Some(kept);
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        if count >= MOST_STACKS {
            COUNT.store(MOST_STACKS, Ordering::Relaxed);
            return None;
        }
        let (addresses, script) = (self.addresses.into(), self.script().collect());
        let kept = Kept { number: count + 1, addresses, script, frames: OnceLock::new() };
        known.push(Box::leak(Box::new(kept)));
        known.last().copied()
    }

    #[inline]
    fn hash(&self) -> u64 {
        let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        let hash = self.addresses.iter().fold(self.addresses.len() as u64, |hash, &address| mix(hash, address as u64));
        // A place of script is kept once, so its address stands for it.
        self.script().fold(hash, |hash, frame| mix(hash, identity(&frame.at) as u64))
    }
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    use offheap::adapter::script_frame;

    use super::*;

    #[inline(never)]
    fn first(script: Option<&ScriptStack>) -> Stack {
        black_box(Stack::here(black_box(script)).expect("the thread's own stack"))
    }

    #[inline(never)]
    fn second(script: Option<&ScriptStack>) -> Stack {
        // Not the code of the first.
        let found = black_box(Stack::here(black_box(script)).expect("the thread's own stack"));
        black_box(found)
    }

    /// Two callers whose frames are at the same addresses take turns, each three times in a row: the second time, the walk of
    /// the first is remembered, and the third time its stack.
    #[test]
    fn a_stack_that_is_remembered_is_that_of_the_caller() {
        let mut script = ScriptStack::new();
        script.push(script_frame("f", "a.js", 1, 1));
        let callers: [fn(Option<&ScriptStack>) -> Stack; 2] = [first, second];
        let scripts = [None, Some(&script)];
        let mut found = Vec::new();
        // One place of code for all, so that only the caller and the script differ.
        for turn in 0..36 {
            found.push(black_box(callers[turn / 3 % 2])(black_box(scripts[(turn % 3 / 2) ^ (turn / 6 % 2)])));
        }
        for (turn, stack) in found.iter().enumerate() {
            let of_same =
                |&other: &usize| other / 3 % 2 == turn / 3 % 2 && found[other].has_script() == stack.has_script();
            let has_script = (turn % 3 / 2) ^ (turn / 6 % 2) == 1;
            assert_eq!(stack.has_script(), has_script, "{turn}");
            let same = (0..36).find(of_same).map(|other| found[other]);
            assert_eq!(Some(*stack), same, "{turn}");
        }
        let distinct: std::collections::BTreeSet<u32> = found.iter().map(Stack::number).collect();
        assert_eq!(distinct.len(), 4);
    }
}
