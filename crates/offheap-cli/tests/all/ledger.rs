//! `offheap run --ledger --report`: the files that a run writes.

use std::fs;

use crate::common::{Engine, Folder, QUICKJS};

on_each_engine!(
    a_run_writes_a_stream_that_the_report_reads,
    a_run_writes_a_page_and_the_stream_beside_it,
    a_reference_that_is_never_released_leaks_in_the_stream_too,
    the_balance_is_the_same_at_each_level,
);

const LEAK: &str = "function make() {
  const memory = nativeModule.allocateMemory(64);
  return nativeModule.arrayBuffer(memory);
}
globalThis.kept = make();
const freed = nativeModule.allocateMemory(8);
nativeModule.free(freed);
try { nativeModule.free(freed) } catch {}
";

fn a_run_writes_a_stream_that_the_report_reads(engine: Engine) {
    let folder = Folder::new(engine);
    folder.write("a.js", LEAK);
    for level in ["sites", "full"] {
        let ran = folder.run(&["--report", "a.jsonl", &format!("--ledger={level}"), "a.js"]);
        assert_eq!(ran.status, Some(3), "{ran:?}");
        assert!(ran.stderr.ends_with("offheap: 2 stores, 72 B external, 1 leaked, 1 refused\n"), "{ran:?}");
        let stream = fs::read_to_string(folder.path("a.jsonl")).unwrap();
        let start = stream.lines().next().unwrap();
        assert!(start.contains(&format!(r#""program":"offheap run a.js","level":"{level}""#)), "{start}");
        assert!(stream.lines().last().unwrap().starts_with(r#"{"event":"end","#), "{stream}");

        let report = folder.offheap(&["report", "a.jsonl"]);
        assert_eq!((report.status, report.stderr.as_str()), (Some(3), ""), "{report:?}");
        assert!(report.stdout.starts_with("error[DOUBLE_FREE]: double free of 8 bytes"), "{report:?}");
        assert!(report.stdout.contains("error[LEAK]: 64 B in 1 store leaked\n --> a.js:2:"), "{report:?}");
        assert!(report.stdout.contains("\n2 |   const memory = nativeModule.allocateMemory(64);\n"), "{report:?}");
        assert!(report.stdout.ends_with("offheap: 2 stores, 72 B external, 1 leaked, 1 refused\n"), "{report:?}");
        the_stacks_are_those_of_script(&report.stdout);
    }
}

/// The functions of script, and nothing of what runs them.
fn the_stacks_are_those_of_script(report: &str) {
    let (_, stack) = report.split_once("  = stack: make (a.js:2:").expect(report);
    let (_, outer) = stack.split_once('\n').unwrap();
    let outer = outer.trim_start().lines().next().unwrap();
    assert!(outer.starts_with("<eval> (a.js:5:") || outer.starts_with("a.js:5:"), "{report}");
    for name in ["rquickjs", "v8::", "JS_Call", "offheap_run", "std::"] {
        assert!(!report.contains(name), "{name}: {report}");
    }
}

fn a_run_writes_a_page_and_the_stream_beside_it(engine: Engine) {
    let folder = Folder::new(engine);
    folder.write("a.js", LEAK);
    let ran = folder.run(&["--ledger=full", "--report", "a.html", "a.js"]);
    assert_eq!(ran.status, Some(3), "{ran:?}");
    let page = fs::read_to_string(folder.path("a.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("a.js:2:"));
    assert_eq!(folder.offheap(&["report", "a.jsonl"]).status, Some(3));
}

fn a_reference_that_is_never_released_leaks_in_the_stream_too(engine: Engine) {
    let folder = Folder::new(engine);
    folder.write("a.js", "const samples = new Float32Array(1000);\nnativeModule.externalizeBuffer(samples);\n");
    let ran = folder.run(&["--ledger=full", "--report", "a.jsonl", "a.js"]);
    assert_eq!(ran.status, Some(3), "{ran:?}");
    let balance = "offheap: 1 store, 3.9 KiB external, 1 leaked, 0 refused\n";
    assert!(ran.stderr.ends_with(balance), "{ran:?}");
    let report = folder.offheap(&["report", "a.jsonl"]);
    assert!(report.stdout.starts_with("error[LEAK]: 3.9 KiB in 1 store leaked\n --> a.js:2:"), "{report:?}");
    assert!(report.stdout.contains("held by: a reference taken at a.js:2:"), "{report:?}");
    assert!(report.stdout.ends_with(balance), "{report:?}");

    folder.write("b.js", "nativeModule.externalizeBuffer(new Uint8Array(9)).release();\n");
    folder.run(&["--ledger=full", "--report", "b.jsonl", "b.js"]);
    assert_eq!(folder.offheap(&["report", "b.jsonl"]).status, Some(0));
}

fn the_balance_is_the_same_at_each_level(engine: Engine) {
    let folder = Folder::new(engine);
    folder.write("a.js", LEAK);
    for level in ["--ledger", "--ledger=counts", "--ledger=sites", "--ledger=full"] {
        let ran = folder.run(&[level, "a.js"]);
        assert!(ran.stderr.ends_with("offheap: 2 stores, 72 B external, 1 leaked, 1 refused\n"), "{level}: {ran:?}");
        assert_eq!(ran.status, Some(3), "{level}: {ran:?}");
    }
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_the_script_runs() {
    let folder = Folder::new(QUICKJS);
    folder.write("a.js", "console.log('ran')");
    folder.run(&["--report", "a.txt", "a.js"]).expect(
        2,
        "",
        "offheap: cannot write --report a.txt: name a file that ends with .html for a page, or with .jsonl for what the \
         ledger records, as it is\n",
    );
    for name in ["none/a.jsonl", "none/a.html"] {
        let ran = folder.run(&["--report", name, "a.js"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.starts_with("offheap: cannot write none/a.jsonl: "), "{ran:?}");
    }
    assert_eq!(folder.run(&["--ledger=some", "a.js"]).status, Some(2));
}

#[test]
#[cfg(target_os = "linux")]
fn a_disk_that_is_full_is_told_after_the_report() {
    let folder = Folder::new(QUICKJS);
    folder.write("a.js", LEAK);
    std::os::unix::fs::symlink("/dev/full", folder.path("a.jsonl")).unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.path("b.html")).unwrap();
    for name in ["a.jsonl", "b.html"] {
        let ran = folder.run(&["--report", name, "a.js"]);
        assert_eq!(ran.status, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("No space left on device"), "{ran:?}");
        assert!(ran.stderr.contains("offheap: 2 stores, 72 B external, 1 leaked, 1 refused\n"), "{ran:?}");
    }
}
