//! Externalizing V8's own resizable and growable buffers.

use std::sync::atomic::Ordering;

use crate::common::run;
use offheap_v8::offheap::{self, BackingStore, ManualMemory, ManualOptions, SharedStore, StoreKind, UniqueStore};
use offheap_v8::{BackingStoreExt, CopyReason, Error, Exposure, Isolate, Scope, ScopeExt, v8};

fn in_scope(work: impl for<'s> FnOnce(&mut Scope<'s>) -> Result<(), Error>) {
    crate::common::start();
    Isolate::new().unwrap().enter(work).unwrap();
}

#[test]
fn a_resizable_buffer_of_script_is_read_in_its_scope_at_the_length_of_the_moment() {
    in_scope(|scope| {
        let buffer = scope.eval_buffer("globalThis.buffer = new ArrayBuffer(4, { maxByteLength: 100000 })")?;
        let store = scope.externalize(&buffer)?;
        assert_eq!(
            (store.kind(), store.byte_length(), store.max_byte_length()),
            (StoreKind::ENGINE_RESIZABLE, 4, 100_000)
        );
        assert_eq!(store.exposure(), Some((scope.isolate(), 1)));
        scope.eval::<()>("new Uint8Array(buffer).set([1, 2, 3, 4]); buffer.resize(90000)")?;
        assert_eq!(store.byte_length(), 90_000);
        assert_eq!(scope.store_bytes(&store)?[..5], [1, 2, 3, 4, 0]);
        scope.store_bytes_mut(&store)?[89_999] = 9;
        scope.copy_in(&store, 89_998, &[8u8])?;
        assert_eq!(scope.eval::<u32>("const b = new Uint8Array(buffer); b[89999] * 10 + b[89998]")?, 98);

        // The memory that shrinking took is unmapped, so a read would end this process.
        scope.eval::<()>("buffer.resize(2)")?;
        assert_eq!(*scope.store_bytes(&store)?, [1, 2]);
        let mut copied = [0; 2];
        scope.with_v8(|scope| {
            assert!(matches!(store.copy_to_slice(0, &mut [0]), Err(offheap::Error::EngineMayShrink { .. })));
            assert!(store.copy_to(scope, 1, &mut [0; 2]).is_err());
            store.copy_to(scope, 0, &mut copied)
        })?;
        assert_eq!(copied, [1, 2]);
        assert_eq!(*scope.bytes(&buffer)?, [1, 2]);
        let beyond = scope.copy_in(&store, 2, &[8u8]);
        assert!(matches!(beyond, Err(Error::Memory(offheap::Error::OutOfRange { store_byte_length: 2, .. }))));
        assert_eq!(scope.externalize(&buffer)?, store);
        Ok(())
    });
}

#[test]
fn other_threads_copy_it_once_v8_let_go() {
    in_scope(|scope| {
        let buffer = scope.allocate(4, Some(100_000))?;
        let store = scope.externalize(&buffer)?;
        scope.bytes_mut(&buffer)?.fill(7);
        let elsewhere = store.clone();
        let copied = std::thread::spawn(move || elsewhere.to_vec()).join().unwrap();
        assert!(matches!(copied, Err(offheap::Error::EngineMayShrink { .. })), "{copied:?}");
        let cells = scope.with_v8(|scope| offheap_v8::BackingStoreExt::cells(&store, scope).map(drop));
        assert!(matches!(cells, Err(Error::Memory(offheap::Error::EngineMayShrink { .. }))));

        scope.resize(&buffer, 3)?;
        scope.detach(&buffer, None)?;
        assert_eq!((store.exposure(), store.byte_length()), (None, 3));
        let elsewhere = store.clone();
        assert_eq!(std::thread::spawn(move || elsewhere.to_vec()).join().unwrap()?, [7, 7, 7]);
        Ok(())
    });
}

#[test]
fn it_is_everybodys_once_its_isolate_has_ended() {
    crate::common::start();
    let mut isolate = Isolate::new().unwrap();
    let store = isolate.enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.buffer = new ArrayBuffer(3, { maxByteLength: 10 })").unwrap();
        scope.externalize(&buffer).unwrap()
    });
    assert!(matches!(store.to_vec(), Err(offheap::Error::EngineMayShrink { .. })));
    drop(isolate);
    assert_eq!((store.to_vec().unwrap(), store.bytes().unwrap().len()), (vec![0; 3], 3));
}

#[test]
fn it_has_one_live_buffer_and_one_isolate() {
    in_scope(|scope| {
        let buffer = scope.allocate(4, Some(16))?;
        let store = scope.externalize(&buffer)?;
        assert!(matches!(scope.expose(&store), Err(Error::Memory(offheap::Error::OneBuffer { .. }))));
        let other = Isolate::new()?.enter(|scope| scope.expose(&store).map(drop));
        assert!(matches!(other, Err(Error::Memory(offheap::Error::OtherIsolate { .. }))));
        Ok(())
    });
}

