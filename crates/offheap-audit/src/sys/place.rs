//! The lines of script that made a buffer.

use std::cell::Cell;

use super::napi::{self, Env};
use super::v8;
use crate::stack::{self, Frame};
use crate::stream;

thread_local! {
    static IS_ASKING: Cell<bool> = const { Cell::new(false) };
}

/// The frames of script that called, the innermost first. One frame, unless stacks are asked for.
pub(super) fn stack(env: Env) -> Vec<Frame> {
    // Where V8 cannot be asked, a program's `Error.prepareStackTrace` is called, which may make a buffer.
    if IS_ASKING.replace(true) {
        return Vec::new();
    }
    let most = if stream::wants_stacks() { stack::MOST_FRAMES } else { 1 };
    let mut frames =
        v8::frames(env, most).or_else(|| napi::error_stack(env).map(|text| stack::parse(&text))).unwrap_or_default();
    IS_ASKING.set(false);
    stack::begin_with_the_programs_own(&mut frames);
    frames.truncate(most);
    frames
}
