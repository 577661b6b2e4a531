//! The memory that a trace takes: a program of its own, whose peak nothing else changes.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

use std::io::{self, BufReader, Read, Write};

use offheap_report::format::Line;
use offheap_report::{Problem, Sink, Trace, follow};

/// Stores that are made, exposed, referenced, released and freed: [`LINES_EACH`] lines for each.
struct ShortLived {
    left: u64,
    text: Vec<u8>,
    at: usize,
}

const LINES_EACH: u64 = 6;

impl ShortLived {
    fn stream(stores: u64) -> BufReader<Self> {
        let text = b"{\"event\":\"start\",\"version\":1,\"process\":7}\n".to_vec();
        BufReader::new(ShortLived { left: stores, text, at: 0 })
    }
}

impl Read for ShortLived {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.text.len() && self.left > 0 {
            self.text.clear();
            self.at = 0;
            self.left -= 1;
            let (store, site) = (self.left, self.left % 100);
            let about = format!(r#""time":5,"store":{store}"#);
            for line in [
                format!(r#"{{"event":"created",{about},"bytes":64,"kind":"fixed","site":"a.rs:{site}:1"}}"#),
                format!(r#"{{"event":"exposed",{about},"isolate":1}}"#),
                format!(r#"{{"event":"referenced",{about},"reference":{store}}}"#),
                format!(r#"{{"event":"dropped",{about},"reference":{store}}}"#),
                format!(r#"{{"event":"released",{about},"isolate":1}}"#),
                format!(r#"{{"event":"freed",{about}}}"#),
            ] {
                writeln!(self.text, "{line}")?;
            }
        }
        let read = (&self.text[self.at..]).read(into)?;
        self.at += read;
        Ok(read)
    }
}

#[derive(Default)]
struct Count {
    lines: u64,
}

impl Sink for Count {
    fn line(&mut self, _: &Trace, _: &Line) -> io::Result<()> {
        self.lines += 1;
        Ok(())
    }

    fn problem(&mut self, problem: &Problem) -> io::Result<()> {
        panic!("{problem}");
    }

    fn finish(&mut self, _: &Trace) -> io::Result<()> {
        Ok(())
    }
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel says so");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// `OFFHEAP_REPORT_STORES` asks for another number of stores.
#[test]
fn what_was_freed_takes_no_memory() {
    let stores: u64 = std::env::var("OFFHEAP_REPORT_STORES").map_or(50_000, |stores| stores.parse().expect("a number"));
    let (mut trace, mut count) = (Trace::default(), Count::default());
    // All that one store at a time needs.
    follow("few", ShortLived::stream(1000), &mut trace, &mut count).unwrap();
    let before = peak_kib();
    follow("many", ShortLived::stream(stores), &mut trace, &mut count).unwrap();
    let grown = peak_kib() - before;
    assert_eq!(count.lines, (1000 + stores) * LINES_EACH + 2);
    assert!(grown < 1024, "{grown} KiB more for {stores} stores");
}
