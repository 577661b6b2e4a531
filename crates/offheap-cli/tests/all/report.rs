//! `offheap report`: its exit status, where it writes, and what it says of input and output that fail.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::common::{Folder, QUICKJS, Ran, offheap};

const START: &str = "{\"event\":\"start\",\"version\":1,\"process\":7}\n";
const MADE: &str = "{\"event\":\"created\",\"time\":5,\"store\":1,\"bytes\":64,\"site\":\"a.js:2:8\"}\n";
const FREED: &str = "{\"event\":\"freed\",\"time\":9,\"store\":1}\n";
const END: &str = "{\"event\":\"end\",\"time\":10}\n";

const LEAK: &str = "error[LEAK]: 64 B in 1 store leaked
--> a.js:2:8
 = held by: nobody that the stream names

        live        peak        made      stores   mean life  place
        64 B        64 B        64 B           1           -  a.js:2:8

offheap: 1 store, 64 B external, 1 leaked, 0 refused
";

/// A folder with a stream of a process that leaked.
fn leaking() -> Folder {
    let folder = Folder::new(QUICKJS);
    folder.write("leak.jsonl", [START, MADE, END].concat());
    folder
}

#[test]
fn the_status_says_whether_something_leaked_or_was_refused() {
    let folder = leaking();
    folder.offheap(&["report", "leak.jsonl"]).expect(3, LEAK, "");
    folder.write("clean.jsonl", [START, MADE, FREED, END].concat());
    assert_eq!(folder.offheap(&["report", "clean.jsonl"]).status, Some(0));
    folder.write("lives.jsonl", [START, MADE].concat());
    assert_eq!(folder.offheap(&["report", "lives.jsonl"]).status, Some(0));
    let refused = "{\"event\":\"refused\",\"time\":9,\"code\":\"DOUBLE_FREE\",\"message\":\"double free\"}\n";
    folder.write("refused.jsonl", [START, MADE, FREED, refused, END].concat());
    assert_eq!(folder.offheap(&["report", "refused.jsonl"]).status, Some(3));
    assert_eq!(folder.offheap(&["report", "clean.jsonl", "refused.jsonl"]).status, Some(3));
}

#[test]
fn the_lines_of_source_files_in_the_folder_are_shown() {
    let folder = leaking();
    folder.write("a.js", "// A script.\nlet a= make();\n");
    let ran = folder.offheap(&["report", "leak.jsonl"]);
    assert!(ran.stdout.contains("2 | let a= make();\n  |        ^^^^ made here\n"), "{ran:?}");
}

