//! Callbacks of V8 that get no scope, wrapped so that they do. All unsafe code of this crate: making the scope.
#![allow(unsafe_code, reason = "V8 hands these callbacks a handle instead of a scope; SAFETY.md names the invariants")]

use offheap_v8::v8;

/// Finds the modules that a module imports, for [`instantiate_module`].
pub trait ResolveModule: 'static {
    /// The module that `specifier` names in `referrer`; `None` where an exception is pending.
    fn resolve<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        specifier: v8::Local<'s, v8::String>,
        referrer: v8::Local<'s, v8::Module>,
    ) -> Option<v8::Local<'s, v8::Module>>;
}

/// Is told of rejected promises, by [`track_rejections`].
pub trait TrackRejections: 'static {
    /// A promise was rejected and nothing handles it; then `reason` is there. Or, if `is_handled`, something handles a
    /// promise that was reported before.
    fn track<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        promise: v8::Local<'s, v8::Promise>,
        reason: Option<v8::Local<'s, v8::Value>>,
        is_handled: bool,
    );
}

/// Is told of errors that nothing caught, by [`track_uncaught`].
pub trait TrackUncaught: 'static {
    /// A callback that V8 called threw, for example that of a `FinalizationRegistry`. `message` says where.
    fn track<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        message: v8::Local<'s, v8::Message>,
        thrown: v8::Local<'s, v8::Value>,
    );
}

/// Instantiates a module, as `module.instantiate_module` does. `R` finds its imports and gets a scope for that.
///
/// The result is `None` where an exception is pending.
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

/// Sets the isolate's callback for rejected promises, as `isolate.set_promise_reject_callback` does. `T` gets a scope.
/// A panic in it ends the process.
pub fn track_rejections<T: TrackRejections>(isolate: &mut v8::Isolate) {
    extern "C" fn track<T: TrackRejections>(message: v8::PromiseRejectMessage<'_>) {
        let is_handled = match message.get_event() {
            v8::PromiseRejectEvent::PromiseRejectWithNoHandler => false,
            v8::PromiseRejectEvent::PromiseHandlerAddedAfterReject => true,
            // The promise was settled before, and stays as it was.
            _ => return,
        };
        // SAFETY: I-BORROW: V8 calls this on the isolate's thread, and the scope ends with the call.
        v8::callback_scope!(unsafe scope, &message);
        T::track(scope, message.get_promise(), message.get_value(), is_handled);
    }
    isolate.set_promise_reject_callback(track::<T>);
}

/// Adds a listener for errors that nothing caught, as `isolate.add_message_listener` does. `T` gets a scope. Without
/// any listener V8 prints such errors. A panic in `T` ends the process.
pub fn track_uncaught<T: TrackUncaught>(isolate: &mut v8::Isolate) {
    extern "C" fn track<T: TrackUncaught>(message: v8::Local<'_, v8::Message>, thrown: v8::Local<'_, v8::Value>) {
        // SAFETY: I-BORROW: V8 calls this on the isolate's thread, and the scope ends with the call.
        v8::callback_scope!(unsafe scope, message);
        T::track(scope, message, thrown);
    }
    isolate.add_message_listener(track::<T>);
}
