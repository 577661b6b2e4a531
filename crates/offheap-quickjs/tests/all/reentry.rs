//! Calls at forbidden times: from an owner's drop while QuickJS waits for it, from an interrupt handler during
//! externalizing, and from a handle's drop under a guard.

use std::cell::{Cell, RefCell};
use std::process::Command;

use crate::common::counted;
use offheap_quickjs::offheap::{BackingStore, StoreKind, UniqueStore};
use offheap_quickjs::rquickjs::{Ctx, Function, Object, Value};
use offheap_quickjs::{BackingStoreExt, Error, Handle, Isolate, JsArrayBuffer, ManuallyExternalizedBuffer, ScopeExt};

thread_local! {
    static HANDLE: RefCell<Option<Handle<JsArrayBuffer>>> = const { RefCell::new(None) };
    static ISOLATE: RefCell<Option<Isolate>> = const { RefCell::new(None) };
    static REFUSED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// A store with this deleter.
fn with_deleter(deleter: impl FnOnce() + Send + 'static) -> BackingStore {
    UniqueStore::from_owner_with_deleter(vec![1_u8; 64], move |_, _| deleter()).unwrap().into()
}

fn externalize_the_kept_handle() {
    if let Some(handle) = HANDLE.take()
        && let Err(rejected) = ManuallyExternalizedBuffer::new(handle)
    {
        REFUSED.with_borrow_mut(|refused| refused.push(rejected.to_string()));
    }
}

#[test]
fn a_deleter_cannot_externalize_the_buffer_whose_memory_it_frees() {
    for transfer in [None, Some(32)] {
        let mut isolate = Isolate::new().unwrap();
        isolate.enter(|scope| {
            let store = with_deleter(externalize_the_kept_handle);
            let buffer = scope.expose(&store).unwrap().into_handle();
            HANDLE.set(Some(buffer.clone()));
            drop(store);
            match transfer {
                None => scope.detach(&buffer, None).unwrap(),
                Some(_) => drop(scope.transfer(&buffer, transfer).unwrap()),
            }
        });
        let refused = REFUSED.take();
        assert_eq!(refused.len(), 1, "{transfer:?}");
        assert!(refused[0].contains("owner's drop or an observer"), "{}", refused[0]);
    }
}

#[test]
fn a_handle_that_a_deleter_drops_is_released_afterwards() {
    let mut isolate = Isolate::new().unwrap();
    let (other, dropped) = counted(vec![2; 8]);
    isolate.enter(|scope| {
        HANDLE.set(Some(scope.expose(&other).unwrap().into_handle()));
        let buffer = scope.expose(&with_deleter(|| drop(HANDLE.take()))).unwrap().into_handle();
        scope.detach(&buffer, None).unwrap();
        assert!(HANDLE.with_borrow(Option::is_none));
    });
    assert_eq!(other.exposure(), None);
    drop(other);
    assert_eq!(dropped.get(), 1);
}

#[test]
fn an_isolate_that_a_deleter_enters_ends_the_process() {
    const CHILD: &str = "OFFHEAP_TEST_ENTER_FROM_DELETER";
    if std::env::var_os(CHILD).is_none() {
        let test = "reentry::an_isolate_that_a_deleter_enters_ends_the_process";
        let child = Command::new(std::env::current_exe().unwrap());
        let output = { child }.args([test, "--exact", "--nocapture"]).env(CHILD, "1").output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(stderr.contains("entered an isolate that is freeing a buffer"), "{stderr}");
        assert!(stderr.contains("panicked while QuickJS was freeing a buffer"), "{stderr}");
        assert!(!stderr.contains("not reached"), "{stderr}");
        return;
    }
    let mut isolate = Isolate::new().unwrap();
    let store = with_deleter(|| {
        ISOLATE.with_borrow_mut(|isolate| isolate.as_mut().unwrap().enter(|scope| scope.collect()));
        eprintln!("not reached");
    });
    let buffer = isolate.enter(|scope| scope.expose(&store).unwrap().into_handle());
    ISOLATE.set(Some(isolate));
    drop(store);
    drop(buffer);
    eprintln!("not reached");
}

#[test]
fn an_isolate_that_a_value_of_its_script_enters_or_ends_when_it_is_dropped_ends_the_process() {
    const CHILD: &str = "OFFHEAP_TEST_ISOLATE_IN_DROP";
    type InDrop = fn();
    const WAYS: [(&str, &str, InDrop); 2] = [
        ("enter", "an isolate was entered during a call into it", || {
            ISOLATE.with_borrow_mut(|isolate| isolate.as_mut().unwrap().enter(|scope| scope.collect()));
        }),
        ("end", "an isolate was dropped during a call into it", || drop(ISOLATE.take())),
    ];
    struct OnDrop(InDrop);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0();
            eprintln!("not reached");
        }
    }
    let Some(way) = std::env::var_os(CHILD) else {
        for (way, message, _) in WAYS {
            let test =
                "reentry::an_isolate_that_a_value_of_its_script_enters_or_ends_when_it_is_dropped_ends_the_process";
            let child = Command::new(std::env::current_exe().unwrap());
            let output = { child }.args([test, "--exact", "--nocapture"]).env(CHILD, way).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success());
            assert!(stderr.contains(message), "{way}: {stderr}");
            assert!(!stderr.contains("not reached"), "{way}: {stderr}");
        }
        return;
    };
    let (.., in_drop) = WAYS.into_iter().find(|(name, ..)| way == *name).unwrap();
    let mut isolate = Isolate::new().unwrap();
    let buffer = isolate.enter(|scope| {
        scope.with_ctx(|ctx| {
            let kept = OnDrop(in_drop);
            let function = Function::new(ctx.clone(), move || {
                let _ = &kept;
            });
            ctx.globals().set("kept", function.unwrap()).unwrap();
        });
        let source = "const buffer = new ArrayBuffer(8); buffer.kept = kept; delete globalThis.kept; return buffer";
        scope.eval_buffer(&format!("(() => {{ {source} }})()")).unwrap().into_handle()
    });
    ISOLATE.set(Some(isolate));
    drop(buffer);
    eprintln!("not reached");
}

