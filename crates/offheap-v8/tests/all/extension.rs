//! The traits, over a scope of the program's own.

use offheap_v8::offheap::{self, BackingStore, FrozenStore, SharedStore, StoreKind, UniqueStore};
use offheap_v8::{BackingStoreExt, CopyReason, Error, Exposure, FrozenStoreExt, SharedStoreExt, Throw, v8};

use crate::common::{counted, in_own_scope, numbered, run, set};

#[test]
fn a_vec_goes_in_and_the_same_vec_comes_out() {
    let vec = vec![1.5_f64; 100];
    let address = vec.as_ptr();
    let store = BackingStore::from(UniqueStore::from_owner(vec).unwrap());
    in_own_scope(|scope| {
        let buffer = store.expose(scope).unwrap();
        assert_eq!(buffer.data().unwrap().as_ptr(), store.as_ptr());
        set(scope, "b", buffer.into());
        run(scope, "new Float64Array(b)[99] = 7");
        assert_eq!(BackingStore::externalize(scope, buffer.into()).unwrap(), store);
        assert!(matches!(store.bytes(), Err(offheap::Error::Exposed { .. })));
        assert_eq!(store.copy_out::<f64>().unwrap()[99], 7.0);
    });
    let vec: Vec<f64> = store.try_into_unique().unwrap().try_into_owner().unwrap();
    assert_eq!((vec.as_ptr(), vec[99]), (address, 7.0));
}

#[test]
fn cells_live_while_script_runs_and_keep_others_away() {
    in_own_scope(|scope| {
        let store = numbered(16);
        // It also works before any function was called in the isolate.
        store.cells(scope).unwrap()[0].set(9);
        let buffer = store.expose(scope).unwrap();
        set(scope, "b", buffer.into());
        let source = v8::String::new(scope, "new Uint8Array(b)[1] = 200").unwrap();
        let script = v8::Script::compile(scope, source, None).unwrap();
        let cells = store.cells(scope).unwrap();
        script.run(scope).unwrap();
        assert_eq!((cells[0].get(), cells[1].get()), (9, 200));
        assert!(matches!(store.to_vec(), Err(offheap::Error::Busy { .. })));
        drop(cells);
        store.copy_in(scope, 4, &[1_u32, 2]).unwrap();
        assert_eq!(run(scope, "new Uint32Array(b)[2]").uint32_value(scope), Some(2));
    });
}

#[test]
fn frozen_memory_is_shared_and_what_is_not_aligned_is_copied() {
    in_own_scope(|scope| {
        let words: &'static [u64] = &[0x0101_0101_0101_0101; 2];
        let store = FrozenStore::from_owner(words).unwrap();
        let (buffer, exposure) = store.expose(scope).unwrap();
        assert_eq!(exposure, Exposure::External);
        assert_eq!(buffer.data().unwrap().as_ptr().cast_const(), words.as_ptr().cast());
        set(scope, "b", buffer.into());
        run(scope, "new Uint8Array(b)[0] = 2; try { Atomics.store(new Uint8Array(b), 0, 2) } catch {}");
        assert_eq!(words[0], 0x0101_0101_0101_0101);
        let back = BackingStore::externalize(scope, buffer.into()).unwrap();
        assert_eq!((back.id(), back.kind()), (store.id(), StoreKind::FROZEN));

        static BYTES: [u64; 2] = [1, 2];
        let bytes: &'static [u8] = bytemuck::cast_slice(&BYTES);
        let odd = FrozenStore::from_owner(&bytes[1..8]).unwrap();
        let (copy, exposure) = odd.expose(scope).unwrap();
        assert_eq!(exposure, Exposure::Copied { reason: CopyReason::Misaligned });
        assert_eq!(copy.byte_length(), 7);
        set(scope, "c", copy.into());
        run(scope, "if (!c.immutable) throw new Error('script can write the copy')");
        assert_eq!(BackingStore::externalize(scope, copy.into()).unwrap().kind(), StoreKind::FROZEN);
    });
}

#[test]
fn shared_memory_is_seen_by_two_isolates_at_once() {
    let store = SharedStore::zeroed(16).unwrap();
    in_own_scope(|scope| {
        let buffer = store.expose(scope).unwrap();
        set(scope, "b", buffer.into());
        let other = store.clone();
        std::thread::spawn(move || {
            in_own_scope(|scope| {
                let buffer = other.expose(scope).unwrap();
                set(scope, "b", buffer.into());
                run(scope, "Atomics.store(new Int32Array(b), 1, 77)");
            });
        })
        .join()
        .unwrap();
        assert_eq!(run(scope, "Atomics.load(new Int32Array(b), 1)").int32_value(scope), Some(77));
        assert_eq!(store.copy_out::<i32>().unwrap()[1], 77);
        let back = BackingStore::externalize(scope, buffer.into()).unwrap();
        assert_eq!(back, *store.as_store());
        // An ArrayBuffer over it would be no SharedArrayBuffer.
        assert!(matches!(store.as_store().expose(scope), Err(Error::Unsupported { .. })));
    });
}

#[test]
fn what_is_no_buffer_is_an_error_that_says_so() {
    in_own_scope(|scope| {
        for (source, found) in [("1", "number"), ("({})", "object"), ("undefined", "undefined")] {
            let value = run(scope, source);
            let error = BackingStore::externalize(scope, value).unwrap_err();
            assert!(matches!(&error, Error::NotAnArrayBuffer { found: is, .. } if is == found), "{error}");
        }
    });
}

#[test]
fn errors_are_thrown_into_script() {
    fn callback(scope: &mut v8::PinScope<'_, '_>, _: v8::FunctionCallbackArguments<'_>, _: v8::ReturnValue<'_>) {
        Error::IsolateGone.throw(scope);
    }
    in_own_scope(|scope| {
        let function = v8::Function::new(scope, callback).unwrap();
        set(scope, "f", function.into());
        let text = run(scope, "try { f(); 'no' } catch (error) { `${error}` }").to_rust_string_lossy(scope);
        assert!(text.starts_with("TypeError: the isolate of this handle has ended"), "{text}");
    });
}

#[test]
fn a_collected_buffer_lets_the_store_go() {
    let (store, dropped) = counted(vec![0; 1000]);
    in_own_scope(|scope| {
        {
            v8::scope!(let inner, scope);
            let buffer = store.expose(inner).unwrap();
            assert_eq!(buffer.byte_length(), 1000);
        }
        offheap_v8::collect(scope);
        assert_eq!(store.exposure(), None);
    });
    drop(store);
    assert_eq!(dropped.get(), 1);
}

/// Gives script an immutable buffer, or throws.
fn immutable(scope: &mut v8::PinScope<'_, '_>, _: v8::FunctionCallbackArguments<'_>, mut result: v8::ReturnValue<'_>) {
    match FrozenStore::from_owner(&[7_u64; 4][..]).unwrap().expose(scope) {
        Ok((buffer, _)) => result.set(buffer.into()),
        Err(error) => error.throw(scope),
    }
}

#[test]
fn where_the_stack_ends_the_first_immutable_buffer_is_an_error_and_the_next_is_made() {
    in_own_scope(|scope| {
        let function = v8::Function::new(scope, immutable).unwrap();
        set(scope, "immutable", function.into());
        let immutable = run(
            scope,
            "let errors = 0, buffer;
             const deeper = () => {
               try { deeper(); } catch {}
               try { buffer ??= immutable(); } catch { errors++; }
             };
             deeper();
             errors > 0 && buffer.immutable && new Uint8Array(buffer)[0] === 7",
        );
        assert!(immutable.is_true());
    });
}
