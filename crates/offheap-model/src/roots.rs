//! The roots of the model's handles. They are apart from its heap: a handle may be copied and dropped while the heap is in
//! the middle of a step.

use std::cell::RefCell;

use crate::NAME;
use crate::heap::BufferId;

/// `None` once the isolate has ended; a root of `None` is free.
pub(crate) struct Roots(RefCell<Option<Vec<Option<BufferId>>>>);

impl Roots {
    pub(crate) fn new() -> Self {
        Roots(RefCell::new(Some(Vec::new())))
    }

    /// Ends all roots. After this, handles that are copied or dropped change nothing.
    pub(crate) fn end(&self) {
        self.0.take();
    }

    pub(crate) fn reach(&self, id: BufferId) -> bool {
        self.0.borrow().as_ref().is_some_and(|roots| roots.contains(&Some(id)))
    }

    /// A new root, while the isolate lives.
    pub(crate) fn add(&self, id: BufferId) -> usize {
        let mut roots = self.0.borrow_mut();
        let roots = roots.as_mut().expect("the isolate lives");
        match roots.iter().position(Option::is_none) {
            Some(slot) => {
                roots[slot] = Some(id);
                slot
            }
            None => {
                roots.push(Some(id));
                roots.len() - 1
            }
        }
    }

    pub(crate) fn duplicate(&self, slot: usize) -> usize {
        let has_ended = self.0.borrow().is_none();
        if has_ended { slot } else { self.add(self.get(slot)) }
    }

    pub(crate) fn release(&self, slot: usize) {
        if let Some(roots) = self.0.borrow_mut().as_mut() {
            let root = roots.get_mut(slot).and_then(Option::take);
            assert!(root.is_some(), "{NAME}: root {slot} was released twice");
        }
    }

    /// The buffer that a root keeps.
    ///
    /// # Panics
    /// If the root was released: the model is poisoned there.
    pub(crate) fn get(&self, slot: usize) -> BufferId {
        let id = self.0.borrow().as_ref().and_then(|roots| roots.get(slot).copied().flatten());
        id.unwrap_or_else(|| panic!("{NAME}: root {slot} was released and is used again"))
    }
}
