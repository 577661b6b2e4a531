//! What a trace knows after each event.

use std::time::Duration;

use crate::common::{Followed, stream};

const MADE: &str =
    r#"{"event":"created","time":5,"store":1,"bytes":64,"thread":3,"kind":"fixed","site":"a.rs:1:1","stack":4}"#;

#[test]
fn what_lives_is_known_with_everything_that_was_told() {
    let followed = Followed::of(stream(&[
        MADE,
        r#"{"event":"created","time":6,"store":2,"bytes":8,"labels":{"request":"9"},"weight":2.5}"#,
        r#"{"event":"created","time":6,"store":3,"bytes":8}"#,
        r#"{"event":"freed","time":7,"store":3}"#,
        r#"{"event":"static","time":8,"store":2}"#,
        r#"{"event":"thread","thread":3,"name":"worker"}"#,
        r#"{"event":"stack","stack":4,"frames":[{"function":"main","site":"a.rs:1:1"}]}"#,
        r#"{"event":"end","time":90}"#,
    ]));
    followed.assert_no_problem();
    let mut live: Vec<u64> = followed.trace.live_stores().map(|store| store.number).collect();
    live.sort_unstable();
    assert_eq!(live, [1, 2]);
    let store = followed.store(1);
    assert_eq!((store.time, store.bytes, store.weight, store.is_static), (5, 64, 1.0, false));
    assert_eq!((store.site.as_deref(), store.kind.as_deref()), (Some("a.rs:1:1"), Some("fixed")));
    let process = &followed.trace.processes()[store.process];
    assert_eq!(process.thread(store.thread.unwrap()), Some("worker"));
    assert_eq!(process.stack(store.stack.unwrap()).unwrap().frames[0].function.as_deref(), Some("main"));
    assert_eq!((process.number, process.time, process.has_ended), (7, 90, true));
    let store = followed.store(2);
    assert_eq!((store.weight, store.is_static, store.labels()["request"].as_str()), (2.5, true, "9"));
}

#[test]
fn buffers_are_counted_by_isolate_with_the_isolates_name() {
    let begin = stream(&[
        MADE,
        r#"{"event":"isolate","isolate":2,"engine":"V8","name":"page"}"#,
        r#"{"event":"isolate","isolate":3,"engine":"QuickJS"}"#,
        r#"{"event":"exposed","time":6,"store":1,"isolate":2}"#,
        r#"{"event":"exposed","time":7,"store":1,"isolate":2}"#,
        r#"{"event":"exposed","time":8,"store":1,"isolate":3}"#,
        r#"{"event":"detached","time":8,"store":1,"isolate":3}"#,
    ]);
    let followed = Followed::of(&begin);
    assert_eq!(followed.holders(1), ["2 buffers in V8 isolate 2 \"page\"", "1 buffer in QuickJS isolate 3"]);
    assert_eq!(followed.store(1).engine.as_deref(), Some("QuickJS"));
    let followed = Followed::of(begin + r#"{"event":"released","time":8,"store":1,"isolate":2}"#);
    assert_eq!(followed.holders(1), ["1 buffer in V8 isolate 2 \"page\"", "1 buffer in QuickJS isolate 3"]);
}

#[test]
fn a_release_without_its_isolate_counts_too_but_not_one_too_many() {
    let followed = Followed::of(stream(&[
        MADE,
        r#"{"event":"exposed","time":6,"store":1,"isolate":2}"#,
        r#"{"event":"released","time":7,"store":1}"#,
        r#"{"event":"released","time":8,"store":1}"#,
    ]));
    assert_eq!(
        followed.problem(),
        "a.jsonl:5: store 1 has no buffer to release: as many were released as exposed; write one `released` for each \
         `exposed`"
    );
    assert_eq!(followed.holders(1), Vec::<String>::new());
}

#[test]
fn references_are_known_by_their_places() {
    let followed = Followed::of(stream(&[
        MADE,
        r#"{"event":"referenced","time":6,"store":1,"reference":1,"site":"b.rs:2:2"}"#,
        r#"{"event":"referenced","time":6,"store":1,"reference":2,"site":"c.rs:3:3","from":16,"to":32}"#,
        r#"{"event":"dropped","time":7,"store":1,"reference":1}"#,
        r#"{"event":"dropped","time":7,"store":1,"reference":1}"#,
    ]));
    assert_eq!(
        followed.problem(),
        "a.jsonl:6: reference 1 to store 1 is not there: no line `referenced` took it, or it was dropped before"
    );
    assert_eq!(followed.holders(1), ["a reference taken at c.rs:3:3 to bytes 16 to 32"]);
}

#[test]
fn holders_count_as_they_were_told_last_and_go_on_from_there() {
    let begin = stream(&[
        MADE,
        r#"{"event":"exposed","time":6,"store":1,"isolate":2}"#,
        r#"{"event":"referenced","time":6,"store":1,"reference":1,"site":"b.rs:2:2"}"#,
        r#"{"event":"holders","time":7,"store":1,"references":3,"weak":1,"readers":2,"writer":true,
            "buffers":[{"isolate":4,"count":2,"path":["globalThis","cache","[0]"]}]}"#
            .replace('\n', " ")
            .as_str(),
    ]);
    let told = [
        "2 buffers in isolate 4, kept by globalThis > cache > [0]",
        "a reference taken at b.rs:2:2",
        "2 references",
        "2 guards that read",
        "a guard that writes",
        "1 weak handle",
    ];
    assert_eq!(Followed::of(&begin).holders(1), told);
    let later = [
        r#"{"event":"released","time":8,"store":1,"isolate":4}"#,
        r#"{"event":"dropped","time":8,"store":1,"reference":1}"#,
        r#"{"event":"referenced","time":8,"store":1,"reference":2,"site":"c.rs:3:3"}"#,
        r#"{"event":"referenced","time":8,"store":1,"reference":3,"site":"d.rs:4:4"}"#,
    ];
    let followed = Followed::of(begin + &later.join("\n"));
    followed.assert_no_problem();
    assert_eq!(
        followed.holders(1)[..4],
        [
            "1 buffer in isolate 4, kept by globalThis > cache > [0]",
            "a reference taken at c.rs:3:3",
            "a reference taken at d.rs:4:4",
            "2 references",
        ]
    );
}

