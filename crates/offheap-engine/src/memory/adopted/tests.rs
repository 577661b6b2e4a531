use std::sync::Arc;

use offheap::StoreKind;
use offheap::adapter::IsolateRegistration;

use super::super::fake::{ENGINE, FakeBlock, isolate};
use super::super::{Lender, LendingAdvice};
use super::*;

static TABLE: AddressTable<FakeBlock> = AddressTable::new(ENGINE);
static ENDED: EndedIsolates<FakeBlock> = EndedIsolates::new();

/// An isolate of the engine.
struct Isolate {
    registration: Arc<IsolateRegistration>,
    stores: Mutex<EngineMadeStores<FakeBlock>>,
}

impl Isolate {
    fn new() -> Self {
        Isolate { registration: isolate(), stores: Mutex::default() }
    }

    /// The store of a buffer over `block`, of which `block` is the engine's reference.
    fn externalize(&self, block: &FakeBlock, usage: BlockUse, max_byte_length: Option<usize>) -> BackingStore {
        let (data, byte_length) = (block.data().unwrap(), block.byte_length());
        let adopted = Adopted { block: block.clone(), data, byte_length, max_byte_length, usage };
        // SAFETY: I-MAPPED: the block's own; nothing writes it but the tests, on this thread.
        let (store, made) = unsafe { TABLE.adopt(adopted, self.registration.id()) }.unwrap();
        if let Some(made) = made {
            EngineMadeStores::note(&self.stores, &ENDED, made);
        }
        store
    }

    fn look(&self) {
        EngineMadeStores::release_let_go(&self.stores, &ENDED);
    }

    fn end(self) {
        ENDED.leave(EngineMadeStores::end(&self.stores), self.registration);
    }
}

#[test]
fn a_store_over_an_engine_s_block_counts_as_exposed_until_the_engine_lets_go() {
    let (isolate, block) = (Isolate::new(), FakeBlock::new(64, 64));
    let store = isolate.externalize(&block, BlockUse::Fixed, None);
    assert_eq!((store.as_ptr().addr(), store.byte_length(), store.kind()), (block.address(), 64, StoreKind::Fixed));
    assert_eq!(TABLE.look_up(block.address(), 64).unwrap(), store);
    isolate.look();
    assert!(store.exposure().is_some());
    drop(block);
    isolate.look();
    assert_eq!((store.exposure(), store.bytes().unwrap().len()), (None, 64));
}

#[test]
fn the_block_and_its_entry_go_with_the_last_reference_to_the_store() {
    let (isolate, block) = (Isolate::new(), FakeBlock::new(64, 64));
    let store = isolate.externalize(&block, BlockUse::Fixed, None);
    assert!(TABLE.is_made_by_engine(&block) && TABLE.block_of(&store).is_some());
    drop(store);
    // The exposure keeps it.
    assert_eq!(block.use_count(), 1 + KEPT_BY_US);
    let address = block.address();
    // As the engine's reference goes.
    let watched = block.clone();
    drop(block);
    isolate.look();
    assert_eq!(watched.use_count(), 1 + KEPT_BY_US, "the one that watches is as good as a buffer's");
    assert_eq!(EngineMadeStores::end(&isolate.stores).made.len(), 1);
    assert_eq!((watched.use_count(), TABLE.look_up(address, 64)), (1, None));
}

#[test]
fn a_block_is_adopted_once_and_the_second_time_its_store_comes_back() {
    let (isolate, block) = (Isolate::new(), FakeBlock::new(64, 64));
    let first = isolate.externalize(&block, BlockUse::Fixed, None);
    // As by two threads that both found no store.
    let second = isolate.externalize(&block, BlockUse::Fixed, None);
    assert_eq!((&first, first.exposure().unwrap().1), (&second, 1));
    assert_eq!(block.use_count(), 1 + KEPT_BY_US);
}

#[test]
fn each_use_of_a_block_has_its_kind_of_store() {
    let isolate = Isolate::new();
    let uses = [
        (BlockUse::Fixed, StoreKind::Fixed, true),
        (BlockUse::Frozen, StoreKind::Frozen, false),
        (BlockUse::Shared, StoreKind::Shared, false),
        (BlockUse::Resizable, StoreKind::EngineResizable, true),
        (BlockUse::Growable, StoreKind::EngineGrowable, true),
    ];
    for (usage, kind, counts) in uses {
        let block = FakeBlock::new(64, 64);
        let store = isolate.externalize(&block, usage, None);
        assert_eq!((store.kind(), store.exposure().is_some()), (kind, counts), "{usage:?}");
    }
}

