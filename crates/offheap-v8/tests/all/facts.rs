//! Facts about V8 that the adapter relies on. If another version changes one, a test fails here first.

use offheap_v8::offheap::{BackingStore, UniqueStore};
use offheap_v8::{BackingStoreExt, Capabilities, Engine, Error, Isolate, V8_VERSION, v8};

use crate::common::{counted, in_child, in_own_scope, run, start};

/// The versions of V8 with which this crate is tested. A version that is not in this list was not tried.
const TESTED: [&str; 2] = ["15.0.245.2-rusty", "15.2.124.1-rusty"];

#[test]
fn the_version_is_one_that_is_tested() {
    assert!(TESTED.contains(&V8_VERSION), "{V8_VERSION}");
    start();
    assert!(v8::V8::get_version().starts_with(V8_VERSION), "{}", v8::V8::get_version());
    let capabilities: Capabilities = Isolate::new().unwrap().capabilities();
    assert_eq!(capabilities, Capabilities::all());
}

#[test]
fn flags_after_the_start_are_an_error_and_so_are_unknown_ones() {
    let Some(output) = in_child("facts::flags_after_the_start_are_an_error_and_so_are_unknown_ones") else {
        for unknown in ["--no-such-flag-of-v8", "--expose-gc\0"] {
            let error = offheap_v8::start(unknown).unwrap_err();
            assert!(matches!(&error, Error::Flag { flag, .. } if flag == unknown), "{error}");
        }
        offheap_v8::start("").unwrap();
        let isolate = Isolate::new().unwrap();
        offheap_v8::start(" ").unwrap();
        let error = offheap_v8::start("--expose-gc").unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        drop(isolate);
        // Without the flag, V8 cannot collect only the young objects.
        assert!(!Isolate::new().unwrap().capabilities().contains(Capabilities::GENERATIONS));
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn b14_a_flag_for_which_v8_ends_the_process_is_an_error_that_names_it() {
    let Some(output) = in_child("facts::b14_a_flag_for_which_v8_ends_the_process_is_an_error_that_names_it") else {
        let long = format!("--{}=1", "x".repeat(2000));
        for (flags, named) in [
            ("--help", "--help"),
            ("-help", "-help"),
            ("--expose-gc --help=1", "--help=1"),
            ("--no-opt --no-help=1", "--no-help=1"),
            ("--version", "--version"),
            ("--print_feature-flags_json", "--print_feature-flags_json"),
            ("--flag-processing-mode=exit-on-error", "--flag-processing-mode=exit-on-error"),
            ("--memory-reducer-delay-ms=0", "--memory-reducer-delay-ms=0"),
            ("--memory-reducer-delay-ms 0", "--memory-reducer-delay-ms"),
            ("--no-memory-reducer-delay-ms=0", "--no-memory-reducer-delay-ms=0"),
            ("--minimum_invocations_after_ic_update=0", "--minimum_invocations_after_ic_update=0"),
            ("--stack-size=lots", "--stack-size=lots"),
            ("--stack-size", "--stack-size"),
            ("--abort-on-far-code-range", "--abort-on-far-code-range"),
            ("--log-or-trace-osr", "--log-or-trace-osr"),
            ("--maglev-break-on-entry", "--maglev-break-on-entry"),
            ("script.js", "script.js"),
            ("-- --expose-gc", "--"),
            (&long, &long[..128]),
        ] {
            let error = offheap_v8::start(flags).unwrap_err();
            assert!(matches!(&error, Error::Flag { flag, .. } if flag == named), "{flags}: {error}");
            assert!(error.to_string().contains(named), "{flags}: {error}");
        }
        // None of them changed anything permanently.
        offheap_v8::start("--no-help --stack-size 20000 --external-memory-max-reasonable-size=1 --logfile")
            .unwrap_err();
        offheap_v8::start("--no-help --stack-size 20000 --external-memory-max-reasonable-size=1").unwrap();
        let mut isolate = Isolate::new().unwrap();
        isolate.enter(|scope| {
            let source = "const again = () => again() + 1; try { again() } catch (e) { e.name }";
            assert_eq!(scope.eval::<String>(source).unwrap(), "RangeError");
        });
        return;
    };
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{}: {told}", output.status);
}

#[test]
fn a_program_that_started_v8_itself_has_copies_of_frozen_memory() {
    use offheap_v8::FrozenStoreExt;
    use offheap_v8::offheap::FrozenStore;
    use offheap_v8::{CopyReason, Exposure};

    let Some(output) = in_child("facts::a_program_that_started_v8_itself_has_copies_of_frozen_memory") else {
        v8::V8::initialize_platform(v8::new_default_platform(0, false).make_shared());
        v8::V8::initialize();
        offheap_v8::started_by_the_program();
        in_own_isolate(|scope| {
            let words: &'static [u64] = &[3; 4];
            let store = FrozenStore::from_owner(words).unwrap();
            let (buffer, exposure) = store.expose(scope).unwrap();
            assert_eq!(exposure, Exposure::Copied { reason: CopyReason::ImmutableNotEnforced });
            assert_eq!(BackingStore::externalize(scope, buffer.into()).unwrap().to_vec().unwrap(), store.to_vec());
            let error = BackingStore::from(store).expose(scope).unwrap_err();
            assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        });
        let mut isolate = Isolate::new().unwrap();
        assert_eq!(isolate.enter(|scope| scope.eval::<u32>("1")).unwrap(), 1);
        assert!(!Isolate::new().unwrap().capabilities().contains(Capabilities::IMMUTABLE));
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn in_own_isolate(work: impl FnOnce(&mut v8::PinScope<'_, '_>)) {
    let isolate = &mut v8::Isolate::new(v8::CreateParams::default());
    v8::scope!(let scope, isolate);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    work(scope);
}

#[test]
fn empty_buffers_have_no_data_and_detached_ones_a_fresh_block_each_time() {
    in_own_scope(|scope| {
        for (source, same) in
            [("new ArrayBuffer(0)", true), ("globalThis.b = new ArrayBuffer(8); b.transfer(); b", false)]
        {
            let buffer: v8::Local<'_, v8::ArrayBuffer> = run(scope, source).try_into().unwrap();
            assert!(buffer.data().is_none(), "{source}");
            let (first, second) = (buffer.get_backing_store(), buffer.get_backing_store());
            assert_eq!(std::ptr::eq(&*first, &*second), same, "{source}");
        }
    });
}

#[test]
fn the_deleter_of_an_empty_store_is_called_once() {
    let (store, dropped) = counted(Vec::new());
    in_own_scope(|scope| {
        let buffer = store.expose(scope).unwrap();
        assert!(buffer.data().is_some());
        assert_eq!(BackingStore::externalize(scope, buffer.into()).unwrap(), store);
        drop(store);
        assert_eq!(dropped.get(), 0);
        offheap_v8::detach(scope, buffer.into(), None).unwrap();
    });
    assert_eq!(dropped.get(), 1);
}

#[test]
fn transferring_to_the_same_length_moves_and_to_another_copies() {
    in_own_scope(|scope| {
        let store = BackingStore::from(UniqueStore::zeroed(64).unwrap());
        let buffer = store.expose(scope).unwrap();
        crate::common::set(scope, "b", buffer.into());
        let moved = run(scope, "globalThis.c = b.transfer(64)");
        assert_eq!(BackingStore::externalize(scope, moved).unwrap(), store);
        let copied = run(scope, "globalThis.d = c.transfer(65)");
        assert_ne!(BackingStore::externalize(scope, copied).unwrap(), store);
        assert_eq!(store.exposure(), None);
    });
}

#[test]
fn external_memory_is_counted_for_each_buffer_over_a_store() {
    in_own_scope(|scope| {
        let store = BackingStore::from(UniqueStore::zeroed(1 << 20).unwrap());
        // Let the adapter make its own objects first.
        let other = v8::ArrayBuffer::new(scope, 1);
        offheap_v8::detach(scope, other.into(), None).unwrap();
        let before = scope.get_heap_statistics().external_memory();
        let buffers = [store.expose(scope).unwrap(), store.expose(scope).unwrap()];
        assert_eq!(scope.get_heap_statistics().external_memory() - before, 2 << 20);
        for buffer in buffers {
            offheap_v8::detach(scope, buffer.into(), None).unwrap();
        }
        assert_eq!(scope.get_heap_statistics().external_memory(), before);
    });
}

/// Whether V8 keeps the machine code of `x => x * 2 + 1` that it made after whole numbers, when a fraction comes.
const KEEPS_CODE: &str = "const f = x => x * 2 + 1; %PrepareFunctionForOptimization(f); f(1e10);
    %OptimizeFunctionOnNextCall(f); f(1e10); if (!%ActiveTierIsTurbofan(f)) throw 0; f(0.75); %ActiveTierIsTurbofan(f)";

#[test]
fn additions_are_compiled_for_all_numbers() {
    let Some(output) = in_child("facts::additions_are_compiled_for_all_numbers") else {
        offheap_v8::start("--allow-natives-syntax").unwrap();
        assert!(evaluates(KEEPS_CODE));
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// If this fails, V8 has no other code for whole numbers, and `start` need not switch that off any more.
#[test]
fn v8_still_compiles_additions_for_whole_numbers_only() {
    let Some(output) = in_child("facts::v8_still_compiles_additions_for_whole_numbers_only") else {
        offheap_v8::start("--allow-natives-syntax --additive-safe-int-feedback").unwrap();
        assert!(!evaluates(KEEPS_CODE));
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn evaluates(source: &str) -> bool {
    Isolate::new().unwrap().enter(|scope| scope.eval::<bool>(source)).unwrap()
}
