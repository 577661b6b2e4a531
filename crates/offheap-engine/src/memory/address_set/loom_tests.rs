//! Models of the address set. Loom runs them in every order that the memory model allows.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p offheap-engine --lib --release`
//!
//! The results do not show whether two threads race. So the memory at an address is a loom cell, and loom checks
//! its uses as a race detector would.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::*;

/// Two neighbours, with their bits in one word of one leaf.
const HERE: usize = GRANULE;
const NEIGHBOUR: usize = 2 * GRANULE;
/// An address with its bit in the same word.
const FURTHER: usize = 3 * GRANULE;
/// An address in another leaf of the same branch.
const OTHER_LEAF: usize = (1 << LEAF_SHIFT) + GRANULE;

fn set() -> &'static AddressSet {
    Box::leak(Box::new(AddressSet(std::array::from_fn(|_| AtomicPtr::new(null_mut())))))
}

/// A set whose nodes exist, so that only the bit orders two threads.
fn set_with_nodes() -> &'static AddressSet {
    let set = set();
    assert!(set.insert(FURTHER));
    set
}

/// The memory at an address.
struct Plain(UnsafeCell<u32>);

// SAFETY: loom fails if two threads use the cell at once; the models show that they do not.
unsafe impl Send for Plain {}
// SAFETY: loom fails if two threads use the cell at once; the models show that they do not.
unsafe impl Sync for Plain {}

impl Plain {
    fn new() -> Arc<Plain> {
        Arc::new(Plain(UnsafeCell::new(0)))
    }

    fn read(&self) -> u32 {
        // SAFETY: the cell is alive; loom checks that no thread writes it.
        self.0.with(|value| unsafe { *value })
    }

    fn write(&self, written: u32) {
        // SAFETY: the cell is alive; loom checks that no other thread uses it.
        self.0.with_mut(|value| unsafe { *value = written })
    }
}

#[test]
fn set_two_threads_make_the_same_nodes_and_both_addresses_are_there() {
    loom::model(|| {
        let set = set();
        let other = thread::spawn(move || assert!(set.insert(NEIGHBOUR) && set.contains(NEIGHBOUR)));
        assert!(set.insert(HERE) && set.contains(HERE));
        other.join().unwrap();
        assert!(set.contains(HERE) && set.contains(NEIGHBOUR) && !set.contains(OTHER_LEAF));
    });
}

#[test]
fn set_two_threads_make_two_leaves_of_one_branch() {
    loom::model(|| {
        let set = set();
        let other = thread::spawn(move || assert!(set.insert(OTHER_LEAF)));
        assert!(set.insert(HERE));
        other.join().unwrap();
        assert!(set.contains(HERE) && set.contains(OTHER_LEAF));
    });
}

#[test]
fn set_a_thread_that_finds_an_address_sees_what_was_written_before() {
    loom::model(|| {
        let (set, memory) = (set_with_nodes(), Plain::new());
        let written = memory.clone();
        let other = thread::spawn(move || {
            written.write(7);
            assert!(set.insert(HERE));
        });
        if set.contains(HERE) {
            assert_eq!(memory.read(), 7);
        }
        other.join().unwrap();
    });
}

#[test]
fn set_a_neighbour_that_comes_and_goes_hides_nothing() {
    loom::model(|| {
        let (set, memory) = (set_with_nodes(), Plain::new());
        let written = memory.clone();
        let first = thread::spawn(move || {
            written.write(7);
            assert!(set.insert(HERE));
        });
        let second = thread::spawn(move || {
            assert!(set.insert(NEIGHBOUR));
            set.remove(NEIGHBOUR);
        });
        // The bit may come from a word that the second thread wrote.
        if set.contains(HERE) {
            assert_eq!(memory.read(), 7);
        }
        first.join().unwrap();
        second.join().unwrap();
        assert!(set.contains(HERE) && !set.contains(NEIGHBOUR));
    });
}

#[test]
fn set_a_thread_that_finds_an_address_gone_comes_after_all_uses_of_its_memory() {
    loom::model(|| {
        let (set, memory) = (set_with_nodes(), Plain::new());
        assert!(set.insert(HERE));
        let used = memory.clone();
        let other = thread::spawn(move || {
            used.write(7);
            set.remove(HERE);
        });
        if !set.contains(HERE) {
            memory.write(8);
        }
        other.join().unwrap();
    });
}
