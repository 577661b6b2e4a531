//! Makes foreign text safe to print: escapes what would move a terminal's cursor, change its colours or begin a line.

use std::fmt::Write;

/// Escapes a name or a message, which becomes one line. Control characters get JavaScript's escapes: `\x1b`.
pub fn line(text: &str) -> String {
    escape(text, |_| false)
}

/// Escapes a text of several lines, and keeps the lines.
pub fn lines(text: &str) -> String {
    escape(text, |character| character == '\n')
}

fn escape(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            _ if stays(character) || !is_control(character) => shown.push(character),
            '\n' => shown.push_str("\\n"),
            // Writing to a String does not fail.
            '\0'..'\u{100}' => _ = write!(shown, "\\x{:02x}", u32::from(character)),
            _ => _ = write!(shown, "\\u{:04x}", u32::from(character)),
        }
    }
    shown
}

/// Includes separators of lines, and marks that change the direction of text.
fn is_control(character: char) -> bool {
    let turns = matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() && character != '\t' || turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(line("a\u{1b}[2Jb\nc\td\r\u{9b}\u{202e}é"), "a\\x1b[2Jb\\nc\td\\x0d\\x9b\\u202eé");
        assert_eq!(lines("a\nb\0"), "a\nb\\x00");
    }
}
