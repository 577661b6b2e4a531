//! `ManuallyExternalizedBuffer`: a handle together with the buffer's store.

use std::ffi::c_void;

use offheap::adapter;
use offheap::{BackingStore, Rejected};

use crate::{Error, Handle, JsArrayBuffer};

/// A handle to an ArrayBuffer together with a reference to its backing store: V8's struct of the same name, for
/// every engine.
///
/// Creating one externalizes the buffer. The store's memory then outlives the buffer: it survives detaching,
/// collection, and the end of the isolate.
///
/// # Dropping
/// Nothing needs to be done by hand. Dropping this value drops one reference to the store. Memory that has an owner
/// is freed with the last reference to it, no matter which reference that is. [Manual
/// memory](offheap::ManualMemory) is freed when its user frees it. This prevents two mistakes. Code that expects
/// the destructor to free manual memory leaks it; the leak is reported with the place that allocated it. Code that
/// frees it twice, or while script still uses it, gets an error that names the places.
#[derive(Debug)]
pub struct ManuallyExternalizedBuffer {
    buffer: Handle<JsArrayBuffer>,
    store: BackingStore,
}

impl ManuallyExternalizedBuffer {
    /// Takes a reference to the store of the handle's buffer. A detached buffer gives a new, empty store.
    ///
    /// # Errors
    /// The handle comes back with the error. [`Error::IsolateGone`]; [`Error::LayoutChanged`];
    /// [`Error::Unsupported`] in an owner's `Drop` and in an observer; while a guard lends memory that is in no store, if
    /// the buffer has such memory too; on QuickJS also while script or a lent `Ctx` runs, unless the buffer's store was
    /// taken before; [`Error::Memory`] if there is no memory.
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
