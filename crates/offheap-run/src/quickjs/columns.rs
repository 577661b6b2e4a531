//! Columns as editors show them. QuickJS counts bytes of UTF-8, while editors and V8 count units of UTF-16. In the
//! first line of a text, QuickJS's column of any token but an identifier is one too small (`js_parse_init`, `eol`).

use std::cell::RefCell;
use std::collections::HashMap;

/// The texts of scripts and modules, by the name that QuickJS knows them by.
#[derive(Default)]
pub(super) struct Columns(RefCell<HashMap<String, Text>>);

/// The parts of a text that are needed to count columns.
struct Text {
    first_line: String,
    /// The whole text, unless all of it is ASCII.
    whole: Option<String>,
}

impl Columns {
    /// Adds the text of the script or module `name`.
    pub(super) fn add(&self, name: &str, text: &str) {
        let whole = (!text.is_ascii()).then(|| text.to_owned());
        let first_line = lines(text).next().unwrap_or_default().to_owned();
        self.0.borrow_mut().insert(name.to_owned(), Text { first_line, whole });
    }

    /// The column of a token that QuickJS says is in `column`. Both count from 1.
    pub(super) fn of_token(&self, name: &str, line: u32, column: u32) -> u32 {
        self.find(name, |text| match line {
            1 if !begins_identifier(&text.first_line, column) => text.units(line, column + 1),
            _ => text.units(line, column),
        })
        .unwrap_or(column)
    }

    /// The column of an error in a text that does not parse, where QuickJS treats the first line like the others.
    pub(super) fn of_unparsed(&self, name: &str, line: u32, column: u32) -> u32 {
        self.find(name, |text| text.units(line, column)).unwrap_or(column)
    }

    fn find(&self, name: &str, column: impl FnOnce(&Text) -> u32) -> Option<u32> {
        self.0.borrow().get(name).map(column)
    }
}

impl Text {
    fn units(&self, line: u32, column: u32) -> u32 {
        let Some(whole) = &self.whole else { return column };
        let before = lines(whole).nth(line.saturating_sub(1) as usize).map(|text| {
            let end = (column.saturating_sub(1) as usize).min(text.len());
            // The end is inside of a character only if QuickJS meant another text.
            let end = (0..=end).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
            text[..end].encode_utf16().count() as u32
        });
        before.map_or(column, |before| before + 1)
    }
}

/// Whether an identifier begins at the byte `column` of `line`, counted from 1.
fn begins_identifier(line: &str, column: u32) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'\\') || byte >= 0x80;
    let at = column.saturating_sub(1) as usize;
    let byte = |at: usize| line.as_bytes().get(at).copied().is_some_and(is_part);
    byte(at) && !(at > 0 && byte(at - 1))
}

/// Lines as QuickJS counts them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\n', '\r', '\u{2028}', '\u{2029}']) else {
            rest = None;
            return Some(text);
        };
        let (line, after) = text.split_at(end);
        let mut after = after.chars();
        if after.next() == Some('\r') && after.as_str().starts_with('\n') {
            after.next();
        }
        rest = Some(after.as_str());
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_units_of_utf_16() {
        let columns = Columns::default();
        columns.add("a.js", "o.p(x)\r\n'é😀'; f()\r\u{2028}'é' f()");
        // `p` is the third character, of which QuickJS says 2; `x` the fifth, of which it says 5.
        assert_eq!((columns.of_token("a.js", 1, 2), columns.of_token("a.js", 1, 5)), (3, 5));
        assert_eq!((columns.of_token("a.js", 2, 11), columns.of_unparsed("a.js", 4, 6)), (8, 5));
        assert_eq!((columns.of_token("a.js", 9, 6), columns.of_token("b.js", 1, 6)), (6, 6));
    }
}
