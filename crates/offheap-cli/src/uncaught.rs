//! How what a script threw and did not catch is said, on any engine.

/// The first line says what was thrown and, where the engine does not say it, what to do; the others are the stack.
pub(crate) fn with_advice(text: &str, advice: impl Fn(&str) -> Option<&'static str>) -> String {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut described = format!("uncaught {first}");
    if let Some(advice) = advice(first) {
        described.push_str("; ");
        described.push_str(advice);
    }
    if !rest.is_empty() {
        described.push('\n');
        described.push_str(rest);
    }
    described
}

/// What is said of a value that cannot be described.
pub(crate) const INDESCRIBABLE: &str = "an error that cannot be described; the engine may be out of memory";

/// What is said of a stack that is full.
pub(crate) const ENDLESS: &str = "something calls itself without end";

/// What is said of a module that waits for ever.
pub(crate) const NEVER_ENDED: &str = "a top-level await never ended: nothing is left to run that could end it";
