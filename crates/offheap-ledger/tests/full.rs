//! Level `Full` at full speed: no event is lost, and the sums are exact. There is one test, because a process has one
//! observer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use offheap::adapter::{Hold, IsolateRegistration};
use offheap::{BackingStore, UniqueStore};
use offheap_ledger::{Builder, Level};
use offheap_report::format::{Event, Line};

const THREADS: u64 = 8;
const STORES: u64 = 5_000;

#[inline(never)]
fn store(byte_length: usize) -> BackingStore {
    BackingStore::from(UniqueStore::zeroed(byte_length).unwrap())
}

#[test]
fn eight_threads_lose_no_event_and_the_sums_are_exact() {
    let lines: Arc<Mutex<Vec<Line>>> = Arc::default();
    let written = Arc::clone(&lines);
    let ledger = Builder::new(Level::Full)
        .history(4)
        .stream_lines(move |line| {
            written.lock().unwrap().push(line.clone());
            Ok(())
        })
        .install()
        .unwrap();
    let kept: Arc<Mutex<Vec<BackingStore>>> = Arc::default();
    let made_bytes = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (kept, made_bytes) = (Arc::clone(&kept), Arc::clone(&made_bytes));
            thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                let isolate = IsolateRegistration::new("Model").unwrap();
                isolate.set_name(&format!("isolate-{number}")).unwrap();
                for at in 0..STORES {
                    let byte_length = 1 + (at % 100) as usize;
                    made_bytes.fetch_add(byte_length as u64, Ordering::Relaxed);
                    let store = store(byte_length);
                    drop(Hold::new(&store, isolate.id()).unwrap());
                    // Freed by another thread, or by this one.
                    match at % 10 {
                        0 => kept.lock().unwrap().push(store),
                        _ => drop(store),
                    }
                    if at % 100 == 0 {
                        kept.lock().unwrap().pop();
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.unwrap().join().unwrap());

    let kept = Arc::into_inner(kept).unwrap().into_inner().unwrap();
    let (live_stores, live_bytes) =
        (kept.len() as u64, kept.iter().map(|store| store.byte_length() as u64).sum::<u64>());
    let balance = ledger.balance();
    assert_eq!((balance.stores, balance.external_bytes), (THREADS * STORES, made_bytes.load(Ordering::Relaxed)));
    assert_eq!(balance.leaked, live_stores);

    let totals = ledger.totals();
    let [totals] = &totals[..] else { panic!("{totals:?}") };
    assert_eq!((totals.stores, totals.live_stores, totals.live_bytes), (THREADS * STORES, live_stores, live_bytes));
    assert!(totals.peak_bytes >= live_bytes && totals.peak_bytes <= totals.allocated_bytes, "{totals:?}");
    assert!(totals.mean_life.is_some() && totals.bytes_per_second > 0.0);

    let live = ledger.live();
    // With `track-handles` each handle is told, too.
    let words = live[0].history.iter().map(|past| past.event);
    let words: Vec<&str> = words.filter(|word| !["referenced", "dropped"].contains(word)).collect();
    assert_eq!(words, ["created", "exposed", "released"]);
    assert!(live[0].history.iter().all(|past| past.stack.is_some() && past.thread == live[0].thread));
    let frames = live[0].stack.unwrap().frames();
    let names: Vec<&str> = frames.iter().filter_map(|frame| frame.function.as_deref()).collect();
    assert!(names.iter().any(|name| name.ends_with("store")), "{names:#?}");
    assert!(!names[0].starts_with("offheap_ledger::"), "{names:#?}");

    ledger.finish().unwrap();
    ledger.finish().unwrap();
    check_lines(&lines.lock().unwrap(), live_stores);
}

/// Each store has its events in order: made, exposed, released and mostly freed.
fn check_lines(lines: &[Line], live_stores: u64) {
    let (mut events, mut holders, mut threads): (HashMap<u64, Vec<&str>>, u64, Vec<&str>) = Default::default();
    let (mut stacks, mut isolates) = (0, Vec::new());
    for line in lines {
        match &line.event {
            Event::Created(created) => events.entry(created.store).or_default().push("created"),
            Event::Exposed(change) | Event::Released(change) | Event::Freed(change) => {
                events.entry(change.store).or_default().push(line.event.name());
            }
            Event::Holders(told) => {
                assert_eq!((told.references, told.buffers.len()), (Some(1), 0));
                holders += 1;
            }
            Event::Thread(thread) => threads.push(&thread.name),
            Event::Stack(_) => stacks += 1,
            Event::Isolate(isolate) => isolates.push(isolate.clone()),
            _ => {}
        }
    }
    assert!(matches!(&lines[0].event, Event::Start(start) if start.level.as_deref() == Some("full")));
    assert!(matches!(&lines.last().unwrap().event, Event::End(_)));
    assert_eq!(events.len() as u64, THREADS * STORES);
    let whole = ["created", "exposed", "released", "freed"];
    assert!(events.values().all(|events| events[..] == whole[..events.len()] && events.len() >= 3));
    assert_eq!(events.values().filter(|events| events.len() == 3).count() as u64, live_stores);
    assert_eq!(holders, live_stores);
    threads.sort_unstable();
    assert_eq!(threads.iter().filter(|name| name.starts_with("worker-")).count() as u64, THREADS);
    assert!((4..100).contains(&stacks), "{stacks}");
    assert!(isolates.iter().all(|isolate| isolate.engine == "Model"), "{isolates:?}");
}
