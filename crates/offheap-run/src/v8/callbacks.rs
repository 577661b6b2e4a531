//! Errors in callbacks that V8 itself calls, such as that of a `FinalizationRegistry`. V8 catches them, and tells a
//! listener.

use offheap_v8::v8;

/// The first of them, with V8's message about its place.
#[derive(Default)]
pub(super) struct Thrown(Option<(v8::Global<v8::Value>, v8::Global<v8::Message>)>);

impl Thrown {
    /// V8 told the message listener of an error.
    pub(super) fn track<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        message: v8::Local<'s, v8::Message>,
        thrown: v8::Local<'s, v8::Value>,
    ) {
        let (thrown, message) = (v8::Global::new(scope, thrown), v8::Global::new(scope, message));
        if let Some(Thrown(first)) = scope.get_slot_mut::<Thrown>() {
            first.get_or_insert((thrown, message));
        }
    }

    /// The first. Forgets it.
    pub(super) fn take<'s>(
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Option<(v8::Local<'s, v8::Value>, v8::Local<'s, v8::Message>)> {
        let (thrown, message) = scope.get_slot_mut::<Thrown>()?.0.take()?;
        Some((v8::Local::new(scope, thrown), v8::Local::new(scope, message)))
    }
}
