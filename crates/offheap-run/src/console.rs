//! Where `console` prints.

use std::io::{self, Write};

/// The stream that a line of `console` belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// `console.log`, `info` and `debug`.
    Output,
    /// `console.error` and `warn`.
    Error,
}

impl Stream {
    /// Writes a line to the standard output or the standard error of the process, and flushes it.
    ///
    /// The line is one write, so that lines of several processes do not mix.
    ///
    /// # Errors
    /// The reader is gone, or the disk is full.
    pub fn write_line(self, text: &str) -> io::Result<()> {
        match self {
            Stream::Output => write_line(&mut io::stdout().lock(), text),
            Stream::Error => write_line(&mut io::stderr().lock(), text),
        }
    }
}

fn write_line(stream: &mut impl Write, text: &str) -> io::Result<()> {
    let mut line = String::with_capacity(text.len() + 1);
    line.push_str(text);
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    stream.flush()
}
