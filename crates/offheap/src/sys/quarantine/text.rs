//! A text on the stack: formatting into it needs no memory and no lock.

use std::fmt;

/// The longest text. Two places with long names fit; what is longer is cut.
const ROOM: usize = 1536;

pub(super) struct Text {
    bytes: [u8; ROOM],
    length: usize,
}

impl Text {
    pub(super) fn new() -> Self {
        Text { bytes: [0; ROOM], length: 0 }
    }

    /// Appends bytes, as far as there is room. The last byte is left for the end of the line.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let taken = bytes.len().min(ROOM - 1 - self.length);
        self.bytes[self.length..self.length + taken].copy_from_slice(&bytes[..taken]);
        self.length += taken;
    }

    /// The text, as a line.
    pub(super) fn line(&mut self) -> &[u8] {
        self.bytes[self.length] = b'\n';
        &self.bytes[..=self.length]
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}
