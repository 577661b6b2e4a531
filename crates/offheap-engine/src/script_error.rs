//! What a script threw, as an error of Rust.

use std::fmt;

/// What a script threw, or why it did not parse. It has no lifetime, so it may leave the engine's context.
///
/// `Display` gives the message and the place: `QuickJS: TypeError: not a function at main.js:3:5`. `Debug` adds the
/// stack, because `Debug` is what Rust prints for an error that `main` returns.
#[derive(Clone, PartialEq, Eq)]
pub struct ScriptError {
    engine: &'static str,
    message: String,
    stack: String,
}

impl ScriptError {
    /// An error of a script. `message` is the thrown value as a string; `stack` has one frame a line, and is empty if
    /// the engine gave none. For adapters.
    pub fn new(engine: &'static str, message: String, stack: String) -> Self {
        ScriptError { engine, message, stack }
    }

    /// The engine that ran the script: `"QuickJS"`.
    pub fn engine(&self) -> &'static str {
        self.engine
    }

    /// The thrown value as a string: `TypeError: not a function`.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The stack, one frame a line; empty if the engine gave none, as for `throw 1`.
    pub fn stack(&self) -> &str {
        &self.stack
    }

    /// The place of the innermost frame that has one, as file, line and column: `main.js:3:5`.
    pub fn place(&self) -> Option<&str> {
        self.stack.lines().find_map(place_of)
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.engine, self.message)?;
        self.place().map_or(Ok(()), |place| write!(f, " at {place}"))
    }
}

impl fmt::Debug for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        self.stack.lines().filter(|frame| !frame.trim().is_empty()).try_for_each(|frame| write!(f, "\n{frame}"))
    }
}

impl std::error::Error for ScriptError {}

/// The place in one frame of a stack. Functions of the engine have none.
fn place_of(frame: &str) -> Option<&str> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let frame = frame.trim();
    let frame = frame.strip_prefix("at ").unwrap_or(frame);
    // `name (place)`, or only the place; a path may contain brackets too.
    let place = match frame.strip_suffix(')').and_then(|frame| frame.split_once(" (")) {
        Some((_, place)) => place,
        None => frame,
    };
    // For code that `eval` ran, V8 puts the place of the call of `eval` first.
    let place = place.rsplit_once("), ").map_or(place, |(_, place)| place);
    place.rsplit_once(':').is_some_and(|(_, column)| is_number(column)).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn error(stack: &str) -> ScriptError {
        ScriptError::new("E", "Error: no".to_owned(), stack.to_owned())
    }

    #[test]
    fn the_innermost_frame_with_a_place_ends_the_message() {
        for (stack, expected) in [
            ("", "E: Error: no"),
            ("    at f (file.js:3:5)\n    at g (file.js:9:1)", "E: Error: no at file.js:3:5"),
            ("    at file:///a%20b.js:3:5", "E: Error: no at file:///a%20b.js:3:5"),
            ("    at map (native)\n    at <eval> (x (86)/a.js:1:2)\n", "E: Error: no at x (86)/a.js:1:2"),
            ("    at eval (eval at f (a.js:1:2), <anonymous>:3:4)", "E: Error: no at <anonymous>:3:4"),
            ("    at Array.map (<anonymous>)", "E: Error: no"),
        ] {
            assert_eq!(Error::from(error(stack)).to_string(), expected);
        }
    }

    /// `main` prints `Error: ` and the `Debug` of what it returns.
    #[test]
    fn what_main_prints_has_the_message_and_the_stack() {
        let stack = "    at f (file.js:3:5)\n    at g (file.js:9:1)\n";
        let printed = "E: Error: no at file.js:3:5\n    at f (file.js:3:5)\n    at g (file.js:9:1)";
        let boxed: Box<dyn std::error::Error> = error(stack).into();
        assert_eq!(format!("{boxed:?}"), printed);
        let boxed: Box<dyn std::error::Error> = Error::from(error(stack)).into();
        assert_eq!(format!("{boxed:?}"), format!("Script({printed})"));
    }
}
