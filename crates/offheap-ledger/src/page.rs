//! The stream as one page to look at.

use std::io::{self, Write};

use offheap_report::format::Line;
use offheap_report::{Html, Sink, Trace};

use crate::output::Output;

/// Follows the lines, and writes the page after the last.
pub(crate) struct Page<W> {
    trace: Trace,
    html: Html<W>,
}

impl<W: Write> Page<W> {
    pub(crate) fn new(to: W) -> Self {
        let mut trace = Trace::default();
        trace.begin_file("the ledger");
        Page { trace, html: Html::new(to) }
    }
}

impl<W: Write + Send> Output for Page<W> {
    fn line(&mut self, line: &Line) -> io::Result<()> {
        // The ledger tells everything before it refers to it. If it did not, a page without that line is better than none.
        match self.trace.apply(line) {
            Ok(()) => self.html.line(&self.trace, line),
            Err(_) => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.html.finish(&self.trace)
    }
}
