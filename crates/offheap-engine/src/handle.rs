//! Handles: roots in a table of their isolate.

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use offheap::{BackingStore, IsolateId};

use crate::Error;

/// The type parameter of a [`Handle`] to an ArrayBuffer (V8's `JSArrayBuffer`). The type has no values.
#[derive(Clone, Copy, Debug)]
pub enum JsArrayBuffer {}

/// The type parameter of a [`Handle`] to a typed array or a DataView (V8's `JSArrayBufferView`). The type has no values.
#[derive(Clone, Copy, Debug)]
pub enum JsArrayBufferView {}

/// The type parameter of a [`Handle`] to a function (V8's `JSFunction`). The type has no values.
#[derive(Clone, Copy, Debug)]
pub enum JsFunction {}

/// The type parameter of a [`Handle`] to any object (V8's `JSObject`). The type has no values.
#[derive(Clone, Copy, Debug)]
pub enum JsObject {}

/// The type parameter of a [`Handle`] to an object that shows bytes: a buffer or a view. Only this crate implements it.
pub trait HasBytes: sealed::Sealed {}

mod sealed {
    pub trait Sealed {
        /// Whether the object may be a view. If not, it is a buffer.
        const MAY_BE_VIEW: bool;
    }
}

impl HasBytes for JsArrayBuffer {}

impl sealed::Sealed for JsArrayBuffer {
    const MAY_BE_VIEW: bool = false;
}

impl HasBytes for JsArrayBufferView {}

impl sealed::Sealed for JsArrayBufferView {
    const MAY_BE_VIEW: bool = true;
}

/// A root for an object of an engine, released on drop.
///
/// A handle is `'static` and may outlive its isolate. A table that ends with the isolate keeps the object, so a
/// forgotten handle leaks nothing after that and does not disturb the engine's teardown. A handle whose isolate has
/// ended answers [`Error::IsolateGone`], also in the scope of another isolate. A handle stays on
/// the isolate's thread.
///
/// Only a [`Scope`](crate::Scope) creates handles, so every handle is for an object of its type. A program can
/// `clone` a handle. It cannot invent one, or make one of another type:
/// ```compile_fail,E0624
/// use offheap_engine::{Handle, JsArrayBuffer, JsArrayBufferView};
///
/// fn as_buffer(view: &Handle<JsArrayBufferView>) -> Handle<JsArrayBuffer> {
///     Handle::new(view.table().clone(), view.slot())
/// }
/// ```
pub struct Handle<T> {
    root: HeldRoot,
    object: PhantomData<T>,
}

/// One handle's share in a root.
struct HeldRoot {
    table: Rc<dyn RootTable>,
    slot: usize,
}

/// The roots of one isolate, of any engine.
pub(crate) trait RootTable {
    /// The id of the isolate, also after its end.
    fn isolate(&self) -> IsolateId;

    /// Whether the isolate has ended.
    fn has_ended(&self) -> bool;

    /// Adds a root for the same object and returns its slot, which may be `slot` itself.
    fn duplicate(&self, slot: usize) -> usize;

    /// Removes a root. It is called once for each root. After the isolate's end it does nothing.
    fn release(&self, slot: usize);

    /// A reference to the store of the ArrayBuffer in this slot.
    ///
    /// # Errors
    /// [`Error::IsolateGone`], and those of [`Engine::externalize`](crate::Engine::externalize).
    fn externalize(&self, slot: usize) -> Result<BackingStore, Error>;
}

impl<T> Handle<T> {
    /// A handle to the object that `table` keeps in `slot`. There is one handle for each root.
    pub(crate) fn new(table: Rc<dyn RootTable>, slot: usize) -> Self {
        Handle { root: HeldRoot { table, slot }, object: PhantomData }
    }

    /// The handle with another type, which the caller knows to be the object's.
    pub(crate) fn cast<U>(self) -> Handle<U> {
        Handle { root: self.root, object: PhantomData }
    }

    /// The isolate that the object lives in.
    pub fn isolate(&self) -> IsolateId {
        self.root.table.isolate()
    }

    /// The table that keeps the object.
    pub(crate) fn table(&self) -> &Rc<dyn RootTable> {
        &self.root.table
    }

    /// The object's slot in the table.
    pub(crate) fn slot(&self) -> usize {
        self.root.slot
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        Handle::new(Rc::clone(self.table()), self.table().duplicate(self.slot()))
    }
}

impl Drop for HeldRoot {
    fn drop(&mut self) {
        self.table.release(self.slot);
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("isolate", &self.isolate()).field("slot", &self.slot()).finish()
    }
}