#[test]
fn a_stream_comes_from_the_standard_input_too() {
    let mut child = offheap().args(["report", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all([START, MADE, END].concat().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((String::from_utf8(output.stdout).unwrap().as_str(), output.status.code()), (LEAK, Some(3)));
}

#[test]
fn a_report_goes_to_a_file_if_one_is_named() {
    let folder = leaking();
    folder.offheap(&["report", "--output", "report.txt", "leak.jsonl"]).expect(3, "", "");
    assert_eq!(fs::read_to_string(folder.path("report.txt")).unwrap(), LEAK);
}

#[test]
fn each_format_is_made_of_what_was_read() {
    let folder = leaking();
    let formats =
        [("terminal", "error[LEAK]"), ("html", "<!doctype html>"), ("perfetto", "{"), ("firefox", "{"), ("json", "{")];
    for (format, begin) in formats {
        let ran = folder.offheap(&["report", "--format", format, "leak.jsonl"]);
        assert!(ran.stdout.starts_with(begin), "{format}: {}", &ran.stdout[..200]);
        assert!(ran.stdout.contains("a.js:2:8"), "{format}: {ran:?}");
        assert_eq!((ran.status, ran.stderr.as_str()), (Some(3), ""), "{format}");
    }
    folder.offheap(&["report", "--format", "pprof", "--output", "leak.pb.gz", "leak.jsonl"]).expect(3, "", "");
    assert!(fs::read(folder.path("leak.pb.gz")).unwrap().starts_with(b"\x1f\x8b"), "gzip");
    let mut command = folder_command(&folder);
    let said = on_terminal(command.args(["--format", "pprof"]));
    assert_eq!(said, "offheap: a terminal cannot show the format pprof; name a file with --output\r\n");
}

#[test]
fn what_can_be_read_is_reported_and_what_cannot_is_named() {
    let folder = leaking();
    fs::create_dir(folder.path("folder")).unwrap();
    folder.write("empty.jsonl", "");
    folder.write("bad.jsonl", [START, "nonsense \u{1b}[2J\n", MADE, "{\"event\":\"\\u001b[2J\"}\n", "{\"eve"].concat());
    let ran = folder.offheap(&["report", "missing.jsonl", "folder", "empty.jsonl", "bad.jsonl", "leak.jsonl"]);
    assert_eq!(
        ran.stderr,
        "offheap: cannot read missing.jsonl: No such file or directory (os error 2); check the name and the permissions\n\
         offheap: cannot read folder: is a directory; check the name and the permissions\n\
         offheap: empty.jsonl is empty: no ledger wrote to it; check the name\n\
         offheap: bad.jsonl:2: this is no JSON object, as every line of a ledger's stream is; the line is left out\n\
         offheap: bad.jsonl:4: the event \"\\x1b[2J\" is not one of version 1 of the format; if a newer program wrote it, \
         update offheap; the line is left out\n\
         offheap: bad.jsonl:5: the file ends in the middle of this line: its process ended before it was written, or still \
         writes; all lines before it are read\n"
    );
    assert_eq!(ran.status, Some(2));
    assert!(ran.stdout.contains("error[LEAK]: 64 B in 1 store leaked\n"), "{ran:?}");
    assert!(ran.stdout.contains("info: 64 B in 1 store live\n"), "{ran:?}");
}

#[test]
fn many_lines_that_cannot_be_read_are_counted() {
    let folder = Folder::new(QUICKJS);
    folder.write("bad.jsonl", START.to_owned() + &"x\n".repeat(1000) + MADE);
    let ran = folder.offheap(&["report", "bad.jsonl"]);
    assert_eq!(ran.stderr.lines().count(), 21);
    assert!(ran.stderr.ends_with("offheap: 980 further lines are left out\n"), "{ran:?}");
    assert!(ran.stdout.contains("info: 64 B in 1 store live\n"), "{ran:?}");
}

#[test]
fn wrong_usage_is_refused() {
    let folder = leaking();
    for wrong in [&["report"][..], &["report", "--format", "pdf", "leak.jsonl"], &["report", "--fast", "leak.jsonl"]] {
        assert_eq!(folder.offheap(wrong).status, Some(2), "{wrong:?}");
    }
    folder.offheap(&["report", "--output", "./leak.jsonl", "leak.jsonl"]).expect(
        2,
        "",
        "offheap: the report would overwrite its own input ./leak.jsonl; give --output another name\n",
    );
    assert_eq!(fs::read_to_string(folder.path("leak.jsonl")).unwrap(), [START, MADE, END].concat());
}

#[test]
fn output_that_fails_is_a_sentence() {
    let folder = leaking();
    folder.offheap(&["report", "--output", "none/report.txt", "leak.jsonl"]).expect(
        2,
        "",
        "offheap: cannot write the report to none/report.txt: No such file or directory (os error 2); check the name and \
         the permissions, or name another file with --output\n",
    );
    if cfg!(target_os = "linux") {
        folder.offheap(&["report", "--output", "/dev/full", "leak.jsonl"]).expect(
            2,
            "",
            "offheap: cannot write the report to /dev/full: No space left on device (os error 28); make room, or name a \
             file on another disk with --output\n",
        );
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = folder_command(&folder);
        Ran::of(QUICKJS, command.stdout(full)).expect(
            2,
            "",
            "offheap: cannot write the report to the standard output: No space left on device (os error 28); make room, or \
             name a file on another disk with --output\n",
        );
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = folder_command(&folder);
    Ran::of(QUICKJS, command.stdout(writer)).expect(
        2,
        "",
        "offheap: cannot write the report to the standard output: Broken pipe (os error 32); what read it has ended\n",
    );
}

fn folder_command(folder: &Folder) -> Command {
    let mut command = offheap();
    command.args(["report", "leak.jsonl"]).current_dir(folder.path(""));
    command
}

/// What the command prints to a terminal, standard output and standard error.
fn on_terminal(command: &mut Command) -> String {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let terminal = openpt(flags).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
    let open = || OpenOptions::new().write(true).custom_flags(OFlags::NOCTTY.bits() as i32).open(&name).unwrap();
    let mut child = command.stdin(Stdio::null()).stdout(open()).stderr(open()).spawn().unwrap();
    // The command still has its ends.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut said = Vec::new();
    // A terminal whose other side is gone is an error on Linux.
    let _ = File::from(terminal).read_to_end(&mut said);
    child.wait().unwrap();
    String::from_utf8(said).unwrap()
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let folder = leaking();
    let command = || {
        let mut command = folder_command(&folder);
        command.env_remove("NO_COLOR").env("TERM", "xterm");
        command
    };
    assert!(on_terminal(&mut command()).contains("\u{1b}[1m"));
    assert!(!on_terminal(command().env("NO_COLOR", "1")).contains('\u{1b}'));
    assert!(!on_terminal(command().env("TERM", "dumb")).contains('\u{1b}'));
    assert!(on_terminal(command().env("NO_COLOR", "")).contains("\u{1b}[1m"));
    assert!(!on_terminal(command().args(["--output", "report.txt"])).contains('\u{1b}'));
    assert_eq!(fs::read_to_string(folder.path("report.txt")).unwrap(), LEAK);
}

#[test]
fn a_long_file_has_a_bar_on_a_terminal_which_is_gone_at_the_end() {
    let folder = leaking();
    let mut long = START.to_owned();
    long.push_str(&format!("{}\n", " ".repeat(1 << 20)).repeat(65));
    long.push_str("nonsense\n");
    folder.write("leak.jsonl", long);
    let mut command = folder_command(&folder);
    let said = on_terminal(command.env("TERM", "xterm"));
    assert!(said.contains("of 65.00 MiB"), "{said:?}");
    assert!(said.contains("\u{1b}[2K"), "{said:?}");
    assert!(
        said.contains("\noffheap: leak.jsonl:67: ")
            || said.contains("\roffheap: leak.jsonl:67: ")
            || said.contains("Koffheap: leak.jsonl:67: "),
        "{said:?}"
    );
    let piped = Ran::of(QUICKJS, &mut folder_command(&folder));
    assert_eq!(
        piped.stderr,
        "offheap: leak.jsonl:67: this is no JSON object, as every line of a ledger's stream is; the line is left out\n"
    );
}

#[test]
fn a_file_that_is_named_twice_is_read_once() {
    let folder = Folder::new(QUICKJS);
    folder.write("a.js", "nativeModule.allocateMemory(8)");
    folder.run(&["--report", "a.jsonl", "a.js"]);
    let report = folder.offheap(&["report", "a.jsonl", "./a.jsonl"]);
    assert_eq!(report.status, Some(2), "{report:?}");
    assert_eq!(
        report.stderr,
        "offheap: ./a.jsonl is a.jsonl, which was read already; name each file once, or its stores count twice\n"
    );
    assert!(report.stdout.ends_with("offheap: 1 store, 8 B external, 1 leaked, 0 refused\n"), "{report:?}");
}
