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

#[test]
fn in_a_host_a_store_ends_with_its_last_handle_and_the_host_keeps_its_block() {
    let (host, block) = (Isolate::host(), FakeBlock::new(64, 64));
    for usage in [BlockUse::Fixed, BlockUse::Growable] {
        let store = host.externalize(&block, usage, None);
        assert_eq!(store.exposure(), Some((host.registration.id(), 1)), "{usage:?}");
        assert_eq!(host.externalize(&block, usage, None), store);
        assert!(host.stores.lock().unwrap().is_empty());
        let weak = store.downgrade();
        drop(store);
        assert_eq!((weak.upgrade(), block.use_count(), TABLE.look_up(block.address(), 64)), (None, 1, None));
    }
}

#[test]
fn in_a_host_a_store_counts_as_exposed_until_the_table_finds_its_block_released() {
    let (host, id) = (Isolate::host(), |isolate: &Isolate| isolate.registration.id());
    let (block, other) = (FakeBlock::new(64, 64), FakeBlock::new(64, 64));
    let (store, kept) =
        (host.externalize(&block, BlockUse::Fixed, None), host.externalize(&other, BlockUse::Growable, None));
    TABLE.end_released();
    TABLE.end_released_of(&store);
    assert_eq!(store.exposure(), Some((id(&host), 1)));
    drop(block);
    TABLE.end_released_of(&kept);
    assert_eq!((store.exposure(), kept.exposure()), (Some((id(&host), 1)), Some((id(&host), 1))));
    TABLE.end_released_of(&store.slice(8..16).unwrap());
    assert_eq!((store.exposure(), kept.exposure()), (None, Some((id(&host), 1))));
    assert!(matches!(store.bytes(), Err(offheap::Error::HostMayWrite { .. })), "a call may be pending");
    drop(other);
    TABLE.end_released();
    assert_eq!(kept.exposure(), None);

    // The store is exposed again, now by a buffer that keeps it.
    let given = TABLE.expose(&store, &host.registration).unwrap();
    TABLE.end_released();
    assert_eq!(store.exposure(), Some((id(&host), 1)));
    let weak = store.downgrade();
    drop(store);
    assert!(weak.upgrade().is_some());
    // SAFETY: I-FREE-ONCE: the table returned these pointers, and they are passed back once.
    unsafe { TABLE.finalize(given.data.as_ptr(), given.hold) };
    assert_eq!(weak.upgrade(), None);
}

#[test]
fn in_a_host_many_stores_are_found_and_end_with_their_blocks() {
    static TABLE: AddressTable<FakeBlock> = AddressTable::new(|| "Many");
    let host = Isolate::host();
    // More than all slots of a table.
    let blocks: Vec<FakeBlock> = (0..6000).map(|_| FakeBlock::new(8, 8)).collect();
    let adopt = |block: &FakeBlock| {
        let (data, usage) = (block.data().unwrap(), BlockUse::Fixed);
        let adopted = Adopted { block: block.clone(), data, byte_length: 8, max_byte_length: None, usage };
        // SAFETY: I-MAPPED: the address and length are the block's, which nobody writes.
        unsafe { TABLE.adopt(adopted, host.registration.id()) }.unwrap().0
    };
    let stores: Vec<BackingStore> = blocks.iter().map(adopt).collect();
    for (block, store) in blocks.iter().zip(&stores) {
        assert_eq!(TABLE.look_up(block.address(), 8).as_ref(), Some(store));
        assert_eq!((adopt(block) == *store, TABLE.is_made_by_engine(block)), (true, true));
    }
    let addresses: Vec<usize> = blocks.iter().map(FakeBlock::address).collect();
    drop(blocks);
    TABLE.end_released();
    assert!(stores.iter().all(|store| store.exposure().is_none()));
    drop(stores);
    assert!(addresses.iter().all(|&address| TABLE.look_up(address, 8).is_none()));
}

#[test]
fn in_a_host_threads_externalize_one_block_and_let_go_of_it() {
    let (host, block) = (Isolate::host(), FakeBlock::new(64, 64));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let store = host.externalize(&block, BlockUse::Fixed, None);
                    assert_eq!(store.exposure(), Some((host.registration.id(), 1)));
                    TABLE.end_released();
                }
            });
        }
    });
    assert_eq!((block.use_count(), TABLE.look_up(block.address(), 64)), (1, None));
}
