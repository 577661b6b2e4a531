//! The trace for ui.perfetto.dev: read with the rules of Chrome's "Trace Event Format".

use std::collections::{BTreeMap, HashMap};

use offheap_report::Perfetto;
use serde::Deserialize;
use serde_json::Value;

use crate::streams;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    display_time_unit: Option<String>,
    trace_events: Vec<Event>,
}

/// The fields that the format has, of those that the report writes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    ph: String,
    name: String,
    pid: u32,
    #[serde(default)]
    tid: Option<u32>,
    #[serde(default)]
    ts: Option<f64>,
    #[serde(default)]
    cat: Option<String>,
    #[serde(default)]
    id2: Option<HashMap<String, String>>,
    #[serde(default)]
    s: Option<String>,
    #[serde(default)]
    args: BTreeMap<String, Value>,
}

fn events(streams: &[String]) -> Vec<Event> {
    let mut report = Vec::new();
    streams::read(streams, Perfetto::new(&mut report));
    let document: Document = serde_json::from_slice(&report).expect("the fields of the format");
    assert!(document.display_time_unit.is_none_or(|unit| unit == "ns"));
    document.trace_events
}

/// A store's slice, as a viewer puts it together.
#[derive(Debug)]
struct Slice {
    pid: u32,
    name: String,
    from: f64,
    to: f64,
    marks: Vec<String>,
    args: BTreeMap<String, Value>,
}

/// Follows the rules for nested asynchronous events: those with the same category, process and local id belong together; the
/// `n` and the `e` come after their `b`.
fn slices(events: &[Event]) -> Vec<Slice> {
    let mut open: HashMap<(u32, String), Slice> = HashMap::new();
    let mut done = Vec::new();
    for event in events.iter().filter(|event| ["b", "n", "e"].contains(&&*event.ph)) {
        assert_eq!(event.cat.as_deref(), Some("store"));
        let id = &event.id2.as_ref().expect("an id")["local"];
        assert!(u64::from_str_radix(id.strip_prefix("0x").expect("a hexadecimal number"), 16).is_ok());
        let (key, ts) = ((event.pid, id.clone()), event.ts.expect("a time"));
        match &*event.ph {
            "b" => {
                let (name, args) = (event.name.clone(), event.args.clone());
                let slice = Slice { pid: event.pid, name, from: ts, to: ts, marks: Vec::new(), args };
                assert!(open.insert(key, slice).is_none(), "ended before it begins again");
            }
            "n" => open.get_mut(&key).expect("begun").marks.push(event.name.clone()),
            _ => {
                let mut slice = open.remove(&key).expect("begun");
                assert_eq!(slice.name, event.name);
                slice.to = ts;
                slice.args.extend(event.args.clone());
                done.push(slice);
            }
        }
    }
    assert!(open.is_empty(), "all have ended");
    done
}

#[test]
fn each_store_is_a_slice_with_what_happened_to_it() {
    let slices = slices(&events(&streams::both()));
    assert_eq!(slices.len(), 5);
    let of = |store: u64| slices.iter().find(|slice| slice.args["store"] == store).expect("a slice");
    let (leaked, freed) = (of(1), of(2));
    assert_eq!((&*leaked.name, &*freed.name), ("src/a.rs:3:9", "src/a.rs:3:9"));
    assert_eq!(leaked.marks, ["exposed"]);
    assert_eq!(leaked.args["at the end"], "leaked");
    assert_eq!(leaked.args["thread"], "main");
    assert_eq!(leaked.args["stack"][0], "make (src/a.rs:3:9)");
    assert!((leaked.to - leaked.from - 4.0).abs() < 1e-4, "4,000 ns are 4 µs");
    assert_eq!(freed.args["freed at"], "src/b.rs:9:1");
    assert!((freed.to - freed.from - 2.0).abs() < 1e-4);
    assert_eq!(of(3).marks, ["resized"]);
    assert_eq!(of(4).args["at the end"], "static: it is meant to stay");
    let hostile = slices.iter().find(|slice| slice.name == streams::HOSTILE).expect("a slice");
    assert_eq!(hostile.args[&format!("label {}", streams::HOSTILE)], streams::HOSTILE);
    assert_ne!(hostile.pid, leaked.pid, "two processes");
    assert!(hostile.from < leaked.from, "it began a second earlier");
}

