//! The text in which the realm tells the call sites of scripts.

/// A call site of a script.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// Empty if the function has no name, and outside of functions.
    pub(super) function: &'a str,
    pub(super) file: &'a str,
    pub(super) line: u32,
    pub(super) column: u32,
}

/// The call sites in a text: for each line and column, the lengths of the function's and the file's name in UTF-16, and the
/// names.
pub(super) struct Frames<'a>(&'a str);

impl<'a> Frames<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Frames(text)
    }

    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_once(':')?;
        self.0 = rest;
        number.parse().ok()
    }

    fn name(&mut self, utf16_length: u32) -> Option<&'a str> {
        let mut length = 0;
        let mut end = 0;
        for character in self.0.chars() {
            if length >= utf16_length as usize {
                break;
            }
            length += character.len_utf16();
            end += character.len_utf8();
        }
        let (name, rest) = self.0.split_at(end);
        self.0 = rest;
        (length == utf16_length as usize).then_some(name)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let [line, column, function, file] = [self.number()?, self.number()?, self.number()?, self.number()?];
        Some(Frame { function: self.name(function)?, file: self.name(file)?, line, column })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_look_like_anything() {
        let text = "3:7:5:4:1:2:3a.js12:0:0:8:\u{1f600}b.js:1";
        let frames: Vec<Frame<'_>> = Frames::of(text).collect();
        assert_eq!(frames[0], Frame { function: "1:2:3", file: "a.js", line: 3, column: 7 });
        assert_eq!(frames[1], Frame { function: "", file: "\u{1f600}b.js:1", line: 12, column: 0 });
        assert_eq!(frames.len(), 2);
    }

    #[test]
    fn a_text_that_is_cut_ends_the_frames() {
        for text in ["", "3", "3:7:1:4:", "3:7:0:9:a.js", "3:x:0:1:a", "3:7:0:1:\u{1f600}"] {
            assert_eq!(Frames::of(text).next(), None, "{text}");
        }
    }
}
