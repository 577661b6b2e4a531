//! V8's own blocks (`v8::BackingStore`): a program takes one from a buffer and makes another buffer of it in another
//! isolate, as embedders do to post messages.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use offheap_v8::offheap::{self, BackingStore};
use offheap_v8::{BackingStoreExt, Error, Handle, Isolate, JsArrayBuffer, ScopeExt, v8};

use crate::common::{in_own_scope, isolate, numbered, run, set, start};

type Block = v8::SharedRef<v8::BackingStore>;

/// The block of script's buffer `b`.
fn block_of_b(isolate: &mut Isolate) -> Block {
    isolate.enter(|scope| {
        scope.with_v8(|scope| v8::Local::<v8::ArrayBuffer>::try_from(run(scope, "b")).unwrap().get_backing_store())
    })
}

/// Makes script's buffer `b` over a block.
fn take(isolate: &mut Isolate, block: &Block) {
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let buffer = v8::ArrayBuffer::with_backing_store(scope, block);
            set(scope, "b", buffer.into());
        });
    });
}

/// The stores of the buffers in the array `all`, requested once `arrived` threads are here.
fn externalize_all(here: &AtomicUsize, arrived: usize, isolate: &mut Isolate) -> Vec<BackingStore> {
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let buffers: Vec<_> = (0..AT_ONCE).map(|index| run(scope, &format!("all[{index}]"))).collect();
            here.fetch_add(1, Ordering::SeqCst);
            // Spins, because a thread that sleeps would come too late.
            while here.load(Ordering::SeqCst) < arrived {
                spin_loop();
            }
            buffers.into_iter().map(|buffer| BackingStore::externalize(scope, buffer).unwrap()).collect()
        })
    })
}

const AT_ONCE: usize = 100;

#[test]
fn a5_two_threads_that_settle_one_allocation_make_one_store() {
    let mut first = isolate();
    let here = &AtomicUsize::new(0);
    let (to_other, blocks) = mpsc::channel::<Vec<Block>>();
    let (to_here, stores) = mpsc::channel::<Vec<BackingStore>>();
    thread::scope(|threads| {
        threads.spawn(move || {
            let mut second = isolate();
            for (round, blocks) in blocks.iter().enumerate() {
                second.enter(|scope| scope.eval::<()>("globalThis.all = []; undefined")).unwrap();
                for block in blocks {
                    take(&mut second, &block);
                    second.enter(|scope| scope.eval::<()>("all.push(b); undefined")).unwrap();
                }
                to_here.send(externalize_all(here, 2 * round + 2, &mut second)).unwrap();
            }
        });
        for round in 0..30 {
            first.enter(|scope| scope.eval::<()>("globalThis.all = []; undefined").unwrap());
            let made = (0..AT_ONCE).map(|_| {
                first.enter(|scope| {
                    scope.eval::<()>("all.push(globalThis.b = new ArrayBuffer(64)); undefined").unwrap()
                });
                block_of_b(&mut first)
            });
            to_other.send(made.collect()).unwrap();
            let ours = externalize_all(here, 2 * round + 2, &mut first);
            let theirs = stores.recv().unwrap();
            assert_eq!(ours, theirs, "round {round}: one allocation has two owners");
        }
        drop(to_other);
    });
}

/// An isolate with V8's own allocator.
fn isolate_of_v8() -> Isolate {
    start();
    Isolate::builder().v8_allocator().build().unwrap()
}

