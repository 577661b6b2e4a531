//! Buffers that script makes are over our stores from the beginning.

use std::sync::{Mutex, PoisonError};

use crate::common::in_child;
use offheap_v8::offheap::observe::{Event, EventKind, Observer, set_observer};
use offheap_v8::offheap::{self, BackingStore, Budget, SharedStore, Site, StoreKind, UniqueStore};
use offheap_v8::{BackingStoreExt, Error, Isolate, Scope, v8};

fn in_scope(work: impl for<'s> FnOnce(&mut Scope<'s>) -> Result<(), Error>) {
    crate::common::start();
    Isolate::new().unwrap().enter(work).unwrap();
}

#[test]
fn a_buffer_of_script_is_a_store_that_comes_back_whole() {
    in_scope(|scope| {
        let buffer = scope.eval_buffer("globalThis.buffer = new ArrayBuffer(100)")?;
        let line = line!() + 1;
        let store = scope.externalize(&buffer)?;
        assert_eq!(
            (store.kind(), store.byte_length(), store.exposure()),
            (StoreKind::FIXED, 100, Some((scope.isolate(), 1)))
        );
        assert!(store.site().to_string().contains(&format!("allocator.rs:{line}:")), "{}", store.site());
        assert_eq!(scope.externalize(&buffer)?, store);
        scope.eval::<()>("new Uint8Array(buffer).fill(7)")?;
        assert_eq!(store.to_vec()?, [7; 100]);

        let address = store.as_ptr();
        scope.detach(&buffer, None)?;
        let unique: UniqueStore = store.try_into_unique()?;
        assert_eq!((&unique[..], unique.as_ptr().cast()), (&[7u8; 100][..], address.cast_const()));
        // It can have a buffer again, in any isolate, because it is Rust's memory.
        let store = BackingStore::from(unique);
        let again = scope.expose(&store)?;
        assert_eq!(scope.externalize(&again)?, store);
        Ok(())
    });
}

#[test]
fn transferring_moves_the_store_and_collecting_lets_go_of_it() {
    in_scope(|scope| {
        let buffer = scope.eval_buffer("globalThis.buffer = new ArrayBuffer(100)")?;
        let store = scope.externalize(&buffer)?;
        drop(buffer);
        let moved = scope.eval_buffer("globalThis.moved = buffer.transfer()")?;
        assert_eq!(scope.externalize(&moved)?, store);
        drop(moved);
        scope.eval::<()>("buffer = moved = undefined")?;
        scope.collect();
        scope.collect();
        assert_eq!((store.exposure(), store.reference_count()), (None, 1));
        assert_eq!(store.to_vec()?, [0; 100]);
        Ok(())
    });
}

#[test]
fn every_way_to_make_memory_gives_a_store() {
    in_scope(|scope| {
        for source in [
            "new ArrayBuffer(24)",
            "new Uint8Array(24)",
            "new Float64Array([1, 2, 3])",
            "new Uint8Array(24).slice()",
            "new ArrayBuffer(99).slice(3, 27)",
            "new ArrayBuffer(8).transfer(24)",
            "new ArrayBuffer(24, { maxByteLength: 99 }).transferToFixedLength()",
            "Float64Array.from([1, 2, 3])",
        ] {
            let buffer = scope.eval_buffer(source)?;
            let store = scope.externalize(&buffer)?;
            assert_eq!((store.kind(), store.byte_length()), (StoreKind::FIXED, 24), "{source}");
            scope.detach(&buffer, None)?;
            // V8's own memory never becomes unique.
            assert_eq!(store.try_into_unique()?.len(), 24, "{source}");
        }
        Ok(())
    });
}

#[test]
fn a_shared_buffer_is_a_shared_store() {
    in_scope(|scope| {
        let buffer = scope.eval_buffer("globalThis.shared = new SharedArrayBuffer(100)")?;
        let store = SharedStore::try_from(scope.externalize(&buffer)?).unwrap();
        assert!(!store.is_growable());
        assert!(matches!(store.as_store().bytes(), Err(offheap::Error::SharedSlice { .. })));
        store.copy_from_slice(0, &[4])?;
        assert_eq!(scope.eval::<u32>("new Uint8Array(shared)[0]")?, 4);
        assert_eq!(scope.externalize(&buffer)?, *store.as_store());
        Ok(())
    });
}

#[test]
fn an_immutable_buffer_of_script_is_frozen() {
    in_scope(|scope| {
        let buffer = scope.eval_buffer("new Uint8Array([1, 2, 3]).buffer.transferToImmutable()")?;
        let store = scope.externalize(&buffer)?;
        assert_eq!((store.kind(), store.to_vec()?), (StoreKind::FROZEN, vec![1, 2, 3]));
        Ok(())
    });
}

#[test]
fn a_store_outlives_its_isolate() {
    crate::common::start();
    let mut isolate = Isolate::new().unwrap();
    let store = isolate.enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.buffer = new Uint8Array([1, 2, 3])").unwrap();
        scope.externalize(&buffer).unwrap()
    });
    drop(isolate);
    assert_eq!(store.exposure(), None);
    assert_eq!(store.try_into_unique().unwrap()[..], [1, 2, 3]);
}

