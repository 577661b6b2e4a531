//! Callbacks of V8 that get no scope, wrapped so that they do. A panic in them ends the process: nothing unwinds into V8.

use crate::callbacks::{MessageListener, RejectionTracker};
use crate::modules;

/// Instantiates a module that was loaded with everything that it imports. The result is `None` if an exception is pending.
pub(crate) fn instantiate_module<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    module: v8::Local<'s, v8::Module>,
) -> Option<bool> {
    fn resolve<'s>(
        context: v8::Local<'s, v8::Context>,
        specifier: v8::Local<'s, v8::String>,
        _attributes: v8::Local<'s, v8::FixedArray>,
        referrer: v8::Local<'s, v8::Module>,
    ) -> Option<v8::Local<'s, v8::Module>> {
        // SAFETY: I-BORROW: V8 calls this on the isolate's thread, and the scope ends with the call.
        v8::callback_scope!(unsafe scope, context);
        modules::imported_by(scope, specifier, referrer)
    }
    module.instantiate_module(scope, resolve)
}

/// Fills `import.meta` of modules.
pub(crate) fn watch_import_meta(isolate: &mut v8::Isolate) {
    extern "C" fn fill(
        context: v8::Local<'_, v8::Context>,
        module: v8::Local<'_, v8::Module>,
        meta: v8::Local<'_, v8::Object>,
    ) {
        // SAFETY: I-BORROW: V8 calls this on the isolate's thread, and the scope ends with the call.
        v8::callback_scope!(unsafe scope, context);
        modules::fill_import_meta(scope, module, meta);
    }
    isolate.set_host_initialize_import_meta_object_callback(fill);
}

/// Tells the isolate's [`RejectionTracker`] of rejected promises.
pub(crate) fn watch_rejections(isolate: &mut v8::Isolate) {
    extern "C" fn track(message: v8::PromiseRejectMessage<'_>) {
        let is_handled = match message.get_event() {
            v8::PromiseRejectEvent::PromiseRejectWithNoHandler => false,
            v8::PromiseRejectEvent::PromiseHandlerAddedAfterReject => true,
            // The promise was settled before, and stays as it was.
            _ => return,
        };
        // SAFETY: I-BORROW: V8 calls this on the isolate's thread, and the scope ends with the call.
        v8::callback_scope!(unsafe scope, &message);
        RejectionTracker::track(scope, message.get_promise(), message.get_value(), is_handled);
    }
    isolate.set_promise_reject_callback(track);
}

/// Tells the isolate's [`MessageListener`] of errors that nothing caught. Without any listener, V8 prints them.
pub(crate) fn watch_messages(isolate: &mut v8::Isolate) {
    extern "C" fn tell(message: v8::Local<'_, v8::Message>, thrown: v8::Local<'_, v8::Value>) {
        // SAFETY: I-BORROW: V8 calls this on the isolate's thread, and the scope ends with the call.
        v8::callback_scope!(unsafe scope, message);
        MessageListener::tell(scope, message, thrown);
    }
    isolate.add_message_listener(tell);
}
