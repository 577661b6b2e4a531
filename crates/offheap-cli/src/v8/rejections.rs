//! Promises that are rejected and that nothing handles: errors that nobody caught.

use offheap_v8::{TrackRejections, v8};

/// The rejected promises of an isolate that nothing handles, the oldest first, each with its reason.
#[derive(Default)]
pub(super) struct Rejections {
    unhandled: Vec<(v8::Global<v8::Promise>, v8::Global<v8::Value>)>,
}

impl TrackRejections for Rejections {
    fn track<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        promise: v8::Local<'s, v8::Promise>,
        reason: Option<v8::Local<'s, v8::Value>>,
        is_handled: bool,
    ) {
        let reason = reason.unwrap_or_else(|| v8::undefined(scope).into());
        let (promise, reason) = (v8::Global::new(scope, promise), v8::Global::new(scope, reason));
        // Nothing is taken in once they were asked for.
        let Some(rejections) = scope.get_slot_mut::<Rejections>() else { return };
        match is_handled {
            true => rejections.unhandled.retain(|(rejected, _)| *rejected != promise),
            false => rejections.unhandled.push((promise, reason)),
        }
    }
}

impl Rejections {
    /// The reason of the first, for good: the others are let go.
    pub(super) fn close<'s>(scope: &mut v8::PinScope<'s, '_>) -> Option<v8::Local<'s, v8::Value>> {
        let rejections = scope.remove_slot::<Rejections>()?;
        let (_, reason) = rejections.unhandled.first()?;
        Some(v8::Local::new(scope, reason))
    }
}
