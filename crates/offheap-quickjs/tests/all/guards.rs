//! Access to the bytes: guards, cells, copies, and the one isolate that has a store.

use std::cell::Cell;

use offheap_quickjs::offheap::{self, BackingStore, Holder, MapMode, Mapped};
use offheap_quickjs::rquickjs::{Context, Ctx, Runtime, Value};
use offheap_quickjs::{BackingStoreExt, Error, Isolate, Local, ManuallyExternalizedBuffer, detach};

use crate::common::{counted, in_own_context, numbered, run};

fn global<'js>(ctx: &Ctx<'js>, name: &str) -> Value<'js> {
    ctx.globals().get(name).unwrap()
}

#[test]
fn a_writer_keeps_others_away_on_the_same_and_on_another_thread() {
    let store = numbered(64);
    let other = store.clone();
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        let guard = scope.bytes_mut(&buffer).unwrap();
        let here = [other.to_vec().map(drop), other.bytes().map(drop)];
        let there = std::thread::scope(|threads| {
            let (store, mut again) = (&other, other.clone());
            threads.spawn(move || [store.to_vec().map(drop), again.bytes_mut().map(drop)]).join().unwrap()
        });
        for refused in here.into_iter().chain(there) {
            let error = refused.unwrap_err();
            assert!(
                matches!(error, offheap::Error::Busy { holder: Holder::Writer, .. } | offheap::Error::Exposed { .. }),
                "{error}"
            );
        }
        drop(guard);
        assert_eq!(other.to_vec().unwrap()[63], 63);
    });
}

#[test]
fn readers_live_together_and_keep_writers_away() {
    let store = numbered(64);
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let buffer = scope.expose(&store).unwrap();
        let first = scope.bytes(&buffer).unwrap();
        let second = scope.store_bytes(&store).unwrap();
        assert_eq!(first[5] + second[6], 11);
        assert_eq!(store.to_vec().unwrap()[7], 7);
        drop((first, second));
        scope.bytes_mut(&buffer).unwrap()[0] = 200;
        assert_eq!(scope.bytes(&buffer).unwrap()[0], 200);
        let part = store.slice(8..16).unwrap();
        scope.store_bytes_mut(&part).unwrap().fill(1);
        assert_eq!(scope.store_bytes(&store).unwrap()[7..17], [7, 1, 1, 1, 1, 1, 1, 1, 1, 16]);
    });
}

#[test]
fn a_guard_of_a_store_that_is_exposed_nowhere_keeps_it_from_being_exposed() {
    let store = numbered(64);
    in_own_context(|ctx| {
        let guard = store.bytes().unwrap();
        let error = store.expose(ctx).unwrap_err();
        assert!(matches!(error, Error::Memory(offheap::Error::Busy { .. })), "{error}");
        drop(guard);
        store.expose(ctx).unwrap();
    });
    // In a scope too, so other isolates cannot expose it.
    Isolate::new().unwrap().enter(|scope| {
        let guard = scope.store_bytes(&store).unwrap();
        in_own_context(|ctx| {
            assert!(matches!(store.expose(ctx).unwrap_err(), Error::Memory(offheap::Error::Busy { .. })));
        });
        drop(guard);
    });
}

#[test]
fn bytes_of_what_script_made_are_those_that_script_sees() {
    Isolate::new().unwrap().enter(|scope| {
        for made in [
            "new ArrayBuffer(100)",
            "new ArrayBuffer(100, { maxByteLength: 5000 })",
            "new ArrayBuffer(200, { maxByteLength: 200 })",
            "new ArrayBuffer(100).transferToImmutable()",
            "new ArrayBuffer(0)",
        ] {
            let made = format!("globalThis.b = {made}; if (!b.immutable) new Uint8Array(b).fill(4); b");
            let buffer = scope.eval_buffer(&made).unwrap();
            let length = scope.state(&buffer).unwrap().byte_length;
            assert_eq!(scope.bytes(&buffer).unwrap().len(), length);
            match scope.bytes_mut(&buffer) {
                Ok(mut bytes) => bytes.fill(9),
                Err(error) => assert!(matches!(error, Error::Immutable { .. }), "{error}"),
            }
            let script: String =
                scope.eval("String(new Uint8Array(b).every((x) => x === (b.immutable ? 0 : 9)))").unwrap();
            assert_eq!(script, "true");
        }
        let detached = scope.eval_buffer("const d = new ArrayBuffer(8); d.transfer(); d").unwrap();
        assert!(matches!(scope.bytes(&detached), Err(Error::Detached { .. })));
        assert!(matches!(scope.bytes_mut(&detached), Err(Error::Detached { .. })));
    });
}