#[test]
fn it_stays_exposed_while_script_transfers_it() {
    in_scope(|scope| {
        let buffer = scope.eval_buffer("globalThis.buffer = new ArrayBuffer(4, { maxByteLength: 16 })")?;
        let store = scope.externalize(&buffer)?;
        scope.bytes_mut(&buffer)?.fill(5);
        drop(buffer);
        let moved = scope.eval_buffer("globalThis.moved = buffer.transfer(); buffer = undefined; moved")?;
        scope.collect();
        let of_moved = scope.externalize(&moved)?;
        // V8 may move the block or copy it. In both cases, memory that may shrink counts as exposed.
        assert_eq!(store.exposure().is_some(), of_moved == store);
        assert_eq!(*scope.store_bytes(&of_moved)?, [5; 4]);
        assert_eq!(*scope.store_bytes(&store)?, [5; 4]);
        Ok(())
    });
}

#[test]
fn collected_buffers_let_go_of_their_stores() {
    in_scope(|scope| {
        let stores: Vec<BackingStore> = (0..200)
            .map(|_| {
                let buffer = scope.allocate(8, Some(4096))?;
                scope.externalize(&buffer)
            })
            .collect::<Result<_, _>>()?;
        scope.collect();
        scope.collect();
        assert!(stores.iter().all(|store| store.exposure().is_none() && store.reference_count() == 1));
        Ok(())
    });
}

#[test]
fn a_resizable_store_of_rust_is_a_reported_copy() {
    in_scope(|scope| {
        let mut unique = UniqueStore::resizable(4, 16)?;
        unique.fill(3);
        let store = BackingStore::from(unique);
        assert!(matches!(scope.expose(&store), Err(Error::Unsupported { .. })));
        let (buffer, exposure) = scope.expose_or_copy(&store)?;
        assert_eq!(exposure, Exposure::Copied { reason: CopyReason::Resizable });
        let state = scope.state(&buffer)?;
        assert_eq!((state.byte_length, state.max_byte_length, state.resizable), (4, 16, true));
        scope.resize(&buffer, 6)?;
        assert_eq!(*scope.bytes(&buffer)?, [3, 3, 3, 3, 0, 0]);
        assert_eq!((store.byte_length(), store.exposure()), (4, None));
        Ok(())
    });
}

#[test]
fn resizable_manual_memory_is_a_reported_copy_until_it_was_freed() {
    in_scope(|scope| {
        let options = ManualOptions { max_byte_length: Some(16), ..ManualOptions::default() };
        let memory = ManualMemory::allocate_with(4, options)?;
        memory.store().clone().bytes_mut()?.fill(3);
        assert!(matches!(scope.expose(memory.store()), Err(Error::Unsupported { .. })));
        let (buffer, exposure) = scope.expose_or_copy(memory.store())?;
        assert_eq!(exposure, Exposure::Copied { reason: CopyReason::Resizable });
        scope.resize(&buffer, 6)?;
        assert_eq!(*scope.bytes(&buffer)?, [3, 3, 3, 3, 0, 0]);
        memory.free()?;
        let freed = scope.expose_or_copy(memory.store()).map(|(_, exposure)| exposure);
        assert!(matches!(freed, Err(Error::Memory(offheap::Error::Freed { .. }))), "{freed:?}");
        Ok(())
    });
}

#[test]
fn lengths_that_cannot_be_are_errors() {
    in_scope(|scope| {
        let shorter = scope.allocate(5, Some(4));
        assert!(matches!(shorter, Err(Error::Memory(offheap::Error::MaximumTooSmall { .. }))));
        assert!(matches!(scope.allocate(0, Some(usize::MAX)), Err(Error::TooLargeForEngine { .. })));
        assert!(matches!(scope.allocate(0, Some(1 << 52)), Err(Error::Script { .. })));
        // This works even if script replaced the constructor.
        scope.eval::<()>("globalThis.ArrayBuffer = function () { throw new Error('never called') }")?;
        let buffer = scope.allocate(0, Some(8))?;
        assert_eq!(scope.externalize(&buffer)?.max_byte_length(), 8);
        Ok(())
    });
}

