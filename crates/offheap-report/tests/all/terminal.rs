//! The report for a terminal.

use offheap_report::{Sink, Terminal, Trace, follow};

use crate::common::stream;

fn report(text: &str, colours: bool) -> String {
    let mut out = Vec::new();
    let mut terminal = Terminal::new(&mut out, colours);
    let mut trace = Trace::default();
    follow("a.jsonl", text.as_bytes(), &mut trace, &mut terminal).unwrap();
    terminal.finish(&trace).unwrap();
    drop(terminal);
    String::from_utf8(out).unwrap()
}

/// Without colours.
fn plain(lines: &[&str]) -> String {
    report(&stream(lines), false)
}

const END: &str = r#"{"event":"end","time":1000}"#;

#[test]
fn errors_come_first_with_the_lines_around_their_places() {
    let said = plain(&[
        r#"{"event":"created","time":5,"store":1,"bytes":1024,"site":"tests/all/terminal/sample.js:2:29"}"#,
        r#"{"event":"refused","time":6,"code":"DOUBLE_FREE","message":"double free of 1024 bytes; remove the second free","store":1,"site":"tests/all/terminal/sample.js:11:13","earlier":"tests/all/terminal/sample.js:7:15"}"#,
        r#"{"event":"freed","time":7,"store":1}"#,
        END,
    ]);
    assert_eq!(
        said,
        r#"error[DOUBLE_FREE]: double free of 1024 bytes; remove the second free
  --> tests/all/terminal/sample.js:11:21
   |
 1 | // A source that the report for a terminal shows lines of.
 2 | const memory = nativeModule.allocateMemory(1024);
   |                             -------------- made here
 3 | const buffer = nativeModule.arrayBuffer(memory);
 4 | globalThis.kept = buffer;
 5 |
 6 | function release() {
 7 |     nativeModule.free(memory);
   |                  ---- freed here before
 8 | }
 9 |
10 | release();
11 | "\x1b[31m\u202e"; release(); // Not what it looks like.
   |                     ^^^^^ freed again here
12 | release();
   |

        live        peak        made      stores   mean life  place
         0 B     1.0 KiB     1.0 KiB           1       2.0ns  tests/all/terminal/sample.js:2:29

offheap: 1 store, 1.0 KiB external, 0 leaked, 1 refused
"#
    );
}

#[test]
fn what_leaked_is_shown_by_place_with_its_holders_and_a_stack() {
    let said = plain(&[
        r#"{"event":"isolate","isolate":1,"engine":"QuickJS","name":"page"}"#,
        r#"{"event":"created","time":5,"store":1,"bytes":1024,"site":"tests/all/terminal/sample.js:2:29","stack":3}"#,
        r#"{"event":"created","time":5,"store":2,"bytes":2000000,"site":"tests/all/terminal/sample.js:2:29","stack":3}"#,
        r#"{"event":"created","time":5,"store":3,"bytes":512,"site":"missing.rs:7:9"}"#,
        r#"{"event":"created","time":5,"store":4,"bytes":512}"#,
        r#"{"event":"created","time":5,"store":5,"bytes":1000000,"site":"static.rs:1:1"}"#,
        r#"{"event":"static","time":5,"store":5}"#,
        r#"{"event":"exposed","time":5,"store":1,"isolate":1}"#,
        r#"{"event":"referenced","time":5,"store":3,"reference":1,"site":"missing.rs:8:9"}"#,
        r#"{"event":"stack","stack":3,"frames":[{"function":"main","site":"a.rs:1:1"},{"address":4096}]}"#,
        END,
    ]);
    let shown = r#"error[LEAK]: 1.9 MiB in 2 stores leaked
 --> tests/all/terminal/sample.js:2:29
  |
1 | // A source that the report for a terminal shows lines of.
2 | const memory = nativeModule.allocateMemory(1024);
  |                             ^^^^^^^^^^^^^^ made here
3 | const buffer = nativeModule.arrayBuffer(memory);
4 | globalThis.kept = buffer;
  |
  = held by: nobody that the stream names (1.9 MiB in 1 store)
  = held by: 1 buffer in QuickJS isolate 1 "page" (1.0 KiB in 1 store)
  = stack: main (a.rs:1:1)
           0x1000

error[LEAK]: 512 B in 1 store leaked
 |
 = held by: nobody that the stream names

error[LEAK]: 512 B in 1 store leaked
--> missing.rs:7:9
 = held by: a reference taken at missing.rs:8:9

        live        peak        made      stores   mean life  place
     1.9 MiB     1.9 MiB     1.9 MiB           2           -  tests/all/terminal/sample.js:2:29
   976.6 KiB   976.6 KiB   976.6 KiB           1           -  static.rs:1:1
       512 B       512 B       512 B           1           -  missing.rs:7:9

offheap: 5 stores, 2.9 MiB external, 4 leaked, 0 refused
"#;
    assert_eq!(said, shown);
}

