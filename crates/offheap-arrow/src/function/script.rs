//! Compiling and calling script: texts of users, and the loops around them.

use offheap_v8::{heap_limit_error, v8};

use super::error::{Place, Reason};

/// What a call in script returned, or why it did not return.
pub(crate) type Outcome<'s> = Result<v8::Local<'s, v8::Value>, Reason>;

pub(crate) const FAILED: offheap_v8::Error = offheap_v8::Error::EngineFailed { engine: "V8", attempted: "make a loop" };

/// The name of the scripts of this crate, which are around the user's.
const OWN: &str = "offheap:arrow";

/// Compiles and runs a script of this crate.
pub(crate) fn run_own<'s>(scope: &mut v8::PinScope<'s, '_>, text: &str) -> Outcome<'s> {
    run(scope, text, OWN, 0)
}

/// Compiles and runs a classic script. `lead` is the number of columns that its first line has before the user's text.
pub(crate) fn run<'s>(scope: &mut v8::PinScope<'s, '_>, text: &str, name: &str, lead: i32) -> Outcome<'s> {
    let source = string(scope, text)?;
    let origin = origin(scope, name, lead)?;
    catching(scope, name, |scope| v8::Script::compile(scope, source, Some(&origin))?.run(scope))
}

/// Compiles a classic script, and runs nothing. The error is one of syntax.
pub(crate) fn compile<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    text: &str,
    name: &str,
    lead: i32,
) -> Result<v8::Local<'s, v8::Script>, Reason> {
    let source = string(scope, text)?;
    let origin = origin(scope, name, lead)?;
    catching(scope, name, |scope| v8::Script::compile(scope, source, Some(&origin)))
}

/// Compiles a function from its body and the names of its parameters.
pub(crate) fn compile_body<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    body: &str,
    name: &str,
    parameters: &[String],
) -> Result<v8::Local<'s, v8::Function>, Reason> {
    let text = string(scope, body)?;
    let origin = origin(scope, name, 0)?;
    let mut names = Vec::with_capacity(parameters.len());
    for parameter in parameters {
        names.push(string(scope, parameter)?);
    }
    let mut source = v8::script_compiler::Source::new(text, Some(&origin));
    catching(scope, name, |scope| {
        let (options, reason) =
            (v8::script_compiler::CompileOptions::NoCompileOptions, v8::script_compiler::NoCacheReason::NoReason);
        v8::script_compiler::compile_function(scope, &mut source, &names, &[], options, reason)
    })
}

fn origin<'s>(scope: &mut v8::PinScope<'s, '_>, name: &str, lead: i32) -> Result<v8::ScriptOrigin<'s>, Reason> {
    let name = string(scope, name)?.into();
    Ok(v8::ScriptOrigin::new(scope, name, 0, -lead, false, 0, None, false, false, false, None))
}

/// Makes a string of V8's.
pub(crate) fn string<'s>(scope: &mut v8::PinScope<'s, '_>, text: &str) -> Result<v8::Local<'s, v8::String>, Reason> {
    let too_large = Reason::TooLarge { unit: "bytes of text", given: text.len(), limit: v8::String::MAX_LENGTH };
    v8::String::new(scope, text).ok_or(too_large)
}

/// Makes a string of V8's of characters in Latin-1.
pub(crate) fn one_byte_string<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    text: &[u8],
) -> Result<v8::Local<'s, v8::String>, Reason> {
    let too_large = Reason::TooLarge { unit: "bytes of text", given: text.len(), limit: v8::String::MAX_LENGTH };
    v8::String::new_from_one_byte(scope, text, v8::NewStringType::Normal).ok_or(too_large)
}

/// Runs work that may throw. `name` is that of the user's script, in which positions are told.
pub(crate) fn catching<'s, 'i, T>(
    scope: &mut v8::PinScope<'s, 'i>,
    name: &str,
    attempt: impl FnOnce(&mut v8::PinScope<'s, 'i>) -> Option<T>,
) -> Result<T, Reason> {
    v8::tc_scope!(let caught, scope);
    if let Some(result) = attempt(caught) {
        return Ok(result);
    }
    if caught.has_terminated() || caught.is_execution_terminating() {
        return Err(heap_limit_error(caught).map_or(Reason::Terminated, Reason::Engine));
    }
    let Some(message) = caught.message() else {
        let failed = offheap_v8::Error::EngineFailed { engine: "V8", attempted: "continue" };
        return Err(failed.into());
    };
    // V8 describes what was thrown without running script.
    let text = message.get(caught).to_rust_string_lossy(caught);
    let text = shortened(text.strip_prefix("Uncaught ").unwrap_or(&text));
    let resource = message.get_script_resource_name(caught);
    let is_users = resource.is_some_and(|resource| {
        resource.is_string() && { resource.to_rust_string_lossy(caught) == name && name != OWN }
    });
    let place = message.get_line_number(caught).filter(|_| is_users);
    // A mistake at the parenthesis before the text is at its beginning.
    let column = message.get_start_column().wrapping_add(1).max(1);
    let place = place.map(|line| Place { line, column });
    caught.reset();
    Err(Reason::Script { message: text, place, row: None })
}

/// A value as V8 describes it, without running script.
pub(crate) fn described<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> String {
    v8::tc_scope!(let caught, scope);
    match value.to_detail_string(caught) {
        Some(text) => {
            let text = text.to_rust_string_lossy(caught);
            match (value.is_string(), value.is_big_int()) {
                (true, _) => format!("{:?}", shortened(&text)),
                (_, true) => shortened(&text) + "n",
                _ => shortened(&text),
            }
        }
        None => String::from("a value"),
    }
}

/// A value as V8 describes it, and its `typeof`.
pub(crate) fn told<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> (String, String) {
    (described(scope, value), value.type_of(scope).to_rust_string_lossy(scope))
}

/// At most this many characters of a value are told.
const CHARACTERS: usize = 200;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