#[test]
fn totals_are_kept_by_place() {
    let followed = Followed::of(stream(&[
        r#"{"event":"created","time":0,"store":1,"bytes":100,"site":"a.rs:1:1"}"#,
        r#"{"event":"created","time":0,"store":2,"bytes":50,"site":"a.rs:1:1"}"#,
        r#"{"event":"created","time":0,"store":3,"bytes":7,"site":"b.rs:1:1"}"#,
        r#"{"event":"freed","time":1000,"store":1}"#,
        r#"{"event":"resized","time":5,"store":2,"bytes":80}"#,
        r#"{"event":"resized","time":6,"store":2,"bytes":20}"#,
        r#"{"event":"resized","time":7,"store":2,"bytes":30}"#,
        r#"{"event":"created","time":9,"store":4,"bytes":1}"#,
        r#"{"event":"refused","time":9,"code":"DOUBLE_FREE","message":"double free","store":1}"#,
    ]));
    followed.assert_no_problem();
    let process = &followed.trace.processes()[0];
    let totals = process.site("a.rs:1:1").unwrap();
    assert_eq!((totals.live, totals.live_bytes, totals.peak_bytes), (1.0, 30.0, 150.0));
    assert_eq!((totals.made, totals.made_bytes, totals.freed), (2.0, 180.0, 1.0));
    assert_eq!(totals.mean_life(), Some(Duration::from_micros(1)));
    assert_eq!(process.site("b.rs:1:1").unwrap().mean_life(), None);
    assert_eq!(process.sites().count(), 2);
    assert_eq!((process.totals.live, process.totals.live_bytes, process.totals.made), (3.0, 38.0, 4.0));
    assert_eq!(process.refused, 1);
}

#[test]
fn a_sample_counts_as_the_stores_that_it_stands_for() {
    let followed = Followed::of(stream(&[
        r#"{"event":"created","time":0,"store":1,"bytes":100,"weight":2.5}"#,
        r#"{"event":"created","time":0,"store":2,"bytes":100,"weight":4}"#,
        r#"{"event":"resized","time":0,"store":2,"bytes":200}"#,
        r#"{"event":"freed","time":10,"store":1}"#,
    ]));
    let totals = followed.trace.processes()[0].totals;
    assert_eq!((totals.live, totals.live_bytes, totals.made_bytes), (4.0, 800.0, 1050.0));
    assert_eq!((totals.freed, totals.mean_life()), (2.5, Some(Duration::from_nanos(10))));
}

