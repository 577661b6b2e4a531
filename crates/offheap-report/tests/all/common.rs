//! Streams for tests, and what is made of them.

use std::io::{self, BufRead};

use offheap_report::format::Line;
use offheap_report::{Problem, Sink, Store, Trace, follow};

/// What was read of a stream.
#[derive(Default)]
pub(crate) struct Followed {
    pub(crate) trace: Trace,
    pub(crate) seen: Seen,
}

/// Keeps what a sink is told.
#[derive(Default)]
pub(crate) struct Seen {
    /// The events that were read.
    pub(crate) events: Vec<&'static str>,
    /// The problems, as they are printed.
    pub(crate) problems: Vec<String>,
}

impl Sink for Seen {
    fn line(&mut self, _: &Trace, line: &Line) -> io::Result<()> {
        self.events.push(line.event.name());
        Ok(())
    }

    fn problem(&mut self, problem: &Problem) -> io::Result<()> {
        self.problems.push(problem.to_string());
        Ok(())
    }

    fn finish(&mut self, _: &Trace) -> io::Result<()> {
        Ok(())
    }
}

impl Followed {
    /// Reads one file named `a.jsonl`.
    pub(crate) fn of(text: impl AsRef<[u8]>) -> Self {
        let mut followed = Followed::default();
        followed.read("a.jsonl", text.as_ref());
        followed
    }

    pub(crate) fn read(&mut self, name: &str, from: impl BufRead) {
        follow(name, from, &mut self.trace, &mut self.seen).expect("the sink never fails");
    }

    /// The only problem.
    #[track_caller]
    pub(crate) fn problem(&self) -> &str {
        assert_eq!(self.seen.problems.len(), 1, "{:#?}", self.seen.problems);
        &self.seen.problems[0]
    }

    #[track_caller]
    pub(crate) fn assert_no_problem(&self) {
        assert_eq!(self.seen.problems, Vec::<String>::new());
    }

    /// The live store with this number, of the first process.
    pub(crate) fn store(&self, number: u64) -> &Store {
        self.trace.find(0, number).expect("the store lives")
    }

    /// Who holds that store, in words.
    pub(crate) fn holders(&self, number: u64) -> Vec<String> {
        self.trace.holders(self.store(number)).iter().map(ToString::to_string).collect()
    }
}

/// The line with which process 7 begins, and then these lines.
pub(crate) fn stream(lines: &[&str]) -> String {
    let mut text = r#"{"event":"start","version":1,"process":7}"#.to_owned() + "\n";
    for line in lines {
        text.push_str(line);
        text.push('\n');
    }
    text
}
