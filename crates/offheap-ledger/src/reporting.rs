//! A report of the stream.

use std::io;

use offheap_report::format::Line;
use offheap_report::{Sink, Trace};

use crate::output::Output;

/// Follows the lines, and finishes the report after the last.
pub(crate) struct Report<S> {
    trace: Trace,
    sink: S,
}

impl<S: Sink> Report<S> {
    pub(crate) fn new(sink: S) -> Self {
        let mut trace = Trace::default();
        trace.begin_file("the ledger");
        Report { trace, sink }
    }
}

impl<S: Sink + Send> Output for Report<S> {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        // The ledger tells everything before it refers to it. If it did not, a report without that line is better than none.
        match self.trace.apply(line) {
            Ok(()) => self.sink.line(&self.trace, line),
            Err(_) => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.sink.finish(&self.trace)
    }
}
