//! What script throws, and where it is.

use offheap::{ErrorClass, Site};
use rquickjs::{Ctx, Value};

use crate::sys::{self, with_state};
use crate::{ENGINE, Error};

/// A text for an error, where there is memory for it. What is no UTF-8 is replaced.
pub(crate) fn try_text(bytes: &[u8]) -> Option<String> {
    let mut text = String::new();
    // A replacement has three bytes.
    text.try_reserve_exact(bytes.len().checked_mul(3)?).ok()?;
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Some(text)
}

/// The error for something else where a buffer was expected.
pub(crate) fn not_a_buffer(found: &str) -> Error {
    Error::NotAnArrayBuffer { engine: ENGINE, found: try_text(found.as_bytes()).unwrap_or_default() }
}

/// The exception that is pending in `ctx`, as an error.
pub(crate) fn caught(ctx: &Ctx<'_>) -> Error {
    let is_pending = ctx.has_exception();
    let thrown = ctx.catch();
    // Null is what QuickJS throws where it has no memory for an error.
    if !is_pending || thrown.is_null() {
        return Error::EngineFailed { engine: ENGINE, attempted: "go on" };
    }
    thrown_error(&thrown)
}

/// A value that was thrown, as an error: its text as script would see it, and the stack where it has one.
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
    Error::Script { engine: ENGINE, message, stack: stack.unwrap_or_default() }
}

/// The text of a value, as script would see it.
fn text_of(value: &Value<'_>) -> Option<String> {
    let text = sys::text_of(value);
    if text.is_none() {
        // A conversion may have thrown.
        value.ctx().catch();
    }
    text
}

/// Turns what rquickjs reports into an error of ours; for an exception, the one that is pending.
pub(crate) fn from_rquickjs(ctx: &Ctx<'_>, error: rquickjs::Error) -> Error {
    match error {
        rquickjs::Error::Exception => caught(ctx),
        other => Error::Script { engine: ENGINE, message: other.to_string(), stack: String::new() },
    }
}

/// The innermost place in a script, of the call that is going on; `None` where no script is.
///
/// It is found with functions that script cannot replace, and costs some microseconds. The column is QuickJS's, which counts
/// bytes of UTF-8, and in the first line of a text one less for what is no identifier.
pub fn script_site(ctx: &Ctx<'_>) -> Option<Site> {
    with_state(ctx, |state| Ok(state.realm(ctx)?.site())).ok().flatten()
}

/// Runs the first job that is due in the runtime of `ctx`, a microtask or a callback of a `FinalizationRegistry`, and says
/// whether there was one. rquickjs's own call forgets what it throws.
///
/// # Errors
/// `rquickjs::Error::Exception` when it throws, with what it threw pending; jobs after it stay queued.
pub fn run_job(ctx: &Ctx<'_>) -> rquickjs::Result<bool> {
    crate::sys::run_job(ctx)
}

/// Throws an [`Error`] into script, as the error of JavaScript that [`Error::class`] says.
pub trait Throw {
    /// Makes it the pending exception of `ctx`, and returns what a callback returns then.
    fn throw(self, ctx: &Ctx<'_>) -> rquickjs::Error;
}

impl Throw for Error {
    fn throw(self, ctx: &Ctx<'_>) -> rquickjs::Error {
        let message = self.to_string();
        match self.class() {
            ErrorClass::RangeError => rquickjs::Exception::throw_range(ctx, ""),
            _ => rquickjs::Exception::throw_type(ctx, ""),
        };
        // QuickJS cuts a message off at 255 bytes when it throws by itself, and ours name places, of which there may be
        // several. Where this fails there is no memory for a message, or for an error: what was thrown instead stays thrown.
        let error = ctx.catch();
        if let Some(object) = error.as_object() {
            let _ = object.set("message", message);
        }
        ctx.throw(error)
    }
}

/// Whether the source is that of an ES module: it has an `import`, an `export` or an `await` at its top level, so that it
/// parses as a module and not as a script. False where it parses as neither.
pub fn is_module(source: &str) -> bool {
    crate::sys::detect_module(source)
}

/// Collects garbage in the runtime of `ctx`, all of it.
pub fn collect(ctx: &Ctx<'_>) {
    ctx.run_gc();
}
