//! What callbacks of V8's own throw, that of a `FinalizationRegistry` for example: V8 catches it, and tells a listener.

use offheap_v8::v8;

use super::hooks::TrackUncaught;

/// The first of them, with what V8 says of its place.
#[derive(Default)]
pub(super) struct Thrown(Option<(v8::Global<v8::Value>, v8::Global<v8::Message>)>);

impl TrackUncaught for Thrown {
    fn track<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        message: v8::Local<'s, v8::Message>,
        thrown: v8::Local<'s, v8::Value>,
    ) {
        let (thrown, message) = (v8::Global::new(scope, thrown), v8::Global::new(scope, message));
        // Nothing is taken in once the script has ended.
        if let Some(Thrown(first)) = scope.get_slot_mut::<Thrown>() {
            first.get_or_insert((thrown, message));
        }
    }
}

impl Thrown {
    /// Whether there is one.
    pub(super) fn is_some(scope: &mut v8::PinScope<'_, '_>) -> bool {
        scope.get_slot::<Thrown>().is_some_and(|Thrown(first)| first.is_some())
    }

    /// The first, for good.
    pub(super) fn take<'s>(
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Option<(v8::Local<'s, v8::Value>, v8::Local<'s, v8::Message>)> {
        let Thrown(first) = scope.remove_slot::<Thrown>()?;
        first.map(|(thrown, message)| (v8::Local::new(scope, thrown), v8::Local::new(scope, message)))
    }
}
