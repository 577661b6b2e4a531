//! Each kind of stream gives a page that says what it is.

use super::{page, stream, with_page};

const WINDOW: (u32, u32) = (1280, 900);

#[test]
fn of_every_kind_is_a_page() {
    for kind in crate::generate::KINDS {
        let page = page(&stream(kind, 500));
        assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"), "{kind}");
    }
}

fn verdict(test: &str, stream: &[u8], check: impl FnOnce(&str, &str)) {
    with_page(test, &page(stream), WINDOW, |tab| {
        let (verdict, notices) = (tab.text("#verdict"), tab.text("#notices"));
        check(&verdict, &notices);
    });
}

#[test]
fn of_nothing() {
    verdict("of_nothing", b"", |verdict, notices| {
        assert_eq!(verdict, "The stream is empty.");
        assert!(notices.contains("no line that starts a process"), "{notices}");
    });
}

#[test]
fn of_a_process_that_made_nothing() {
    verdict("of_a_process_that_made_nothing", &stream("empty", 0), |verdict, notices| {
        assert_eq!(verdict, "The stream tells of no store.");
        assert!(notices.contains("stops before the end of the process"), "{notices}");
    });
}

#[test]
fn of_a_program_that_freed_everything() {
    verdict("of_a_program_that_freed_everything", &stream("balanced", 0), |verdict, notices| {
        assert_eq!(verdict, "Nothing leaked.");
        assert_eq!(notices, "");
    });
}

#[test]
fn of_leaks_and_errors() {
    verdict("of_leaks_and_errors", &stream("leak", 0), |verdict, notices| {
        assert_eq!(verdict, "2 errors; 16 stores leaked, 7.9 MiB, at 3 places.");
        assert_eq!(notices, "");
    });
}

#[test]
fn of_a_stream_that_was_cut() {
    verdict("of_a_stream_that_was_cut", &stream("cut", 2_000), |verdict, notices| {
        assert!(verdict.contains("lived when the stream ended"), "{verdict}");
        assert!(notices.contains("not called a leak") && notices.contains("1 line could not be read"), "{notices}");
    });
}

#[test]
fn of_counts_only() {
    verdict("of_counts_only", &stream("counts", 0), |verdict, notices| {
        assert_eq!(verdict, "Counts only.");
        assert!(notices.contains("no lines about single stores"), "{notices}");
    });
}

#[test]
fn of_samples() {
    with_page("of_samples", &page(&stream("samples", 2_000)), WINDOW, |tab| {
        assert!(tab.text("#verdict").contains('≈') || tab.text("#numbers").contains('≈'));
        assert!(tab.text("#notices").contains("one for about every 512.0 KiB"));
    });
}

#[test]
fn of_several_processes() {
    with_page("of_several_processes", &page(&stream("processes", 3_000)), WINDOW, |tab| {
        assert_eq!(tab.text("#title"), "3 processes");
        assert!(tab.text("#notices").contains("process 312"));
        let all = tab.number("grid.rows.length");
        tab.value("(() => { const it = document.getElementById('process'); it.value = '1'; it.dispatchEvent(new Event('change')); })()");
        assert_eq!(tab.text("#title"), "map-worker 1");
        let one = tab.number("grid.rows.length");
        assert!(one > 0.0 && one < all, "{one} of {all}");
    });
}

#[test]
fn of_more_stores_than_are_shown() {
    let page = page(&stream("program", 150_000));
    assert!(page.len() < 10_000_000, "{} bytes", page.len());
    with_page("of_more_stores_than_are_shown", &page, WINDOW, |tab| {
        assert!(tab.text("#notices").contains("are in the totals only"));
        assert!(tab.text("#stores-count").contains("more in the totals only"));
        let counted = tab.number("data.processes[0].places.reduce((all, it) => all + it.made[0], 0)");
        assert_eq!(counted, tab.number("data.stores_in_all"));
    });
}

#[test]
fn of_an_audit() {
    let stream = r#"{"event":"start","version":1,"process":1}
{"event":"created","time":5,"store":1,"bytes":1024,"kind":"external","site":"a.js:2:3"}
{"event":"notice","time":6,"code":"WRAPPED_TWICE","message":"one pointer, <b>two</b> buffers","store":1}
{"event":"end","time":1000,"leaks":false}
"#;
    verdict("of_an_audit", stream.as_bytes(), |verdict, notices| {
        assert_eq!(verdict, "Nothing leaked.");
        assert_eq!(notices, "Notice: one pointer, <b>two</b> buffers");
    });
}
