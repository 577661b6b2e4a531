use super::super::BlockUse;
use super::super::fake::{FakeBlock, Isolate, TABLE};
use super::*;

const ADVICE: LendingAdvice = LendingAdvice { unknown: "unknown", moved: "moved", held: "held" };

/// An isolate that has handles for buffers of these blocks.
struct Handles<'a> {
    isolate: &'a Isolate,
    was_lent: bool,
    blocks: &'a [&'a FakeBlock],
}

impl Lender<FakeBlock> for Handles<'_> {
    fn isolate(&self) -> IsolateId {
        self.isolate.registration.id()
    }

    fn was_lent(&self) -> bool {
        self.was_lent
    }

    fn any_block(&self, store: &BackingStore, is_enough: &mut dyn FnMut(FakeBlock) -> bool) -> Result<bool, Error> {
        let of_store = |block: &&&FakeBlock| TABLE.look_up(block.address(), 64).is_some_and(|there| there == *store);
        Ok(self.blocks.iter().filter(of_store).any(|&block| is_enough(block.clone())))
    }

    fn drop_released(&self) {
        self.isolate.look();
    }
}

/// The reason why the bytes are not lent, if they are not.
fn refused(handles: &Handles<'_>, store: &BackingStore, is_of_buffer: bool) -> Option<&'static str> {
    match TABLE.check_lendable(handles, &ADVICE, store, is_of_buffer, "lend") {
        Ok(()) => None,
        Err(Error::NotLent { why, .. }) => Some(why),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn bytes_are_lent_where_handles_are_for_all_buffers_that_have_them() {
    let (isolate, other, block) = (Isolate::new(), Isolate::new(), FakeBlock::new(64, 64));
    let store = isolate.externalize(&block, BlockUse::Fixed, None);
    let handles = Handles { isolate: &isolate, was_lent: true, blocks: &[&block] };
    assert_eq!(refused(&handles, &store, true), None);
    let none = Handles { blocks: &[], ..handles };
    assert_eq!(refused(&none, &store, true), Some("unknown"));
    assert_eq!(refused(&Handles { was_lent: false, ..none }, &store, true), None);
    // The core refuses bytes that the other isolate has, unless they are of a buffer that was moved there.
    let elsewhere = Handles { isolate: &other, was_lent: true, blocks: &[&block] };
    assert_eq!((refused(&elsewhere, &store, false), refused(&elsewhere, &store, true)), (None, Some("moved")));
    // One more reference, whose owner is unknown.
    let taken = block.clone();
    let handles = Handles { isolate: &isolate, was_lent: true, blocks: &[&block] };
    assert_eq!(refused(&handles, &store, true), Some("unknown"));
    drop(taken);
    assert_eq!(refused(&handles, &store, true), None);
}

#[test]
fn bytes_that_the_engine_dropped_are_lent_after_a_check() {
    let (isolate, block) = (Isolate::new(), FakeBlock::new(64, 64));
    let store = isolate.externalize(&block, BlockUse::Fixed, None);
    drop(block);
    assert_eq!(refused(&Handles { isolate: &isolate, was_lent: true, blocks: &[] }, &store, false), None);
    assert_eq!(store.exposure(), None);
}

#[test]
fn bytes_that_something_else_refers_to_are_not_touched() {
    let isolate = Isolate::new();
    for (usage, objects) in [(BlockUse::Resizable, 1), (BlockUse::Growable, 2)] {
        let block = FakeBlock::new(64, 64);
        let store = isolate.externalize(&block, usage, None);
        let check = || TABLE.check_not_held(&ADVICE, &store, isolate.registration.id(), 2, "read");
        let mut references: Vec<FakeBlock> = (1..objects).map(|_| block.clone()).collect();
        assert!(check().is_ok(), "{usage:?}");
        references.push(block.clone());
        assert!(matches!(check(), Err(Error::NotLent { why: "held", .. })), "{usage:?}");
    }
}