#[test]
fn b11_a_mapped_file_is_copied_and_never_lent_and_shared_where_it_may_be_written() {
    let path = std::env::temp_dir().join(format!("offheap-guards-{}", std::process::id()));
    std::fs::write(&path, [1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    let map = Mapped::open(&path, MapMode::ReadWrite).unwrap();
    Isolate::new().unwrap().enter(|scope| {
        let buffer = scope.expose(map.store()).unwrap();
        scope.set_global("m", &buffer).unwrap();
        assert!(matches!(scope.bytes(&buffer), Err(Error::Memory(offheap::Error::SharedSlice { .. }))));
        assert!(matches!(scope.bytes_mut(&buffer), Err(Error::Memory(offheap::Error::SharedSlice { .. }))));
        assert_eq!(scope.eval::<String>("m.constructor.name").unwrap(), "SharedArrayBuffer");
        scope.eval::<u32>("new Uint8Array(m)[0] = 99").unwrap();
        scope.copy_in(map.store(), 1, &[98_u8]).unwrap();
        assert_eq!(scope.eval::<String>("new Uint8Array(m).join()").unwrap(), "99,98,3,4,5,6,7,8");
        assert_eq!(scope.externalize(&buffer).unwrap(), *map.store());
        assert_eq!(map.store().exposure(), None);
    });
    assert_eq!(std::fs::read(&path).unwrap(), [99, 98, 3, 4, 5, 6, 7, 8]);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn cells_stay_valid_while_script_writes_detaches_moves_resizes_and_collects() {
    for script in [
        "b.transfer(0)",
        "b.transferToFixedLength(4096)",
        "b.transfer(8)",
        "globalThis.b = b.transfer()",
        "b.transferToImmutable()",
        "if (b.resizable) b.resize(1)",
        "if (b.resizable) { b.resize(0); b.resize(64) }",
        "delete globalThis.b; delete globalThis.v",
    ] {
        for made in ["new ArrayBuffer(64)", "new ArrayBuffer(64, { maxByteLength: 64 })"] {
            in_own_context(|ctx| {
                run(ctx, &format!("globalThis.b = {made}; globalThis.v = new Uint8Array(b); v.fill(3)"));
                let store = BackingStore::externalize(ctx, &global(ctx, "b")).unwrap();
                let cells = store.cells(ctx).unwrap();
                assert_eq!(cells.len(), 64);
                run(ctx, "v[5] = 9");
                assert_eq!(cells[5].get(), 9);
                cells[6].set(11);
                run(ctx, "if (v[6] !== 11) throw v[6]");
                assert!(matches!(store.to_vec(), Err(offheap::Error::Busy { .. })));
                run(ctx, script);
                offheap_quickjs::collect(ctx);
                assert!([11, 0].contains(&cells[6].get()), "{script}");
                cells.iter().for_each(|cell| cell.set(1));
                drop(cells);
                assert!(store.to_vec().is_ok());
            });
        }
    }
}

#[test]
fn an_unshared_store_is_in_one_isolate_and_the_error_names_it() {
    let (store, drops) = counted(vec![1; 64]);
    let runtime = Runtime::new().unwrap();
    let context = Context::full(&runtime).unwrap();
    let mut isolate = Isolate::new().unwrap();
    context.with(|ctx| {
        ctx.globals().set("b", store.expose(&ctx).unwrap()).unwrap();
        let (first, _) = store.exposure().unwrap();
        isolate.enter(|scope| {
            for error in [
                scope.expose(&store).map(drop).unwrap_err(),
                scope.store_bytes(&store).map(drop).unwrap_err(),
                scope.store_bytes_mut(&store).map(drop).unwrap_err(),
                scope.copy_in(&store, 0, &[1_u8]).unwrap_err(),
            ] {
                let Error::Memory(offheap::Error::OtherIsolate { isolate, requested, buffers: 1, .. }) = &error else {
                    panic!("{error}")
                };
                assert_eq!((*isolate, *requested), (first, scope.isolate()));
                let text = error.to_string();
                assert!(text.contains(&first.to_string()) && text.contains("detach"), "{text}");
            }
            detach(&ctx, &global(&ctx, "b"), None).unwrap();
            scope.expose(&store).unwrap();
        });
    });
    drop((context, runtime, isolate));
    assert_eq!(store.exposure(), None);
    drop(store);
    assert_eq!(drops.get(), 1);
}

#[test]
fn a_store_may_have_many_buffers_in_its_isolate_and_a_resizable_one_has_one() {
    let store = numbered(64);
    in_own_context(|ctx| {
        let buffers: Vec<_> = (0..5).map(|_| store.expose(ctx).unwrap()).collect();
        assert_eq!(store.exposure().unwrap().1, 5);
        ctx.globals().set("all", buffers).unwrap();
        run(ctx, "new Uint8Array(all[0])[9] = 77; if (all.some((b) => new Uint8Array(b)[9] !== 77)) throw 1");
        run(ctx, "delete globalThis.all");
        assert_eq!(store.exposure(), None);
        run(ctx, "globalThis.r = new ArrayBuffer(8, { maxByteLength: 16 })");
        let store = BackingStore::externalize(ctx, &global(ctx, "r")).unwrap();
        let error = store.expose(ctx).unwrap_err();
        assert!(matches!(error, Error::Memory(offheap::Error::OneBuffer { .. })), "{error}");
        detach(ctx, &global(ctx, "r"), None).unwrap();
        assert_eq!(store.expose(ctx).unwrap().len(), 8);
    });
}

#[test]
fn a_handle_of_one_isolate_is_refused_in_another_also_where_ids_are_given_out_again() {
    let mut first = Isolate::new().unwrap();
    let handle = first.enter(|scope| scope.eval_buffer("new ArrayBuffer(8)").unwrap().into_handle());
    let mut second = Isolate::new().unwrap();
    second.enter(|scope| {
        assert!(matches!(scope.bytes(&handle).map(drop), Err(Error::WrongIsolate { .. })));
        assert!(matches!(scope.open(handle.clone()), Err(Error::WrongIsolate { .. })));
        assert!(matches!(scope.detach(&handle, None), Err(Error::WrongIsolate { .. })));
    });
    drop(first);
    // Ids are reused, so one of these isolates may have the id of the one that ended.
    for mut isolate in (0..8).map(|_| Isolate::new().unwrap()).collect::<Vec<_>>() {
        isolate.enter(|scope| {
            let error = scope.state(&handle).unwrap_err();
            assert!(matches!(error, Error::IsolateGone), "{error}");
        });
    }
    let error = ManuallyExternalizedBuffer::new(handle).unwrap_err();
    assert!(matches!(error.error(), Error::IsolateGone), "{error}");
}

#[test]
fn isolates_are_entered_inside_each_other() {
    let store = numbered(8);
    let (mut outer, mut inner) = (Isolate::new().unwrap(), Isolate::new().unwrap());
    outer.enter(|out| {
        let there: Local<'_, _> = out.expose(&store).unwrap();
        let guard = out.bytes(&there).unwrap();
        inner.enter(|scope| {
            assert!(scope.expose(&store).is_err());
            scope.eval::<u32>("new Uint8Array(100).fill(1); 0").unwrap();
        });
        drop(inner);
        assert_eq!(guard[7], 7);
    });
}

/// Cells belong to one thread, and so does their view: the guard derefs to `&[Cell<u8>]`.
#[test]
fn cells_deref_to_a_slice_of_cells() {
    in_own_context(|ctx| {
        let store = numbered(4);
        let cells = store.cells(ctx).unwrap();
        let slice: &[Cell<u8>] = &cells;
        slice[0].swap(&slice[3]);
        drop(cells);
        assert_eq!(store.to_vec().unwrap(), [3, 1, 2, 0]);
    });
}
