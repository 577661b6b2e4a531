//! The strings of a snapshot, of which only some are kept.

use std::collections::{HashMap, HashSet};

/// The strings that paths name.
#[derive(Default)]
pub(super) struct Strings {
    pub(super) wanted: HashSet<u32>,
    pub(super) kept: HashMap<u32, String>,
    number: u32,
    inside: bool,
    escaped: bool,
    /// Hexadecimal digits of `\u` that are missing, and their value so far.
    digits: u8,
    code: u32,
    /// The first half of a character outside of the basic plane.
    high: u32,
    bytes: Vec<u8>,
}

impl Strings {
    /// Reads the next byte. Returns whether a string is still missing.
    pub(super) fn read(&mut self, byte: u8) -> bool {
        if !self.inside {
            match byte {
                b'"' => {
                    self.inside = true;
                    self.bytes.clear();
                }
                b']' => return false,
                _ => {}
            }
            return self.kept.len() < self.wanted.len();
        }
        if self.digits > 0 {
            self.read_digit(byte);
        } else if self.escaped {
            self.escaped = false;
            match byte {
                b'u' => (self.digits, self.code) = (4, 0),
                b'n' => self.push('\n'),
                b't' => self.push('\t'),
                b'r' => self.push('\r'),
                b'b' => self.push('\u{8}'),
                b'f' => self.push('\u{c}'),
                other => self.bytes.push(other),
            }
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.inside = false;
            if self.wanted.contains(&self.number) {
                self.kept.insert(self.number, String::from_utf8_lossy(&self.bytes).into_owned());
            }
            self.number += 1;
        } else {
            self.bytes.push(byte);
        }
        true
    }

    fn read_digit(&mut self, byte: u8) {
        self.digits -= 1;
        self.code = self.code << 4 | (byte as char).to_digit(16).unwrap_or(0);
        if self.digits > 0 {
            return;
        }
        match self.code {
            0xD800..0xDC00 => self.high = self.code,
            0xDC00..0xE000 if self.high != 0 => {
                let code = 0x1_0000 + ((self.high - 0xD800) << 10) + (self.code - 0xDC00);
                self.high = 0;
                self.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            code => self.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)),
        }
    }

    fn push(&mut self, character: char) {
        self.bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}
