//! Programs that get an error from offheap, and programs that work.
#![forbid(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use adapter::offheap::{BackingStore, FrozenStore, ManualMemory, UniqueStore};
use adapter::rquickjs::{Context, Function, Runtime};
use adapter::{BackingStoreExt, CopyReason, Exposure, FrozenStoreExt, Isolate, ScopeExt};
use offheap_ledger::Level;

#[global_allocator]
static SIZES: sizes::Sizes = sizes::Sizes;

/// Counterpart of `v8/src/wrong_size.rs`.
#[test]
fn memory_is_freed_with_the_size_it_was_allocated_with() {
    drop(BackingStore::from(UniqueStore::from_owner(vec![1_u32, 2, 3]).unwrap()));
    let mut with_room = Vec::with_capacity(100);
    with_room.push(1_u64);
    drop(BackingStore::from(UniqueStore::from_owner(with_room).unwrap()));
    assert_eq!(sizes::wrong_size(), None);
}

/// Counterpart of `v8/src/swap.rs`.
#[test]
fn stores_that_are_swapped_keep_their_owners() {
    let freed = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let [mut one, mut two] = [64, 32].map(|length| {
        let freed = freed[usize::from(length == 32)].clone();
        let count = move |_, length: usize| {
            freed.fetch_add(length, Ordering::SeqCst);
        };
        UniqueStore::from_owner_with_deleter(vec![length as u8; length], count).unwrap()
    });
    std::mem::swap(&mut one, &mut two);
    assert_eq!((one.len(), one[0], two.len(), two[0]), (32, 32, 64, 64));
    drop((one, two));
    assert_eq!(freed.map(|bytes| bytes.load(Ordering::SeqCst)), [64, 32]);
}

/// Counterpart of `v8/src/resize.rs`: the store of a shrunk buffer, while no slice is held.
#[test]
fn a_buffer_that_script_shrinks_leaves_its_store_readable() {
    Isolate::new().unwrap().enter(|scope| {
        let source = "globalThis.buffer = new ArrayBuffer(1 << 20, { maxByteLength: 1 << 20 })";
        let buffer = scope.eval_buffer(source).unwrap();
        let store = scope.externalize(&buffer).unwrap();
        scope.eval::<()>("buffer.resize(16)").unwrap();
        assert_eq!(store.to_vec().unwrap(), [0; 16]);
    });
}

/// Counterpart of `v8/src/leak.rs`: manual memory that was not freed, and a store that was forgotten.
#[test]
fn a_leak_is_named_with_its_place() {
    let ledger = offheap_ledger::install(Level::Sites).unwrap();
    std::mem::forget(BackingStore::from(UniqueStore::zeroed(1_048_577).unwrap()));
    let forgotten = ledger.live().into_iter().find(|record| record.byte_length == 1_048_577).unwrap();
    assert!(forgotten.created.to_string().contains("tests/answered.rs:"), "{}", forgotten.created);

    let memory = ManualMemory::allocate(1_048_579).unwrap();
    drop(memory);
    let leaks: Vec<String> = ledger.leaks().iter().map(ToString::to_string).collect();
    let named = |leak: &&String| leak.starts_with("1048579 bytes at 0x") && leak.ends_with(": never freed");
    let leak = leaks.iter().find(named).unwrap();
    assert!(leak.contains("tests/answered.rs:"), "{leak}");
}

/// Counterpart of all programs under "double or wrong free".
#[test]
fn a_second_free_is_an_error_that_names_the_first() {
    let memory = ManualMemory::allocate(1024).unwrap();
    memory.free().unwrap();
    let again = memory.free().unwrap_err().to_string();
    assert!(again.contains("double free of 1024 bytes") && again.contains("answered.rs"), "{again}");
}

/// Counterpart of `rquickjs/src/text.rs` and `copy.rs`: in a program's own `Ctx` frozen memory is copied, and the
/// result reports it.
#[test]
fn script_gets_a_reported_copy_of_shared_memory() {
    let bytes: Arc<[u8]> = Arc::from("plain".repeat(8).as_bytes());
    let text = std::str::from_utf8(&bytes).unwrap();
    let store = FrozenStore::from_owner(bytes.clone()).unwrap();
    Context::full(&Runtime::new().unwrap()).unwrap().with(|ctx| {
        let (buffer, exposure) = store.expose(&ctx).unwrap();
        assert_eq!(exposure, Exposure::Copied { reason: CopyReason::ImmutableNotEnforced });
        ctx.globals().set("buffer", buffer).unwrap();
        // QuickJS may write to the copy or throw; the original memory does not change.
        let _ = ctx.eval::<(), _>("Atomics.store(new Uint8Array(buffer), 39, 0xf0)");
    });
    assert_eq!(text.chars().last(), Some('n'));
}

