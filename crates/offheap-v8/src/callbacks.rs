//! Functions of the program that V8 calls in an isolate of this crate, with a scope of the crate `v8`.

use std::rc::Rc;

use crate::sys;

pub(crate) type OnRejection =
    dyn for<'s, 'i> Fn(&mut v8::PinScope<'s, 'i>, v8::Local<'s, v8::Promise>, v8::Local<'s, v8::Value>, bool);

pub(crate) type OnMessage =
    dyn for<'s, 'i> Fn(&mut v8::PinScope<'s, 'i>, v8::Local<'s, v8::Message>, v8::Local<'s, v8::Value>);

/// Each is in a slot of the isolate. A call has a reference of its own, because the function may do anything meanwhile.
pub(crate) struct RejectionTracker(pub(crate) Rc<OnRejection>);

pub(crate) struct MessageListener(pub(crate) Rc<OnMessage>);

impl RejectionTracker {
    pub(crate) fn install(self, isolate: &mut v8::Isolate) {
        isolate.set_slot(self);
        sys::watch_rejections(isolate);
    }

    pub(crate) fn track<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        promise: v8::Local<'s, v8::Promise>,
        reason: Option<v8::Local<'s, v8::Value>>,
        is_handled: bool,
    ) {
        let tracker = scope.get_slot::<RejectionTracker>().map(|RejectionTracker(tracker)| Rc::clone(tracker));
        if let (Some(tracker), Ok(state)) = (tracker, sys::state(scope)) {
            state.note_lent();
            // V8 gives no reason with a promise that is handled now.
            let reason = reason.unwrap_or_else(|| match promise.state() {
                v8::PromiseState::Rejected => promise.result(scope),
                _ => v8::undefined(scope).into(),
            });
            tracker(scope, promise, reason, is_handled);
        }
    }
}

impl MessageListener {
    pub(crate) fn install(self, isolate: &mut v8::Isolate) {
        isolate.set_slot(self);
        sys::watch_messages(isolate);
    }

    pub(crate) fn tell<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        message: v8::Local<'s, v8::Message>,
        thrown: v8::Local<'s, v8::Value>,
    ) {
        let listener = scope.get_slot::<MessageListener>().map(|MessageListener(listener)| Rc::clone(listener));
        if let (Some(listener), Ok(state)) = (listener, sys::state(scope)) {
            state.note_lent();
            listener(scope, message, thrown);
        }
    }
}
