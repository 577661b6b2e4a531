//! Reading the lines of a stream.

use std::io::{self, BufRead};

use crate::format::Line;

/// A line with its number.
#[derive(Debug)]
pub struct Numbered {
    /// The number of the line, counted from 1.
    pub number: u64,
    /// The line, or why it cannot be read.
    pub read: Result<Line, Problem>,
}

/// Why a line cannot be read. The lines after it can be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be read any further.
    #[error("line {number}: the file cannot be read any further: {source}")]
    Read {
        /// The number of the line.
        number: u64,
        /// Why.
        source: io::Error,
    },
    /// The line is not one that the format has.
    #[error("line {number}: {source}")]
    Syntax {
        /// The number of the line.
        number: u64,
        /// Where and why.
        source: serde_json::Error,
    },
}

/// Reads a stream line by line, in memory for one line.
pub struct Reader<R> {
    from: R,
    number: u64,
    text: Vec<u8>,
}

impl<R: BufRead> Reader<R> {
    /// Reads from here.
    pub fn new(from: R) -> Self {
        Reader { from, number: 0, text: Vec::new() }
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Numbered;

    fn next(&mut self) -> Option<Numbered> {
        self.text.clear();
        let number = self.number + 1;
        let read = match self.from.read_until(b'\n', &mut self.text) {
            Ok(0) => return None,
            Ok(_) => Line::parse(&self.text).map_err(|source| Problem::Syntax { number, source }),
            Err(source) => Err(Problem::Read { number, source }),
        };
        self.number = number;
        Some(Numbered { number, read })
    }
}
