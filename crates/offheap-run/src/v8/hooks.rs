//! Callbacks of V8 that get no scope, wrapped so that they do. All unsafe code of this crate: making the scope.
#![allow(unsafe_code, reason = "V8 hands these callbacks a handle instead of a scope; SAFETY.md names the invariants")]

use offheap_v8::v8;

/// What a module's imports stand for, in [`instantiate_module`].
pub trait ResolveModule: 'static {
    /// The module that `specifier` names in `referrer`; `None` where an exception is thrown.
    fn resolve<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        specifier: v8::Local<'s, v8::String>,
        referrer: v8::Local<'s, v8::Module>,
    ) -> Option<v8::Local<'s, v8::Module>>;
}

/// Who is told of promises that are rejected, by [`track_rejections`].
pub trait TrackRejections: 'static {
    /// A promise was rejected and nothing handles it, or, where `is_handled`, something does now. `reason` is there for the
    /// first.
    fn track<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        promise: v8::Local<'s, v8::Promise>,
        reason: Option<v8::Local<'s, v8::Value>>,
        is_handled: bool,
    );
}

/// Who is told of what nothing caught, by [`track_uncaught`].
pub trait TrackUncaught: 'static {
    /// A callback of V8's own threw, that of a `FinalizationRegistry` for example. `message` says where.
    fn track<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        message: v8::Local<'s, v8::Message>,
        thrown: v8::Local<'s, v8::Value>,
    );
}

/// `module.instantiate_module`, with a scope for what finds its imports.
///
/// As there: `None` where an exception was thrown.
pub fn instantiate_module<'s, R: ResolveModule>(
    scope: &mut v8::PinScope<'s, '_>,
    module: v8::Local<'s, v8::Module>,
) -> Option<bool> {
    fn resolve<'s, R: ResolveModule>(
        context: v8::Local<'s, v8::Context>,
        specifier: v8::Local<'s, v8::String>,
        _attributes: v8::Local<'s, v8::FixedArray>,
        referrer: v8::Local<'s, v8::Module>,
    ) -> Option<v8::Local<'s, v8::Module>> {
        // SAFETY: I-BORROW: V8 calls this on the isolate's thread, and the scope ends with the call.
        v8::callback_scope!(unsafe scope, context);
        R::resolve(scope, specifier, referrer)
    }
    module.instantiate_module(scope, resolve::<R>)
}

/// `isolate.set_promise_reject_callback`, with a scope for the callback. A panic in it ends the process.
pub fn track_rejections<T: TrackRejections>(isolate: &mut v8::Isolate) {
    extern "C" fn track<T: TrackRejections>(message: v8::PromiseRejectMessage<'_>) {
        let is_handled = match message.get_event() {
            v8::PromiseRejectEvent::PromiseRejectWithNoHandler => false,
            v8::PromiseRejectEvent::PromiseHandlerAddedAfterReject => true,
            // A promise that was settled before; nothing comes of it.
            _ => return,
        };
        // SAFETY: I-BORROW: V8 calls this on the isolate's thread, and the scope ends with the call.
        v8::callback_scope!(unsafe scope, &message);
        T::track(scope, message.get_promise(), message.get_value(), is_handled);
    }
    isolate.set_promise_reject_callback(track::<T>);
}

/// `isolate.add_message_listener`, with a scope for the listener. V8 prints what nothing caught where it has none. A panic in
/// it ends the process.
pub fn track_uncaught<T: TrackUncaught>(isolate: &mut v8::Isolate) {
    extern "C" fn track<T: TrackUncaught>(message: v8::Local<'_, v8::Message>, thrown: v8::Local<'_, v8::Value>) {
        // SAFETY: I-BORROW: V8 calls this on the isolate's thread, and the scope ends with the call.
        v8::callback_scope!(unsafe scope, message);
        T::track(scope, message, thrown);
    }
    isolate.add_message_listener(track::<T>);
}
