//! What the model engine does by itself; what all engines do is in the conformance suite.
#![forbid(unsafe_code)]

use std::sync::{Arc, Mutex};

use offheap_engine::offheap::adapter;
use offheap_engine::offheap::{self, BackingStore, FrozenStore, ManualMemory, SharedStore, StoreKind, UniqueStore};
use offheap_engine::{
    Capabilities, CopyReason, Element, Engine, Error, Exposure, Handle, JsArrayBuffer, ManuallyExternalizedBuffer,
};
use offheap_model::{ModelEngine, ModelOptions, model};

type Done = Result<(), Box<dyn std::error::Error>>;
type Log = Arc<Mutex<Vec<usize>>>;

/// A store that writes its number into the log when its owner goes.
fn logged(number: usize, log: &Log) -> Result<BackingStore, offheap::Error> {
    let log = Arc::clone(log);
    let deleter = move |_: *mut u8, _: usize| log.lock().unwrap().push(number);
    let store = UniqueStore::from_owner_with_deleter(vec![number as u8; 4], deleter);
    Ok(BackingStore::from(store.map_err(|rejected| rejected.into_parts().0)?))
}

fn finalizer_order(seed: u64) -> Result<Vec<usize>, Box<dyn std::error::Error>> {
    let log = Log::default();
    let mut engine = model(seed)?;
    for number in 0..12 {
        drop(engine.expose(&logged(number, &log)?)?);
    }
    engine.collect();
    engine.drain_finalizers();
    let order = log.lock().unwrap().clone();
    Ok(order)
}

#[test]
fn two_seeds_give_two_finalizer_orders_and_one_seed_one() -> Done {
    let orders = (0..8).map(finalizer_order).collect::<Result<Vec<_>, _>>()?;
    for (seed, order) in orders.iter().enumerate() {
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..12).collect::<Vec<_>>(), "seed {seed} finalizes each buffer once");
        assert_eq!(*order, finalizer_order(seed as u64)?, "seed {seed} repeats itself");
        assert_eq!(orders.iter().filter(|other| *other == order).count(), 1, "seed {seed} has an order of its own");
    }
    Ok(())
}

#[test]
fn some_seeds_put_finalizers_off_and_some_collect_unasked() -> Done {
    let (mut put_off, mut unasked) = (0, 0);
    for seed in 0..32 {
        let store = BackingStore::from(UniqueStore::zeroed(8)?);
        let mut engine = model(seed)?;
        drop(engine.expose(&store)?);
        for _ in 0..8 {
            drop(engine.allocate(1, None)?);
        }
        unasked += usize::from(store.exposure().is_none());
        drop(engine.expose(&store)?);
        engine.collect();
        put_off += usize::from(store.exposure().is_some());
        engine.drain_finalizers();
        assert_eq!(store.exposure(), None);
    }
    assert!((1..32).contains(&put_off), "{put_off} of 32 seeds put the finalizer off");
    assert!((1..32).contains(&unasked), "{unasked} of 32 seeds collected unasked");
    Ok(())
}

#[test]
fn some_finalizers_run_on_another_thread() -> Done {
    let here = std::thread::current().id();
    let threads = Arc::new(Mutex::new(Vec::new()));
    let mut engine = model(3)?;
    for _ in 0..64 {
        let threads = Arc::clone(&threads);
        let deleter = move |_: *mut u8, _: usize| threads.lock().unwrap().push(std::thread::current().id());
        let store = UniqueStore::from_owner_with_deleter(vec![0_u8; 4], deleter);
        drop(engine.expose(&BackingStore::from(store.map_err(|rejected| rejected.into_parts().0)?))?);
    }
    engine.collect();
    engine.drain_finalizers();
    let threads = threads.lock().unwrap();
    assert_eq!(threads.len(), 64);
    assert!(threads.contains(&here));
    assert!(threads.iter().any(|thread| *thread != here));
    Ok(())
}

