//! Stores that a program forgot: all of them are named, with who holds them. There is one test, because a process has one
//! observer.

use std::sync::{Mutex, OnceLock};

use offheap::adapter::{Hold, IsolateRegistration};
use offheap::{BackingStore, FrozenStore, MapMode, Mapped, UniqueStore};
use offheap_ledger::{Level, LiveStore};

static KEPT: OnceLock<BackingStore> = OnceLock::new();
static LIST: Mutex<Vec<BackingStore>> = Mutex::new(Vec::new());

#[test]
fn each_forgotten_store_is_named_with_its_holders() {
    let ledger = offheap_ledger::install(Level::Sites).unwrap();
    let isolate = IsolateRegistration::new("Model").unwrap();
    isolate.set_name("main").unwrap();

    let first = line!() + 1;
    KEPT.set(BackingStore::from(UniqueStore::zeroed(100).unwrap())).unwrap();
    let frozen = FrozenStore::from_owner(vec![0_u8; 200]).unwrap();
    std::mem::forget(frozen);
    let mapped = Mapped::open(file!().trim_start_matches("crates/offheap-ledger/"), MapMode::ReadOnly).unwrap();
    let script = BackingStore::from(UniqueStore::zeroed(400).unwrap());
    let buffer = Hold::new(&script, isolate.id()).unwrap();
    drop(script);
    let parts = BackingStore::from(UniqueStore::zeroed(500).unwrap());
    LIST.lock().unwrap().extend([parts.slice(0..16).unwrap(), parts.slice(16..32).unwrap()]);
    let weak = parts.downgrade();
    drop(parts);

    let leaks = ledger.leaks();
    let said: Vec<String> = leaks.iter().map(|leak| leak.to_string()).collect();
    let find = |start: &str| {
        let found = said.iter().find(|said| said.starts_with(start)).unwrap_or_else(|| panic!("{said:#?}"));
        let (_, place) = found.split_once("tests/forgotten.rs:").unwrap();
        let (line, rest) = place.split_once(':').unwrap();
        let (_, holders) = rest.split_once(": ").unwrap();
        (line.parse::<u32>().unwrap() - first, holders.to_owned())
    };
    assert_eq!(said.len(), 5);
    let one = if offheap::observe::TRACKS_HANDLES {
        "held by a reference taken at"
    } else {
        "held by 1 reference of native code"
    };
    let is_held = |(line, holders): (u32, String), expected: u32| {
        assert_eq!(line, expected, "{holders}");
        assert!(holders.starts_with(one), "{holders}");
    };
    is_held(find("100 bytes, allocated at"), 0);
    is_held(find("200 bytes, allocated at"), 1);
    is_held(find(&format!("{} bytes, allocated at", mapped.store().byte_length())), 3);
    assert_eq!(find("400 bytes"), (4, format!("held by 1 buffer in {}", isolate.id())));
    assert!(isolate.id().to_string().ends_with(" \"main\""));
    let (line, holders) = find("500 bytes");
    assert_eq!(line, 7);
    match offheap::observe::TRACKS_HANDLES {
        true => assert!(holders.starts_with("held by a reference to bytes 0..16 taken at "), "{holders}"),
        false => assert_eq!(holders, "held by 2 references of native code and 1 weak handle"),
    }
    let report = ledger.report().to_string();
    assert!(report.ends_with("5 leaked, 0 refused"), "{report}");
    assert!(leaks.iter().all(|leak: &LiveStore| leak.stack.is_some()));

    ledger.expect_static(KEPT.get().unwrap());
    assert_eq!(ledger.balance().leaked, 4);
    LIST.lock().unwrap().clear();
    drop((buffer, mapped, weak));
    assert_eq!(ledger.leaks().len(), 1);
    finds_one_among_a_million(ledger);
}

fn finds_one_among_a_million(ledger: &offheap_ledger::Ledger) {
    let before = ledger.snapshot();
    let mut kept = None;
    let begin = benches::cpu_nanoseconds();
    for at in 0..1_000_000 {
        let store = BackingStore::from(UniqueStore::zeroed(64).unwrap());
        if at == 567_890 {
            kept = Some(store);
        }
    }
    let made = benches::cpu_nanoseconds();
    let leaks = ledger.leaks();
    let new: Vec<&LiveStore> = leaks.iter().filter(|leak| leak.time > before.time).collect();
    let frames = new[0].stack.unwrap().frames();
    let difference = ledger.snapshot().since(&before);
    let found = benches::cpu_nanoseconds();
    // Far less than it took to make them.
    assert!(found - made < (made - begin) / 10.0, "{} ns to make them, {} ns to find one", made - begin, found - made);

    assert_eq!((new.len(), new[0].store), (1, kept.as_ref().unwrap().id()));
    let is_there = |name: &str| frames.iter().any(|frame| frame.function.as_deref().is_some_and(|f| f.contains(name)));
    assert!(is_there("finds_one_among_a_million"), "{frames:#?}");
    assert_eq!((difference.made.len(), difference.freed.len()), (1, 0));
    let [change] = &difference.sites[..] else { panic!("{difference}") };
    assert_eq!((change.live_bytes, change.live_stores, change.stores), (64, 1, 1_000_000));
    assert!(difference.to_string().starts_with(&format!("{}: +64 bytes, +1 stores\n", new[0].created)), "{difference}");

    let json = serde_json::to_string(&ledger.snapshot()).unwrap();
    let read: offheap_ledger::Snapshot = serde_json::from_str(&json).unwrap();
    assert_eq!(read.stores.len(), 3);
}