#[test]
fn a_store_over_a_resizable_block_has_the_block_s_length_and_keeps_it_for_another_buffer() {
    let (isolate, block) = (Isolate::new(), FakeBlock::new(16, 64));
    let store = isolate.externalize(&block, BlockUse::Resizable, Some(64));
    for byte_length in [32, 8] {
        block.set_byte_length(byte_length);
        assert_eq!((store.byte_length(), store.max_byte_length()), (byte_length, 64));
    }
    assert!(TABLE.block_of(&store).is_some_and(|there| there.id() == block.id()));
    let part = store.slice(0..8).unwrap();
    assert!(TABLE.block_of(&part).is_none(), "a part has one length");
    assert!(TABLE.made_block(&part).is_some());
}

#[test]
fn an_isolate_that_ends_leaves_what_others_have_and_its_id_with_it() {
    let (isolate, block) = (Isolate::new(), FakeBlock::new(64, 64));
    let (weak, id) = (Arc::downgrade(&isolate.registration), isolate.registration.id());
    let store = isolate.externalize(&block, BlockUse::Fixed, None);
    isolate.end();
    assert_eq!((store.exposure(), weak.strong_count()), (Some((id, 1)), 1));
    drop(block);
    // The next look, of any isolate.
    Isolate::new().look();
    assert_eq!((store.exposure(), weak.strong_count()), (None, 0));
}

#[test]
fn no_lock_is_held_while_exposures_are_dropped() {
    /// Looks whether the list is locked when it is dropped.
    struct Looks(Arc<Isolate>, Arc<Mutex<Vec<bool>>>);
    impl Drop for Looks {
        fn drop(&mut self) {
            self.1.lock().unwrap().push(self.0.stores.try_lock().is_ok());
        }
    }
    let (isolate, seen) = (Arc::new(Isolate::new()), Arc::new(Mutex::new(Vec::new())));
    let exposed = |block: &FakeBlock| {
        let looks = Looks(Arc::clone(&isolate), Arc::clone(&seen));
        let bytes = Box::leak(Box::new([0_u8; 8]));
        // SAFETY: I-MAPPED: eight bytes that are never freed.
        let owner = unsafe { UniqueStore::from_raw_parts(bytes.as_mut_ptr(), 8, move |_, _| drop(looks)) };
        let hold = Hold::new(&owner.unwrap().into(), isolate.registration.id()).unwrap();
        EngineMadeStores::note(&isolate.stores, &ENDED, EngineMade::new(hold, block.clone()));
    };
    exposed(&FakeBlock::new(8, 8));
    isolate.look();
    exposed(&FakeBlock::new(8, 8));
    assert!(EngineMadeStores::end(&isolate.stores).is_empty());
    assert_eq!(*seen.lock().unwrap(), [true, true]);
}

#[test]
fn the_list_is_looked_through_as_it_grows_and_not_at_each_step() {
    let isolate = Isolate::new();
    for _ in 0..3 * STORES_BEFORE_A_LOOK {
        // The engine lets go at once.
        drop(isolate.externalize(&FakeBlock::new(8, 8), BlockUse::Fixed, None));
        assert!(lock(&isolate.stores).made.len() <= STORES_BEFORE_A_LOOK);
    }
}

const ADVICE: LendingAdvice = LendingAdvice { unknown: "unknown", moved: "moved", held: "held" };

/// An isolate whose handles are for buffers of these blocks.
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

    fn release_let_go(&self) {
        self.isolate.look();
    }
}

/// Why the bytes are not lent, if they are not.
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
    // Of the other isolate the core says so, unless it is of a buffer that was moved there.
    let elsewhere = Handles { isolate: &other, was_lent: true, blocks: &[&block] };
    assert_eq!((refused(&elsewhere, &store, false), refused(&elsewhere, &store, true)), (None, Some("moved")));
    // One more reference may be anybody's.
    let taken = block.clone();
    let handles = Handles { isolate: &isolate, was_lent: true, blocks: &[&block] };
    assert_eq!(refused(&handles, &store, true), Some("unknown"));
    drop(taken);
    assert_eq!(refused(&handles, &store, true), None);
}

#[test]
fn bytes_that_the_engine_let_go_of_are_lent_after_a_look() {
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
