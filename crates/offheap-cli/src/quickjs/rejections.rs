//! Promises that are rejected and that nothing handles: errors that nobody caught.

use std::cell::RefCell;
use std::rc::Rc;

use offheap_quickjs::rquickjs::{Ctx, Persistent, Value};

/// The rejected promises of an isolate that nothing handles, the oldest first, each with its reason.
#[derive(Clone, Default)]
pub(super) struct Rejections(Rc<RefCell<Watch>>);

#[derive(Default)]
struct Watch {
    // No value may outlive its engine, so nothing is taken in once they were asked for.
    closed: bool,
    unhandled: Vec<(Kept, Kept)>,
}

type Kept = Persistent<Value<'static>>;

impl Rejections {
    /// What QuickJS tells of a promise: rejected without a handler, or handled after that.
    pub(super) fn track<'js>(&self, ctx: &Ctx<'js>, promise: Value<'js>, reason: Value<'js>, is_handled: bool) {
        let mut watch = self.0.borrow_mut();
        if watch.closed {
            return;
        }
        if is_handled {
            watch.unhandled.retain(|(rejected, _)| rejected.clone().restore(ctx).is_ok_and(|other| other != promise));
        } else {
            watch.unhandled.push((Persistent::save(ctx, promise), Persistent::save(ctx, reason)));
        }
    }

    /// The reason of the first, for good: the others are let go.
    pub(super) fn close<'js>(&self, ctx: &Ctx<'js>) -> Option<Value<'js>> {
        let mut watch = self.0.borrow_mut();
        watch.closed = true;
        let unhandled = std::mem::take(&mut watch.unhandled);
        drop(watch);
        let (_, reason) = unhandled.into_iter().next()?;
        reason.restore(ctx).ok()
    }
}
