use offheap::StoreKind;

use super::super::EngineMadeStores;
use super::super::fake::{FakeBlock, Isolate, TABLE};
use super::super::made::KEPT_BY_US;
use super::*;

#[test]
fn the_block_and_its_entry_go_with_the_last_reference_to_the_store() {
    let (isolate, block) = (Isolate::new(), FakeBlock::new(64, 64));
    let store = isolate.externalize(&block, BlockUse::Fixed, None);
    assert!(TABLE.is_made_by_engine(&block) && TABLE.block_of(&store).is_some());
    drop(store);
    // The exposure keeps the block.
    assert_eq!(block.use_count(), 1 + KEPT_BY_US);
    let address = block.address();
    // Drops the engine's reference. `watched` remains.
    let watched = block.clone();
    drop(block);
    isolate.look();
    assert_eq!(watched.use_count(), 1 + KEPT_BY_US, "`watched` counts like a buffer's reference");
    drop(EngineMadeStores::end(&isolate.stores));
    assert_eq!((watched.use_count(), TABLE.look_up(address, 64)), (1, None));
}

#[test]
fn a_block_is_adopted_once_and_the_second_time_its_store_comes_back() {
    let (isolate, block) = (Isolate::new(), FakeBlock::new(64, 64));
    let first = isolate.externalize(&block, BlockUse::Fixed, None);
    // As if two threads had both found no store.
    let second = isolate.externalize(&block, BlockUse::Fixed, None);
    assert_eq!((&first, first.exposure().unwrap().1), (&second, 1));
    assert_eq!(block.use_count(), 1 + KEPT_BY_US);
}

#[test]
fn each_use_of_a_block_has_its_kind_of_store() {
    let isolate = Isolate::new();
    let uses = [
        (BlockUse::Fixed, StoreKind::FIXED, true),
        (BlockUse::Frozen, StoreKind::FROZEN, false),
        (BlockUse::Shared, StoreKind::ENGINE_SHARED, false),
        (BlockUse::Resizable, StoreKind::ENGINE_RESIZABLE, true),
        (BlockUse::Growable, StoreKind::ENGINE_GROWABLE, true),
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
    assert!(TABLE.block_of(&part).is_none(), "a part has a fixed length");
    assert!(TABLE.made_block(&part).is_some());
}
