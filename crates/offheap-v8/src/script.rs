//! Results of script, exceptions, and positions in script.

use offheap::adapter::{self, WithScriptStack, in_finalizer};
use offheap::observe::ScriptStack;
use offheap::{ErrorClass, Site};
use offheap_engine::tell_use_after_detach;

use crate::sys;
use crate::{ENGINE, Error, ScriptError, Source};

/// Runs work that may throw, and turns an exception into an error.
pub(crate) fn catching<'s, 'i, T>(
    scope: &mut v8::PinScope<'s, 'i>,
    attempt: impl FnOnce(&mut v8::PinScope<'s, 'i>) -> Option<T>,
) -> Result<T, Error> {
    catching_with(scope, attempt, |_, _, _| ())
}

/// The error for script that was stopped.
pub(crate) fn was_stopped() -> Error {
    ScriptError::new(ENGINE, "execution was terminated".to_owned(), String::new()).into()
}

/// Runs work that may throw, and turns an exception into an error. `note` gets both; no exception if script was
/// stopped.
pub(crate) fn catching_with<'s, 'i, T>(
    scope: &mut v8::PinScope<'s, 'i>,
    attempt: impl FnOnce(&mut v8::PinScope<'s, 'i>) -> Option<T>,
    note: impl FnOnce(&mut v8::PinScope<'s, 'i>, Option<v8::Local<'s, v8::Value>>, &Error),
) -> Result<T, Error> {
    v8::tc_scope!(let caught, scope);
    if let Some(result) = attempt(caught) {
        return Ok(result);
    }
    if !caught.has_terminated() {
        let thrown = caught.exception();
        caught.reset();
        let Some(thrown) = thrown else { return Err(Error::EngineFailed { engine: ENGINE, attempted: "continue" }) };
        if let Some(error) = thrown_error(caught, thrown) {
            note(caught, Some(thrown), &error);
            return Err(error);
        }
    }
    let error = was_stopped();
    note(caught, None, &error);
    Err(error)
}

/// Compiles and runs a classic script in the entered context.
pub(crate) fn compile_and_run<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    source: Source<'_>,
) -> Option<v8::Local<'s, v8::Value>> {
    let text = v8::String::new(scope, source.text())?;
    let origin = match source.name() {
        None => None,
        Some(name) => {
            let name = v8::String::new(scope, name)?.into();
            let (line, column, id) = (0, 0, 0);
            Some(v8::ScriptOrigin::new(scope, name, line, column, false, id, None, false, false, false, None))
        }
    };
    v8::Script::compile(scope, text, origin.as_ref())?.run(scope)
}

/// Turns an exception into an error, with its text as script sees it, and its stack if it has one. `None` if script was stopped
/// meanwhile: the exception's own functions give both.
fn thrown_error<'s>(scope: &mut v8::PinScope<'s, '_>, thrown: v8::Local<'s, v8::Value>) -> Option<Error> {
    v8::tc_scope!(let scope, scope);
    let text = thrown.to_string(scope).map(|text| text.to_rust_string_lossy(scope));
    let message = text.unwrap_or_else(|| native_text(scope, thrown));
    let stack = stack_of(scope, thrown).unwrap_or_default();
    (!scope.has_terminated()).then(|| ScriptError::new(ENGINE, message, stack).into())
}

/// V8's own description of an exception, made without running script. It is used if the exception's own text throws, or
/// if no stack is left.
fn native_text<'s>(scope: &mut v8::PinScope<'s, '_>, thrown: v8::Local<'s, v8::Value>) -> String {
    let message = v8::Exception::create_message(scope, thrown);
    let text = message.get(scope).to_rust_string_lossy(scope);
    text.strip_prefix("Uncaught ").unwrap_or(&text).to_owned()
}

/// The frames of an error's stack, one per line. V8 puts the message before them.
fn stack_of<'s>(scope: &mut v8::PinScope<'s, '_>, thrown: v8::Local<'s, v8::Value>) -> Option<String> {
    let object = v8::Local::<v8::Object>::try_from(thrown).ok()?;
    let name = v8::String::new(scope, "stack")?;
    let stack = v8::Local::<v8::String>::try_from(object.get(scope, name.into())?).ok()?;
    let stack = stack.to_rust_string_lossy(scope);
    let frames: Vec<&str> = stack.lines().filter(|line| line.trim_start().starts_with("at ")).collect();
    Some(frames.join("\n"))
}

/// At most this many frames are looked at, to find those of script.
const FRAMES: usize = 64;

/// The innermost position in script of the current call, or `None` if no script is on the stack.
pub fn script_site(scope: &mut v8::PinScope<'_, '_>) -> Option<Site> {
    let _entered = sys::enter(scope);
    let stack = v8::StackTrace::current_stack_trace(scope, FRAMES)?;
    (0..stack.get_frame_count()).filter_map(|index| stack.get_frame(scope, index)).find_map(|frame| {
        let (name, line, column) = place_of(scope, frame)?;
        Some(adapter::script_site(&name, line, column))
    })
}

