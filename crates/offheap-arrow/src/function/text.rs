//! The text of a user, and the function that it is.

use offheap_v8::v8;

use super::error::{Place, Reason};
use super::script;

/// Compiles the text of a user in the entered context. V8 decides what it is: it is compiled as an expression first. If that is an
/// error of syntax, and there are names of parameters, it is compiled as the body of a function.
pub(crate) fn function_of<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    text: &str,
    parameters: Option<&[String]>,
) -> Result<v8::Local<'s, v8::Function>, Reason> {
    // A line comment at the end of the text must not hide the parenthesis.
    let expression = script::compile(scope, &format!("({text}\n)"), name, 1).map_err(|reason| within(text, reason));
    match (expression, parameters) {
        (Ok(script), _) => {
            let value = script::catching(scope, name, |scope| script.run(scope))?;
            v8::Local::<v8::Function>::try_from(value)
                .map_err(|_| Reason::NotAFunction { value: script::described(scope, value) })
        }
        (Err(of_expression @ Reason::Script { .. }), Some(parameters)) => {
            check_names(scope, parameters)?;
            script::compile_body(scope, text, name, parameters).map_err(|of_body| farther(of_expression, of_body))
        }
        (Err(reason), _) => Err(reason),
    }
}

/// Text that ends too early is a mistake at the parenthesis after it: at its end, for its author.
fn within(text: &str, reason: Reason) -> Reason {
    match reason {
        Reason::Script { message, place: Some(place), row } if place.line > text.split('\n').count() => {
            let (line, last) = text.split('\n').enumerate().last().unwrap_or_default();
            let place = Place { line: line + 1, column: last.encode_utf16().count() + 1 };
            Reason::Script { message, place: Some(place), row }
        }
        other => other,
    }
}

/// Of two errors of syntax in one text, the one that is farther on: there the text looks most like what it was meant to be.
fn farther(of_expression: Reason, of_body: Reason) -> Reason {
    let position = |reason: &Reason| match reason {
        Reason::Script { place: Some(Place { line, column }), .. } => Some((*line, *column)),
        _ => None,
    };
    let is_script = matches!(of_body, Reason::Script { .. });
    if is_script && position(&of_expression) > position(&of_body) { of_expression } else { of_body }
}

/// V8 fails without an exception if a name is no identifier.
fn check_names(scope: &mut v8::PinScope<'_, '_>, names: &[String]) -> Result<(), Reason> {
    for name in names {
        let begins = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_' || c == '$');
        let is_plain = begins && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$');
        if !is_plain || script::compile(scope, &format!("({name}) => 0"), "", 0).is_err() {
            return Err(Reason::ParameterName { name: name.clone() });
        }
    }
    Ok(())
}

/// # Errors
/// [`Reason::ParameterCount`] unless the function has a parameter for each argument, and needs no more.
pub(crate) fn check_parameters<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    function: v8::Local<'s, v8::Function>,
    expected: usize,
) -> Result<(), Reason> {
    let key = script::string(scope, "length")?.into();
    let length = script::catching(scope, "", |scope| function.get(scope, key)?.number_value(scope))?;
    match length as usize {
        declared if declared == expected => Ok(()),
        declared => Err(Reason::ParameterCount { declared, expected }),
    }
}
