//! Handles: roots in a table of their isolate.

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use offheap::{BackingStore, IsolateId};

use crate::Error;

/// The type of ArrayBuffers in a [`Handle`] (V8's `JSArrayBuffer`); it has no values.
#[derive(Clone, Copy, Debug)]
pub enum JsArrayBuffer {}

/// The type of typed arrays in a [`Handle`] (V8's `JSTypedArray`); it has no values.
#[derive(Clone, Copy, Debug)]
pub enum JsTypedArray {}

/// A root for an object of an engine, freed on drop.
///
/// It is `'static` and may outlive its isolate: the object itself is kept by a table that ends with the isolate, so
/// a handle that is forgotten leaks nothing beyond that and cannot upset the engine's teardown. A handle that outlived
/// its isolate answers [`Error::IsolateGone`]. It stays on the isolate's thread.
///
/// Only a [`Scope`](crate::Scope) makes handles, so that each is for an object of its type. A program copies them by `clone`; it
/// cannot make one up, or one of another type:
/// ```compile_fail,E0624
/// use offheap_engine::{Handle, JsArrayBuffer, JsTypedArray};
///
/// fn as_buffer(view: &Handle<JsTypedArray>) -> Handle<JsArrayBuffer> {
///     Handle::new(view.table().clone(), view.slot())
/// }
/// ```
pub struct Handle<T> {
    table: Rc<dyn RootTable>,
    slot: usize,
    object: PhantomData<T>,
}

/// The roots of one isolate, whatever engine it is of.
pub(crate) trait RootTable {
    /// The isolate, alive or not.
    fn isolate(&self) -> IsolateId;

    /// One more root for the same object: its slot, which may be the same one once more.
    fn duplicate(&self, slot: usize) -> usize;

    /// Ends a root. Called once for each root, also after the isolate's end, when there is nothing left to do.
    fn release(&self, slot: usize);

    /// A reference to the store of the ArrayBuffer in this slot.
    ///
    /// # Errors
    /// [`Error::IsolateGone`], and those of [`Engine::externalize`](crate::Engine::externalize).
    fn externalize(&self, slot: usize) -> Result<BackingStore, Error>;
}

impl<T> Handle<T> {
    /// The handle to the object that `table` keeps in `slot`: one handle for each root.
    pub(crate) fn new(table: Rc<dyn RootTable>, slot: usize) -> Self {
        Handle { table, slot, object: PhantomData }
    }

    /// The isolate that the object lives in.
    pub fn isolate(&self) -> IsolateId {
        self.table.isolate()
    }

    /// The table that keeps the object.
    pub(crate) fn table(&self) -> &Rc<dyn RootTable> {
        &self.table
    }

    /// The object's place in the table.
    pub(crate) fn slot(&self) -> usize {
        self.slot
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Handle::new(Rc::clone(&self.table), self.table.duplicate(self.slot))
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        self.table.release(self.slot);
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("isolate", &self.isolate()).field("slot", &self.slot).finish()
    }
}
