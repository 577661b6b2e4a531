//! Frames of script, as V8 or the text of an error tells them.

use std::sync::LazyLock;

/// At most this many frames of a stack are told.
pub(crate) const MOST_FRAMES: usize = 32;

/// A frame of script.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Frame {
    pub(crate) function: Option<String>,
    /// `file:line:column`
    pub(crate) site: String,
}

impl Frame {
    /// `script` is a path or the address of a file. Line and column are counted from 1.
    pub(crate) fn new(function: Option<String>, script: &str, line: i32, column: i32) -> Self {
        let function = function.filter(|name| !name.is_empty());
        Frame { function, site: format!("{}:{line}:{column}", file_name(script)) }
    }

    /// Whether this is JavaScript of the host itself.
    pub(crate) fn is_of_host(&self) -> bool {
        ["node:", "ext:", "internal:", "bun:", "native:"].iter().any(|scheme| self.site.starts_with(scheme))
    }
}

/// Leaves out the host's own frames before the first one of the program, if there is one.
pub(crate) fn begin_with_the_programs_own(frames: &mut Vec<Frame>) {
    if let Some(first) = frames.iter().position(|frame| !frame.is_of_host()) {
        frames.drain(..first);
    }
}

/// Reads `new Error().stack` of V8 and JavaScriptCore: lines `at function (file:line:column)` or `at file:line:column`.
pub(crate) fn parse(stack: &str) -> Vec<Frame> {
    let frames = stack.lines().filter_map(|line| {
        let said = line.trim_start().strip_prefix("at ")?.trim_end();
        let (function, place) = match said.strip_suffix(')').and_then(|said| said.rsplit_once(" (")) {
            Some((function, place)) => (Some(function.to_owned()), place),
            None => (None, said),
        };
        let mut parts = place.rsplitn(3, ':');
        let column = parts.next()?.parse().ok()?;
        let line = parts.next()?.parse().ok()?;
        Some(Frame::new(function, parts.next()?, line, column))
    });
    frames.take(MOST_FRAMES).collect()
}

/// A path that tools find: no address, and below the present folder without that.
fn file_name(script: &str) -> String {
    static FOLDER: LazyLock<Option<String>> =
        LazyLock::new(|| Some(format!("{}/", std::env::current_dir().ok()?.to_str()?.trim_end_matches('/'))));
    let path = script.strip_prefix("file://").map_or_else(|| script.to_owned(), decoded);
    match FOLDER.as_deref().and_then(|folder| path.strip_prefix(folder)) {
        Some(below) => below.to_owned(),
        None => path,
    }
}

/// `%20` is a space.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match digits {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(stack: &str) -> Vec<String> {
        parse(stack).into_iter().map(|frame| frame.site).collect()
    }

    #[test]
    fn the_text_of_v8_is_read() {
        let text = "Error\n    at make (file:///a%20b/c.js:4:5)\n    at new Thing (node:internal/x:1:2)\n    at /d/e.js:7:8\n    at <anonymous>";
        assert_eq!(sites(text), ["/a b/c.js:4:5", "node:internal/x:1:2", "/d/e.js:7:8"]);
        assert_eq!(parse(text)[0].function.as_deref(), Some("make"));
    }

    #[test]
    fn the_text_of_javascriptcore_is_read() {
        let text = "Error: \n    at make (unknown)\n    at make (native:1:11)\n    at <anonymous> (/d/e.js:7:8)";
        assert_eq!(sites(text), ["native:1:11", "/d/e.js:7:8"]);
    }

    #[test]
    fn any_text_is_read() {
        for text in
            ["", "at", "at :", "at ::", "at x:1", "at 1:2", "    at f (a:b:c)", "at %:1:2", "at file://%zz%:1:2"]
        {
            parse(text);
        }
    }

    #[test]
    fn the_first_frame_is_one_of_the_program() {
        let mut frames = parse("at a (node:fs:1:1)\nat b (/x.js:2:2)\nat c (node:vm:3:3)");
        begin_with_the_programs_own(&mut frames);
        assert_eq!(frames[0].site, "/x.js:2:2");
        let mut only = parse("at a (node:fs:1:1)");
        begin_with_the_programs_own(&mut only);
        assert_eq!(only[0].site, "node:fs:1:1");
    }

    #[test]
    fn a_path_below_the_present_folder_is_told_without_it() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(Frame::new(None, &format!("{}/a/b.js", here.display()), 1, 2).site, "a/b.js:1:2");
        assert_eq!(Frame::new(None, &format!("file://{}/a.js", here.display()), 1, 2).site, "a.js:1:2");
    }
}
