//! The text of a user, and the function that it is.

use std::cmp::Ordering;

use offheap_v8::v8;

use super::error::{Place, Reason};
use super::rows::BuiltIns;
use super::script;

/// Compiles the text of a user in the entered context. V8 decides what it is: it is compiled as an expression first. If that is an
/// error of syntax, and there are names of parameters, it is compiled as the body of a function of `expected` parameters.
pub(crate) fn function_of<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    text: &str,
    parameters: Option<&[String]>,
    expected: usize,
) -> Result<v8::Local<'s, v8::Function>, Reason> {
    match (expression(scope, name, text), parameters) {
        (Ok(script), _) => {
            let value = script::catching(scope, name, |scope| script.run(scope));
            let value =
                value.map_err(|reason| if is_about(&reason, parameters) { Reason::NoReturn } else { reason })?;
            v8::Local::<v8::Function>::try_from(value)
                .map_err(|_| Reason::NotAFunction { value: script::described(scope, value) })
        }
        (Err(of_expression @ Reason::Script { .. }), Some(parameters)) => {
            check_names(scope, parameters, expected)?;
            let body = script::compile_body(scope, text, name, parameters);
            let body = body.map_err(|of_body| farther(of_expression, of_body))?;
            // A `return` that is in no function is an error in a script.
            match script::compile(scope, text, name, 0) {
                Ok(_) => Err(Reason::NoReturn),
                Err(Reason::Script { .. }) => Ok(body),
                Err(reason) => Err(reason),
            }
        }
        (Err(reason), _) => Err(reason),
    }
}

/// Whether an expression had the value of a parameter in it, as only a body has.
fn is_about(reason: &Reason, parameters: Option<&[String]>) -> bool {
    let Reason::Script { message, .. } = reason else { return false };
    let of = |name: &String| *message == format!("ReferenceError: {name} is not defined");
    parameters.unwrap_or_default().iter().any(of)
}

/// Runs the text of a user, which is an expression.
pub(crate) fn value_of<'s>(scope: &mut v8::PinScope<'s, '_>, name: &str, text: &str) -> script::Outcome<'s> {
    let script = expression(scope, name, text)?;
    script::catching(scope, name, |scope| script.run(scope))
}

/// Compiles an expression. If that is an error of syntax, a semicolon after the expression is left out, with the rest of the text.
fn expression<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    text: &str,
) -> Result<v8::Local<'s, v8::Script>, Reason> {
    let of_text = in_parentheses(scope, name, text);
    if !matches!(of_text, Err(Reason::Script { .. })) {
        return of_text;
    }
    let mut tried = 0;
    for (end, _) in text.match_indices(';') {
        let (is_blank, scanned) = blank(&text[end..]);
        tried += scanned + if is_blank { end } else { 0 };
        if tried > TRIED_BYTES {
            break;
        }
        // In a string, or a comment, this is an error of syntax again.
        match if is_blank { in_parentheses(scope, name, &text[..end]) } else { continue } {
            Err(Reason::Script { .. }) => {}
            outcome => return outcome,
        }
    }
    of_text
}

/// Whether text has only semicolons, white space and comments, and how many bytes decided that.
fn blank(text: &str) -> (bool, usize) {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c == ';' || c == '\u{feff}' || c.is_whitespace());
        let comment = match rest.get(..2) {
            Some("//") => rest.find(['\n', '\r', '\u{2028}', '\u{2029}']).or(Some(rest.len())),
            Some("/*") => rest[2..].find("*/").map(|end| end + 4),
            _ => None,
        };
        match comment {
            Some(end) => rest = &rest[end..],
            None => return (rest.is_empty(), text.len() - rest.len() + 1),
        }
    }
}

fn in_parentheses<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    text: &str,
) -> Result<v8::Local<'s, v8::Script>, Reason> {
    // A line comment at the end of the text must not hide the parenthesis.
    script::compile(scope, &format!("({text}\n)"), name, 1).map_err(|reason| within(text, reason))
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

/// The most parameters that V8's parser accepts.
const MAX_PARAMETERS: usize = 65_534;

/// V8 fails without an exception if a name is no identifier. It counts names in 16 bits without a check, and the function of more
/// reads and writes beside its arguments.
fn check_names(scope: &mut v8::PinScope<'_, '_>, names: &[String], expected: usize) -> Result<(), Reason> {
    if names.len() > MAX_PARAMETERS {
        return Err(Reason::ParameterCount { declared: names.len(), expected });
    }
    for name in names {
        let begins = name.chars().next().is_some_and(|c| c.is_alphabetic() || c == '_' || c == '$');
        let is_plain = begins && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$');
        if !is_plain || script::compile(scope, &format!("({name}) => 0"), "", 0).is_err() {
            return Err(Reason::ParameterName { name: name.clone() });
        }
    }
    Ok(())
}

