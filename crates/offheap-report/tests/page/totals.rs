//! What the page counts, and what it keeps one by one. No browser is needed.

use std::fmt::Write;

use serde_json::Value;

use super::{page, stream};

/// The data of the page of this stream.
fn data(stream: &[u8]) -> Value {
    let page = page(stream);
    let (_, rest) = page.split_once("id=\"data\">").expect("the page has data");
    serde_json::from_str(rest.split_once("</script>").expect("they end").0).expect("they are JSON")
}

fn sum(places: &Value, name: &str, at: usize) -> f64 {
    places.as_array().unwrap().iter().map(|place| place[name][at].as_f64().unwrap()).sum()
}

#[test]
fn one_large_leak_among_many_is_shown_and_all_are_counted() {
    let mut lines = String::from("{\"event\":\"start\",\"version\":1,\"process\":1}\n");
    for store in 0..30_000 {
        let (bytes, site) = if store == 12_345 { (10_000_000, "needle.rs:1:1") } else { (64, "hay.rs:2:2") };
        let line = r#"{"event":"created","time":TIME,"store":STORE,"bytes":BYTES,"site":"SITE"}"#;
        let line = line.replace("TIME", &store.to_string()).replace("STORE", &store.to_string());
        writeln!(lines, "{}", line.replace("BYTES", &bytes.to_string()).replace("SITE", site)).unwrap();
    }
    lines.push_str("{\"event\":\"end\",\"time\":40000}\n");
    let data = data(lines.as_bytes());
    let process = &data["processes"][0];
    assert_eq!(process["leaked"], serde_json::json!([30_000.0, 29_999.0 * 64.0 + 10_000_000.0]));
    assert_eq!(process["places"][0]["leaked"], serde_json::json!([1.0, 10_000_000.0]));
    assert_eq!((data["stores"].as_array().unwrap().len(), &data["stores_in_all"]), (5_000, &30_000.into()));
    assert_eq!((&data["stores"][0]["store"], &data["stores"][0]["state"]), (&"12345".into(), &"leaked".into()));
}

#[test]
fn the_totals_of_places_add_up_to_those_of_the_process() {
    let data = data(&stream("program", 30_000));
    let process = &data["processes"][0];
    for name in ["made", "live", "leaked"] {
        for at in [0, 1] {
            assert_eq!(sum(&process["places"], name, at), process[name][at].as_f64().unwrap(), "{name} {at}");
        }
    }
    let last = process["total"].as_array().unwrap().last().unwrap();
    assert_eq!(last[1], process["live"][1], "the chart ends with what lives");
    let highest =
        process["total"].as_array().unwrap().iter().map(|point| point[2].as_f64().unwrap()).fold(0.0, f64::max);
    assert_eq!(highest, process["peak"].as_f64().unwrap(), "the chart has the peak");
    let engines = process["by_engine"].as_array().unwrap();
    let ends = engines.iter().map(|engine| engine[1].as_array().unwrap().last().unwrap()[1].as_f64().unwrap());
    assert_eq!(ends.sum::<f64>(), process["live"][1].as_f64().unwrap(), "so do the lines of the engines");
}

#[test]
fn a_stack_that_is_told_last_gives_the_place() {
    let data = data(
        br#"{"event":"start","version":1,"process":1}
{"event":"created","time":1,"store":1,"bytes":64,"stack":9}
{"event":"stack","stack":9,"frames":[{"function":"alloc","address":4096},{"function":"load","site":"src/load.rs:7:3"}]}
{"event":"end","time":5}
"#,
    );
    let site = data["stores"][0]["site"].as_u64().unwrap() as usize;
    assert_eq!(data["words"][site], "src/load.rs:7:3");
    assert_eq!(data["stacks"][0].as_array().unwrap().len(), 2);
    assert_eq!(data["frames"][0][2], "0x1000");
}

#[test]
fn an_error_about_a_store_that_is_gone_is_found_with_its_bar() {
    let data = data(
        br#"{"event":"start","version":1,"process":1}
{"event":"created","time":1,"store":1,"bytes":64,"site":"a.rs:1:1"}
{"event":"freed","time":2,"store":1,"site":"a.rs:2:1"}
{"event":"refused","time":3,"code":"DOUBLE_FREE","message":"again","store":1,"site":"a.rs:3:1","earlier":"a.rs:2:1"}
{"event":"end","time":5}
"#,
    );
    assert_eq!(data["stores"][0]["error"], true);
    assert_eq!(data["kinds"][data["stores"][0]["steps"][0][0].as_u64().unwrap() as usize], "refused");
    assert_eq!(data["processes"][0]["refused"], 1);
}

/// A server may have a thread for each request, and an isolate for each task.
#[test]
fn a_page_has_the_threads_and_isolates_of_its_stores_only() {
    let mut lines = String::from("{\"event\":\"start\",\"version\":1,\"process\":1}\n");
    lines.push_str("{\"event\":\"created\",\"time\":1,\"store\":1,\"bytes\":9}\n");
    for number in 0..300_000 {
        writeln!(lines, r#"{{"event":"thread","thread":{number},"name":"request"}}"#).unwrap();
        writeln!(lines, r#"{{"event":"isolate","isolate":{number},"engine":"V8"}}"#).unwrap();
        for event in ["exposed", "released"] {
            writeln!(lines, r#"{{"event":"{event}","time":2,"store":1,"thread":{number},"isolate":{number}}}"#)
                .unwrap();
        }
    }
    let data = data(lines.as_bytes());
    let steps = data["stores"][0]["steps"].as_array().unwrap();
    for list in ["threads", "isolates"] {
        assert!(data[list].as_array().unwrap().len() <= steps.len(), "{list}");
    }
    let last = steps.last().unwrap();
    let (thread, isolate) = (last[2].as_u64().unwrap() as usize, last[3].as_u64().unwrap() as usize);
    assert_eq!(data["threads"][thread], serde_json::json!([0, 299_999, "request"]));
    assert_eq!(data["isolates"][isolate][1], 299_999);
}
