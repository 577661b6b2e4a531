//! The functions of script that a thread is in, for an observer that wants to know who made or exposed a store.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use crate::site::{Site, kept_function, script_site};

/// A function of script that a thread is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ScriptFrame {
    /// The name of the function; empty if it has none, and for code outside of functions.
    pub function: &'static str,
    /// The place in it that is running.
    pub at: Site,
}

/// A function of script that is running at a place. The place is kept as [`script_site`] keeps it; the function's name is kept
/// up to the same limits, and is empty beyond them.
pub fn script_frame(function: &str, file: &str, line: u32, column: u32) -> ScriptFrame {
    ScriptFrame { function: kept_function(function), at: script_site(file, line, column) }
}

/// The functions of script that a thread is in, the innermost first: at most [`MOST_FRAMES`](Self::MOST_FRAMES).
#[derive(Clone, Copy)]
pub struct ScriptStack {
    count: usize,
    frames: [Option<ScriptFrame>; Self::MOST_FRAMES],
}

impl ScriptStack {
    /// How many frames it has at most. Outer ones are left out.
    pub const MOST_FRAMES: usize = 16;

    /// No frames.
    pub const fn new() -> Self {
        ScriptStack { count: 0, frames: [None; Self::MOST_FRAMES] }
    }

    /// Adds the next outer frame. Returns whether there is room for more.
    pub fn push(&mut self, frame: ScriptFrame) -> bool {
        if let Some(free) = self.frames.get_mut(self.count) {
            *free = Some(frame);
            self.count += 1;
        }
        self.count < Self::MOST_FRAMES
    }

    /// The frames, the innermost first.
    pub fn frames(&self) -> impl ExactSizeIterator<Item = ScriptFrame> + Clone {
        self.frames[..self.count].iter().map(|frame| frame.expect("as many were pushed"))
    }

    /// The place that is running: the innermost.
    pub fn site(&self) -> Option<Site> {
        self.frames().next().map(|frame| frame.at)
    }

    /// Whether no script is running, or it is not known.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Default for ScriptStack {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ScriptStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.frames()).finish()
    }
}

// These need no drop, so a thread that is ending may use them.
thread_local! {
    static IS_KNOWN: Cell<bool> = const { Cell::new(false) };
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
    static RUNNING: Cell<ScriptStack> = const { Cell::new(ScriptStack::new()) };
}

/// The functions of script that this thread is in, for an [`Observer`](crate::observe::Observer) whose
/// [`wants_script_stacks`](crate::observe::Observer::wants_script_stacks) is true. It is known while script waits for a native
/// function of an isolate, during events of stores that another native function exposes or externalizes, and while such a
/// function is refused a detached buffer. Otherwise this is `None`.
#[inline]
pub fn script_stack() -> Option<ScriptStack> {
    if IS_KNOWN.get() { Some(RUNNING.get()) } else { None }
}

/// Says which functions of script this thread is in, while the result lives.
///
/// An adapter calls this when script has called a native function, and when it is about to expose a store or to make one, if
/// the observer [wants to know](crate::adapter::wants_script_stack_of). A native function in a program's own context or scope
/// calls it with the adapter's `script_stack`, before it makes or frees memory that no engine is asked about.
#[must_use = "it ends when it is dropped"]
pub fn with_script_stack(stack: ScriptStack) -> WithScriptStack {
    IS_KNOWN.set(!stack.is_empty());
    WithScriptStack { outer: RUNNING.replace(stack), thread: PhantomData }
}

/// What [`with_script_stack`] returns.
pub struct WithScriptStack {
    outer: ScriptStack,
    // Not `Send`: it is dropped on the thread that made it.
    thread: PhantomData<*const ()>,
}

impl Drop for WithScriptStack {
    fn drop(&mut self) {
        IS_KNOWN.set(!self.outer.is_empty());
        RUNNING.set(self.outer);
    }
}

/// While the result lives, the functions of script that are known are not told. An adapter calls this before it runs script:
/// what happens next is not done by the function of script that waits for it.
#[inline]
#[must_use = "it ends when it is dropped"]
pub fn script_runs() -> Option<WithScriptStack> {
    if IS_KNOWN.get() { Some(with_script_stack(ScriptStack::new())) } else { None }
}

/// Whether an engine may be asked for the functions of script now.
#[inline]
pub(crate) fn may_ask() -> bool {
    !IS_KNOWN.get() && !IS_QUIET.get()
}

/// While the result lives, no adapter asks its engine which functions of script this thread is in. The engine might collect
/// for the answer, and it must not collect while a guard lives. The program's own code must not run while the result lives.
#[inline]
#[must_use = "it ends when it is dropped"]
pub fn without_script_stack() -> WithoutScriptStack {
    WithoutScriptStack { outer: IS_QUIET.replace(true), thread: PhantomData }
}

/// What [`without_script_stack`] returns.
pub struct WithoutScriptStack {
    outer: bool,
    // Not `Send`: it is dropped on the thread that made it.
    thread: PhantomData<*const ()>,
}

impl Drop for WithoutScriptStack {
    #[inline]
    fn drop(&mut self) {
        IS_QUIET.set(self.outer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_keeps_the_innermost_frames() {
        let mut stack = ScriptStack::new();
        for line in 1..=20 {
            let has_room = stack.push(script_frame("f", "a.js", line, 1));
            assert_eq!(has_room, line < ScriptStack::MOST_FRAMES as u32);
        }
        assert_eq!(stack.frames().len(), ScriptStack::MOST_FRAMES);
        assert_eq!(stack.site().unwrap().to_string(), "a.js:1:1");
    }

    #[test]
    fn a_stack_is_known_while_its_guard_lives() {
        let mut stack = ScriptStack::new();
        stack.push(script_frame("outer", "a.js", 3, 7));
        let outer = with_script_stack(stack);
        drop(with_script_stack(ScriptStack::new()));
        assert_eq!(script_stack().unwrap().frames().next().map(|frame| frame.function), Some("outer"));
        drop(outer);
        assert!(script_stack().is_none());
    }

    #[test]
    fn a_stack_is_not_told_while_other_script_runs() {
        assert!(script_runs().is_none(), "nothing is known");
        let mut stack = ScriptStack::new();
        stack.push(script_frame("outer", "a.js", 3, 7));
        let outer = with_script_stack(stack);
        let runs = script_runs();
        assert!(script_stack().is_none() && may_ask());
        drop(runs);
        assert!(script_stack().is_some());
        drop(outer);
    }

    #[test]
    fn no_engine_is_asked_where_a_guard_may_live() {
        assert!(may_ask());
        let quiet = without_script_stack();
        drop(without_script_stack());
        assert!(!may_ask());
        drop(quiet);
        assert!(may_ask());
    }
}
