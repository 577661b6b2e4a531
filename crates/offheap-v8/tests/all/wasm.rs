//! Externalizing the buffers of a `WebAssembly.Memory`.

use std::sync::atomic::Ordering;

use offheap_v8::offheap::{self, SharedStore, StoreKind};
use offheap_v8::{BackingStoreExt, Error, Isolate, Scope, ScopeExt, v8};

const PAGE: usize = 64 << 10;

fn in_scope(work: impl for<'s> FnOnce(&mut Scope<'s>) -> Result<(), Error>) {
    crate::common::start();
    Isolate::new().unwrap().enter(work).unwrap();
}

#[test]
fn growing_in_place_keeps_the_store_and_lengthens_it() {
    in_scope(|scope| {
        let buffer = scope.eval_buffer(
            "globalThis.memory = new WebAssembly.Memory({ initial: 1, maximum: 100 });
             new Uint8Array(memory.buffer)[0] = 7;
             memory.buffer",
        )?;
        let store = scope.externalize(&buffer)?;
        assert_eq!((store.kind(), store.byte_length()), (StoreKind::ENGINE_GROWABLE, PAGE));
        assert_eq!(store.exposure(), Some((scope.isolate(), 1)));
        assert!(matches!(scope.detach(&buffer, None), Err(Error::NotDetachable { .. })));

        assert_eq!(scope.eval::<u32>("memory.grow(3)")?, 1);
        assert!(scope.state(&buffer)?.detached);
        // V8 grew the memory in place, behind its guard regions (I15): the same store is four times as long.
        let grown = scope.eval_buffer("memory.buffer")?;
        assert_eq!(scope.externalize(&grown)?, store);
        assert_eq!((store.byte_length(), store.max_byte_length() >= 4 * PAGE), (4 * PAGE, true));
        scope.eval::<()>("new Uint8Array(memory.buffer)[3 * 65536] = 9")?;
        let elsewhere = store.clone();
        let copied = std::thread::spawn(move || elsewhere.to_vec()).join().unwrap()?;
        assert_eq!((copied[0], copied[3 * PAGE], copied.len()), (7, 9, 4 * PAGE));
        assert_eq!(scope.store_bytes(&store)?[3 * PAGE], 9);
        // The old buffer is detached.
        assert!(matches!(scope.externalize(&buffer), Err(Error::Detached { .. })));
        Ok(())
    });
}

#[test]
fn it_may_be_a_resizable_buffer_and_still_only_grows() {
    in_scope(|scope| {
        let buffer = scope.eval_buffer(
            "globalThis.memory = new WebAssembly.Memory({ initial: 1, maximum: 4 });
             globalThis.buffer = memory.toResizableBuffer()",
        )?;
        let store = scope.externalize(&buffer)?;
        assert_eq!((store.kind(), store.max_byte_length()), (StoreKind::ENGINE_GROWABLE, 4 * PAGE));
        scope.eval::<()>("buffer.resize(2 * 65536)")?;
        assert_eq!(store.byte_length(), 2 * PAGE);
        let shrunk = scope.eval::<String>("try { buffer.resize(65536); 'shrunk' } catch (e) { e.name }")?;
        assert_eq!(shrunk, "RangeError");
        assert_eq!(store.to_vec()?.len(), 2 * PAGE);
        Ok(())
    });
}

#[test]
fn b14_what_to_resizable_buffer_gives_is_resizable_shared_or_not() {
    in_scope(|scope| {
        for shared in [false, true] {
            let buffer = scope.eval_buffer(&format!(
                "globalThis.memory = new WebAssembly.Memory({{ initial: 1, maximum: 4, shared: {shared} }});
                 globalThis.fixed = memory.buffer; globalThis.buffer = memory.toResizableBuffer()"
            ))?;
            let state = scope.state(&buffer)?;
            assert_eq!(
                (state.resizable, state.byte_length, state.max_byte_length, state.shared),
                (true, PAGE, 4 * PAGE, shared)
            );
            scope.resize(&buffer, 2 * PAGE)?;
            let beyond = scope.resize(&buffer, 5 * PAGE);
            assert!(matches!(beyond, Err(Error::InvalidLength { limit, .. }) if limit == 4 * PAGE), "{beyond:?}");
            let part = scope.resize(&buffer, 2 * PAGE + 1);
            assert!(matches!(part, Err(Error::Script { .. })), "{part:?}");
            let store = scope.externalize(&buffer)?;
            assert_eq!((store.byte_length(), store.max_byte_length()), (2 * PAGE, 4 * PAGE));
            assert_eq!(scope.eval::<u32>("memory.grow(1)")?, 2);
            assert_eq!((store.byte_length(), scope.state(&buffer)?.byte_length), (3 * PAGE, 3 * PAGE));

            let fixed = scope.eval_buffer("shared = memory.toFixedLengthBuffer()")?;
            let state = scope.state(&fixed)?;
            assert_eq!((state.resizable, state.max_byte_length), (false, 3 * PAGE));
            assert!(matches!(scope.resize(&fixed, 4 * PAGE), Err(Error::NotResizable { .. })));
        }
        Ok(())
    });
}