#[test]
fn a_global_keeps_a_buffer_until_the_name_gets_another() -> Done {
    let mut engine = model(11)?;
    let store = BackingStore::from(UniqueStore::zeroed(8)?);
    let buffer = engine.expose(&store)?.0;
    engine.set_global("shared", &buffer)?;
    drop(buffer);
    engine.collect();
    engine.drain_finalizers();
    assert_eq!(store.exposure(), Some((engine.isolate(), 1)));
    let other = engine.allocate(1, None)?;
    engine.set_global("shared", &other)?;
    engine.collect();
    engine.drain_finalizers();
    assert_eq!(store.exposure(), None);
    Ok(())
}

#[test]
fn without_immutable_buffers_read_only_memory_is_a_reported_copy() -> Done {
    let options = ModelOptions { capabilities: ModelOptions::ALL - Capabilities::IMMUTABLE, ..ModelOptions::default() };
    let mut engine = ModelOptions { seed: 1, ..options }.build()?;
    let frozen = FrozenStore::from_owner(&b"constant"[..])?;
    let (buffer, exposure) = engine.expose(&frozen.clone().into())?;
    assert_eq!(exposure, Exposure::Copied { reason: CopyReason::ImmutableNotEnforced });
    engine.write(&buffer, 0, b'C')?;
    assert_eq!(engine.read(&buffer, 0)?, Some(b'C'));
    assert_eq!(&*frozen, b"constant");
    Ok(())
}

#[test]
fn options_are_what_it_cannot_do() -> Done {
    let options = ModelOptions { capabilities: Capabilities::empty(), max_byte_length: 16, ..ModelOptions::default() };
    let mut engine = ModelOptions { seed: 1, ..options }.build()?;
    assert!(matches!(engine.allocate(8, Some(16)), Err(Error::Unsupported { .. })));
    assert!(matches!(engine.allocate_shared(8, None), Err(Error::Unsupported { .. })));
    let shared = SharedStore::zeroed(8)?;
    assert!(matches!(engine.expose(shared.as_store()).map(drop), Err(Error::Unsupported { .. })));
    let buffer = engine.allocate(16, None)?;
    assert!(matches!(engine.set_detach_key(&buffer, Some("key")), Err(Error::Unsupported { .. })));
    assert!(matches!(engine.evaluate("1"), Err(Error::Unsupported { .. })));
    assert!(matches!(engine.allocate(17, None), Err(Error::TooLargeForEngine { store: None, limit: 16, .. })));
    let store = BackingStore::from(UniqueStore::zeroed(17)?);
    let refused = engine.expose(&store).map(drop);
    assert!(matches!(refused, Err(Error::TooLargeForEngine { store: Some(id), .. }) if id == store.id()));
    assert!(engine.expose(&store.slice(..16)?)?.1.is_external());
    Ok(())
}

#[test]
fn parts_of_a_store_are_windows() -> Done {
    let mut engine = model(5)?;
    let store = BackingStore::from(UniqueStore::from_owner((0..32).collect::<Vec<u8>>())?);
    let part = store.slice(8..16)?;
    let buffer = engine.expose(&part)?.0;
    assert_eq!(engine.state(&buffer)?.byte_length, 8);
    assert_eq!(engine.read(&buffer, 0)?, Some(8));
    engine.write(&buffer, 7, 99)?;
    engine.write(&buffer, 8, 99)?;
    assert_eq!(engine.read(&buffer, 8)?, None);
    let whole = store.to_vec()?;
    assert_eq!((whole[15], whole[16]), (99, 16));
    assert_eq!(engine.externalize(&buffer)?, part);
    assert_eq!(engine.external_bytes(), 32);
    Ok(())
}

#[test]
fn a_store_that_was_resizable_is_again() -> Done {
    let mut engine = model(5)?;
    let buffer = engine.allocate(8, Some(32))?;
    let store = engine.externalize(&buffer)?;
    engine.detach(&buffer, None)?;
    let again = engine.expose(&store)?.0;
    engine.resize(&again, 32)?;
    assert_eq!((store.byte_length(), engine.state(&again)?.max_byte_length), (32, 32));
    let refused = engine.expose(&store).map(drop);
    assert!(matches!(refused, Err(Error::Memory(offheap::Error::OneBuffer { .. }))));
    Ok(())
}

