//! The amount of memory that V8 counts, and the time until released memory is freed.

use std::ffi::c_void;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use offheap_v8::offheap::{BackingStore, FrozenStore, ManualMemory, MapMode, Mapped, UniqueStore, WeakStore};
use offheap_v8::{BackingStoreExt, Error, FrozenStoreExt, Isolate, ScopeExt, v8};

use crate::common::{in_child, in_own_scope};

#[test]
fn b13_dead_buffers_of_many_mebibytes_go_however_many_stores_there_are() {
    const BUFFERS: usize = 40;
    in_own_scope(|scope| {
        let externalize = |scope: &mut v8::PinScope<'_, '_>, byte_length| {
            let buffer = v8::ArrayBuffer::new(scope, byte_length);
            let store = BackingStore::externalize(scope, buffer.into()).unwrap();
            (v8::Global::new(scope, buffer), store)
        };
        let small: Vec<_> = (0..70).map(|_| externalize(scope, 100)).collect();
        let mut large: Vec<WeakStore> = Vec::new();
        for _ in 0..BUFFERS {
            {
                v8::scope!(let scope, scope);
                large.push(externalize(scope, 64 << 20).1.downgrade());
            }
            // V8 releases it without a notice to us.
            scope.low_memory_notification();
        }
        let alive = large.iter().filter(|store| store.upgrade().is_some()).count();
        assert!(alive <= 3, "{alive} of {BUFFERS} dead buffers have their memory");
        assert!(small.iter().all(|(_, store)| store.exposure().is_some()));
    });
}

/// A sparse file of zeros, removed when this value is dropped.
struct SparseFile(PathBuf);

impl SparseFile {
    fn new(name: &str, byte_length: usize) -> Self {
        let path = std::env::temp_dir().join(format!("offheap-v8-{name}-{}", std::process::id()));
        File::create(&path).unwrap().set_len(byte_length as u64).unwrap();
        SparseFile(path)
    }
}

