//! Describes what a script threw and did not catch.

use offheap_v8::{heap_limit_error, v8};

use super::frames;
use crate::Uncaught;

/// Runs `work`, which returns `None` where it throws. The error is a description of what it threw.
pub(super) fn catching<'s, 'i, T>(
    scope: &mut v8::PinScope<'s, 'i>,
    inspect: Option<v8::Local<'s, v8::Function>>,
    work: impl FnOnce(&mut v8::PinScope<'s, 'i>) -> Option<T>,
) -> Result<T, Uncaught> {
    v8::tc_scope!(let caught, scope);
    if let Some(done) = work(caught) {
        return Ok(done);
    }
    if caught.has_terminated() {
        return Err(stopped(caught));
    }
    let (thrown, message) = (caught.exception(), caught.message());
    caught.reset();
    Err(match thrown {
        Some(thrown) => describe(caught, inspect, thrown, message),
        None => Uncaught::indescribable(),
    })
}

/// Says why V8 stopped the script.
pub(super) fn stopped(scope: &mut v8::PinScope<'_, '_>) -> Uncaught {
    Uncaught::stopped(heap_limit_error(scope).is_some())
}

/// Describes a value that was thrown. `inspect` is there once it is installed; `message` is V8's message about a value
/// that was thrown just now.
pub(super) fn describe<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    inspect: Option<v8::Local<'s, v8::Function>>,
    thrown: v8::Local<'s, v8::Value>,
    message: Option<v8::Local<'s, v8::Message>>,
) -> Uncaught {
    let place = message.and_then(|message| frames::place_of(scope, message));
    describe_at(scope, inspect, thrown, place)
}

/// Describes a value that was thrown in `place`, if that is known.
pub(super) fn describe_at<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    inspect: Option<v8::Local<'s, v8::Function>>,
    thrown: v8::Local<'s, v8::Value>,
    place: Option<String>,
) -> Uncaught {
    v8::tc_scope!(let scope, scope);
    let nothing = v8::undefined(scope).into();
    let place = place.and_then(|place| v8::String::new(scope, &place)).map_or(nothing, Into::into);
    let text = match inspect {
        Some(inspect) => inspect.call(scope, nothing, &[thrown, place]),
        // No script has run yet.
        None => thrown.to_string(scope).map(Into::into),
    };
    let text = text.and_then(|text| v8::Local::<v8::String>::try_from(text).ok());
    match text {
        Some(text) => Uncaught::thrown(&text.to_rust_string_lossy(scope)),
        None => Uncaught::indescribable(),
    }
}
