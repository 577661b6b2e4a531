//! `offheap run --ledger --report`: the files that a run writes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::common::{Engine, Folder, QUICKJS};

on_each_engine!(
    a_run_writes_a_stream_that_the_report_reads,
    a_run_writes_a_page_and_the_stream_beside_it,
    a_reference_that_is_never_released_leaks_in_the_stream_too,
    the_balance_is_the_same_at_each_level,
    the_ledger_prints_what_lives_with_its_lines,
    the_stream_has_the_balance_at_each_level,
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

fn the_ledger_prints_what_lives_with_its_lines(engine: Engine) {
    let folder = Folder::new(engine);
    folder.write("a.js", LEAK);
    let short = folder.run(&["a.js"]);
    assert!(short.stderr.contains("offheap: leak: 64 bytes") && !short.stderr.contains("error["), "{short:?}");
    for level in ["--ledger", "--ledger=sites", "--ledger=full"] {
        let ran = folder.run(&[level, "a.js"]);
        assert_eq!((ran.status, ran.stdout.as_str()), (Some(3), ""), "{ran:?}");
        assert!(ran.stderr.starts_with("error[DOUBLE_FREE]: double free of 8 bytes"), "{ran:?}");
        assert!(ran.stderr.contains("error[LEAK]: 64 B in 1 store leaked\n --> a.js:2:"), "{ran:?}");
        assert!(ran.stderr.contains("\n2 |   const memory = nativeModule.allocateMemory(64);\n"), "{ran:?}");
        assert!(!ran.stderr.contains("offheap: leak:"), "{ran:?}");
        assert!(ran.stderr.ends_with("\noffheap: 2 stores, 72 B external, 1 leaked, 1 refused\n"), "{ran:?}");
    }
    let counted = folder.run(&["--ledger=counts", "a.js"]);
    assert!(counted.stderr.starts_with("offheap: leak: 64 bytes"), "{counted:?}");
}

fn the_stream_has_the_balance_at_each_level(engine: Engine) {
    let folder = Folder::new(engine);
    folder.write(
        "a.js",
        "const memory = nativeModule.allocateMemory(64, { shared: true });\nnativeModule.allocateMemory(8);\n",
    );
    let balance = "offheap: 2 stores (1 shared), 72 B external, 2 leaked, 0 refused\n";
    for level in ["counts", "sites", "full"] {
        let ran = folder.run(&[&format!("--ledger={level}"), "--report", "a.jsonl", "a.js"]);
        assert!(ran.stderr.ends_with(balance), "{level}: {ran:?}");
        let report = folder.offheap(&["report", "a.jsonl"]);
        assert_eq!(report.status, Some(3), "{level}: {report:?}");
        assert!(report.stdout.ends_with(balance), "{level}: {report:?}");
    }
}

/// The addresses of freed memory stay, and nobody may access them.
#[test]
#[cfg(target_os = "linux")]
fn quarantine_keeps_freed_memory_without_access() {
    let folder = Folder::new(QUICKJS);
    let free = "const memory = nativeModule.allocateMemory(100000);\nconst { address } = memory;\nnativeModule.free(memory);\n";
    let wait = "console.log(address.toString(16));\nfor (const end = Date.now() + 60000; Date.now() < end;) {}\n";
    folder.write("a.js", format!("{free}{wait}"));
    for (options, is_kept) in [(&["--quarantine"][..], true), (&[], false)] {
        let mut command = folder.command(&[options, &["a.js"]].concat());
        let mut child = command.current_dir(folder.path("")).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = u64::from_str_radix(line.trim(), 16).unwrap();
        let maps = fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let of_memory = maps.lines().find(|line| {
            let (from, to) = line.split(' ').next().and_then(|range| range.split_once('-')).unwrap();
            let [from, to] = [from, to].map(|address| u64::from_str_radix(address, 16).unwrap());
            (from..to).contains(&(address + 50_000))
        });
        assert_eq!(of_memory.is_some_and(|line| line.contains(" ---p ")), is_kept, "{of_memory:?}");
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
