//! How what a script threw and did not catch is said, on any engine.

/// What the command says of it: the first line of `text` says what was thrown, the others where.
pub(crate) fn described(text: &str) -> String {
    format!("uncaught {text}")
}

/// What is said of a value that cannot be described.
pub(crate) const INDESCRIBABLE: &str = "an error that cannot be described; the engine may be out of memory";

/// What is said of a module that waits for ever.
pub(crate) const NEVER_ENDED: &str = "a top-level await never ended: nothing is left to run that could end it";
