//! Following a whole file.

use std::io::{self, BufRead};

use crate::format::Line;
use crate::read::{Cause, Problem, Reader};
use crate::trace::{Trace, Untold};

/// What makes a report of a stream.
pub trait Sink {
    /// A line was read. `trace` knows it already: [`Trace::process`] and [`Trace::store`] are those that the line is about,
    /// also of a store that the line freed.
    ///
    /// # Errors
    /// Those of writing the report. They end it.
    fn line(&mut self, trace: &Trace, line: &Line) -> io::Result<()>;

    /// A line was left out.
    ///
    /// # Errors
    /// Those of writing the report. They end it.
    fn problem(&mut self, problem: &Problem) -> io::Result<()> {
        let _ = problem;
        Ok(())
    }

    /// All lines of all files were read. Stacks and names are known now.
    ///
    /// # Errors
    /// Those of writing the report.
    fn finish(&mut self, trace: &Trace) -> io::Result<()>;
}

/// Reads a file to its end: each line goes to the trace, and then to the sink. `name` is the file's name in problems.
///
/// Call [`Sink::finish`] after the last file.
///
/// # Errors
/// Those of the sink. A file that cannot be read any further is a problem, and no error.
pub fn follow(name: &str, from: impl BufRead, trace: &mut Trace, sink: &mut dyn Sink) -> io::Result<()> {
    trace.begin_file(name);
    for line in Reader::new(from) {
        let applied = line.read.and_then(|read| match trace.apply(&read) {
            Ok(()) => Ok(read),
            Err(untold) => Err(Cause::Untold(untold)),
        });
        match applied {
            Ok(read) => sink.line(trace, &read)?,
            // The line `start` of that process was a problem already.
            Err(Cause::Untold(Untold::LeftOut { .. })) => {}
            Err(cause) => sink.problem(&Problem { file: name.to_owned(), number: line.number, cause })?,
        }
    }
    Ok(())
}