/// ECMAScript's `length`: the number of parameters before the first with a default value, or the last with `...`. Script may have
/// replaced it by anything.
pub(crate) fn length<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    function: v8::Local<'s, v8::Function>,
) -> Result<usize, Reason> {
    let key = script::string(scope, "length")?.into();
    Ok(script::catching(scope, name, |scope| function.get(scope, key)?.number_value(scope))? as usize)
}

/// For each of `expected` arguments, whether its parameter or one before it has a default value.
///
/// # Errors
/// [`Reason::ParameterCount`] unless the function has a parameter for each argument, and more only with default values.
pub(crate) fn defaults<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    built_ins: &BuiltIns<'s>,
    function: v8::Local<'s, v8::Function>,
    expected: usize,
) -> Result<Vec<bool>, Reason> {
    let length = length(scope, "", function)?;
    match length.cmp(&expected) {
        Ordering::Equal => return Ok(vec![false; expected]),
        Ordering::Greater => return Err(Reason::ParameterCount { declared: length, expected }),
        Ordering::Less => {}
    }
    let text = built_ins.source_of(scope, function)?;
    let parameters = parameters(scope, &text)?;
    let has_rest = parameters.last() == Some(&Parameter::Rest);
    let declared = parameters.len() - usize::from(has_rest);
    let is_missing = declared < expected && !has_rest;
    if is_missing || parameters.iter().skip(expected).any(|parameter| *parameter == Parameter::Plain) {
        // The text of V8's own functions shows no parameters.
        return Err(Reason::ParameterCount { declared: declared.max(length), expected });
    }
    let first = parameters.iter().position(|parameter| *parameter == Parameter::WithDefault);
    Ok((0..expected).map(|index| first.is_some_and(|first| index >= first)).collect())
}

/// A parameter in the text of a function.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parameter {
    Plain,
    WithDefault,
    /// `...rest`.
    Rest,
}

/// At most this many commas and parentheses of a text are tried.
const TRIES: usize = 1000;

/// At most this many bytes are compiled for that, or one try, and for semicolons. V8 cannot be stopped while it compiles.
const TRIED_BYTES: usize = 32 << 20;

/// The parameters of a function, from its own text. V8 says where they end: up to a comma or parenthesis, they are parameters if an
/// arrow function with them has no mistake in its syntax. There are none if the function is V8's own.
fn parameters(scope: &mut v8::PinScope<'_, '_>, text: &str) -> Result<Vec<Parameter>, Reason> {
    // Without parentheses there is one, and it has no default value.
    let Some(text) = after_open(text) else { return Ok(vec![Parameter::Plain]) };
    let mut found = Vec::new();
    let (mut begin, mut tried) = (0, 0);
    for (end, sign) in text.match_indices([',', ')']).take(TRIES) {
        tried += end;
        if tried > TRIED_BYTES && tried != end {
            break;
        }
        // V8 may collect each text.
        v8::scope!(let scope, scope);
        if script::compile(scope, &format!("({}) => 0", &text[..end]), "", 0).is_err() {
            continue;
        }
        let parameter = text[begin..end].trim();
        if parameter.starts_with("...") {
            found.push(Parameter::Rest);
        } else if sign == "," || !parameter.is_empty() {
            // The arrow function is made, and not called.
            let length = script::run_own(scope, &format!("(({parameter}\n) => 0).length"))?;
            found.push(if length.is_uint32() && length.uint32_value(scope) == Some(0) {
                Parameter::WithDefault
            } else {
                Parameter::Plain
            });
        }
        if sign == ")" {
            return Ok(found);
        }
        begin = end + 1;
    }
    Ok(Vec::new())
}

/// What follows the parenthesis before a function's parameters; `None` for an arrow function with one parameter and no parentheses.
fn after_open(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        let (at, sign) = ["(", "=>", "/*", "//"].iter().filter_map(|sign| Some((rest.find(sign)?, *sign))).min()?;
        let after = &rest[at + sign.len()..];
        rest = match sign {
            "(" => return Some(after),
            "=>" => return None,
            "/*" => after.split_once("*/")?.1,
            _ => after.split_once(['\n', '\r', '\u{2028}', '\u{2029}'])?.1,
        };
    }
}
