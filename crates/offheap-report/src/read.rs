//! Reading the lines of a stream.

use std::io::{self, BufRead};

use crate::format::{Line, Malformed};
use crate::trace::Untold;

/// Longer lines are not read. Those of a ledger have some hundred bytes, and those with a stack some thousand.
pub const LONGEST_LINE: usize = 16 << 20;

/// A line with its number.
#[derive(Debug)]
pub struct Numbered {
    /// The number of the line, counted from 1.
    pub number: u64,
    /// The line, or why it cannot be read.
    pub read: Result<Line, Cause>,
}

/// A line that is left out, and why.
#[derive(Debug, thiserror::Error)]
#[error("{file}:{number}: {cause}")]
#[non_exhaustive]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The number of the line, counted from 1.
    pub number: u64,
    /// Why.
    pub cause: Cause,
}

/// Why a line is left out. Except for [`Cause::Read`], the lines after it are read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The file cannot be read any further.
    #[error("the file cannot be read from here on: {0}")]
    Read(#[source] io::Error),
    /// The line is longer than [`LONGEST_LINE`].
    #[error("the line is longer than {} MiB, and is left out; is this a stream of a ledger?", LONGEST_LINE >> 20)]
    TooLong,
    /// The last line has no end, and cannot be read.
    #[error(
        "the file ends in the middle of this line: its process ended before it was written, or still writes; all lines \
         before it are read"
    )]
    Cut,
    /// The line is not one that the format has.
    #[error("{0}; the line is left out")]
    Malformed(#[from] Malformed),
    /// The line does not fit to those before it.
    #[error("{0}")]
    Untold(#[from] Untold),
}

/// Reads a stream line by line, in memory for one line.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    number: u64,
    text: Vec<u8>,
    is_done: bool,
}

impl<R: BufRead> Reader<R> {
    /// Reads from here.
    pub fn new(from: R) -> Self {
        Reader { from, number: 0, text: Vec::new(), is_done: false }
    }

    /// Reads the next line into `self.text`, without its end. `None` at the end of the file.
    fn fill(&mut self) -> Option<Result<End, Cause>> {
        self.text.clear();
        let mut is_too_long = false;
        let mut is_empty = true;
        loop {
            let available = match self.from.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Some(Err(Cause::Read(error))),
            };
            let at_end = available.is_empty();
            is_empty &= at_end;
            let end = memchr::memchr(b'\n', available);
            let part = &available[..end.unwrap_or(available.len())];
            if self.text.len() + part.len() > LONGEST_LINE {
                is_too_long = true;
                self.text = Vec::new();
            } else if !is_too_long {
                self.text.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.from.consume(used);
            return match (end, at_end) {
                (None, true) if is_empty => None,
                (None, false) => continue,
                _ if is_too_long => Some(Err(Cause::TooLong)),
                (Some(_), _) => Some(Ok(End::Line)),
                (None, true) => Some(Ok(End::File)),
            };
        }
    }
}

enum End {
    Line,
    File,
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Numbered;

    fn next(&mut self) -> Option<Numbered> {
        while !self.is_done {
            let filled = self.fill()?;
            self.number += 1;
            let read = match filled {
                // People may leave empty lines.
                Ok(_) if self.text.trim_ascii().is_empty() => continue,
                Ok(End::Line) => Line::parse(&self.text).map_err(Cause::Malformed),
                Ok(End::File) => Line::parse(&self.text).map_err(|_| Cause::Cut),
                Err(cause) => {
                    self.is_done = matches!(cause, Cause::Read(_));
                    Err(cause)
                }
            };
            return Some(Numbered { number: self.number, read });
        }
        None
    }
}
