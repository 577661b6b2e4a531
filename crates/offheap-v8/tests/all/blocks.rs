//! V8's own blocks (`v8::BackingStore`), which a program takes from a buffer and makes buffers of elsewhere, as embedders
//! post messages.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use offheap_v8::offheap::BackingStore;
use offheap_v8::{BackingStoreExt, Isolate, v8};

use crate::common::{isolate, run, set};

type Block = v8::SharedRef<v8::BackingStore>;

/// The block of the buffer that script has as `b`.
fn block_of_b(isolate: &mut Isolate) -> Block {
    isolate.enter(|scope| {
        scope.with_v8(|scope| v8::Local::<v8::ArrayBuffer>::try_from(run(scope, "b")).unwrap().get_backing_store())
    })
}

/// Makes the buffer `b` of script over a block.
fn take(isolate: &mut Isolate, block: &Block) {
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let buffer = v8::ArrayBuffer::with_backing_store(scope, block);
            set(scope, "b", buffer.into());
        });
    });
}

/// The store of the buffer `b`, asked for once `arrived` threads are here.
fn externalize_at(here: &AtomicUsize, arrived: usize, isolate: &mut Isolate) -> BackingStore {
    isolate.enter(|scope| {
        scope.with_v8(|scope| {
            let buffer = run(scope, "b");
            here.fetch_add(1, Ordering::SeqCst);
            // A waiting thread that sleeps would come too late.
            while here.load(Ordering::SeqCst) < arrived {
                spin_loop();
            }
            BackingStore::from_js(scope, buffer).unwrap()
        })
    })
}

#[test]
fn a5_two_threads_that_settle_one_allocation_make_one_store() {
    let mut first = isolate();
    let here = &AtomicUsize::new(0);
    let (to_other, blocks) = mpsc::channel::<Block>();
    let (to_here, stores) = mpsc::channel::<BackingStore>();
    thread::scope(|threads| {
        threads.spawn(move || {
            let mut second = isolate();
            for (round, block) in blocks.iter().enumerate() {
                take(&mut second, &block);
                drop(block);
                to_here.send(externalize_at(here, 2 * round + 2, &mut second)).unwrap();
            }
        });
        for round in 0..3000 {
            first.enter(|scope| scope.eval::<()>("globalThis.b = new ArrayBuffer(64); undefined").unwrap());
            to_other.send(block_of_b(&mut first)).unwrap();
            let ours = externalize_at(here, 2 * round + 2, &mut first);
            let theirs = stores.recv().unwrap();
            assert_eq!(ours, theirs, "round {round}: one allocation has two owners");
        }
        drop(to_other);
    });
}
