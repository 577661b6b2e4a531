//! Promises that are rejected and that nothing handles: errors that nobody caught.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use offheap_quickjs::rquickjs::{Ctx, Persistent, Value};

use crate::unhandled::Unhandled;

/// The rejected promises of an isolate that nothing handles. `None` once they were asked for: no value may outlive its
/// engine, so nothing is taken in after that.
#[derive(Clone)]
pub(super) struct Rejections(Rc<RefCell<Option<Unhandled<Kept, Kept>>>>);

type Kept = Persistent<Value<'static>>;

impl Default for Rejections {
    fn default() -> Self {
        Rejections(Rc::new(RefCell::new(Some(Unhandled::default()))))
    }
}

impl Rejections {
    /// What QuickJS tells of a promise: rejected without a handler, or handled after that.
    pub(super) fn track<'js>(&self, ctx: &Ctx<'js>, promise: Value<'js>, reason: Value<'js>, is_handled: bool) {
        let mut rejections = self.0.borrow_mut();
        let Some(unhandled) = &mut *rejections else { return };
        // Of the object itself, which stays where it is.
        let mut hasher = DefaultHasher::new();
        promise.hash(&mut hasher);
        let hash = hasher.finish();
        if is_handled {
            unhandled.remove(hash, |rejected| rejected.clone().restore(ctx).is_ok_and(|rejected| rejected == promise));
        } else {
            unhandled.insert(hash, Persistent::save(ctx, promise), Persistent::save(ctx, reason));
        }
    }

    /// The reason of the first, for good: the others are let go.
    pub(super) fn close<'js>(&self, ctx: &Ctx<'js>) -> Option<Value<'js>> {
        // A statement of its own: what lets go of a value may be told of others.
        let unhandled = self.0.borrow_mut().take();
        unhandled?.into_first()?.restore(ctx).ok()
    }
}