/// How a test makes an isolate with script's buffer `b`, and gets its store.
type Source = (&'static str, fn() -> Isolate, fn(&mut Isolate) -> (Handle<JsArrayBuffer>, BackingStore));

fn from_script(isolate: &mut Isolate, source: &str) -> (Handle<JsArrayBuffer>, BackingStore) {
    isolate.enter(|scope| {
        let buffer = scope.eval_buffer(source).unwrap().into_handle();
        let store = scope.externalize(&buffer).unwrap();
        (buffer, store)
    })
}

/// Memory of every origin that script can write.
const SOURCES: [Source; 4] = [
    ("our allocator", isolate, |isolate| from_script(isolate, "globalThis.b = new Uint8Array([1, 2, 3, 4]).buffer")),
    ("V8's allocator", isolate_of_v8, |isolate| {
        from_script(isolate, "globalThis.b = new ArrayBuffer(4); new Uint8Array(b).set([1, 2, 3, 4]); b")
    }),
    ("resizable", isolate, |isolate| {
        let source = "globalThis.b = new ArrayBuffer(4, { maxByteLength: 8 }); new Uint8Array(b).set([1, 2, 3, 4]); b";
        from_script(isolate, source)
    }),
    ("a store", isolate, |isolate| {
        let store = BackingStore::from(offheap::UniqueStore::from_owner(vec![1_u8, 2, 3, 4]).unwrap());
        isolate.enter(|scope| {
            let buffer = scope.expose(&store).unwrap();
            scope.set_global("b", &buffer).unwrap();
            (buffer.into_handle(), store)
        })
    }),
];

fn assert_not_lent<T>(result: Result<T, Error>, said: &str, source: &str) {
    let error = result.err().unwrap_or_else(|| panic!("{source}: bytes were lent that another isolate may write"));
    assert!(matches!(error, Error::NotLent { .. }), "{source}: {error}");
    assert!(error.to_string().contains(said), "{source}: {error}");
}

#[test]
fn a5_no_slice_is_lent_of_memory_that_moved_to_another_isolate() {
    for (source, make, prepare) in SOURCES {
        let (mut first, mut second) = (make(), make());
        let (buffer, store) = prepare(&mut first);
        let block = block_of_b(&mut first);
        first.enter(|scope| scope.detach(&buffer, None)).unwrap();
        take(&mut second, &block);
        drop(block);
        // From here on, script of the other isolate writes, also on another thread.
        second.enter(|scope| scope.eval::<()>("new Uint8Array(b)[0] = 9; undefined")).unwrap();
        first.enter(|scope| {
            assert_not_lent(scope.store_bytes(&store), "with_v8", source);
            assert_not_lent(scope.store_bytes_mut(&store), "with_v8", source);
            assert!(matches!(scope.bytes(&buffer), Err(Error::Detached { .. })), "{source}");
            if source == "resizable" {
                assert_not_lent(scope.copy_in(&store, 0, &[9_u8]), "with_v8", source);
            }
        });
        match store.to_vec() {
            Ok(bytes) => assert_eq!(bytes, [9, 2, 3, 4], "{source}"),
            Err(error) => assert!(matches!(error, offheap::Error::EngineMayShrink { .. }), "{source}: {error}"),
        }
        second.enter(|scope| {
            let moved = scope.eval_buffer("b").unwrap();
            assert_eq!(scope.externalize(&moved).unwrap(), store, "{source}");
            assert_not_lent(scope.bytes(&moved), "moved here", source);
            assert_not_lent(scope.bytes_mut(&moved), "moved here", source);
            scope.detach(&moved, None).unwrap();
        });
        // V8 has released it.
        first.enter(|scope| scope.collect());
        assert_eq!((store.exposure(), store.bytes().unwrap()[0]), (None, 9), "{source}");
    }
}

#[test]
fn a5_memory_that_moved_stays_exposed_when_its_first_isolate_ends() {
    for (source, make, prepare) in SOURCES {
        let (mut first, mut second) = (make(), make());
        let (buffer, store) = prepare(&mut first);
        let block = block_of_b(&mut first);
        first.enter(|scope| scope.detach(&buffer, None)).unwrap();
        take(&mut second, &block);
        drop(block);
        let id = first.id();
        drop((buffer, first));
        assert_eq!(store.exposure(), Some((id, 1)), "{source}: script of the second isolate writes it");
        assert!(matches!(store.bytes(), Err(offheap::Error::Exposed { .. })), "{source}");
        let others: Vec<Isolate> = (0..3).map(|_| make()).collect();
        assert!(others.iter().all(|other| other.id() != id), "{source}: the id is not given out again");
        second.enter(|scope| {
            let moved = scope.eval_buffer("b").unwrap();
            scope.detach(&moved, None).unwrap();
        });
        assert_eq!((store.exposure(), store.bytes().unwrap()[0]), (None, 1), "{source}");
    }
}

#[test]
fn a5_an_isolate_of_the_programs_own_ends_with_its_memory_let_go_of() {
    let mut stores = Vec::new();
    let mut block = None;
    in_own_scope(|scope| {
        for source in ["globalThis.b = new ArrayBuffer(4)", "globalThis.c = new ArrayBuffer(4, { maxByteLength: 8 })"] {
            let value = run(scope, source);
            stores.push(BackingStore::externalize(scope, value).unwrap());
        }
        let value = run(scope, "globalThis.kept = new ArrayBuffer(4)");
        stores.push(BackingStore::externalize(scope, value).unwrap());
        block = Some(v8::Local::<v8::ArrayBuffer>::try_from(value).unwrap().get_backing_store());
    });
    assert_eq!(stores.iter().map(|store| store.exposure().is_some()).collect::<Vec<_>>(), [false, false, true]);
    drop(block);
    // It is looked at during the next collection.
    isolate().enter(|scope| scope.collect());
    assert_eq!(stores[2].exposure(), None);
}

#[test]
fn a5_no_slice_is_lent_while_a_program_has_a_block_and_one_is_afterwards() {
    for (source, make, prepare) in SOURCES {
        let mut isolate = make();
        let (buffer, store) = prepare(&mut isolate);
        isolate.enter(|scope| assert_eq!(scope.store_bytes(&store).unwrap()[..], [1, 2, 3, 4], "{source}"));
        let block = block_of_b(&mut isolate);
        isolate.enter(|scope| {
            assert_not_lent(scope.bytes(&buffer), "with_v8", source);
            assert_not_lent(scope.bytes_mut(&buffer), "with_v8", source);
            assert_not_lent(scope.store_bytes(&store), "with_v8", source);
        });
        drop(block);
        isolate.enter(|scope| {
            assert_eq!(scope.bytes(&buffer).unwrap()[..], [1, 2, 3, 4], "{source}");
            scope.bytes_mut(&buffer).unwrap()[0] = 8;
            assert_eq!(scope.store_bytes(&store).unwrap()[0], 8, "{source}");
            drop(buffer);
            assert_not_lent(scope.store_bytes(&store), "keep a handle", source);
        });
    }
}

#[test]
fn a5_a_slice_is_lent_where_handles_are_for_all_buffers_of_a_store() {
    let mut isolate = isolate();
    let store = numbered(16);
    isolate.enter(|scope| {
        scope.with_v8(|_| ());
        let first = scope.expose(&store).unwrap();
        let second = scope.expose(&store.slice(8..16).unwrap()).unwrap();
        let third = scope.expose_typed::<u32>(&store, 0, 4).unwrap();
        assert_eq!(scope.bytes(&second).unwrap()[0], 8);
        assert_eq!(scope.store_bytes(&store).unwrap()[1], 1);
        drop(third);
        assert_not_lent(scope.bytes(&first), "keep a handle", "two of three");
        scope.collect();
        assert_eq!(scope.bytes(&first).unwrap()[1], 1);
        scope.set_global("b", &second).unwrap();
        drop((first, second));
        assert_not_lent(scope.store_bytes(&store), "keep a handle", "none");
        let again = scope.eval_buffer("b").unwrap();
        scope.collect();
        assert_eq!(scope.store_bytes(&store).unwrap().len(), 16);
        drop(again);
    });
}

#[test]
fn a5_a_buffer_that_v8_let_go_of_is_no_reason_to_lend_nothing() {
    let mut isolate = isolate_of_v8();
    let (buffer, store) = from_script(&mut isolate, "globalThis.b = new ArrayBuffer(4)");
    isolate.enter(|scope| {
        scope.with_v8(|scope| assert!(run(scope, "b.transfer(0).byteLength === 0").is_true()));
        drop(buffer);
        let again = scope.expose(&store).unwrap();
        assert_eq!(scope.bytes(&again).unwrap().len(), 4);
    });
}

#[test]
fn a5_cells_and_memory_that_may_shrink_wait_for_a_block_that_a_program_has() {
    for source in ["globalThis.b = new ArrayBuffer(4)", "globalThis.b = new ArrayBuffer(4, { maxByteLength: 8 })"] {
        let resizable = source.contains("maxByteLength");
        in_own_scope(|scope| {
            let value = run(scope, source);
            let store = BackingStore::externalize(scope, value).unwrap();
            let block = v8::Local::<v8::ArrayBuffer>::try_from(value).unwrap().get_backing_store();
            match resizable {
                true => {
                    assert_not_lent(store.copy_to(scope, 0, &mut [0]), "has another reference", source);
                    assert_not_lent(store.copy_in(scope, 0, &[1_u8]), "has another reference", source);
                    drop(block);
                    store.copy_in(scope, 0, &[1_u8]).unwrap();
                    store.copy_to(scope, 0, &mut [0]).unwrap();
                }
                false => {
                    assert_not_lent(store.cells(scope), "has another reference", source);
                    drop(block);
                    store.cells(scope).unwrap()[0].set(1);
                }
            }
        });
    }
}
