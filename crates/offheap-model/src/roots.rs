//! The roots of the model's handles. They are apart from its heap: a handle may be dropped while the heap is in the middle of a
//! step.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::heap::BufferId;

/// How many roots each buffer has.
#[derive(Default)]
pub(crate) struct Counts(RefCell<BTreeMap<BufferId, usize>>);

impl Counts {
    /// Ends all roots.
    pub(crate) fn end(&self) {
        self.0.borrow_mut().clear();
    }

    pub(crate) fn reach(&self, id: BufferId) -> bool {
        self.0.borrow().contains_key(&id)
    }

    pub(crate) fn add(&self, id: BufferId) {
        *self.0.borrow_mut().entry(id).or_default() += 1;
    }

    pub(crate) fn release(&self, id: BufferId) {
        let mut counts = self.0.borrow_mut();
        let count = counts.get_mut(&id).expect("each root is released once");
        *count -= 1;
        if *count == 0 {
            counts.remove(&id);
        }
    }
}