#[test]
fn what_lives_in_a_process_without_an_end_is_not_called_a_leak() {
    let said = plain(&[r#"{"event":"created","time":5,"store":1,"bytes":1,"site":"missing.rs:7:9"}"#]);
    assert!(said.starts_with("info: 1 B in 1 store live\n--> missing.rs:7:9\n"), "{said}");
    let last = "offheap: 1 store, 1 B external, 1 live, 0 refused; the process did not end in order or still runs, so what \
                lives is not called a leak\n";
    assert!(said.ends_with(last), "{said}");
    assert_eq!(plain(&[END]), "offheap: 0 stores, 0 B external, 0 leaked, 0 refused\n");
}

#[test]
fn processes_are_named_if_there_are_several() {
    let made = r#"{"event":"created","time":5,"store":1,"bytes":1,"site":"missing.rs:7:9"}"#;
    let other = r#"{"event":"start","version":1,"process":8,"program":"b"}"#;
    let said = plain(&[made, END, other, made, END]);
    assert!(
        said.contains(" = in: process 7, in a.jsonl\n") && said.contains(" = in: process 8, b, in a.jsonl\n"),
        "{said}"
    );
    assert!(
        said.ends_with(
            "offheap: process 7: 1 store, 1 B external, 1 leaked, 0 refused\n\
             offheap: process 8, b: 1 store, 1 B external, 1 leaked, 0 refused\n"
        ),
        "{said}"
    );
}

#[test]
fn many_places_holders_and_refusals_are_cut_short_with_their_sums() {
    let mut lines = Vec::new();
    for store in 1..=1000 {
        let site = store % 40;
        lines.push(format!(r#"{{"event":"created","time":5,"store":{store},"bytes":100,"site":"a.rs:{site}:1"}}"#));
        lines.push(format!(r#"{{"event":"exposed","time":5,"store":{store},"isolate":{}}}"#, store % 400));
        lines.push(format!(
            r#"{{"event":"refused","time":5,"code":"C","message":"m","site":"a.rs:{}:1"}}"#,
            store % 250
        ));
    }
    lines.push(END.to_owned());
    let said = plain(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(said.starts_with("error[C]: m (4 times)\n--> a.rs:1:1\n"), "{said}");
    assert_eq!(said.matches("error[C]").count(), 100);
    assert!(said.contains("\nand 600 further refusals\n"), "{said}");
    assert_eq!(said.matches("error[LEAK]: 2.4 KiB in 25 stores leaked").count(), 20);
    assert!(said.contains(" = held by: others (1000 B in 10 stores)\n"), "{said}");
    assert!(said.contains("\nand 48.8 KiB in 500 stores from 20 further places\n"), "{said}");
    assert!(said.contains("\nand 20 further places\n"), "{said}");
    assert!(said.lines().count() < 600);
}

#[test]
fn colours_are_there_if_they_are_asked_for() {
    let text = stream(&[r#"{"event":"created","time":5,"store":1,"bytes":1,"site":"missing.rs:7:9"}"#, END]);
    assert!(report(&text, true).contains("\u{1b}["));
    assert!(!report(&text, false).contains('\u{1b}'));
}

#[test]
fn nothing_that_a_stream_says_reaches_the_terminal_unescaped() {
    let evil = "\\u001b[2J\\u202e\\r\\n\\u0000";
    let said = plain(&[
        &format!(r#"{{"event":"isolate","isolate":1,"engine":"{evil}","name":"{evil}"}}"#),
        &format!(r#"{{"event":"created","time":5,"store":1,"bytes":1,"site":"{evil}:1:1","stack":1,"kind":"{evil}"}}"#),
        &format!(r#"{{"event":"created","time":5,"store":2,"bytes":1,"site":"{evil}"}}"#),
        r#"{"event":"exposed","time":5,"store":1,"isolate":1}"#,
        &format!(r#"{{"event":"referenced","time":5,"store":1,"reference":1,"site":"{evil}"}}"#),
        &format!(r#"{{"event":"holders","time":5,"store":2,"buffers":[{{"count":1,"path":["{evil}"]}}]}}"#),
        &format!(
            r#"{{"event":"refused","time":5,"code":"{evil}","message":"{evil}","site":"{evil}","earlier":"{evil}:1:1"}}"#
        ),
        &format!(r#"{{"event":"stack","stack":1,"frames":[{{"function":"{evil}","site":"{evil}"}}]}}"#),
        &format!(r#"{{"event":"start","version":1,"process":8,"program":"{evil}"}}"#),
        END,
    ]);
    let unescaped =
        said.chars().find(|&character| character.is_control() && character != '\n' || character == '\u{202e}');
    assert_eq!(unescaped, None, "{said}");
    assert!(said.contains("\\x1b[2J\\u202e\\x0d\\n\\x00"), "{said}");
}

#[test]
fn places_that_are_no_places_of_a_text_are_shown_without_lines() {
    for site in [
        "tests/all/terminal/sample.js:99:1",
        "tests/all/terminal/sample.js:0:1",
        "tests/all/terminal/sample.js:1:0",
        "tests/all/terminal/sample.js:99999999999999999999:1",
        "tests/all/terminal:1:1",
        "/dev/zero:1:1",
        "/dev/stdin:1:1",
        ":1:1",
        "1:1",
        "",
        "::",
        "sample.js",
    ] {
        let said = plain(&[&format!(r#"{{"event":"created","time":5,"store":1,"bytes":1,"site":"{site}"}}"#), END]);
        assert!(said.starts_with("error[LEAK]: 1 B in 1 store leaked\n"), "{site}: {said}");
        assert!(!said.contains(" | "), "{site}: {said}");
    }
    // A column beyond the end of its line is shown at its end.
    let said = plain(&[
        r#"{"event":"created","time":5,"store":1,"bytes":1,"site":"tests/all/terminal/sample.js:8:99999"}"#,
        END,
    ]);
    assert!(said.contains(" 8 | }\n   |  ^ made here\n"), "{said}");
}

#[test]
fn an_audit_tells_notices_and_calls_nothing_a_leak() {
    let said = plain(&[
        r#"{"event":"created","time":5,"store":1,"bytes":1024,"kind":"external","site":"a.js:2:3"}"#,
        r#"{"event":"notice","time":6,"code":"WRAPPED_TWICE","message":"one pointer, two buffers","store":1,"site":"a.js:2:3"}"#,
        r#"{"event":"end","time":1000,"leaks":false}"#,
    ]);
    assert!(said.starts_with("notice[WRAPPED_TWICE]: one pointer, two buffers\n--> a.js:2:3\n"), "{said}");
    assert!(said.contains("info: 1.0 KiB in 1 store live\n"), "{said}");
    assert!(said.contains("held by: script: the finalizer of its buffer was not called"), "{said}");
    assert!(said.ends_with("1 store, 1.0 KiB external, 1 alive at the end, 0 refused, 1 to notice\n"), "{said}");
}

#[test]
fn what_the_process_counted_is_the_balance() {
    let counted = r#"{"event":"totals","time":9,"stores":4,"bytes":165,"resizable":1,"shared":1,"leaked":2}"#;
    let said = plain(&[counted, END]);
    assert_eq!(said, "offheap: 4 stores (1 resizable, 1 shared), 165 B external, 2 leaked, 0 refused\n");
    let runs = plain(&[counted]);
    assert!(
        runs.starts_with("offheap: 4 stores (1 resizable, 1 shared), 165 B external, 0 live, 0 refused; "),
        "{runs}"
    );
}

/// Reading `/proc/kmsg` would wait for ever.
#[cfg(target_os = "linux")]
#[test]
fn files_that_the_system_makes_up_are_not_read() {
    let said = plain(&[r#"{"event":"created","time":5,"store":1,"bytes":8,"site":"/proc/self/status:1:1"}"#]);
    assert!(said.contains("--> /proc/self/status:1:1"), "{said}");
    assert!(!said.contains("Name:"), "{said}");
}
