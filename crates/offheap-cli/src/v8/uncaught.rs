//! What a script threw and did not catch, in words.

use offheap_v8::v8;

use crate::uncaught::{ENDLESS, INDESCRIBABLE, with_advice};

/// `inspect` describes values, once there is such a function; `message` is V8's about a value that was thrown just now.
pub(super) fn describe<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    inspect: Option<v8::Local<'s, v8::Function>>,
    thrown: v8::Local<'s, v8::Value>,
    message: Option<v8::Local<'s, v8::Message>>,
) -> String {
    v8::tc_scope!(let scope, scope);
    let nothing = v8::undefined(scope);
    // Where it fails, the script broke what describes it, or there is no stack left to do it.
    let described = inspect.and_then(|inspect| inspect.call(scope, nothing.into(), &[thrown]));
    let text = described.unwrap_or(thrown).to_string(scope);
    let mut text = text.map_or_else(|| INDESCRIBABLE.to_owned(), |text| text.to_rust_string_lossy(scope));
    if let Some(place) = message.and_then(|message| place_of_syntax_error(scope, thrown, message)) {
        text.push_str(&format!("\n    at {place}"));
    }
    with_advice(&text, advice)
}

/// Of what did not parse V8 says the place in a message, and not in the stack.
fn place_of_syntax_error<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    thrown: v8::Local<'s, v8::Value>,
    message: v8::Local<'s, v8::Message>,
) -> Option<String> {
    let error = v8::Local::<v8::Object>::try_from(thrown).ok()?;
    let constructor = error.get_constructor_name();
    let has_frames = v8::Exception::get_stack_trace(scope, thrown).is_some_and(|stack| stack.get_frame_count() != 0);
    if constructor.to_rust_string_lossy(scope) != "SyntaxError" || has_frames {
        return None;
    }
    let file = message.get_script_resource_name(scope)?.to_rust_string_lossy(scope);
    Some(format!("{file}:{}:{}", message.get_line_number(scope)?, message.get_start_column() + 1))
}

/// What to do about errors of V8 that do not say it.
fn advice(error: &str) -> Option<&'static str> {
    match error {
        "RangeError: Array buffer allocation failed" | "RangeError: Invalid array buffer length" => {
            Some("ask for less, or map a file (--map)")
        }
        "RangeError: Maximum call stack size exceeded" => Some(ENDLESS),
        _ => None,
    }
}
