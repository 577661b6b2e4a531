//! `ManuallyExternalizedBuffer`: the type that all of this began with.

use std::ffi::c_void;

use offheap::adapter;
use offheap::{BackingStore, Rejected};

use crate::{Error, Handle, JsArrayBuffer};

/// A handle to an ArrayBuffer together with a reference to its backing store: V8's struct of the same name, on every
/// engine.
///
/// Making one externalizes the buffer: the store's memory then outlives the buffer's detaching, its collection, and its
/// isolate.
///
/// # Dropping
/// Nothing to be done. The reference to the store goes by itself, and nothing is freed by hand: memory that has an owner
/// is freed when the last reference to it goes, this one or another, and
/// [manual memory](offheap::ManualMemory) when its user frees it. Two mistakes follow from not knowing this. To
/// believe that the destructor frees manual memory leaks it; the leak is reported with the place that allocated it. To
/// free it twice, or while script still uses it, is refused with an error that names the places.
#[derive(Debug)]
pub struct ManuallyExternalizedBuffer {
    buffer: Handle<JsArrayBuffer>,
    store: BackingStore,
}

impl ManuallyExternalizedBuffer {
    /// Takes a reference to the store of the handle's buffer. Of a detached buffer that is a new, empty one.
    ///
    /// # Errors
    /// The handle comes back, with the error of externalizing: [`Error::IsolateGone`], [`Error::LayoutChanged`],
    /// [`Error::Unsupported`] in an owner's drop and in an observer, and on QuickJS also while script or a lent `Ctx` is at
    /// work, where the store of the buffer was not taken before; [`Error::Memory`] when there is none left.
    #[track_caller]
    pub fn new(buffer: Handle<JsArrayBuffer>) -> Result<Self, Rejected<Handle<JsArrayBuffer>, Error>> {
        match adapter::on_behalf_of_caller(|| buffer.table().externalize(buffer.slot())) {
            Ok(store) => Ok(ManuallyExternalizedBuffer { buffer, store }),
            Err(error) => Err(Rejected::new(error, buffer)),
        }
    }

    /// The handle (V8's `buffer_`).
    pub fn buffer(&self) -> &Handle<JsArrayBuffer> {
        &self.buffer
    }

    /// The reference to the store (V8's `backing_store_`).
    pub fn store(&self) -> &BackingStore {
        &self.store
    }

    /// The address of the store's first byte (V8's `backing_store()`), valid while any reference to the store lives.
    pub fn backing_store(&self) -> *mut c_void {
        self.store.as_ptr()
    }
}