#[test]
fn a_store_that_does_not_live_is_named() {
    let gone =
        "store 1 does not live: no line `created` made it, or it was freed before; each `created` needs a new number";
    for event in
        ["exposed", "externalized", "detached", "transferred", "resized", "released", "freed", "static", "holders"]
    {
        let followed = Followed::of(stream(&[&format!(r#"{{"event":"{event}","time":9,"store":1}}"#)]));
        assert_eq!(followed.problem(), format!("a.jsonl:2: {gone}"), "{event}");
    }
    let freed = r#"{"event":"freed","time":9,"store":1}"#;
    let followed = Followed::of(stream(&[MADE, freed, freed]));
    assert_eq!(followed.problem(), format!("a.jsonl:4: {gone}"));
    assert_eq!(followed.trace.processes()[0].totals.freed, 1.0);
}

#[test]
fn a_store_that_is_made_twice_is_named_and_the_first_stays() {
    let followed =
        Followed::of(stream(&[MADE, r#"{"event":"created","time":6,"store":1,"bytes":8,"site":"b.rs:2:2"}"#]));
    assert_eq!(
        followed.problem(),
        "a.jsonl:3: store 1 lives already; each `created` needs a number that no other store of the process has"
    );
    assert_eq!(followed.store(1).bytes, 64);
    assert_eq!(followed.trace.processes()[0].totals.live_bytes, 64.0);
}

#[test]
fn several_processes_are_told_apart() {
    let followed = Followed::of(
        [
            r#"{"event":"start","version":1,"process":7,"program":"a"}"#,
            MADE,
            r#"{"event":"start","version":1,"process":8,"program":"b"}"#,
            MADE,
            r#"{"event":"freed","time":6,"store":1,"process":7}"#,
            r#"{"event":"end","time":7}"#,
        ]
        .join("\n"),
    );
    followed.assert_no_problem();
    let [a, b] = followed.trace.processes() else { panic!("two processes") };
    assert_eq!((a.number, a.has_ended, a.totals.live), (7, false, 0.0));
    assert_eq!((b.number, b.has_ended, b.totals.live), (8, true, 1.0));
}

#[test]
fn a_number_that_is_used_again_is_a_further_process_and_what_the_first_left_stays() {
    let mut followed = Followed::default();
    followed.read("a.jsonl", stream(&[MADE, r#"{"event":"end","time":7}"#]).as_bytes());
    followed.read("b.jsonl", stream(&[MADE]).as_bytes());
    followed.assert_no_problem();
    let [a, b] = followed.trace.processes() else { panic!("two processes") };
    assert_eq!((&*a.file, a.has_ended, &*b.file, b.has_ended), ("a.jsonl", true, "b.jsonl", false));
    assert_eq!(followed.trace.live_stores().count(), 2);
    // The same in one file.
    let twice = Followed::of(stream(&[MADE]) + &stream(&[MADE]));
    twice.assert_no_problem();
    assert_eq!(twice.trace.live_stores().count(), 2);
}

#[test]
fn a_line_before_its_process_begins_is_named() {
    assert_eq!(
        Followed::of(MADE).problem(),
        "a.jsonl:1: it is about a process without a number, and no line `start` of that process comes before it; a stream \
         begins with {\"event\":\"start\",\"version\":1,\"process\":NUMBER}"
    );
    let other = r#"{"event":"freed","time":6,"store":1,"process":9}"#;
    let problem = "a.jsonl:2: it is about process 9, and no line `start` of that process comes before it; ";
    assert!(Followed::of(stream(&[other])).problem().starts_with(problem));
    let problem = "a.jsonl:1: it is about a process without a number";
    assert!(Followed::of(r#"{"event":"start","version":1}"#).problem().starts_with(problem));
    // A process of the file before is none of this file.
    let mut followed = Followed::of(stream(&[MADE]));
    followed.read("b.jsonl", MADE.as_bytes());
    assert!(followed.problem().starts_with("b.jsonl:1: it is about a process without a number"));
}

#[test]
fn a_process_of_an_unknown_version_is_named_once_and_the_others_are_read() {
    let followed = Followed::of(
        [
            r#"{"event":"start","version":1,"process":7}"#,
            MADE,
            r#"{"event":"start","version":2,"process":8}"#,
            MADE,
            r#"{"event":"freed","time":6,"store":1,"process":8}"#,
            r#"{"event":"freed","time":6,"store":1,"process":7}"#,
        ]
        .join("\n"),
    );
    assert_eq!(
        followed.problem(),
        "a.jsonl:3: process 8 writes version 2 of the format, and this program reads version 1; its lines are left out, \
         update offheap to read them"
    );
    assert_eq!(followed.seen.events, ["start", "created", "freed"]);
}

#[test]
fn what_a_line_freed_is_known_while_it_is_the_present_line() {
    use std::io;

    use offheap_report::format::{Event, Line};
    use offheap_report::{Sink, Trace, follow};

    struct Freed(Vec<(u64, u64, u64)>);
    impl Sink for Freed {
        fn line(&mut self, trace: &Trace, line: &Line) -> io::Result<()> {
            if let Event::Freed(_) = line.event {
                let store = trace.store().expect("the store is known");
                assert_eq!(trace.process().expect("the process is known").number, 7);
                assert!(trace.find(store.process, store.number).is_none());
                self.0.push((store.number, store.bytes, store.freed().expect("it was freed").time));
            }
            Ok(())
        }

        fn finish(&mut self, _: &Trace) -> io::Result<()> {
            Ok(())
        }
    }
    let text = stream(&[MADE, r#"{"event":"freed","time":6,"store":1}"#]);
    let mut freed = Freed(Vec::new());
    follow("a.jsonl", text.as_bytes(), &mut Trace::default(), &mut freed).unwrap();
    assert_eq!(freed.0, [(1, 64, 6)]);
}

#[test]
fn a_number_of_buffers_that_nobody_has_is_counted_on_up_to_the_greatest_number() {
    let followed = Followed::of(stream(&[
        r#"{"event":"created","time":1,"store":1,"bytes":8}"#,
        r#"{"event":"holders","time":2,"store":1,"buffers":[{"isolate":1,"count":18446744073709551615}]}"#,
        r#"{"event":"exposed","time":3,"store":1,"isolate":1}"#,
    ]));
    followed.assert_no_problem();
    assert_eq!(followed.holders(1), ["18446744073709551615 buffers in isolate 1"]);
}