#[test]
fn isolates_on_threads_make_and_free_at_the_same_time() {
    crate::common::start();
    std::thread::scope(|threads| {
        for _ in 0..4 {
            threads.spawn(|| {
                let mut isolate = Isolate::new().unwrap();
                let mut kept = Vec::new();
                for _ in 0..200 {
                    isolate.enter(|scope| {
                        let buffer = scope
                            .eval_buffer("for (let n = 0; n < 99; n++) new ArrayBuffer(n); new ArrayBuffer(n = 50)");
                        kept.push(scope.externalize(&buffer.unwrap()).unwrap());
                    });
                }
                drop(isolate);
                assert!(kept.iter().all(|store| store.exposure().is_none() && store.to_vec().unwrap() == [0; 50]));
            });
        }
    });
}

#[test]
fn buffers_are_aligned_as_asked_for() {
    crate::common::start();
    for (asked, alignment) in [(1, 16), (64, 64), (4096, 4096)] {
        Isolate::builder().buffer_alignment(asked).build().unwrap().enter(|scope| {
            let buffers: Vec<_> =
                (1..50).map(|n| scope.eval_buffer(&format!("new ArrayBuffer({n})")).unwrap()).collect();
            for buffer in &buffers {
                let store = scope.externalize(buffer).unwrap();
                assert!(store.as_ptr().addr().is_multiple_of(alignment));
            }
        });
    }
    let refused = Isolate::builder().buffer_alignment(24).build().err();
    assert!(matches!(refused, Some(Error::Memory(offheap::Error::InvalidAlignment { alignment: 24 }))));
}

