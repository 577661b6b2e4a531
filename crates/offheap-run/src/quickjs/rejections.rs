//! Promises that were rejected and that nothing handles: errors that nobody caught.

use std::hash::{DefaultHasher, Hash, Hasher};

use offheap_quickjs::rquickjs::{Ctx, Persistent, Value};

use crate::unhandled::Unhandled;

/// A promise, or the reason why it was rejected.
type Kept = Persistent<Value<'static>>;

/// The promises of an isolate that were rejected and that nothing handles.
#[derive(Default)]
pub(super) struct Rejections(Unhandled<Kept, Kept>);

impl Rejections {
    /// QuickJS says that a promise was rejected without a handler, or that it is handled now.
    pub(super) fn track<'js>(&mut self, ctx: &Ctx<'js>, promise: Value<'js>, reason: Value<'js>, is_handled: bool) {
        // A hash of the object's address, which does not change.
        let mut hasher = DefaultHasher::new();
        promise.hash(&mut hasher);
        let hash = hasher.finish();
        if is_handled {
            self.0.remove(hash, |rejected| rejected.clone().restore(ctx).is_ok_and(|rejected| rejected == promise));
        } else {
            self.0.insert(hash, Persistent::save(ctx, promise), Persistent::save(ctx, reason));
        }
    }

    /// The reason of the promise that was rejected first.
    pub(super) fn into_first<'js>(self, ctx: &Ctx<'js>) -> Option<Value<'js>> {
        self.0.into_first()?.restore(ctx).ok()
    }
}
