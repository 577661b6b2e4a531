//! A program that forgets five stores: the ledger names each of them at the end, with its place and its holders.

use std::path::Path;
use std::sync::{Mutex, OnceLock};

use offheap_engine::offheap::observe::TRACKS_HANDLES;
use offheap_engine::offheap::{BackingStore, FrozenStore, MapMode, Mapped};
use offheap_engine::{Exposure, Host, Isolate, Scope, SoughtStore, Source};
use offheap_ledger::{Ledger, LiveStore};

static TABLE: OnceLock<BackingStore> = OnceLock::new();
static FILE: Mutex<Option<Mapped>> = Mutex::new(None);

const SCRIPT: &str = "globalThis.cache = { frames: [new Uint8Array(4000)] };";

/// A store that the program forgot.
struct Forgotten {
    byte_length: usize,
    /// The beginning of the place that made it.
    place: String,
}

/// Forgets five stores in an isolate with the name "page", and checks that a ledger at the level `Sites`, to which nothing was told
/// before, names each. `of_script` is the beginning of the place of the one that script made; none if it is the line of Rust that
/// externalized it.
///
/// # Panics
/// If it does not.
pub fn check_forgotten_stores<H: Host>(mut isolate: Isolate<H>, ledger: &Ledger, of_script: Option<&str>) {
    let five = isolate.enter(|scope| forget_five(scope, of_script));
    isolate.enter(|scope| scope.collect());

    let leaks = ledger.leaks();
    assert_eq!(leaks.len(), 5, "{}", ledger.report());
    for (leak, forgotten) in leaks.iter().zip(&five) {
        assert_eq!(leak.byte_length, forgotten.byte_length, "{leak}");
        assert!(leak.created.to_string().starts_with(&forgotten.place), "{leak}, not {}", forgotten.place);
    }
    for (leak, forgotten) in leaks.iter().zip(&five[..4]) {
        let of_rust = match TRACKS_HANDLES {
            true => format!("held by a reference taken at {}", forgotten.place),
            false => "held by 1 reference of native code".to_owned(),
        };
        let holders = leak.holders.to_string();
        assert!(holders.starts_with(&of_rust), "{holders}");
    }
    // Where script made the store, it is the line that exposed it, too.
    let held = format!("held by 1 buffer in {}", isolate.id());
    let exposed = of_script.map_or_else(String::new, |place| format!(", exposed at {place}"));
    assert!(leaks[4].holders.to_string().starts_with(&format!("{held}{exposed}")), "{}", leaks[4]);
    assert!(isolate.id().to_string().ends_with(" \"page\""));
    the_path_of_objects_is_named(&mut isolate, ledger, &leaks[4]);
    the_report_has_a_line_for_each(ledger, &five);

    // With its isolate, what only script keeps ends.
    drop(isolate);
    assert_eq!(ledger.report().balance.to_string(), balance(&five, 4));
}

/// Forgets five stores, the one that a global of script keeps as the last.
fn forget_five<H: Host>(scope: &mut Scope<'_, H>, of_script: Option<&str>) -> [Forgotten; 5] {
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

    let at = |byte_length, step: u32| Forgotten { byte_length, place: format!("{}:{}:", file!(), line + step) };
    let place = of_script.map_or_else(|| at(4000, 18).place, str::to_owned);
    [at(1000, 0), at(2000, 4), at(3000, 6), at(map_length, 12), Forgotten { byte_length: 4000, place }]
}

/// The engine finds the path, and the ledger names it from then on.
fn the_path_of_objects_is_named<H: Host>(isolate: &mut Isolate<H>, ledger: &Ledger, leak: &LiveStore) {
    let sought = SoughtStore { store: leak.store, address: leak.data.unwrap() };
    let retainers = isolate.enter(|scope| scope.retainers_of(&[sought]).unwrap());
    assert_eq!(retainers[0].to_string(), "globalThis.cache.frames[0].buffer");
    ledger.note_path(leak.store, isolate.id(), retainers[0].path.as_ref().unwrap().to_texts());
    let said = ledger.leaks().pop().unwrap().holders.to_string();
    let path = "globalThis > cache > frames > [0] > buffer";
    assert!(said.starts_with(&format!("held by 1 buffer in {}", isolate.id())), "{said}");
    assert!(said.ends_with(&format!(", kept by {path}")), "{said}");
    let snapshot = ledger.snapshot();
    assert_eq!(snapshot.stores.last().unwrap().holders.buffers[0].path.join(" > "), path);
}

fn the_report_has_a_line_for_each(ledger: &Ledger, five: &[Forgotten; 5]) {
    let report = ledger.report().to_string();
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines.len(), 6, "{report}");
    for (line, forgotten) in lines.iter().zip(five) {
        let begin = format!("offheap: leak: {} bytes, allocated at {}", forgotten.byte_length, forgotten.place);
        assert!(line.starts_with(&begin), "{line}, not {begin}");
        assert!(line.contains(": held by "), "{line}");
    }
    assert_eq!(lines[5], balance(five, 5));
}

fn balance(five: &[Forgotten; 5], leaked: u64) -> String {
    let bytes: usize = five.iter().map(|forgotten| forgotten.byte_length).sum();
    format!("offheap: 5 stores, {:.1} KiB external, {leaked} leaked, 0 refused", bytes as f64 / 1024.0)
}
