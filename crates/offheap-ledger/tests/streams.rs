//! Streams that end early, and those that the environment asks for, each in a process of its own: this program is started
//! again with a name in `CHILD`.

#![allow(unsafe_code, reason = "a process forks")]

use std::fs::{self, File};
use std::io;
use std::process::{Command, Output, exit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use offheap::{BackingStore, ManualMemory, UniqueStore};
use offheap_ledger::{Builder, Error, Level, install_from_env};
use offheap_report::format::{Event, Line};
use offheap_report::{Problem, Reader, Sink, Trace, follow};

fn store() -> BackingStore {
    BackingStore::from(UniqueStore::zeroed(8).unwrap())
}

/// Starts the child with this name.
fn start(child: &str, setting: Option<&str>) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env("CHILD", child).env_remove("OFFHEAP_LEDGER");
    if let Some(setting) = setting {
        command.env("OFFHEAP_LEDGER", setting);
    }
    command.output().unwrap()
}

#[test]
fn child() {
    match std::env::var("CHILD").as_deref() {
        Ok("full-disk") => full_disk(),
        Ok("panics") => panics(),
        Ok("from-env") => from_env(),
        Ok("makes-stores") => makes_stores(),
        Ok("forks") => forks(),
        Ok("goes-on") => goes_on(),
        _ => {}
    }
}

fn full_disk() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ledger = Builder::new(Level::Full).stream(full).install().unwrap();
    for _ in 0..100_000 {
        drop(store());
    }
    let error = ledger.finish().unwrap_err();
    assert!(matches!(&error, Error::Stream { source } if source.kind() == io::ErrorKind::StorageFull), "{error}");
    drop(store());
    assert_eq!(ledger.balance().stores, 100_001);
    println!("the program went on");
}

#[test]
fn a_full_disk_is_said_once_and_the_program_goes_on() {
    let output = start("full-disk", None);
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("the program went on"), "{said}{errors}");
    assert_eq!(
        errors.matches("offheap: the ledger's stream ended early: No space left on device").count(),
        1,
        "{errors}"
    );
}

fn panics() {
    let mut lines = 0;
    let stream = move |_: &_| {
        lines += 1;
        assert!(lines < 10, "a subscriber's mistake");
        Ok(())
    };
    let ledger = Builder::new(Level::Full).stream_lines(stream).install().unwrap();
    for _ in 0..50_000 {
        drop(store());
    }
    let error = ledger.finish().unwrap_err().to_string();
    assert!(error.ends_with("what receives the lines panicked: a subscriber's mistake"), "{error}");
    println!("the program went on");
}

#[test]
fn a_panic_of_a_subscriber_does_not_reach_the_program() {
    let output = start("panics", None);
    assert!(String::from_utf8_lossy(&output.stdout).contains("the program went on"), "{output:?}");
}

/// What receives the lines makes stores itself, more than may wait.
fn makes_stores() {
    let mut lines = 0;
    let stream = move |_: &_| {
        lines += 1;
        // At first, each line makes three more.
        (0..3).filter(|_| lines < 20_000).for_each(|_| std::mem::forget(store()));
        Ok(())
    };
    let ledger = Builder::new(Level::Sites).stream_lines(stream).install().unwrap();
    for _ in 0..20_000 {
        drop(store());
    }
    ledger.finish().unwrap();
    println!("the program went on");
}

#[test]
fn a_subscriber_may_make_stores_itself() {
    let output = start("makes-stores", None);
    assert!(String::from_utf8_lossy(&output.stdout).contains("the program went on"), "{output:?}");
}

/// A process that makes a copy of itself. Both make stores, more than may wait for the stream, and exit.
fn forks() {
    let ledger = install_from_env().unwrap().unwrap();
    // SAFETY: no other thread of this program holds a lock at this moment: the stream's waits for the first store.
    let child = unsafe { libc::fork() };
    for _ in 0..10_000 {
        drop(BackingStore::from(UniqueStore::zeroed(if child == 0 { 9 } else { 8 }).unwrap()));
    }
    if child != 0 {
        let mut status = 1;
        // SAFETY: the child of above, and a place for its status.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0, "the child ends in order");
        assert_eq!(ledger.balance().stores, 10_000);
    }
    exit(0)
}

#[test]
fn a_forked_process_does_not_write_into_the_stream() {
    let path = std::env::temp_dir().join(format!("offheap-ledger-fork-{}.jsonl", std::process::id()));
    let began = Instant::now();
    let output = start("forks", Some(&format!("sites:{}", path.display())));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // Each wait would be a second, for thousands of stores.
    assert!(began.elapsed() < Duration::from_secs(1000), "neither waits for a stream that nobody writes");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("panicked"), "the child does not wait for a thread that it does not have: {errors}");
    let text = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let events: Vec<Event> = Reader::new(&text[..]).map(|line| line.read.unwrap().event).collect();
    let count = |name: &str| events.iter().filter(|event| event.name() == name).count();
    assert_eq!((count("start"), count("created"), count("freed"), count("end")), (1, 10_000, 10_000, 1));
    let is_childs = |event: &&Event| matches!(event, Event::Created(created) if created.bytes == 9);
    assert_eq!(events.iter().filter(is_childs).count(), 0);
}