#[test]
fn an_interrupt_handler_cannot_externalize_the_buffer_that_is_being_externalized() {
    thread_local!(static ARMED: Cell<bool> = const { Cell::new(false) });
    let handler = || {
        if ARMED.get() {
            externalize_the_kept_handle();
        }
        false
    };
    let mut isolate = Isolate::builder().interrupt_handler(handler).build().unwrap();
    isolate.enter(|scope| {
        scope.with_ctx(|ctx| {
            let externalize = Function::new(ctx.clone(), |value: Value<'_>| {
                ARMED.set(true);
                let store = BackingStore::externalize(value.ctx(), &value);
                ARMED.set(false);
                assert_eq!(store.unwrap().to_vec().unwrap(), [7; 64]);
            });
            ctx.globals().set("externalize", externalize.unwrap()).unwrap();
        });
        // QuickJS asks the handler once in 10,000 calls.
        for _ in 0..30_000 {
            let buffer = scope.eval_buffer("globalThis.b = new ArrayBuffer(64); new Uint8Array(b).fill(7); b").unwrap();
            HANDLE.set(Some(buffer.into_handle()));
            scope.eval::<()>("externalize(b); new Uint8Array(b)[0] === 7 || (() => { throw 0 })(); undefined").unwrap();
        }
        HANDLE.set(None);
    });
    let refused = REFUSED.take();
    assert!(refused.iter().any(|message| message.contains("by its handle")), "{refused:?}");
}

#[test]
fn dropping_a_handle_under_a_guard_runs_no_script() {
    struct EvalOnDrop<'js>(Ctx<'js>);
    impl Drop for EvalOnDrop<'_> {
        fn drop(&mut self) {
            self.0.eval::<(), _>("new Uint8Array(target).fill(255); undefined").unwrap();
        }
    }
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let target = scope.eval_buffer("globalThis.target = new ArrayBuffer(16)").unwrap();
        let holder = scope.eval_buffer("globalThis.holder = new ArrayBuffer(16)").unwrap();
        scope.with_ctx(|ctx| {
            let eval_on_drop = EvalOnDrop(ctx.clone());
            let held = Function::new(ctx.clone(), move || {
                let _ = &eval_on_drop;
            });
            let holder: Object<'_> = ctx.globals().get("holder").unwrap();
            holder.set("held", held.unwrap()).unwrap();
            ctx.eval::<(), _>("delete globalThis.holder; undefined").unwrap();
        });
        let bytes = scope.bytes(&target).unwrap();
        drop(holder);
        assert_eq!(*bytes, [0; 16]);
        drop(bytes);
        // The next call that may run script releases the handle.
        assert_eq!(scope.eval::<u32>("new Uint8Array(target)[0]").unwrap(), 255);
    });
}

#[test]
fn many_transfers_in_one_script_each_find_their_memory() {
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        for length in (40..200).step_by(4) {
            for transfers in 2..9 {
                let (store, dropped) = counted(vec![9; 600]);
                let buffer = scope.expose(&store).unwrap();
                scope.set_global("b", &buffer).unwrap();
                drop((buffer, store));
                let script = format!(
                    "for (let i = 0; i < {transfers}; i++) {{
                        b = b.transfer({length} + i);
                        if (new Uint8Array(b)[0] !== 9) throw i;
                    }} b"
                );
                let last = scope.eval_buffer(&script).unwrap();
                assert_eq!(dropped.get(), 1, "{length} {transfers}");
                let moved = scope.externalize(&last).unwrap();
                assert_eq!((moved.byte_length(), moved.reference_count()), (length + transfers - 1, 2));
                scope.detach(&last, None).unwrap();
                assert_eq!((moved.exposure(), moved.reference_count()), (None, 1));
            }
        }
    });
}

#[test]
fn an_immutable_buffer_of_scripts_is_externalized_as_memory_that_nobody_writes() {
    let mut isolate = Isolate::new().unwrap();
    isolate.enter(|scope| {
        let buffer =
            scope.eval_buffer("globalThis.i = new Uint8Array([1, 2, 3]).buffer.transferToImmutable()").unwrap();
        let store = scope.externalize(&buffer).unwrap();
        assert_eq!(store.kind(), StoreKind::FROZEN);
        assert!(matches!(scope.store_bytes_mut(&store), Err(Error::Memory(_))));
        assert!(matches!(scope.copy_in(&store, 0, &[9_u8]), Err(Error::Memory(_))));
        let again = scope.expose(&store).unwrap();
        assert!(scope.state(&again).unwrap().immutable);
        assert_eq!(scope.eval::<String>("new Uint8Array(i).join()").unwrap(), "1,2,3");
    });
}
