//! The page, in a real browser. A program of its own: its tests share one browser.
//!
//! Without a browser each test says that it was left out. `OFFHEAP_BROWSER=required` makes that a failure, and
//! `OFFHEAP_BROWSER=/path/to/chrome` names the browser. `OFFHEAP_PICTURES=folder` keeps pictures of the pages.
#![forbid(unsafe_code)]

mod browser;
#[path = "../../examples/stream/generate.rs"]
mod generate;
mod looks;
mod perfetto;
mod safe;
mod streams;
mod totals;
mod use_of;

use std::path::PathBuf;

use browser::Tab;
use offheap_report::{Html, Sink, Trace, follow};

/// The page of a stream.
fn page(stream: &[u8]) -> String {
    let mut out = Vec::new();
    let mut html = Html::new(&mut out);
    let mut trace = Trace::default();
    follow("stream.jsonl", stream, &mut trace, &mut html).expect("a Vec takes everything");
    html.finish(&trace).expect("a Vec takes everything");
    drop(html);
    String::from_utf8(out).expect("the page is UTF-8")
}

/// A stream of a kind that the generator knows.
fn stream(kind: &str, events: u64) -> Vec<u8> {
    let mut out = Vec::new();
    generate::stream(&mut out, kind, events).expect("a Vec takes everything");
    out
}

/// Opens a page in the browser, does something with it, and checks that it complained of nothing.
fn with_page(test: &str, page: &str, size: (u32, u32), act: impl FnOnce(&mut Tab<'_>)) {
    let Some(mut browser) = browser::browser(test) else { return };
    let file = std::env::temp_dir().join(format!("offheap-page-{}-{test}.html", std::process::id()));
    std::fs::write(&file, page).expect("the folder for temporary files is there");
    let mut tab = browser.as_mut().expect("it was started").open(&format!("file://{}", file.display()), size.0, size.1);
    act(&mut tab);
    let complaints = tab.complaints();
    drop(tab);
    let _ = std::fs::remove_file(&file);
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// Where pictures are kept, if they are wanted.
fn pictures() -> Option<PathBuf> {
    std::env::var_os("OFFHEAP_PICTURES").map(PathBuf::from)
}
