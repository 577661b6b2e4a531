//! Promises that were rejected and that nothing handles: errors that nobody caught.

use std::mem;

use offheap_v8::v8;

use super::frames;
use crate::unhandled::Unhandled;

/// The promises of an isolate that were rejected and that nothing handles.
#[derive(Default)]
pub(super) struct Rejections(Unhandled<v8::Global<v8::Promise>, Reason>);

struct Reason {
    value: v8::Global<v8::Value>,
    /// Where the value was thrown, unless it is an error, which has a stack.
    place: Option<String>,
}

impl Rejections {
    /// V8 told the rejection tracker of a promise.
    pub(super) fn track<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        promise: v8::Local<'s, v8::Promise>,
        value: v8::Local<'s, v8::Value>,
        is_handled: bool,
    ) {
        let hash = u64::from(promise.get_identity_hash().get().unsigned_abs());
        let place = (!is_handled && !value.is_native_error())
            .then(|| v8::Exception::create_message(scope, value))
            .and_then(|message| frames::place_of(scope, message));
        let (promise, reason) =
            (v8::Global::new(scope, promise), Reason { value: v8::Global::new(scope, value), place });
        let Some(Rejections(unhandled)) = scope.get_slot_mut::<Rejections>() else { return };
        match is_handled {
            true => unhandled.remove(hash, |rejected| *rejected == promise),
            false => unhandled.insert(hash, promise, reason),
        }
    }

    /// The reason of the promise that was rejected first, and where it was thrown. Forgets all promises.
    pub(super) fn take_first<'s>(
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Option<(v8::Local<'s, v8::Value>, Option<String>)> {
        let Rejections(unhandled) = mem::take(scope.get_slot_mut::<Rejections>()?);
        unhandled.into_first().map(|Reason { value, place }| (v8::Local::new(scope, value), place))
    }
}
