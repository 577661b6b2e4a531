//! What a scope lends: the bytes of buffers and of stores.

use bytemuck::NoUninit;
use offheap::{BackingStore, ReadGuard, Site, WriteGuard, adapter};

use super::Scope;
use crate::checks::check_mutable;
use crate::host::{Host, UseOfBytes};
use crate::{Error, Handle, HasBytes, guards};

impl<H: Host> Scope<'_, H> {
    /// Lends the bytes of a buffer, or those that a view shows, to read. The guard borrows the scope, so no script runs
    /// while it lives. Nothing is copied. The memory of a buffer that script made is lent as it is, without a store, on
    /// QuickJS, and on V8 if the buffer has a fixed length and the program never had a scope of the crate `v8`. In all
    /// other cases the first use of such a buffer [externalizes](Self::externalize) it.
    ///
    /// While a guard lends memory without a store, a handle does not externalize a buffer whose memory may be lent that
    /// way ([`Error::Unsupported`]).
    ///
    /// # Errors
    /// Those of [`externalize`](Self::externalize), and [`Error::Memory`] for a mapped file, for shared memory, and
    /// while a guard writes the bytes. [`Error::NotLent`] on V8 once its own scope was lent, unless every buffer
    /// over the store has a handle and nothing else refers to the memory of those buffers: the program may have
    /// given a `v8::BackingStore` to another isolate.
    #[track_caller]
    pub fn bytes<T: HasBytes>(&self, object: &Handle<T>) -> Result<ReadGuard<'_>, Error> {
        let window = self.window(object, UseOfBytes::Read.attempted());
        let (table, window) = (self.table, self.told(object, window)?);
        let lent = guards::buffer_bytes(self, table.rooted(object.slot()), window, || {
            // Another guard may live.
            let _quiet = adapter::without_script_stack();
            let store = self.part(object, window, UseOfBytes::Read.attempted())?.store;
            self.check_lendable(&store, UseOfBytes::Read, Some(object.slot()))?;
            Ok(store)
        });
        self.told(object, lent)
    }

    /// Lends the bytes of a buffer, or those that a view shows, to write, as [`bytes`](Self::bytes) does to read.
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes), [`Error::Memory`] also while a guard reads the bytes, and
    /// [`Error::Immutable`].
    #[track_caller]
    pub fn bytes_mut<T: HasBytes>(&mut self, object: &Handle<T>) -> Result<WriteGuard<'_>, Error> {
        self.relieve();
        self.table.check(object)?;
        let immutable = self.table.entered_host().is_immutable(self.table.rooted(object.slot()))?;
        check_mutable(H::NAME, UseOfBytes::Write.attempted(), immutable)?;
        let window = self.window(object, UseOfBytes::Write.attempted());
        let (table, window) = (self.table, self.told(object, window)?);
        let lent = guards::buffer_bytes_mut(self, table.rooted(object.slot()), window, |scope| {
            let store = scope.part(object, window, UseOfBytes::Write.attempted())?.store;
            scope.check_lendable(&store, UseOfBytes::Write, Some(object.slot()))?;
            Ok(store)
        });
        // The guard has the borrow of the scope.
        if let Err(error) = &lent {
            table.detach_places.tell(object.slot(), error, Site::here());
        }
        lent
    }

    /// Lends the bytes of a store to read, if no other isolate has the store. The guard borrows the scope, so no
    /// script runs while it lives.
    ///
    /// # Errors
    /// [`Error::Memory`] if another isolate has the store, a guard writes it, it is shared, it is a mapped file, or
    /// it was freed; [`Error::NotLent`] in the cases of [`bytes`](Self::bytes).
    pub fn store_bytes(&self, store: &BackingStore) -> Result<ReadGuard<'_>, Error> {
        self.check_lendable(store, UseOfBytes::Read, None)?;
        guards::bytes(self, store)
    }

    /// Lends the bytes of a store to write, if no other isolate has the store. The guard borrows the scope, so no
    /// script runs while it lives.
    ///
    /// # Errors
    /// [`Error::Memory`] if another isolate has the store, a guard uses it, it is read-only, shared or a mapped
    /// file, or it was freed; [`Error::NotLent`] in the cases of [`bytes`](Self::bytes).
    pub fn store_bytes_mut(&mut self, store: &BackingStore) -> Result<WriteGuard<'_>, Error> {
        self.relieve();
        self.check_lendable(store, UseOfBytes::Write, None)?;
        guards::bytes_mut(self, store)
    }

    /// Copies elements into a store from `byte_offset` on, in the machine's byte order, if no other isolate has the
    /// store. Mapped files are allowed.
    ///
    /// # Errors
    /// [`Error::Memory`] if the range is not in the store, a guard uses the store, another isolate has it, it is
    /// read-only, or it was freed; [`Error::NotLent`] in the cases of [`bytes`](Self::bytes), for resizable memory
    /// of V8's own.
    pub fn copy_in<T: NoUninit>(&mut self, store: &BackingStore, byte_offset: usize, from: &[T]) -> Result<(), Error> {
        self.relieve();
        self.check_lendable(store, UseOfBytes::CopyIn, None)?;
        guards::copy_in_scope(self, store, byte_offset, bytemuck::cast_slice(from))
    }

    #[inline]
    fn check_lendable(&self, store: &BackingStore, use_of_bytes: UseOfBytes, slot: Option<usize>) -> Result<(), Error> {
        let buffer = slot.map(|slot| self.table.rooted(slot));
        self.table.entered_host().check_lendable(store, use_of_bytes, buffer, self.table.roots())
    }
}