/// The resident memory of this process, in pages.
#[cfg(target_os = "linux")]
fn resident_pages() -> usize {
    let all = std::fs::read_to_string("/proc/self/statm").unwrap();
    all.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_large_alignment_leaves_before_the_bytes_is_never_touched() {
    let Some(output) = in_child("allocator::what_a_large_alignment_leaves_before_the_bytes_is_never_touched") else {
        crate::common::start();
        let before = resident_pages();
        let mut isolate = Isolate::builder().buffer_alignment(128 << 20).build().unwrap();
        let source = "globalThis.all = Array.from({ length: 8 }, () => new ArrayBuffer(8)); \
                      all.every((buffer) => new Uint8Array(buffer).every((byte) => byte === 0))";
        assert!(isolate.enter(|scope| scope.eval::<bool>(source)).unwrap());
        let more = resident_pages().saturating_sub(before);
        assert!(more < (128 << 20) / 4096, "{more} pages");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn memory_that_cannot_be_had_is_a_range_error_and_the_process_lives() {
    in_scope(|scope| {
        let source = "try { new ArrayBuffer(2 ** 50); 'made' } catch (e) { e.name }";
        assert_eq!(scope.eval::<String>(source)?, "RangeError");
        assert_eq!(scope.eval::<u32>("new ArrayBuffer(8).byteLength")?, 8);
        Ok(())
    });
}

#[test]
fn v8s_own_allocator_and_the_programs_own_are_left_alone() {
    crate::common::start();
    let with_v8s = Isolate::builder().v8_allocator();
    let with_its_own = Isolate::builder().array_buffer_allocator(v8::new_default_allocator());
    for builder in [with_v8s, with_its_own] {
        builder.build().unwrap().enter(|scope| {
            let buffer = scope.eval_buffer("new Uint8Array([1, 2, 3])").unwrap();
            let store = scope.externalize(&buffer).unwrap();
            assert_eq!((store.to_vec().unwrap(), scope.externalize(&buffer).unwrap() == store), (vec![1, 2, 3], true));
        });
    }
    let isolate = &mut v8::Isolate::new(v8::CreateParams::default());
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    let buffer = v8::ArrayBuffer::new(scope, 5);
    let store = BackingStore::externalize(scope, buffer.into()).unwrap();
    assert_eq!((store.byte_length(), BackingStore::externalize(scope, buffer.into()).unwrap() == store), (5, true));
    assert!(matches!(store.site(), Site::Native(_)));
}

/// Runs the test of this name in its own process, and checks that it passed.
fn passed(test: &str) -> bool {
    let Some(output) = in_child(test) else { return false };
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{}: {told}", output.status);
    true
}

#[test]
fn a_budget_counts_script_s_buffers_and_makes_new_ones_throw() {
    const MIB: usize = 1 << 20;
    if passed("allocator::a_budget_counts_script_s_buffers_and_makes_new_ones_throw") {
        return;
    }
    in_scope(|scope| {
        Budget::set(10 * MIB);
        // Before V8 gives up it collects garbage, which returns bytes to the budget.
        scope.eval::<()>("for (let n = 0; n < 100; n++) new Uint8Array(2 ** 20)")?;
        scope.collect();
        scope.collect();
        assert_eq!(Budget::used(), 0);
        let source = "globalThis.kept = []; try { for (;;) kept.push(new MAKE(2 ** 20)); } catch (e) { `${e.name} ${kept.length}` }";
        for make in ["ArrayBuffer", "Uint8Array", "SharedArrayBuffer"] {
            assert_eq!(scope.eval::<String>(&source.replace("MAKE", make))?, "RangeError 10", "{make}");
            assert_eq!(Budget::used(), 10 * MIB);
            for more in
                ["kept[0].slice(0)", "new ArrayBuffer(9).transfer(4096)", "new Float64Array([1.5, 2.5, ...Array(99)])"]
            {
                let thrown = scope.eval::<String>(&format!("try {{ {more}; 'made' }} catch (e) {{ e.name }}"))?;
                assert_eq!(thrown, "RangeError", "{more}");
            }
        }
        let buffer = scope.eval_buffer("kept = null; new ArrayBuffer(2 ** 20)")?;
        let store = scope.externalize(&buffer)?;
        scope.detach(&buffer, None)?;
        scope.collect();
        scope.collect();
        assert_eq!(Budget::used(), MIB);
        drop(store);
        assert_eq!(Budget::used(), 0);
        Ok(())
    });
}

#[test]
fn b14_a_budget_counts_the_smallest_buffers_too() {
    const BUDGET: usize = 6400;
    if passed("allocator::b14_a_budget_counts_the_smallest_buffers_too") {
        return;
    }
    in_scope(|scope| {
        Budget::set(BUDGET);
        for make in [
            "new ArrayBuffer(64)",
            "new SharedArrayBuffer(64)",
            "new Uint8Array(64).fill(7)",
            "new Float64Array([1, 2, 3, 4, 5, 6, 7, 8])",
            "Uint8Array.from({ length: 64 }, () => 7)",
            "new Uint8Array(60).with(0, 1)",
            "new ArrayBuffer(8).transfer(64)",
            "new Uint8Array(1)",
        ] {
            let source = format!(
                "globalThis.kept = [];
                 try {{ for (let n = 0; n < 10_000; n++) kept.push({make}); 'all made' }} catch (e) {{ e.name }}"
            );
            assert_eq!(scope.eval::<String>(&source)?, "RangeError", "{make}");
            assert!(Budget::used() <= BUDGET && Budget::used() > BUDGET - 128, "{make}: {}", Budget::used());
            // Some of these make two buffers at once. The first one exists already, and asking for its store needs no
            // memory.
            assert!(scope.eval::<bool>("kept.every(made => (made.buffer ?? made).byteLength === made.byteLength)")?);
            scope.eval::<()>("kept = null")?;
            scope.collect();
            scope.collect();
            assert_eq!(Budget::used(), 0, "{make}");
        }
        Ok(())
    });
}

/// The events of stores of 12,345 bytes.
struct Seen(Mutex<Vec<(EventKind, StoreKind, String)>>);
static SEEN: Seen = Seen(Mutex::new(Vec::new()));

impl Observer for Seen {
    fn event(&self, event: &Event) {
        if event.byte_length == 12_345 {
            let told = (event.kind, event.store_kind, event.created.to_string());
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        }
    }
}

#[test]
fn an_observer_is_told_of_script_s_buffers_from_their_beginning() {
    if passed("allocator::an_observer_is_told_of_script_s_buffers_from_their_beginning") {
        return;
    }
    set_observer(&SEEN).unwrap();
    crate::common::start();
    let mut isolate = Isolate::new().unwrap();
    let id = isolate.id();
    let kinds = |seen: Vec<(EventKind, StoreKind, String)>| {
        seen.into_iter().map(|(kind, of, _)| (kind, of)).collect::<Vec<_>>()
    };
    let take = || std::mem::take(&mut *SEEN.0.lock().unwrap());
    isolate.enter(|scope| {
        let buffer = scope.eval_buffer("new ArrayBuffer(12345)").unwrap();
        let seen = take();
        assert!(seen.iter().all(|(_, _, site)| site == "script"));
        assert_eq!(
            kinds(seen),
            [(EventKind::Created, StoreKind::FIXED), (EventKind::Exposed { isolate: id }, StoreKind::FIXED)]
        );
        drop(scope.externalize(&buffer).unwrap());
        drop(buffer);
        scope.collect();
        scope.collect();
        let released = EventKind::Released { isolate: Some(id) };
        let events = [EventKind::Externalized { isolate: id }, released, EventKind::Freed { at: None }];
        assert_eq!(kinds(take()), events.map(|event| (event, StoreKind::FIXED)));

        let shared = scope.eval_buffer("globalThis.shared = new SharedArrayBuffer(12345)").unwrap();
        let store = scope.externalize(&shared).unwrap();
        assert_eq!(store.kind(), StoreKind::SHARED);
        assert_eq!(kinds(take()).last(), Some(&(EventKind::Externalized { isolate: id }, StoreKind::SHARED)));
    });
    drop(isolate);
    assert_eq!(kinds(take()).last(), Some(&(EventKind::Freed { at: None }, StoreKind::SHARED)));
}
