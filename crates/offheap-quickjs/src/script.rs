//! Exceptions that script throws, and their places.

use offheap::Site;
use offheap::observe::ScriptStack;
use offheap_engine::tell_use_after_detach;
use rquickjs::{Ctx, Value};

use crate::sys::{self, with_state};
use crate::{ENGINE, Error, ScriptError};

/// A text for an error, or `None` if there is no memory for it. Bytes that are not valid UTF-8 are replaced: half of a
/// surrogate pair, which has three bytes, by one character.
pub(crate) fn try_text(bytes: &[u8]) -> Option<String> {
    let mut text = String::new();
    // The replacement character has three bytes.
    text.try_reserve_exact(bytes.len().checked_mul(3)?).ok()?;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if chunk.invalid().first().is_some_and(|first| !(0x80..0xC0).contains(first)) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Some(text)
}

/// The error for a value of another type where a buffer was expected.
pub(crate) fn not_a_buffer(found: &str) -> Error {
    Error::NotAnArrayBuffer { engine: ENGINE, found: try_text(found.as_bytes()).unwrap_or_default() }
}

/// The pending exception of `ctx`, as an error.
pub(crate) fn caught(ctx: &Ctx<'_>) -> Error {
    caught_value(ctx).1
}

/// The pending exception of `ctx`, and as an error.
pub(crate) fn caught_value<'js>(ctx: &Ctx<'js>) -> (Value<'js>, Error) {
    let is_pending = ctx.has_exception();
    let thrown = ctx.catch();
    // QuickJS throws null if it has no memory for an error object.
    if !is_pending || thrown.is_null() {
        return (thrown, Error::EngineFailed { engine: ENGINE, attempted: "continue" });
    }
    let error = thrown_error(&thrown);
    (thrown, error)
}

/// A thrown value, as an error: its text as script would see it, and its stack if it has one.
pub(crate) fn thrown_error(thrown: &Value<'_>) -> Error {
    let ctx = thrown.ctx();
    let message = text_of(thrown).or_else(|| try_text(thrown.type_name().as_bytes())).unwrap_or_default();
    let stack = thrown.as_object().and_then(|object| {
        let stack = object.get::<_, Value<'_>>("stack").ok()?;
        if stack.is_string() { sys::text_of(&stack) } else { None }
    });
    if stack.is_none() {
        // A getter may have thrown.
        ctx.catch();
    }
    ScriptError::new(ENGINE, message, stack.unwrap_or_default()).into()
}

/// The text of a value, as script would see it.
fn text_of(value: &Value<'_>) -> Option<String> {
    let text = sys::text_of(value);
    if text.is_none() {
        // The conversion may have thrown.
        value.ctx().catch();
    }
    text
}

/// Converts an error of rquickjs. For an exception, takes the pending one.
pub(crate) fn from_rquickjs(ctx: &Ctx<'_>, error: rquickjs::Error) -> Error {
    match error {
        rquickjs::Error::Exception => caught(ctx),
        other => other.into(),
    }
}

/// The innermost place in a script, in the running call; `None` if no script is running.
///
/// Script cannot replace the functions that find it. A call takes some microseconds. The column is QuickJS's: it
/// counts bytes of UTF-8, and in the first line of a source it is one less for tokens that are not identifiers.
pub fn script_site(ctx: &Ctx<'_>) -> Option<Site> {
    with_state(ctx, |state| Ok(state.realm(ctx)?.site())).ok().flatten()
}

/// The functions of scripts in the running call, with their places, which are like that of [`script_site`].
pub fn script_stack(ctx: &Ctx<'_>) -> ScriptStack {
    sys::script_stack(ctx)
}

/// Tells the observer if the result is the refusal of a detached buffer, in a program's own context, in which no guard lives.
#[track_caller]
#[inline]
pub(crate) fn told<R>(ctx: &Ctx<'_>, result: Result<R, Error>) -> Result<R, Error> {
    if let Err(error) = &result {
        tell_use_after_detach(error, Site::here(), || script_stack(ctx));
    }
    result
}

/// Runs the first pending job in the runtime of `ctx`, a microtask or a callback of a `FinalizationRegistry`.
/// Returns whether there was one. rquickjs's own function loses the exception of a job.
///
/// # Errors
/// `rquickjs::Error::Exception` if the job throws. The exception is pending then, and later jobs stay queued.
pub fn run_job(ctx: &Ctx<'_>) -> rquickjs::Result<bool> {
    crate::sys::run_job(ctx)
}

/// Whether a source is that of an ES module: it has an `import`, an `export` or a top-level `await`, so it parses
/// as a module and not as a script. False if it parses as neither.
pub fn is_module(source: &str) -> bool {
    crate::sys::detect_module(source)
}

/// Collects all garbage in the runtime of `ctx`.
pub fn collect(ctx: &Ctx<'_>) {
    ctx.run_gc();
}