impl Drop for SparseFile {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

/// The bytes that V8 counts for a buffer over this store. The buffer is dropped.
fn counted_behind(store: &BackingStore) -> usize {
    in_own_scope(|scope| {
        // Let the adapter make its own objects first.
        let first = FrozenStore::from_owner(Arc::<[u64]>::from([1])).unwrap().expose(scope).unwrap().0;
        let before = scope.get_heap_statistics().external_memory();
        let count = {
            v8::scope!(let scope, scope);
            let buffer = store.expose(scope).unwrap();
            assert_eq!(BackingStore::externalize(scope, buffer.into()).unwrap(), *store);
            scope.get_heap_statistics().external_memory() - before
        };
        for _ in 0..2 {
            scope.low_memory_notification();
        }
        assert!(scope.get_heap_statistics().external_memory() <= before);
        assert_eq!(first.byte_length(), 8);
        count
    })
}

#[test]
fn b12_memory_that_letting_go_does_not_free_counts_as_nothing() {
    const BYTE_LENGTH: usize = 1 << 20;
    let file = SparseFile::new("counted", BYTE_LENGTH);
    let mapped = Mapped::open(&file.0, MapMode::ReadOnly).unwrap();
    assert_eq!(counted_behind(mapped.store()), 0);
    assert_eq!(counted_behind(&mapped.store().slice(4096..).unwrap()), 0);
    assert_eq!((mapped.store().exposure(), mapped.store().reference_count()), (None, 1));
    let manual = ManualMemory::allocate(BYTE_LENGTH).unwrap();
    assert_eq!(counted_behind(manual.store()), 0);
    manual.free().unwrap();
    static WORDS: [u64; BYTE_LENGTH / 8] = [1; BYTE_LENGTH / 8];
    assert_eq!(counted_behind(&FrozenStore::from_owner(&WORDS[..]).unwrap().into()), 0);

    assert_eq!(counted_behind(&UniqueStore::zeroed(BYTE_LENGTH).unwrap().into()), BYTE_LENGTH);
    let frozen = FrozenStore::from_owner(Arc::<[u64]>::from(vec![1; BYTE_LENGTH / 8])).unwrap();
    // V8's function that made the block immutable counts it once more, until its result is collected.
    assert_eq!(counted_behind(&frozen.into()), 2 * BYTE_LENGTH);
}

#[test]
fn b12_an_uncounted_block_tells_once_that_it_is_gone() {
    static WORDS: [u64; 16] = [5; 16];
    in_own_scope(|scope| {
        // It goes down after a detach, after a collection, and at the end of the isolate.
        let detached = ManualMemory::allocate(64).unwrap();
        let buffer = detached.store().expose(scope).unwrap();
        assert!(detached.free().is_err());
        offheap_v8::detach(scope, buffer.into(), None).unwrap();
        assert_eq!(detached.store().exposure(), None);
        detached.free().unwrap();

        let frozen = FrozenStore::from_owner(&WORDS[..]).unwrap();
        {
            v8::scope!(let scope, scope);
            let (buffer, exposure) = frozen.expose(scope).unwrap();
            assert_eq!((exposure.is_external(), frozen.reference_count()), (true, 2));
            assert_eq!(buffer.byte_length(), 128);
        }
        for _ in 0..2 {
            scope.low_memory_notification();
        }
        assert_eq!(frozen.reference_count(), 1);
    });
    let frozen = FrozenStore::from_owner(&WORDS[..]).unwrap();
    in_own_scope(|scope| {
        assert!(frozen.expose(scope).unwrap().1.is_external());
        assert_eq!(frozen.reference_count(), 2);
    });
    assert_eq!(frozen.reference_count(), 1);
}

static COLLECTIONS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn note_collection(_: v8::UnsafeRawIsolatePtr, _: v8::GCType, _: v8::GCCallbackFlags, _: *mut c_void) {
    COLLECTIONS.fetch_add(1, Ordering::SeqCst);
}

#[test]
fn b12_windows_of_a_map_make_v8_collect_no_sooner() {
    const WINDOWS: usize = 200;
    let file = SparseFile::new("windows", 2 * GIB);
    for mode in [MapMode::ReadOnly, MapMode::CopyOnWrite] {
        let mapped = Mapped::open(&file.0, mode).unwrap();
        let mut isolate = crate::common::isolate();
        isolate.enter(|scope| {
            scope.eval::<()>("globalThis.live = Array.from({ length: 10_000 }, (_, n) => ({ n })); undefined").unwrap();
            scope.with_v8(|scope| {
                let none = std::ptr::null_mut();
                scope.add_gc_prologue_callback(note_collection, none, v8::GCType::kGCTypeMarkSweepCompact);
            });
            COLLECTIONS.store(0, Ordering::SeqCst);
            for window in 0..WINDOWS {
                let part = mapped.store().slice(window * 4096..window * 4096 + GIB).unwrap();
                let buffer = scope.expose(&part).unwrap();
                scope.set_global("window", &buffer).unwrap();
                drop(buffer);
                let found = scope.eval_buffer("new Uint8Array(window, 7, 1)").unwrap();
                assert_eq!(scope.externalize(&found).unwrap(), part);
            }
            let collections = COLLECTIONS.load(Ordering::SeqCst);
            assert!(collections < 3, "{mode}: {collections} full collections");
        });
    }
}

const GIB: usize = 1 << 30;

/// A store of this many bytes that V8 counts, but that takes no memory.
#[allow(unsafe_code, reason = "memory of the length that the test needs, which no code accesses")]
fn counted(mapped: &Mapped, byte_offset: usize, byte_length: usize) -> BackingStore {
    let keeps = mapped.clone();
    let data = mapped.store().slice(byte_offset..byte_offset + byte_length).unwrap().as_ptr().cast();
    // SAFETY: I-MAPPED: the deleter keeps the mapping, which is at least this long. The tests do not access it.
    let store = unsafe { UniqueStore::from_raw_parts(data, byte_length, move |_, _| drop(keeps)) };
    store.unwrap().into()
}

#[test]
fn b10_buffers_of_32_gib_and_more_come_and_go() {
    // Under valgrind a process has fewer addresses than this test needs.
    let Some(output) = in_child("pressure::b10_buffers_of_32_gib_and_more_come_and_go") else { return large_buffers() };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn large_buffers() {
    let file = SparseFile::new("large", 8 << 40);
    let mapped = Mapped::open(&file.0, MapMode::ReadOnly).unwrap();
    crate::common::isolate().enter(|scope| {
        for byte_length in [32 * GIB - 1, 32 * GIB, 8 << 40] {
            let store = counted(&mapped, 0, byte_length);
            for _ in 0..10 {
                let buffer = scope.expose(&store).unwrap();
                scope.set_global("buffer", &buffer).unwrap();
                let last = format!("new Uint8Array(buffer, {})[0] + buffer.byteLength", byte_length - 1);
                assert_eq!(scope.eval::<f64>(&last).unwrap(), byte_length as f64);
            }
            scope.eval::<()>("buffer = undefined").unwrap();
            scope.collect();
            scope.collect();
            assert_eq!(store.exposure(), None);
        }
    });
}

#[test]
fn b10_where_the_program_started_v8_its_limit_is_an_error_and_the_sum_stays_below_it() {
    let test = "pressure::b10_where_the_program_started_v8_its_limit_is_an_error_and_the_sum_stays_below_it";
    let Some(output) = in_child(test) else {
        v8::V8::initialize_platform(v8::new_default_platform(0, false).make_shared());
        v8::V8::initialize();
        offheap_v8::started_by_the_program();
        return within_the_limit();
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn within_the_limit() {
    const LIMIT: usize = 32 * GIB - 1;
    let file = SparseFile::new("limit", 40 * GIB);
    let mapped = Mapped::open(&file.0, MapMode::ReadWrite).unwrap();
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        for byte_length in [LIMIT + 1, 40 * GIB] {
            let refused = scope.expose(&counted(&mapped, 0, byte_length)).map(drop);
            assert!(matches!(refused, Err(Error::TooLargeForEngine { limit: LIMIT, .. })), "{refused:?}");
            let refused = scope.allocate(1, Some(byte_length)).map(drop);
            assert!(matches!(refused, Err(Error::TooLargeForEngine { limit: LIMIT, .. })), "{refused:?}");
        }
        // V8 does not count a mapped file.
        let buffer = scope.expose(mapped.store()).unwrap();
        assert_eq!(scope.state(&buffer).unwrap().byte_length, 40 * GIB);
        // One collection subtracts the bytes of several dead buffers, more than V8 allows at once.
        for _ in 0..3 {
            let stores = [(8, LIMIT), (16, 20 * GIB), (24, GIB)]
                .map(|(byte_offset, byte_length)| counted(&mapped, byte_offset, byte_length));
            for store in &stores {
                scope.expose(store).unwrap();
                scope.expose(store).unwrap();
            }
            scope.collect();
            scope.collect();
            assert!(stores.iter().all(|store| store.exposure().is_none()));
        }
        let thrown = "try { new ArrayBuffer(40 * 2 ** 30); 'made' } catch (e) { e.name }";
        assert_eq!(scope.eval::<String>(thrown).unwrap(), "RangeError");
        assert_eq!(scope.eval::<u32>("new ArrayBuffer(1000).byteLength").unwrap(), 1000);
    });
}
