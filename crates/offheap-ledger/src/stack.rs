//! Stacks: walked when something happens, kept once each, and given names only when they are asked for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use offheap_report::format::Frame;

use rustc_hash::FxBuildHasher;

use crate::frames;
use crate::sys::{MOST_FRAMES, Walker};
use crate::thread_cache::ThreadCache;

/// The distinct stacks that a process keeps. When there are more, new ones are not recorded; the place still is.
pub const MOST_STACKS: u32 = 1 << 16;

/// The stack of an event: the functions that this thread was in, the innermost first.
///
/// It costs one pointer. It is given names when they are asked for, from the program's debug information.
#[derive(Clone, Copy)]
pub struct Stack(&'static Kept);

pub(crate) struct Kept {
    number: u32,
    addresses: Box<[usize]>,
    frames: OnceLock<Vec<Frame>>,
}

/// Stacks by the hash of their return addresses.
type Shard = Mutex<HashMap<u64, Vec<&'static Kept>, FxBuildHasher>>;
const SHARDS: usize = 64;
static KEPT: [Shard; SHARDS] = [const { Mutex::new(HashMap::with_hasher(FxBuildHasher)) }; SHARDS];
static COUNT: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static WALKER: RefCell<Option<Walker>> = const { RefCell::new(None) };
    static RECENT: ThreadCache<Kept, 256> = const { ThreadCache::new() };
}

impl Stack {
    /// The stack of this thread, here. `None` where it cannot be walked, at the end of a thread for example, and where
    /// [`MOST_STACKS`] are kept. Never panics.
    #[inline]
    pub(crate) fn here() -> Option<Stack> {
        let mut addresses = [0; MOST_FRAMES];
        // A panic must not keep the caller from recording what happened: it would go on asking for a block that is gone.
        let walked = catch_unwind(AssertUnwindSafe(|| {
            WALKER.try_with(|walker| Stack::walked(&mut *walker.try_borrow_mut().ok()?, &mut addresses)).ok()?
        }));
        walked.unwrap_or_default()
    }

    fn walked(walker: &mut Option<Walker>, addresses: &mut [usize; MOST_FRAMES]) -> Option<Stack> {
        let walker = walker.get_or_insert_with(Walker::new);
        let count = walker.walk(addresses);
        let hash = hash(&addresses[..count]);
        let is_it = |kept: &Kept| *kept.addresses == addresses[..count];
        if let Some(kept) = RECENT.with(|recent| recent.get_or(1, hash, is_it, || None)) {
            return Some(Stack(kept));
        }
        // Before a new stack is believed, the list of modules is. Code of a new library makes new stacks only.
        let (count, hash) = match walker.refresh() {
            true => {
                let count = walker.walk(addresses);
                (count, self::hash(&addresses[..count]))
            }
            false => (count, hash),
        };
        let find = || Kept::find(hash, &addresses[..count]);
        RECENT.with(|recent| recent.get_or(1, hash, |_| false, find)).map(Stack)
    }

    /// The number of the stack, counted from 1. No other stack of the process has it.
    pub fn number(&self) -> u32 {
        self.0.number
    }

    /// The frames with their names: without those of the recording itself. The first time, this reads debug information,
    /// which may take a tenth of a second. No lock of the ledger is held while it does.
    pub fn frames(&self) -> &'static [Frame] {
        self.0.frames.get_or_init(|| frames::resolve(&self.0.addresses))
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

impl Kept {
    #[cold]
    fn find(hash: u64, addresses: &[usize]) -> Option<&'static Kept> {
        if addresses.is_empty() {
            return None;
        }
        let mut shard = KEPT[(hash >> 32) as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner);
        let known = shard.entry(hash).or_default();
        if let Some(kept) = known.iter().find(|kept| *kept.addresses == *addresses) {
            return Some(kept);
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        if count >= MOST_STACKS {
            COUNT.store(MOST_STACKS, Ordering::Relaxed);
            return None;
        }
        let kept = Kept { number: count + 1, addresses: addresses.into(), frames: OnceLock::new() };
        known.push(Box::leak(Box::new(kept)));
        known.last().copied()
    }
}

/// A hash of return addresses.
#[inline]
fn hash(addresses: &[usize]) -> u64 {
    addresses.iter().fold(addresses.len() as u64, |hash, &address| {
        (hash.rotate_left(5) ^ address as u64).wrapping_mul(0x517c_c1b7_2722_0a95)
    })
}
