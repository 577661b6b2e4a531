//! The profile for profiler.firefox.com: read with the rules of its "processed profile format".

use offheap_report::Firefox;
use serde_json::{Value, json};

use crate::streams;

fn profile(streams: &[String]) -> Value {
    let mut report = Vec::new();
    streams::read(streams, Firefox::new(&mut report));
    serde_json::from_slice(&report).expect("JSON")
}

fn numbers(column: &Value) -> Vec<f64> {
    column.as_array().expect("a column").iter().map(|value| value.as_f64().expect("a number")).collect()
}

fn text<'a>(thread: &'a Value, number: &Value) -> &'a str {
    thread["stringArray"][number.as_u64().expect("an index") as usize].as_str().expect("a string")
}

/// The functions of a stack, the innermost first.
fn stack(thread: &Value, stack: &Value) -> Vec<String> {
    let mut next = stack.as_u64();
    let mut names = Vec::new();
    while let Some(at) = next {
        let frame = thread["stackTable"]["frame"][at as usize].as_u64().expect("a frame") as usize;
        let function = thread["frameTable"]["func"][frame].as_u64().expect("a function") as usize;
        names.push(text(thread, &thread["funcTable"]["name"][function]).to_owned());
        next = thread["stackTable"]["prefix"][at as usize].as_u64();
    }
    names
}

#[test]
fn allocations_and_frees_balance_with_what_lives() {
    let profile = profile(&streams::both());
    let thread = threads(&profile, "run leak.js");
    let allocations = &thread["nativeAllocations"];
    assert_eq!(allocations["weightType"], "bytes");
    assert_eq!(numbers(&allocations["weight"]), [100.0, 40.0, 8.0, -8.0, 20.0, 1000.0, -40.0]);
    assert_eq!(numbers(&allocations["memoryAddress"]), [1.0, 2.0, 3.0, 3.0, 3.0, 4.0, 2.0]);
    // Milliseconds since the first process's start, which is a second before this one's.
    let times = numbers(&allocations["time"]);
    assert!((times[0] - 1000.001).abs() < 1e-9, "{times:?}");
    let made = ["make (src/a.rs:3:9)", "main (src/main.rs:1:1)", "0x1234"];
    assert_eq!(stack(thread, &allocations["stack"][0]), made);
    assert_eq!(stack(thread, &allocations["stack"][6]), ["src/b.rs:9:1"]);
    assert_eq!(allocations["stack"][5], Value::Null);
    assert_eq!(numbers(&profile["counters"][0]["samples"]["count"]).len(), 7);
}

fn threads<'a>(profile: &'a Value, process: &str) -> &'a Value {
    let all = profile["threads"].as_array().expect("a list");
    all.iter().find(|thread| thread["processName"] == process).expect("a thread")
}

#[test]
fn what_lives_and_what_was_refused_has_markers() {
    let profile = profile(&streams::both());
    let thread = threads(&profile, "run leak.js");
    let markers = &thread["markers"];
    let names: Vec<_> = markers["name"].as_array().expect("a column").iter().map(|name| text(thread, name)).collect();
    assert_eq!(names, ["leaked", "leaked", "static", "DOUBLE_FREE"]);
    let leaked = &markers["data"][0];
    assert_eq!((&leaked["type"], &leaked["bytes"]), (&json!("offheap store"), &json!(100.0)));
    assert_eq!(text(thread, &leaked["place"]), "src/a.rs:3:9");
    assert_eq!(text(thread, &leaked["holders"]), "1 buffer in V8 isolate 1 \"page\", exposed at leak.js:1:5");
    assert_eq!(stack(thread, &leaked["cause"]["stack"])[0], "make (src/a.rs:3:9)");
    assert_eq!(text(thread, &markers["data"][3]["message"]), "freed twice");
    let schemas = profile["meta"]["markerSchema"].as_array().expect("a list");
    for kind in ["offheap store", "offheap refused"] {
        assert!(schemas.iter().any(|schema| schema["name"] == kind), "{kind}");
    }
}

#[test]
fn hostile_names_are_names() {
    let profile = profile(&streams::both());
    let thread = threads(&profile, streams::HOSTILE);
    assert_eq!(numbers(&thread["nativeAllocations"]["weight"]), [25.0], "a sample counts by its weight");
    assert_eq!(text(thread, &thread["markers"]["data"][0]["place"]), streams::HOSTILE);
    assert_eq!(text(thread, &thread["markers"]["data"][1]["message"]), streams::HOSTILE);
}

#[test]
fn an_empty_stream_is_a_profile_without_threads() {
    assert_eq!(profile(&[])["threads"], json!([]));
}