/// The stream ends while other threads go on making stores.
fn goes_on() {
    let ledger = install_from_env().unwrap().unwrap();
    for _ in 0..2 {
        thread::spawn(|| {
            let mut kept = [store(), store(), store()];
            loop {
                kept.rotate_left(1);
                kept[0] = store();
            }
        });
    }
    thread::sleep(Duration::from_millis(50));
    ledger.finish().unwrap();
    exit(0)
}

#[derive(Default)]
struct Problems(Vec<String>);

impl Sink for Problems {
    fn line(&mut self, _: &Trace, _: &Line) -> io::Result<()> {
        Ok(())
    }

    fn problem(&mut self, problem: &Problem) -> io::Result<()> {
        self.0.push(problem.to_string());
        Ok(())
    }

    fn finish(&mut self, _: &Trace) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stream_that_ends_while_others_go_on_names_the_stores_that_it_has_told() {
    let path = std::env::temp_dir().join(format!("offheap-ledger-goes-on-{}.jsonl", std::process::id()));
    let output = start("goes-on", Some(&format!("sites:{}", path.display())));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (text, mut trace, mut problems) = (fs::read(&path).unwrap(), Trace::default(), Problems::default());
    fs::remove_file(&path).unwrap();
    follow("a.jsonl", &text[..], &mut trace, &mut problems).unwrap();
    assert_eq!(problems.0, Vec::<String>::new());
    let live: Vec<_> = trace.live_stores().collect();
    // A store that is freed while the stream ends may still be listed.
    assert!(live.len() >= 6, "{}", live.len());
    assert!(live.iter().all(|store| store.told_holders().is_some()), "{live:?}");
}

/// The second one may be that of the process's exit.
#[test]
fn who_ends_a_stream_that_is_being_ended_waits_for_its_end() {
    static HAS_ENDED: AtomicBool = AtomicBool::new(false);
    let slow = |line: &Line| {
        if matches!(line.event, Event::End(_)) {
            thread::sleep(Duration::from_millis(500));
            HAS_ENDED.store(true, Ordering::Relaxed);
        }
        Ok(())
    };
    let ledger = Builder::new(Level::Sites).stream_lines(slow).make().unwrap();
    let first = thread::spawn(|| ledger.finish());
    thread::sleep(Duration::from_millis(100));
    ledger.finish().unwrap();
    assert!(HAS_ENDED.load(Ordering::Relaxed));
    first.join().unwrap().unwrap();
}

fn from_env() {
    match install_from_env() {
        Ok(ledger) => assert!(ledger.is_some()),
        Err(error) => {
            println!("{error}");
            exit(2)
        }
    }
    std::mem::forget(store());
    let memory = ManualMemory::allocate(24).unwrap();
    memory.free().unwrap();
    memory.free().unwrap_err();
    // The file is written nevertheless.
    exit(0)
}

#[test]
fn the_environment_asks_for_a_stream_that_is_written_at_the_exit() {
    let path = std::env::temp_dir().join(format!("offheap-ledger-{}.jsonl", std::process::id()));
    let output = start("from-env", Some(&format!("full:{}", path.display())));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let events: Vec<Event> = Reader::new(&text[..]).map(|line| line.read.unwrap().event).collect();
    // With `track-handles` each handle is told, too.
    let left_out = ["stack", "thread", "referenced", "dropped"];
    let names: Vec<&str> = events.iter().map(Event::name).filter(|name| !left_out.contains(name)).collect();
    assert_eq!(names, ["start", "created", "created", "freed", "refused", "holders", "totals", "end"]);
    let refused =
        events.iter().find_map(|event| if let Event::Refused(refused) = event { Some(refused) } else { None });
    let refused = refused.unwrap();
    assert_eq!(refused.code, "DOUBLE_FREE");
    assert!(refused.site.as_ref().unwrap().contains("streams.rs:") && refused.earlier.is_some(), "{refused:?}");
}

#[cfg(feature = "html")]
#[test]
fn the_environment_asks_for_a_page() {
    let path = std::env::temp_dir().join(format!("offheap-ledger-{}.html", std::process::id()));
    let output = start("from-env", Some(&format!("sites:{}", path.display())));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(page.starts_with("<!doctype html>") || page.starts_with("<!DOCTYPE html>"), "{:?}", page.get(..40));
    assert!(page.contains("streams.rs") && page.contains("DOUBLE_FREE"));
}

#[test]
fn a_bad_setting_is_said() {
    let output = start("from-env", Some("everything"));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("OFFHEAP_LEDGER=everything: there is no level"),
        "{output:?}"
    );
}
