//! The two streams that a run writes to.

use std::io::{self, Write};

use crate::visible;

/// Where a line of `console` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Output,
    Error,
}

/// Writes a line, which is on its way when this returns.
///
/// # Errors
/// The reader is gone, or the disk is full.
pub(crate) fn line(stream: Stream, text: &str) -> io::Result<()> {
    match stream {
        Stream::Output => write_line(&mut io::stdout().lock(), text),
        Stream::Error => write_line(&mut io::stderr().lock(), text),
    }
}

/// Writes lines of the command itself, as far as that is possible. What script prints is its own; names and messages in
/// these lines are not to do anything to a terminal.
pub(crate) fn error_lines(text: &str) {
    // There is nobody left to tell.
    let _ = line(Stream::Error, &visible::lines(text));
}

fn write_line(stream: &mut impl Write, text: &str) -> io::Result<()> {
    let mut line = String::with_capacity(text.len() + 1);
    line.push_str(text);
    line.push('\n');
    // One write for the line, so that lines of several processes do not mix.
    stream.write_all(line.as_bytes())?;
    stream.flush()
}