/// The functions of script in the current call, with the positions that are running.
pub fn script_stack(scope: &mut v8::PinScope<'_, '_>) -> ScriptStack {
    let _entered = sys::enter(scope);
    let mut frames = ScriptStack::new();
    let Some(stack) = v8::StackTrace::current_stack_trace(scope, FRAMES) else { return frames };
    for frame in (0..stack.get_frame_count()).filter_map(|index| stack.get_frame(scope, index)) {
        // A script of this project's own is not the program's.
        let of_program = place_of(scope, frame).filter(|(name, ..)| !name.starts_with("offheap:"));
        let Some((name, line, column)) = of_program else { continue };
        let function = frame.get_function_name(scope).map(|name| name.to_rust_string_lossy(scope));
        if !frames.push(adapter::script_frame(&function.unwrap_or_default(), &name, line, column)) {
            break;
        }
    }
    frames
}

/// The name of the script of a frame, its line and its column; `None` for a frame without a script.
fn place_of<'s>(scope: &v8::PinScope<'s, '_>, frame: v8::Local<'s, v8::StackFrame>) -> Option<(String, u32, u32)> {
    let name = frame.get_script_name_or_source_url(scope)?.to_rust_string_lossy(scope);
    let [line, column] = [frame.get_line_number(), frame.get_column()].map(u32::try_from);
    Some((name, line.ok()?, column.ok()?))
}

/// If the observer `wants` it, says which functions of script are running, for the events while the result lives. It is called
/// before V8 or a store is changed.
#[inline]
pub(crate) fn with_script_stack(scope: &mut v8::PinScope<'_, '_>, wants: bool) -> Option<WithScriptStack> {
    if wants { find_script_stack(scope) } else { None }
}

#[cold]
#[inline(never)]
fn find_script_stack(scope: &mut v8::PinScope<'_, '_>) -> Option<WithScriptStack> {
    Some(adapter::with_script_stack(script_stack(scope)))
}

/// Tells the observer if the result is the refusal of a detached buffer, in a program's own scope, in which no guard lives.
#[track_caller]
#[inline]
pub(crate) fn told<R>(scope: &mut v8::PinScope<'_, '_>, result: Result<R, Error>) -> Result<R, Error> {
    if let Err(error) = &result {
        tell_use_after_detach(error, Site::here(), || script_stack(scope));
    }
    result
}

/// Throws an [`Error`] into script. [`Error::class`] decides the JavaScript class, and
/// [`Error::code`] is its `code`.
pub trait Throw {
    /// Makes this error the pending exception. The callback must then return immediately.
    fn throw(self, scope: &mut v8::PinScope<'_, '_>);
}

impl Throw for Error {
    fn throw(self, scope: &mut v8::PinScope<'_, '_>) {
        let _entered = sys::enter(scope);
        // If there is no memory for the message, it is empty.
        let message = v8::String::new(scope, &self.to_string()).unwrap_or_else(|| v8::String::empty(scope));
        let thrown = match self.class() {
            ErrorClass::RangeError => v8::Exception::range_error(scope, message),
            _ => v8::Exception::type_error(scope, message),
        };
        let thrown_object = v8::Local::<v8::Object>::try_from(thrown);
        if let (Ok(object), Some(name), Some(code)) =
            (thrown_object, v8::String::new(scope, "code"), v8::String::new(scope, self.code()))
        {
            object.create_data_property(scope, name.into(), code.into());
        }
        scope.throw_exception(thrown);
    }
}

/// Why script that runs in [`with_v8`](crate::ScopeExt::with_v8) was stopped: returns [`Error::HeapLimit`] with the limit if
/// the heap of this [`Isolate`](crate::Isolate) was full. The answer stays the same until the outermost call of a scope
/// returns, which gives the heap its limit back. Returns `None` for script that another thread stopped, and in isolates that
/// the program made itself, which have no such limit.
///
/// ```
/// use offheap_v8::{Error, Isolate, ScopeExt, heap_limit_error, v8};
///
/// # fn main() -> Result<(), Error> {
/// let mut isolate = Isolate::builder().heap_limits(0, 32 << 20).build()?;
/// isolate.enter(|scope| {
///     let error = scope.with_v8(|scope| {
///         let source = v8::String::new(scope, "for (const all = [];;) all.push({})").unwrap();
///         let result = v8::Script::compile(scope, source, None).unwrap().run(scope);
///         assert!(result.is_none());
///         heap_limit_error(scope)
///     });
///     assert!(matches!(error, Some(Error::HeapLimit { limit, .. }) if limit == 32 << 20));
/// });
/// # Ok(())
/// # }
/// ```
pub fn heap_limit_error(scope: &mut v8::PinScope<'_, '_>) -> Option<Error> {
    let _entered = sys::enter(scope);
    let state = sys::state(scope).ok()?;
    state.reached_heap_limit().map(|heap_limit| heap_limit.error(false))
}

/// Collects all garbage in this isolate, and finalizes it. After that, stores over V8's own memory that V8 has released
/// no longer count as exposed. It does nothing in an observer, or in the `Drop` of an owner that an engine is waiting
/// for.
pub fn collect(isolate: &mut v8::Isolate) {
    if in_finalizer() {
        return;
    }
    let _entered = sys::enter(isolate);
    isolate.low_memory_notification();
    // An isolate without a state has no stores.
    if let Ok(state) = sys::state(isolate) {
        sys::drop_released(&state);
    }
}
