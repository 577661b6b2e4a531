//! A program that forgets five stores: the ledger names each of them at the end, with its place and its holders. It has a
//! separate file, because a process has one observer.

use std::path::Path;
use std::sync::{Mutex, OnceLock};

use offheap_ledger::{Ledger, Level, LiveStore};
use offheap_quickjs::offheap::observe::TRACKS_HANDLES;
use offheap_quickjs::offheap::{BackingStore, FrozenStore, MapMode, Mapped};
use offheap_quickjs::{Exposure, Isolate, Scope, SoughtStore, Source};

static TABLE: OnceLock<BackingStore> = OnceLock::new();
static FILE: Mutex<Option<Mapped>> = Mutex::new(None);

const SCRIPT: &str = "globalThis.cache = { frames: [new Uint8Array(4000)] };";

/// A store that the program forgot.
struct Forgotten {
    byte_length: usize,
    /// The line that made it.
    line: u32,
}

/// Forgets five stores, the one that a global of script keeps as the last.
fn forget_five(scope: &mut Scope<'_>) -> [Forgotten; 5] {
    let plain = BackingStore::from_owner(vec![0_u8; 1000]).unwrap();
    let line = line!() - 1;
    std::mem::forget(plain);

    TABLE.set(BackingStore::from_owner(vec![0_u8; 2000]).unwrap()).unwrap();

    let frozen = FrozenStore::from_owner(vec![0_u8; 3000]).unwrap();
    let (_, exposure) = scope.expose_or_copy(frozen.as_store()).unwrap();
    assert_eq!(exposure, Exposure::External);
    std::mem::forget(frozen);

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let mapped = Mapped::open(path, MapMode::ReadOnly).unwrap();
    let map_length = mapped.store().byte_length();
    *FILE.lock().unwrap() = Some(mapped);

    scope.eval::<()>(Source::named("page.js", SCRIPT)).unwrap();
    let frame = scope.eval_buffer("cache.frames[0].buffer").unwrap();
    drop(scope.externalize(&frame).unwrap());

    let at = |byte_length, line| Forgotten { byte_length, line };
    [at(1000, line), at(2000, line + 4), at(3000, line + 6), at(map_length, line + 12), at(4000, line + 18)]
}

#[test]
fn five_forgotten_stores_are_named_with_places_and_holders() {
    let ledger = offheap_ledger::install(Level::Sites).unwrap();
    let mut isolate = Isolate::builder().name("page").build().unwrap();
    let five = isolate.enter(forget_five);
    isolate.enter(|scope| scope.collect());

    let leaks = ledger.leaks();
    assert_eq!(leaks.len(), 5, "{}", ledger.report());
    for (leak, forgotten) in leaks.iter().zip(&five) {
        assert_eq!(leak.byte_length, forgotten.byte_length, "{leak}");
        let place = format!("tests/forgotten.rs:{}:", forgotten.line);
        assert!(leak.created.to_string().contains(&place), "{leak}, not {place}");
    }
    let of_rust = |at: u32| match TRACKS_HANDLES {
        true => format!("held by a reference taken at crates/offheap-quickjs/tests/forgotten.rs:{at}:"),
        false => "held by 1 reference of native code".to_owned(),
    };
    for (leak, forgotten) in leaks.iter().zip(&five[..4]) {
        let holders = leak.holders.to_string();
        assert!(holders.starts_with(&of_rust(forgotten.line)), "{holders}");
    }
    assert_eq!(leaks[4].holders.to_string(), format!("held by 1 buffer in {}", isolate.id()));
    assert!(isolate.id().to_string().ends_with(" \"page\""));
    the_path_of_objects_is_named(&mut isolate, ledger, &leaks[4]);
    the_report_has_a_line_for_each(ledger, &five);

    // With its isolate, what only script keeps ends.
    drop(isolate);
    assert_eq!(ledger.report().balance.to_string(), balance(&five, 4));
}

/// The engine finds the path, and the ledger names it from then on.
fn the_path_of_objects_is_named(isolate: &mut Isolate, ledger: &Ledger, leak: &LiveStore) {
    let sought = SoughtStore { store: leak.store, address: leak.data.unwrap() };
    let retainers = isolate.enter(|scope| scope.retainers_of(&[sought]).unwrap());
    assert_eq!(retainers[0].to_string(), "globalThis.cache.frames[0].buffer");
    ledger.note_path(leak.store, isolate.id(), retainers[0].path.as_ref().unwrap().to_texts());
    let said = ledger.leaks().pop().unwrap().holders.to_string();
    let path = "globalThis > cache > frames > [0] > buffer";
    assert_eq!(said, format!("held by 1 buffer in {}, kept by {path}", isolate.id()));
    let snapshot = ledger.snapshot();
    assert_eq!(snapshot.stores.last().unwrap().holders.buffers[0].path.join(" > "), path);
}

fn the_report_has_a_line_for_each(ledger: &Ledger, five: &[Forgotten; 5]) {
    let report = ledger.report().to_string();
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines.len(), 6, "{report}");
    for (line, forgotten) in lines.iter().zip(five) {
        let (bytes, at) = (forgotten.byte_length, forgotten.line);
        assert!(line.starts_with(&format!("offheap: leak: {bytes} bytes, allocated at ")), "{line}");
        assert!(line.contains(&format!("tests/forgotten.rs:{at}:")) && line.contains(": held by "), "{line}");
    }
    assert_eq!(lines[5], balance(five, 5));
}

fn balance(five: &[Forgotten; 5], leaked: u64) -> String {
    let bytes: usize = five.iter().map(|forgotten| forgotten.byte_length).sum();
    format!("offheap: 5 stores, {:.1} KiB external, {leaked} leaked, 0 refused", bytes as f64 / 1024.0)
}