/// Counterpart of `rquickjs/src/atomics.rs`.
#[test]
fn no_write_reaches_memory_that_is_frozen() {
    let owner: Arc<[u8]> = Arc::from([7_u8; 8]);
    let store = FrozenStore::from_owner(owner.clone()).unwrap();
    Isolate::new().unwrap().enter(|scope| {
        let (buffer, exposure) = scope.expose_or_copy(&store.clone().into()).unwrap();
        assert_eq!(exposure, Exposure::External);
        scope.set_global("buffer", &buffer).unwrap();
        let thrown = scope.eval::<()>("Atomics.store(new Uint8Array(buffer), 0, 9)").unwrap_err().to_string();
        assert!(thrown.contains("TypeError"), "{thrown}");
    });
    assert_eq!(owner[0], 7);
}

/// Counterpart of `rquickjs/src/runtimes.rs`.
#[test]
fn a_store_is_in_one_isolate_at_a_time() {
    let store = BackingStore::from(UniqueStore::zeroed(64).unwrap());
    let expose = |store: &BackingStore| {
        Isolate::new().unwrap().enter(|scope| {
            let buffer = scope.expose(store).map_err(|error| error.to_string())?;
            scope.set_global("buffer", &buffer).unwrap();
            // At the same time another thread tries to expose the store.
            std::thread::scope(|threads| threads.spawn(|| second(store)).join().unwrap())
        })
    };
    fn second(store: &BackingStore) -> Result<(), String> {
        Isolate::new().unwrap().enter(|scope| scope.expose(store).map(drop).map_err(|error| error.to_string()))
    }
    let refused = expose(&store).unwrap_err();
    assert!(refused.contains("isolate"), "{refused}");
    second(&store).expect("the first isolate has ended");
}

/// Counterpart of `rquickjs/src/leak.rs`: a cycle through a Rust function that holds a handle, and a lost handle.
#[test]
fn handles_that_are_kept_or_lost_do_not_end_the_process() {
    let store = BackingStore::from(UniqueStore::zeroed(1 << 20).unwrap());
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        scope.set_global("buffer", &buffer).unwrap();
        let kept = buffer.into_handle();
        let lost = scope.eval_buffer("buffer").unwrap().into_handle();
        std::mem::forget(lost);
        scope.with_ctx(|ctx| {
            let function = Function::new(ctx.clone(), move || kept.isolate().to_string()).unwrap();
            let buffer: adapter::rquickjs::Object<'_> = ctx.globals().get("buffer").unwrap();
            buffer.set("isolate", function).unwrap();
        });
    });
    drop(isolate);
    assert_eq!((store.reference_count(), store.exposure()), (1, None));
}

/// Counterpart of `napi/programs/worker.js`.
#[test]
fn a_store_outlives_the_engine_and_the_thread_that_made_it() {
    let store = std::thread::spawn(|| {
        Isolate::new().unwrap().enter(|scope| {
            let buffer = scope.eval_buffer("new Uint8Array(64 << 20).fill(7).buffer").unwrap();
            scope.externalize(&buffer).unwrap()
        })
    });
    let store = store.join().unwrap();
    assert_eq!((store.to_vec().unwrap()[(64 << 20) - 1], store.exposure()), (7, None));
}

/// Counterpart of `napi/src/lib.rs`, `same_memory`: through script and back without a copy.
#[test]
fn the_owner_comes_back_as_it_went() {
    let bytes = vec![0_u8; 4096];
    let address = bytes.as_ptr();
    let store = BackingStore::from(UniqueStore::from_owner(bytes).unwrap());
    Context::full(&Runtime::new().unwrap()).unwrap().with(|ctx| {
        ctx.globals().set("buffer", store.expose(&ctx).unwrap()).unwrap();
        ctx.eval::<(), _>("new Uint8Array(buffer)[0] = 1").unwrap();
    });
    let back: Vec<u8> = store.try_into_unique().unwrap().try_into_owner().unwrap();
    assert_eq!((back.as_ptr(), back[0]), (address, 1));
}

/// Counterpart of `napi/src/lib.rs`, `expose_by_reference`.
#[test]
fn exposing_by_reference_frees_once() {
    let freed = Arc::new(AtomicUsize::new(0));
    let mut isolate = Isolate::new().unwrap();
    for _ in 0..100 {
        let freed = freed.clone();
        let count = move |_, _| {
            freed.fetch_add(1, Ordering::SeqCst);
        };
        let store = UniqueStore::from_owner_with_deleter(vec![1_u8; 1 << 20], count).unwrap();
        isolate.enter(|scope| drop(scope.expose(&BackingStore::from(store)).unwrap()));
    }
    drop(isolate);
    assert_eq!(freed.load(Ordering::SeqCst), 100);
}
