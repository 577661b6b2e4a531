//! The JSON document.

use offheap_report::Json;
use serde_json::{Value, json};

use crate::streams;

fn document(streams: &[String]) -> Value {
    let mut report = Vec::new();
    streams::read(streams, Json::new(&mut report));
    serde_json::from_slice(&report).expect("JSON")
}

#[test]
fn the_leaks_are_those_of_the_process_that_ended_and_not_static() {
    let document = document(&streams::both());
    let leaks = document["leaks"].as_array().expect("a list");
    assert_eq!(leaks.len(), 2);
    assert_eq!(
        leaks[0],
        json!({
            "process": 0, "store": 1, "bytes": 100, "time": 1000, "weight": 1.0, "is_static": false, "kind": "fixed",
            "site": "src/a.rs:3:9", "thread": 1, "engine": "V8", "holders": ["1 buffer in V8 isolate 1 \"page\", exposed at leak.js:1:5"],
            "stack": [
                { "function": "make", "site": "src/a.rs:3:9" }, { "function": "main", "site": "src/main.rs:1:1" },
                { "address": 4660 },
            ],
        })
    );
    assert_eq!((&leaks[1]["store"], &leaks[1]["bytes"]), (&json!(3), &json!(20)));
    let live = document["live"].as_array().expect("a list");
    assert_eq!(live.len(), 2);
    assert_eq!((&live[0]["process"], &live[0]["store"], &live[0]["is_static"]), (&json!(0), &json!(4), &json!(true)));
    assert_eq!((&live[1]["process"], &live[1]["store"], &live[1]["weight"]), (&json!(1), &json!(1), &json!(2.5)));
}

#[test]
fn sums_are_those_of_the_stream() {
    let document = document(&streams::both());
    let totals = &document["processes"][0]["totals"];
    assert_eq!(totals["live_bytes"], json!(1120.0));
    assert_eq!(totals["made_bytes"], json!(1160.0));
    assert_eq!(totals["mean_life"], json!(2000));
    assert_eq!(totals["bytes_per_second"], json!(1160.0 / 5e-6));
    let sites: Vec<_> = document["sites"].as_array().expect("a list").iter().map(|site| &site["site"]).collect();
    assert_eq!(sites, [&json!("src/a.rs:3:9"), &json!(streams::HOSTILE), &json!("src/b.rs:7:1")]);
}

#[test]
fn refusals_and_problems_are_there_with_what_they_name() {
    let document = document(&streams::both());
    let refused = &document["refused"][0];
    assert_eq!((&refused["code"], &refused["process"]), (&json!("DOUBLE_FREE"), &json!(0)));
    assert_eq!((&refused["site"], &refused["earlier"]), (&json!("src/c.rs:1:1"), &json!("src/b.rs:9:1")));
    assert_eq!(refused["stack"][0]["function"], json!("make"));
    assert_eq!(document["refused"][1]["message"], json!(streams::HOSTILE));
    let problem = &document["problems"][0];
    assert_eq!((&problem["file"], &problem["line"]), (&json!("1.jsonl"), &json!(8)));
}

#[test]
fn an_empty_stream_is_an_empty_document() {
    let document = document(&[]);
    let empty = json!({
        "version": 1, "refused": [], "notices": [], "problems": [], "processes": [], "sites": [], "leaks": [], "live": []
    });
    assert_eq!(document, empty);
}