#[test]
fn counters_follow_what_lives() {
    let events = events(&streams::both());
    let pid = events[0].pid;
    let values = |name: &str, of: &str| {
        let of = |event: &Event| event.args.get(of).and_then(Value::as_u64);
        let counters = events.iter().filter(|event| (&*event.ph, &*event.name, event.pid) == ("C", name, pid));
        counters.filter_map(of).collect::<Vec<_>>()
    };
    assert_eq!(values("live bytes", "all"), [100, 140, 148, 160, 1160, 1120]);
    assert_eq!(values("live bytes by engine", "V8"), [100]);
    assert_eq!(values("live bytes by engine", "none"), [100, 0, 40, 48, 60, 1060, 1020]);
    assert_eq!(values("live bytes by place", "src/a.rs:3:9"), [100, 140, 100]);
    assert_eq!(values("live bytes by place", "src/b.rs:7:1"), [8, 20]);
    let second = events.iter().rfind(|event| event.pid != pid && event.name == "live bytes");
    assert_eq!(second.expect("a counter").args["all"], 25, "a sample counts by its weight");
}

#[test]
fn refusals_are_instants_and_processes_and_threads_have_names() {
    let events = events(&streams::both());
    let refused = events.iter().find(|event| event.name == "DOUBLE_FREE").expect("an instant");
    assert_eq!((&*refused.ph, refused.s.as_deref(), refused.tid), ("i", Some("t"), Some(1)));
    assert_eq!(refused.args["earlier"], "src/b.rs:9:1");
    let names = |of: &str| {
        let of = events.iter().filter(|event| event.ph == "M" && event.name == of);
        of.map(|event| event.args["name"].as_str().expect("a name")).collect::<Vec<_>>()
    };
    assert_eq!(names("process_name"), ["run leak.js (7)", &format!("{} (7)", streams::HOSTILE)]);
    assert_eq!(names("thread_name"), ["main", streams::HOSTILE]);
}

#[test]
fn no_quote_that_ends_a_text_stands_behind_a_backslash() {
    let stream = r#"{"event":"start","version":1,"process":1,"program":"C:\\dir\\"}
{"event":"created","time":1,"store":1,"bytes":1,"site":"\\\"\\","labels":{"\\":"\\\\"}}
"#;
    let mut report = Vec::new();
    streams::read(&[stream.to_owned()], Perfetto::new(&mut report));
    let text = String::from_utf8(report).expect("the report is UTF-8");
    assert!(text.contains(r#""C:\\dir\\ (1)""#), "{text}");
    assert!(text.contains(r#""name":"\\\"\u005c""#), "{text}");
    assert!(text.contains(r#""label \u005c":"\\\u005c""#), "{text}");
    let events = events(&[stream.to_owned()]);
    assert!(events.iter().any(|event| event.name == "\\\"\\" && event.args[r"label \"] == r"\\"));
}

#[test]
fn an_empty_stream_is_a_trace_without_events() {
    assert!(events(&[]).is_empty());
}

#[test]
fn a_thousand_places_have_two_hundred_counters() {
    let mut stream = r#"{"event":"start","version":1,"process":1}"#.to_owned();
    for store in 0..1000 {
        stream += &format!(
            "\n{{\"event\":\"created\",\"time\":{store},\"store\":{store},\"bytes\":1,\"site\":\"a.rs:{store}:1\"}}"
        );
    }
    let events = events(&[stream + "\n"]);
    assert_eq!(events.iter().filter(|event| event.name == "live bytes by place").count(), 200);
    assert_eq!(slices(&events).len(), 1000);
}
