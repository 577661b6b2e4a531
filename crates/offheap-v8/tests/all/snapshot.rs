//! A program's start-up snapshot whose functions are not V8's. Read-only memory must be kept from them.

use offheap_v8::offheap::{BackingStore, FrozenStore};
use offheap_v8::{BackingStoreExt, CopyReason, Exposure, FrozenStoreExt, transfer, v8};

use crate::common::{counted, in_child, run, set};

/// An isolate whose contexts begin in the state in which this script left the first one.
fn isolate_after(source: &str) -> v8::OwnedIsolate {
    let mut creator = v8::Isolate::snapshot_creator(None, None);
    {
        v8::scope!(let scope, &mut creator);
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        scope.set_default_context(context);
        let scope = &mut v8::ContextScope::new(scope, context);
        run(scope, source);
    }
    let blob = creator.create_blob(v8::FunctionCodeHandling::Keep).unwrap();
    v8::Isolate::new(v8::CreateParams::default().snapshot_blob(blob))
}

#[test]
fn functions_that_are_not_v8s_do_not_get_read_only_memory() {
    let Some(output) = in_child("snapshot::functions_that_are_not_v8s_do_not_get_read_only_memory") else {
        // This runs without immutable buffers, because V8 ends the process if a snapshot has them enabled.
        v8::V8::initialize_platform(v8::new_default_platform(0, false).make_shared());
        v8::V8::initialize();
        return hostile_snapshots();
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn hostile_snapshots() {
    let write = "function () { new Bytes(this)[0] = 66; globalThis.stash = this; return this; }";
    let words: &'static [u64] = vec![7; 4].leak();
    // The probe's functions exist, too. Only V8's own report about the function reveals the difference.
    let pretend = "Object.defineProperty(ArrayBuffer.prototype, 'immutable', { get() { return true } });
                   globalThis.Bytes = Uint8Array; globalThis.transfer = ArrayBuffer.prototype.transfer;
                   ArrayBuffer.prototype.transfer = () => {}; globalThis.Uint8Array = class { every() { return true } };";
    for method in [
        write.to_owned(),
        format!("({{ transferToImmutable: {write} }}).transferToImmutable"),
        format!("({write}).bind(new ArrayBuffer(8))"),
        "transfer".to_owned(),
        "undefined".to_owned(),
    ] {
        let source = format!("{pretend} ArrayBuffer.prototype.transferToImmutable = {method}; 0");
        let isolate = &mut isolate_after(&source);
        v8::scope!(let scope, isolate);
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        let scope = &mut v8::ContextScope::new(scope, context);
        assert!(run(scope, "new ArrayBuffer(8).immutable").is_true(), "the snapshot is in use");
        let store = FrozenStore::from_owner(words).unwrap();
        let (_, exposure) = store.expose(scope).unwrap();
        assert_eq!(exposure, Exposure::Copied { reason: CopyReason::ImmutableNotEnforced }, "{method}");
        assert_eq!(words, [7; 4], "{method}");
    }
}

#[test]
fn a_transfer_that_a_snapshot_replaced_is_an_error_or_moves_nothing() {
    let Some(output) = in_child("snapshot::a_transfer_that_a_snapshot_replaced_is_an_error_or_moves_nothing") else {
        offheap_v8::start("--no-js-immutable-arraybuffer").unwrap();
        return replaced_transfers();
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn replaced_transfers() {
    let gone = "const gone = new ArrayBuffer(8); const own = ArrayBuffer.prototype.transfer; own.call(gone);";
    for (result, fails) in [
        ("undefined", true),
        ("new SharedArrayBuffer(8)", true),
        ("gone", true),
        ("new Uint8Array(8)", true),
        ("new ArrayBuffer(3)", false),
        ("this", false),
    ] {
        let source = format!("{gone} ArrayBuffer.prototype.transfer = function () {{ return {result}; }}; 0");
        let isolate = &mut isolate_after(&source);
        v8::scope!(let scope, isolate);
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        let scope = &mut v8::ContextScope::new(scope, context);
        let (store, drops) = counted(vec![1, 2, 3]);
        let buffer = store.expose(scope).unwrap();
        let moved = transfer(scope, buffer.into(), None);
        assert_eq!(moved.is_err(), fails, "{result}: {moved:?}");
        if let Ok(moved) = moved {
            run(scope, "0");
            assert!(BackingStore::externalize(scope, moved.into()).is_ok(), "{result}");
        }
        assert_eq!((store.to_vec().unwrap(), drops.get()), (vec![1, 2, 3], 0), "{result}");
    }
}

#[test]
fn b14_a_snapshot_creator_that_had_buffers_over_stores_makes_its_blob() {
    let Some(output) = in_child("snapshot::b14_a_snapshot_creator_that_had_buffers_over_stores_makes_its_blob") else {
        // An isolate that starts from a snapshot has no immutable buffers (V8's own limit); those that make one may.
        offheap_v8::start("").unwrap();
        return drop(blob_with_buffers());
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn b14_a_snapshot_has_copies_of_the_bytes_of_stores() {
    let Some(output) = in_child("snapshot::b14_a_snapshot_has_copies_of_the_bytes_of_stores") else {
        offheap_v8::start("--no-js-immutable-arraybuffer").unwrap();
        let isolate = &mut v8::Isolate::new(v8::CreateParams::default().snapshot_blob(blob_with_buffers()));
        v8::scope!(let scope, isolate);
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        let scope = &mut v8::ContextScope::new(scope, context);
        assert!(run(scope, "new Uint8Array(frozen)[8] === 7 && new Uint8Array(fixed)[0] === 9").is_true());
        let fixed = run(scope, "fixed");
        assert_eq!(BackingStore::externalize(scope, fixed).unwrap().to_vec().unwrap(), [9; 8]);
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Makes a snapshot of an isolate with buffers over stores. The stores are free afterwards.
fn blob_with_buffers() -> v8::StartupData {
    static WORDS: [u64; 4] = [7; 4];
    let frozen = FrozenStore::from_owner(&WORDS[..]).unwrap();
    let (fixed, dropped) = counted(vec![9; 8]);
    let mut creator = v8::Isolate::snapshot_creator(None, None);
    {
        v8::scope!(let scope, &mut creator);
        let context = v8::Context::new(scope, v8::ContextOptions::default());
        scope.set_default_context(context);
        let scope = &mut v8::ContextScope::new(scope, context);
        let (buffer, _) = frozen.expose(scope).unwrap();
        set(scope, "frozen", buffer.into());
        let buffer = fixed.expose(scope).unwrap();
        set(scope, "fixed", buffer.into());
        let made = run(scope, "globalThis.made = new ArrayBuffer(8)");
        BackingStore::externalize(scope, made).unwrap();
    }
    let blob = creator.create_blob(v8::FunctionCodeHandling::Keep).unwrap();
    assert_eq!((frozen.reference_count(), fixed.exposure()), (1, None));
    drop(fixed);
    assert_eq!(dropped.get(), 1);
    blob
}
