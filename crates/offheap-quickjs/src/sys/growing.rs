//! The growable SharedArrayBuffers of an isolate that are over stores, which have to follow the length of those.
//!
//! A list without a reference to any of them, and without a word of script: each of these buffers has a callback of its
//! own, whose opaque is its entry, so that one which dies takes itself out.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::rc::Rc;

use offheap::Error as CoreError;
use offheap_engine::run_finalizer;
use rquickjs::qjs;

use super::moved::take_hold;
use crate::{ENGINE, Error};

/// The list. It ends with the last of its buffers, which may be after the isolate's end.
#[derive(Default)]
pub(crate) struct Growing {
    entries: RefCell<Vec<NonNull<Entry>>>,
}

/// What a buffer of the list has as its opaque.
struct Entry {
    /// The buffer's hold on its store, as [`Hold::into_raw`](offheap::adapter::Hold::into_raw) gave it.
    hold: NonNull<c_void>,
    /// The buffer, of which this is no reference.
    buffer: Cell<qjs::JSValue>,
    /// Where in the list it is.
    index: Cell<usize>,
    list: Rc<Growing>,
}

/// An entry that is in no list yet: there is no buffer with it.
pub(super) struct NewEntry(NonNull<Entry>);

impl Growing {
    /// An entry for a buffer that takes `hold`. From here on nothing needs memory.
    ///
    /// # Errors
    /// [`Error::Memory`] where there is none; `hold` stays the caller's.
    pub(super) fn new_entry(self: &Rc<Self>, hold: NonNull<c_void>) -> Result<NewEntry, Error> {
        let none_left = |_| CoreError::OutOfMemory { requested: size_of::<Entry>() };
        self.entries.borrow_mut().try_reserve(1).map_err(none_left)?;
        let mut entry = Vec::new();
        entry.try_reserve_exact(1).map_err(none_left)?;
        let (buffer, index, list) = (Cell::new(qjs::JS_UNDEFINED), Cell::new(0), Rc::clone(self));
        entry.push(Entry { hold, buffer, index, list });
        Ok(NewEntry(NonNull::from(Box::leak(entry.into_boxed_slice())).cast()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.borrow().is_empty()
    }

    /// Calls `look` with each buffer, until it says that it is enough. The list may change in between.
    pub(super) fn each(&self, mut look: impl FnMut(qjs::JSValue) -> Result<(), Error>) -> Result<(), Error> {
        let mut index = 0;
        loop {
            let Some(entry) = self.entries.borrow().get(index).copied() else { return Ok(()) };
            // SAFETY: I-FREE-ONCE: an entry is in the list until its buffer's callback takes it out.
            let buffer = unsafe { entry.as_ref() }.buffer.get();
            look(buffer)?;
            index += 1;
        }
    }
}

impl NewEntry {
    /// As the opaque of a buffer with [`growing_realloc`], after whose making comes [`made`](Self::made).
    pub(super) fn as_opaque(&self) -> NonNull<c_void> {
        self.0.cast()
    }

    /// There is a buffer with this entry now.
    pub(super) fn made(self, buffer: qjs::JSValue) {
        // SAFETY: I-FREE-ONCE: an entry ends with this, or with its buffer.
        let entry = unsafe { self.0.as_ref() };
        let mut entries = entry.list.entries.borrow_mut();
        entry.buffer.set(buffer);
        entry.index.set(entries.len());
        entries.push(self.0);
        drop(entries);
        std::mem::forget(self);
    }
}

impl Drop for NewEntry {
    fn drop(&mut self) {
        // SAFETY: I-FREE-ONCE: no buffer was made with it.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// The hold of a buffer that has [`growing_realloc`] and this opaque.
///
/// # Safety
/// As said, and QuickJS has not let go of the buffer's memory.
pub(super) unsafe fn hold_of(opaque: NonNull<c_void>) -> NonNull<c_void> {
    // SAFETY: the caller's promise: the opaque is an entry, which ends when QuickJS lets go.
    unsafe { opaque.cast::<Entry>().as_ref() }.hold
}

/// The callback of every buffer in a list. QuickJS never asks for more memory for shared ones.
pub(super) unsafe extern "C" fn growing_realloc(
    _rt: *mut qjs::JSRuntime,
    opaque: *mut c_void,
    data: *mut c_void,
    size: qjs::size_t,
) -> *mut c_void {
    run_finalizer(ENGINE, || {
        assert_eq!(size, 0, "shared memory is not reallocated");
        // SAFETY: I-FREE-ONCE: the buffer's since `made`; the callback is called with size 0 once.
        let entry = unsafe { Box::from_raw(opaque.cast::<Entry>()) };
        {
            let mut entries = entry.list.entries.borrow_mut();
            let index = entry.index.get();
            entries.swap_remove(index);
            if let Some(moved) = entries.get(index) {
                // SAFETY: as in `each`.
                unsafe { moved.as_ref() }.index.set(index);
            }
        }
        // SAFETY: I-FREE-ONCE: as above.
        drop(unsafe { take_hold(entry.hold, data.cast()) });
        ptr::null_mut()
    })
}