#[test]
fn a_growable_shared_buffer_is_as_long_as_script_made_it() {
    in_scope(|scope| {
        let buffer = scope.eval_buffer("globalThis.shared = new SharedArrayBuffer(4, { maxByteLength: 100000 })")?;
        let store = SharedStore::try_from(scope.externalize(&buffer)?).unwrap();
        assert_eq!((store.byte_length(), store.max_byte_length(), store.is_growable()), (4, 100_000, true));
        scope.eval::<()>("shared.grow(90000); new Uint8Array(shared)[89999] = 6")?;
        let elsewhere = store.clone();
        std::thread::spawn(move || {
            assert_eq!((elsewhere.byte_length(), elsewhere.as_atomics().len()), (90_000, 90_000));
            elsewhere.copy_from_slice(89_998, &[5]).unwrap();
        })
        .join()
        .unwrap();
        assert_eq!(scope.eval::<String>("String(new Uint8Array(shared).slice(-2))")?, "5,6");
        assert!(matches!(store.grow(100_000), Err(offheap::Error::EngineResizes { .. })));
        assert_eq!(scope.externalize(&buffer)?, *store.as_store());
        Ok(())
    });
}

#[test]
fn a_growable_shared_buffer_is_grown_by_ten_isolates_at_once() {
    const PAGE: usize = 4096;
    in_scope(|scope| {
        let buffer = scope.eval_buffer(&format!(
            "globalThis.shared = new SharedArrayBuffer({PAGE}, {{ maxByteLength: {} }})",
            101 * PAGE
        ))?;
        let store = SharedStore::try_from(scope.externalize(&buffer)?).unwrap();
        // Posting it to workers does the same.
        let block = scope.with_v8(|scope| {
            v8::Local::<v8::SharedArrayBuffer>::try_from(run(scope, "shared")).unwrap().get_backing_store()
        });
        std::thread::scope(|threads| {
            for _ in 0..10 {
                let (store, block) = (store.clone(), block.clone());
                threads.spawn(move || {
                    Isolate::new().unwrap().enter(|scope| {
                        scope.with_v8(|scope| {
                            let shared = v8::SharedArrayBuffer::with_backing_store(scope, &block);
                            assert_eq!(BackingStore::externalize(scope, shared.into()).unwrap(), *store.as_store());
                            crate::common::set(scope, "shared", shared.into());
                            // If several threads ask for one length, one may be late and throw.
                            let grow = format!("try {{ shared.grow(shared.byteLength + {PAGE}) }} catch {{}}");
                            let mut seen = 0;
                            while seen < 101 * PAGE {
                                run(scope, &grow);
                                let bytes = store.as_atomics();
                                assert!(bytes.len() >= seen, "lengths rise");
                                seen = bytes.len();
                                bytes[seen - 1].fetch_add(1, Ordering::SeqCst);
                            }
                        });
                    });
                });
            }
        });
        assert_eq!(store.as_atomics()[101 * PAGE - 1].load(Ordering::SeqCst), 10);
        assert_eq!(scope.state(&buffer)?.byte_length, 101 * PAGE);
        Ok(())
    });
}

#[test]
fn a_buffer_over_the_beginning_of_memory_that_v8_made_has_a_store_of_its_length() {
    in_scope(|scope| {
        for source in [
            "new ArrayBuffer(16, { maxByteLength: 32 })",
            "new WebAssembly.Memory({ initial: 1, maximum: 2 }).buffer",
            "new WebAssembly.Memory({ initial: 1, maximum: 2, shared: true }).buffer",
        ] {
            // V8 with `--jitless` has no WebAssembly.
            if !scope.eval::<bool>("typeof WebAssembly === 'object'")? && source.contains("WebAssembly") {
                continue;
            }
            let buffer = scope.eval_buffer(source)?;
            let store = scope.externalize(&buffer)?;
            drop(buffer);
            scope.collect();
            assert_eq!(store.exposure(), None, "{source}: V8 released it");
            let part = store.slice(0..8)?;
            let buffer = scope.expose(&part)?;
            let again = scope.externalize(&buffer)?;
            assert_eq!((again.byte_length(), scope.state(&buffer)?.byte_length), (8, 8), "{source}");
            assert_eq!(again, part, "{source}");
        }
        Ok(())
    });
}

#[test]
fn a_part_that_script_took_away_has_no_buffer_until_it_is_there_again() {
    in_scope(|scope| {
        let buffer = scope.allocate(16, Some(32))?;
        let store = scope.externalize(&buffer)?;
        let part = store.slice(8..16)?;
        scope.resize(&buffer, 4)?;
        scope.detach(&buffer, None)?;
        let refused = scope.expose(&part).map(|buffer| scope.externalize(&buffer));
        assert!(matches!(refused, Err(Error::Memory(offheap::Error::OutOfRange { .. }))), "{refused:?}");
        assert_eq!(store.exposure(), None);
        let buffer = scope.expose(&store)?;
        scope.resize(&buffer, 16)?;
        scope.detach(&buffer, None)?;
        let buffer = scope.expose(&part)?;
        assert_eq!(scope.externalize(&buffer)?, part);
        Ok(())
    });
}
