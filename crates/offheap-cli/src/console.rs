//! The two streams that a run writes to.

use std::io::{self, Write};

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

/// Writes a line of the command itself, as far as that is possible.
pub(crate) fn error_line(text: &str) {
    // There is nobody left to tell.
    let _ = line(Stream::Error, text);
}

fn write_line(stream: &mut impl Write, text: &str) -> io::Result<()> {
    let mut line = String::with_capacity(text.len() + 1);
    line.push_str(text);
    line.push('\n');
    // One write for the line, so that lines of several processes do not mix.
    stream.write_all(line.as_bytes())?;
    stream.flush()
}