#[test]
fn its_buffers_take_no_detach_key_since_growing_detaches_them_without_one() {
    in_scope(|scope| {
        for source in ["memory.buffer", "memory.toResizableBuffer()"] {
            let make = "globalThis.memory = new WebAssembly.Memory({ initial: 1, maximum: 9 })";
            let buffer = scope.eval_buffer(&format!("{make}; {source}"))?;
            for key in [Some("key"), None] {
                let refused = scope.set_detach_key(&buffer, key).unwrap_err();
                assert!(matches!(refused, Error::NotDetachable { .. }), "{refused}");
            }
            assert_eq!(scope.eval::<u32>("memory.toFixedLengthBuffer(); memory.grow(1)")?, 1);
            assert_eq!(scope.eval::<u32>("memory.buffer.byteLength")?, 2 * 65_536);
        }
        Ok(())
    });
}

#[test]
fn a_store_outlives_the_memory_and_the_isolate() {
    crate::common::start();
    let mut isolate = Isolate::new().unwrap();
    let store = isolate.enter(|scope| {
        let buffer = scope.eval_buffer("new WebAssembly.Memory({ initial: 1 }).buffer").unwrap();
        scope.bytes_mut(&buffer).unwrap().fill(3);
        let store = scope.externalize(&buffer).unwrap();
        drop(buffer);
        scope.collect();
        scope.collect();
        store
    });
    drop(isolate);
    assert_eq!(store.exposure(), None);
    assert!(store.bytes().unwrap().iter().all(|&byte| byte == 3));
}

#[test]
fn many_memories_come_and_go() {
    in_scope(|scope| {
        // Each reserves 8 GiB of addresses, which must be returned (M6).
        for _ in 0..256 {
            let buffer = scope.eval_buffer("new WebAssembly.Memory({ initial: 1, maximum: 1 }).buffer")?;
            let store = scope.externalize(&buffer)?;
            assert_eq!(store.byte_length(), PAGE);
        }
        Ok(())
    });
}

/// A shared memory of one isolate in another isolate, as when it is posted to a worker.
fn share(from: &mut Scope<'_>) -> v8::SharedRef<v8::BackingStore> {
    from.with_v8(|scope| {
        let source = v8::String::new(scope, "memory.buffer").unwrap();
        let buffer = v8::Script::compile(scope, source, None).unwrap().run(scope).unwrap();
        v8::Local::<v8::SharedArrayBuffer>::try_from(buffer).unwrap().get_backing_store()
    })
}

#[test]
fn shared_memory_is_one_store_however_long_it_was_when_it_was_asked_for() {
    in_scope(|scope| {
        let old = scope.eval_buffer(
            "globalThis.memory = new WebAssembly.Memory({ initial: 1, maximum: 10, shared: true }); memory.buffer",
        )?;
        let store = SharedStore::try_from(scope.externalize(&old)?).unwrap();
        assert_eq!(store.byte_length(), PAGE);
        assert_eq!(scope.eval::<u32>("memory.grow(2)")?, 1);
        assert_eq!(store.byte_length(), 3 * PAGE);
        let new = scope.eval_buffer("memory.buffer")?;
        assert_eq!(scope.externalize(&new)?, *store.as_store());
        assert_eq!(scope.externalize(&old)?, *store.as_store());
        store.as_atomics()[3 * PAGE - 1].store(4, Ordering::SeqCst);
        assert_eq!(scope.eval::<u32>("Atomics.load(new Uint8Array(memory.buffer), 3 * 65536 - 1)")?, 4);

        // Another isolate has V8's block, and gets the same store.
        let block = share(scope);
        Isolate::new()?.enter(|other| {
            let there = other.with_v8(|scope| {
                let buffer = v8::SharedArrayBuffer::with_backing_store(scope, &block);
                <offheap::BackingStore as offheap_v8::BackingStoreExt>::externalize(scope, buffer.into())
            })?;
            assert_eq!(there, *store.as_store());
            Ok(())
        })
    });
}

#[test]
fn shared_memory_is_read_by_nine_threads_while_script_grows_it() {
    in_scope(|scope| {
        let buffer = scope.eval_buffer(
            "globalThis.memory = new WebAssembly.Memory({ initial: 1, maximum: 513, shared: true }); memory.buffer",
        )?;
        let store = SharedStore::try_from(scope.externalize(&buffer)?).unwrap();
        std::thread::scope(|threads| {
            for _ in 0..9 {
                let store = store.clone();
                threads.spawn(move || {
                    let mut seen = 0;
                    while seen < 513 * PAGE {
                        let bytes = store.as_atomics();
                        assert!(bytes.len() >= seen, "lengths rise");
                        seen = bytes.len();
                        bytes[seen - 1].fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            scope.eval::<()>("for (let n = 0; n < 512; n++) memory.grow(1)").unwrap();
        });
        assert_eq!(store.as_atomics()[513 * PAGE - 1].load(Ordering::SeqCst), 9);
        Ok(())
    });
}

#[test]
fn a5_memory_of_webassembly_is_copied_once_a_scope_was_lent() {
    crate::common::isolate().enter(|scope| {
        let buffer = scope.eval_buffer("globalThis.m = new WebAssembly.Memory({ initial: 1, maximum: 4 }); m.buffer");
        let buffer = buffer.unwrap().into_handle();
        assert_eq!(scope.bytes(&buffer).unwrap().len(), PAGE);
        let store = scope.externalize(&buffer).unwrap();
        scope.with_v8(|scope| store.cells(scope).unwrap()[0].set(7));
        // The memory object also refers to the block, and V8 does not report who holds a reference.
        let error = scope.bytes(&buffer).unwrap_err();
        assert!(matches!(error, Error::NotLent { .. }), "{error}");
        assert_eq!(store.to_vec().unwrap()[0], 7);
    });
}