#[test]
fn a_copy_on_another_thread_waits_for_nothing_and_keeps_nobody_from_writing() -> Done {
    let mut engine = model(9)?;
    let store = BackingStore::from(UniqueStore::zeroed(64)?);
    let buffers = [engine.expose(&store)?.0, engine.expose(&store)?.0];
    let reader = store.clone();
    let reading = std::thread::spawn(move || {
        let mut copies = 0;
        while copies < 2_000 {
            let mut bytes = [0; 64];
            match reader.copy_to_slice(0, &mut bytes) {
                Ok(()) => copies += 1,
                Err(offheap::Error::Busy { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    for round in 0..2_000 {
        engine.write(&buffers[round % 2], round % 64, round as u8)?;
    }
    reading.join().unwrap();
    assert_eq!(store.exposure(), Some((engine.isolate(), 2)));
    Ok(())
}

#[test]
fn shared_memory_is_written_by_anybody_meanwhile() -> Done {
    let store = SharedStore::growable(64, 1 << 16)?;
    let mut engines = [model(1)?, model(2)?];
    let buffers = [engines[0].expose(store.as_store())?.0, engines[1].expose(store.as_store())?.0];
    assert_eq!(store.as_store().exposure(), None);
    let native = store.clone();
    let writing = std::thread::spawn(move || {
        for round in 0..1_000_usize {
            native.copy_from_slice(32, &[round as u8; 32]).unwrap();
            adapter::grow_to_at_least(&native, 64 + round).unwrap();
        }
    });
    for round in 0..1_000 {
        let at = round % 2;
        engines[at].write(&buffers[at], round % 32, round as u8)?;
        assert_eq!(engines[1 - at].read(&buffers[1 - at], round % 32)?, Some(round as u8));
    }
    writing.join().unwrap();
    for (engine, buffer) in engines.iter_mut().zip(&buffers) {
        assert_eq!(engine.state(buffer)?.byte_length, 64 + 999);
        assert_eq!(engine.external_bytes(), 0);
        assert_eq!(engine.externalize(buffer)?, *store.as_store());
    }
    Ok(())
}

#[test]
fn memory_at_an_address_for_no_element_is_refused_or_copied() -> Done {
    static BYTES: [u64; 2] = [0x0706_0504_0302_0100; 2];
    let bytes: &'static [u8] = bytemuck::cast_slice(&BYTES);
    let mut engine = model(1)?;
    let (buffer, exposure) = engine.expose(&FrozenStore::from_owner(&bytes[1..])?.into())?;
    assert_eq!(exposure, Exposure::Copied { reason: CopyReason::Misaligned });
    assert_eq!((engine.read(&buffer, 0)?, engine.state(&buffer)?.immutable), (Some(1), true));
    assert_eq!(engine.externalize(&buffer)?.kind(), StoreKind::FROZEN);
    let whole = BackingStore::from(FrozenStore::from_owner(bytes)?);
    let (buffer, exposure) = engine.expose(&whole.slice(1..3)?)?;
    assert_eq!(exposure, Exposure::Copied { reason: CopyReason::Misaligned });
    assert_eq!((engine.read(&buffer, 0)?, engine.state(&buffer)?.byte_length), (Some(1), 2));
    let writable = BackingStore::from_owner(vec![0u64; 2])?;
    assert!(matches!(engine.expose(&writable.slice(1..)?), Err(Error::Misaligned { .. })));
    Ok(())
}

#[test]
fn a_part_of_memory_that_may_grow_is_refused_and_holds_nothing() -> Done {
    let mut engine = model(1)?;
    for store in [SharedStore::growable(16, 32)?.into(), BackingStore::from(UniqueStore::resizable(16, 32)?)] {
        for part in [store.slice(..8)?, store.slice(8..)?] {
            assert!(matches!(engine.expose(&part).map(drop), Err(Error::Unsupported { .. })));
        }
        assert_eq!((store.reference_count(), store.exposure()), (1, None));
    }
    Ok(())
}

fn message_of(panicking: impl FnOnce()) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(panicking)).expect_err("it must panic");
    panic.downcast::<String>().map_or_else(|_| "no message".to_owned(), |message| *message)
}

fn engine_with(store: &BackingStore) -> (ModelEngine, Handle<JsArrayBuffer>) {
    let mut engine = model(1).unwrap();
    let buffer = engine.expose(store).unwrap().0;
    (engine, buffer)
}

#[test]
fn a_hold_that_is_not_the_models_is_noticed() {
    let store = BackingStore::from(UniqueStore::zeroed(4).unwrap());
    let (mut engine, buffer) = engine_with(&store);
    let foreign = offheap::adapter::Hold::new(&store, engine.isolate()).unwrap();
    for message in [message_of(|| drop(engine.read(&buffer, 0))), message_of(|| drop(engine.write(&buffer, 0, 1)))] {
        assert!(message.contains("is exposed in another way than the model did"), "{message}");
    }
    drop(foreign);
    assert_eq!(engine.read(&buffer, 0).unwrap(), Some(0));
}

#[test]
fn the_struct_frees_nothing_and_outlives_its_isolate() -> Done {
    let mut engine = Box::new(model(2)?);
    let memory = ManualMemory::allocate(1024)?;
    let buffer = engine.expose(memory.store())?.0;
    assert_eq!(engine.external_bytes(), 0);
    let managed = ManuallyExternalizedBuffer::new(buffer.clone()).map_err(|rejected| rejected.into_parts().0)?;
    assert_eq!(managed.backing_store(), memory.as_ptr());
    assert!(matches!(memory.free(), Err(offheap::Error::FreeInUse { .. })));
    engine.shut_down();
    assert!(ManuallyExternalizedBuffer::new(buffer).is_err());
    drop(managed);
    assert_eq!(memory.freed(), None);
    memory.free()?;
    Ok(())
}

#[test]
fn a_deleter_may_drop_the_last_of_another_store() -> Done {
    let log = Log::default();
    let inner = logged(2, &log)?;
    let outer = UniqueStore::from_owner_with_deleter(vec![0_u8; 4], move |_, _| drop(inner));
    let outer = BackingStore::from(outer.map_err(|rejected| rejected.into_parts().0)?);
    let mut engine = model(4)?;
    let buffer = engine.expose(&outer)?.0;
    drop(outer);
    engine.detach(&buffer, None)?;
    assert_eq!(*log.lock().unwrap(), [2]);
    Ok(())
}

#[test]
fn c21_the_type_and_the_verb_record_their_caller() {
    #[track_caller]
    fn here(store: &BackingStore) {
        let caller = std::panic::Location::caller();
        let offheap::Site::Native(place) = store.site() else { panic!("{} is a place in Rust", store.site()) };
        assert_eq!((place.file(), place.line()), (caller.file(), caller.line()));
    }
    let mut engine = model(1).unwrap();
    let first = engine.allocate(8, None).unwrap();
    here(&engine.externalize(&first).unwrap());
    let second = engine.allocate(8, Some(16)).unwrap();
    here(ManuallyExternalizedBuffer::new(second).unwrap().store());
    // Shared memory of the model is a store from the start.
    here(ManuallyExternalizedBuffer::new(engine.allocate_shared(8, None).unwrap()).unwrap().store());
    here(&UniqueStore::zeroed(1).unwrap().into());
}

#[test]
fn c22_advice_for_what_is_too_large_leads_somewhere() -> Done {
    let mut engine = ModelOptions { seed: 1, max_byte_length: 16, ..ModelOptions::default() }.build()?;
    let message = engine.allocate(17, None).unwrap_err().to_string();
    assert!(message.ends_with("and 17 were asked for; ask for less"), "{message}");
    let fixed = BackingStore::from(UniqueStore::zeroed(32)?);
    assert!(engine.expose(&fixed).unwrap_err().to_string().contains("expose parts of it (`slice`)"));
    drop(engine.expose(&fixed.slice(..16)?)?);
    let growable = SharedStore::growable(8, 32)?;
    let whole = engine.expose(growable.as_store()).unwrap_err().to_string();
    assert!(
        whole.ends_with("create it with a max_byte_length of at most 16: such memory is exposed as a whole"),
        "{whole}"
    );
    let part = engine.expose(growable.slice(..4)?.as_store()).unwrap_err().to_string();
    assert!(part.ends_with("copy the part; such memory is exposed as a whole"), "{part}");
    drop(engine.expose(SharedStore::growable(8, 16)?.as_store())?);
    Ok(())
}

#[test]
fn a_typed_array_shows_its_part_until_that_is_gone() -> Done {
    let store = BackingStore::from_owner(vec![1_u8, 2, 3, 4, 5, 6, 7, 8])?;
    let mut engine = model(1)?;
    engine.enter(|scope| -> Done {
        let part = scope.expose_typed::<u16>(&store, 2, 2)?;
        let shown = scope.externalize_view(&part)?;
        assert_eq!(
            (shown.element, shown.byte_offset, shown.store.to_vec()?),
            (Some(Element::Uint16), 2, vec![3, 4, 5, 6])
        );
        assert_eq!(scope.bytes(&part)?[..], [3, 4, 5, 6]);
        assert!(matches!(scope.take(&part, None), Err(Error::Unsupported { .. })), "a part");
        Ok(())
    })?;
    engine.enter(|scope| -> Done {
        let mut unique = UniqueStore::zeroed(8)?;
        unique.copy_from_slice(&[9; 8]);
        let whole = scope.expose_as::<u64>(&unique.into())?;
        assert_eq!(scope.take(&whole, None)?[..], [9; 8]);
        assert!(matches!(scope.bytes(&whole), Err(Error::Detached { .. })));
        Ok(())
    })?;
    engine.enter(|scope| -> Done {
        let resizable = BackingStore::from(UniqueStore::resizable(8, 16)?);
        let array = scope.expose_as::<u8>(&resizable)?;
        assert!(matches!(scope.expose(&resizable), Err(Error::Memory(offheap::Error::OneBuffer { .. }))));
        assert_eq!(scope.bytes(&array)?[..], [0; 8]);
        Ok(())
    })
}

#[test]
fn no_scope_lends_memory_that_a_host_had() -> Done {
    let node = adapter::IsolateRegistration::host("Node")?;
    let store = BackingStore::from_owner(vec![1_u8, 2])?;
    drop(adapter::Hold::new(&store, node.id())?);
    let refused =
        |error: Error| assert!(matches!(error, Error::Memory(offheap::Error::HostMayWrite { .. })), "{error}");
    let mut engine = model(1)?;
    refused(engine.expose(&store).unwrap_err());
    engine.enter(|scope| {
        refused(scope.store_bytes(&store).unwrap_err());
        refused(scope.store_bytes_mut(&store).unwrap_err());
        refused(scope.copy_in(&store, 0, &[9_u8]).unwrap_err());
        refused(scope.expose(&store).unwrap_err());
    });
    assert_eq!(store.to_vec()?, [1, 2]);
    Ok(())
}

#[test]
fn native_code_writes_through_guards_and_copies_while_script_has_the_memory() -> Done {
    let store = BackingStore::from_owner(vec![1_u8, 2, 3, 4])?;
    let mut engine = model(1)?;
    let buffer = engine.expose(&store)?.0;
    engine.enter(|scope| -> Done {
        scope.bytes_mut(&buffer)?[1] = 7;
        scope.copy_in(&store, 2, &[8_u8])?;
        Ok(())
    })?;
    engine.write(&buffer, 3, 9)?;
    assert_eq!((0..4).map(|index| engine.read(&buffer, index)).collect::<Result<Vec<_>, _>>()?, [1, 7, 8, 9].map(Some));
    engine.enter(|scope| -> Done {
        scope.store_bytes_mut(&store)?[0] = 6;
        Ok(())
    })?;
    drop((buffer, engine));
    assert_eq!(store.to_vec()?, [6, 7, 8, 9]);
    Ok(())
}

#[test]
fn the_model_tells_what_keeps_a_buffer_alive() -> Result<(), Error> {
    let mut engine = model(1)?;
    let store = BackingStore::from_owner(vec![1_u8; 8]).unwrap();
    engine.enter(|scope| {
        let buffer = scope.expose(&store)?;
        assert_eq!(scope.retainers(&buffer)?.to_string(), "only 1 handle of Rust");
        scope.set_global("kept", &buffer)?;
        let found = scope.retainers_of(&[(&store).into()])?;
        assert_eq!(found[0].to_string(), "globalThis.kept, and 1 handle of Rust");
        Ok(())
    })
}
