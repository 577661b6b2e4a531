//! The growable SharedArrayBuffers of an isolate that are over stores and must follow the length of their stores.
//!
//! The list holds no references to the buffers and calls no script. Each of these buffers has a special callback,
//! whose opaque is the buffer's entry, so a buffer that dies removes itself from the list.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr::{self, NonNull};
use std::rc::Rc;

use offheap::Error as CoreError;
use offheap_engine::run_finalizer;
use rquickjs::qjs;

use super::moved::take_hold;
use super::name::isolate_of;
use crate::{ENGINE, Error};

/// The list. It lives as long as the last of its buffers, possibly longer than the isolate.
#[derive(Default)]
pub(crate) struct Growing {
    entries: RefCell<Vec<NonNull<Entry>>>,
}

/// The entry of a buffer in the list, which is the buffer's opaque.
struct Entry {
    /// The buffer's hold on its store, from [`Hold::into_raw`](offheap::adapter::Hold::into_raw).
    hold: NonNull<c_void>,
    /// The buffer. This is not a counted reference.
    buffer: Cell<qjs::JSValue>,
    /// The index of this entry in the list.
    index: Cell<usize>,
    list: Rc<Growing>,
}

/// An entry that is not in the list yet, because its buffer does not exist yet.
pub(super) struct NewEntry(NonNull<Entry>);

impl Growing {
    /// An entry for a buffer that takes `hold`. After this call, nothing else needs memory.
    ///
    /// # Errors
    /// [`Error::Memory`] if there is no memory; the caller keeps `hold`.
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

    /// Calls `look` with each buffer until it returns an error. The list may change in between.
    pub(super) fn each(&self, mut look: impl FnMut(qjs::JSValue) -> Result<(), Error>) -> Result<(), Error> {
        let mut index = 0;
        loop {
            let Some(entry) = self.entries.borrow().get(index).copied() else { return Ok(()) };
            // SAFETY: I-FREE-ONCE: an entry is in the list until its buffer's callback removes it.
            let buffer = unsafe { entry.as_ref() }.buffer.get();
            look(buffer)?;
            index += 1;
        }
    }
}

impl NewEntry {
    /// The opaque for a buffer with [`growing_realloc`]. Call [`made`](Self::made) once the buffer exists.
    pub(super) fn as_opaque(&self) -> NonNull<c_void> {
        self.0.cast()
    }

    /// Adds the entry to the list: its buffer exists now.
    pub(super) fn made(self, buffer: qjs::JSValue) {
        // SAFETY: I-FREE-ONCE: an entry is freed by this value or by its buffer, and this value still has it.
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
        // SAFETY: I-FREE-ONCE: no buffer was made with the entry.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// The hold of a buffer with the callback [`growing_realloc`] and this opaque.
///
/// # Safety
/// `opaque` is of such a buffer, and QuickJS has not freed the buffer's memory.
pub(super) unsafe fn hold_of(opaque: NonNull<c_void>) -> NonNull<c_void> {
    // SAFETY: the caller promises that the opaque is an entry, which lives until QuickJS frees the buffer's memory.
    unsafe { opaque.cast::<Entry>().as_ref() }.hold
}

/// The callback of every buffer in a list. QuickJS never asks to reallocate shared memory.
pub(super) unsafe extern "C" fn growing_realloc(
    rt: *mut qjs::JSRuntime,
    opaque: *mut c_void,
    data: *mut c_void,
    size: qjs::size_t,
) -> *mut c_void {
    run_finalizer(ENGINE, || {
        assert_eq!(size, 0, "shared memory is not reallocated");
        // SAFETY: I-FREE-ONCE: the buffer has owned the entry since `made`; its callback is called with size 0
        // once.
        let entry = unsafe { Box::from_raw(opaque.cast::<Entry>()) };
        {
            let mut entries = entry.list.entries.borrow_mut();
            let index = entry.index.get();
            entries.swap_remove(index);
            if let Some(moved) = entries.get(index) {
                // SAFETY: I-FREE-ONCE: an entry is in the list until its buffer's callback removes it.
                unsafe { moved.as_ref() }.index.set(index);
            }
        }
        // SAFETY: I-FREE-ONCE: the entry's hold is taken once, because this callback is called with size 0 once.
        unsafe { take_hold(entry.hold, data.cast()) }.release(|| isolate_of(rt));
        ptr::null_mut()
    })
}
