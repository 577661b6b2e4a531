//! `Scope`: the right to run script in an isolate, and the guards that need script not to run.

use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;

use bytemuck::NoUninit;
use offheap::{BackingStore, Bytes, BytesMut, IsolateId};

use crate::checks::check_mutable;
use crate::handle::RootTable;
use crate::host::{Host, UseOfBytes};
use crate::table::{Rooted, Table};
use crate::{
    BufferState, Error, Exposure, FromJs, Handle, JsArrayBuffer, JsTypedArray, Local, TypedElement, ViewState, guards,
    unexpected_value,
};

mod change;

/// The right to run script in an [`Isolate`](crate::Isolate), for as long as it is entered.
///
/// Every method that may run script takes `&mut self`. Methods that take `&self` only read, and guards of a store's
/// bytes borrow the scope. So no script can run while a slice lives: the compiler checks it.
///
/// A scope is neither `Clone` nor `Send`, and cannot be kept. It does not deref to a scope or context of the
/// engine's own crate. The adapter's extension trait lends one, while no guard can live.
///
/// A scope keeps no object alive. A buffer can be collected when all its [`Local`]s and [`Handle`]s are dropped,
/// even while the scope lives.
pub struct Scope<'s, H: Host> {
    pub(crate) table: &'s Rc<Table<H>>,
    pub(crate) brand: PhantomData<Cell<&'s ()>>,
}

impl<'s, H: Host> Scope<'s, H> {
    /// The id of this scope's isolate.
    pub fn isolate(&self) -> IsolateId {
        self.table.id()
    }

    /// Runs a script and returns its value. Microtasks run only when [asked](Self::run_microtasks).
    ///
    /// # Errors
    /// [`Error::Script`] if the script throws, does not parse, or its value is of another type; see [`FromJs`].
    pub fn eval<T: FromJs>(&mut self, source: &str) -> Result<T, Error> {
        let value = self.run(|host| host.evaluate(source))?;
        T::from_js(value).map_err(|value| unexpected_value::<T>(H::NAME, &value))
    }

    /// Runs a script whose value is an ArrayBuffer, a SharedArrayBuffer or a view, and returns that buffer or the
    /// view's buffer.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`] if the value is none of these, [`Error::Script`] if the script throws or does
    /// not parse.
    pub fn eval_buffer(&mut self, source: &str) -> Result<Local<'s, JsArrayBuffer>, Error> {
        self.make(|host| host.evaluate_buffer(source))
    }

    pub(crate) fn eval_view(&mut self, source: &str) -> Result<ViewState, Error> {
        self.run(|host| host.evaluate_view(source))
    }

    /// Runs the microtasks that are due, and those that they queue.
    ///
    /// # Errors
    /// [`Error::Script`]. On QuickJS, if a microtask throws; the microtasks after it stay queued. On V8, if
    /// execution was terminated; an exception that a microtask throws is lost. Promises that reject are reported to
    /// the engine's own rejection callback.
    pub fn run_microtasks(&mut self) -> Result<(), Error> {
        self.run(H::run_microtasks)
    }

    /// Makes a buffer, or another object that has a handle, a global variable of script.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::Script`] if a setter throws.
    pub fn set_global<T>(&mut self, name: &str, object: &Handle<T>) -> Result<(), Error> {
        self.step_on(object, |host, object| host.set_global(name, object))
    }

    /// Opens a handle of this isolate as a local of this scope.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`].
    pub fn open<T>(&self, handle: Handle<T>) -> Result<Local<'s, T>, Error> {
        self.table.check(&handle)?;
        Ok(Local::new(handle))
    }

    /// `new ArrayBuffer(byteLength, { maxByteLength })`, even if script replaced that constructor. The buffer has
    /// zeroed memory of the engine, for which [`externalize`](Self::externalize) gives a store. With a maximum, the
    /// buffer is resizable.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`], [`Error::Memory`] if the maximum is less than the length, [`Error::Script`] if
    /// there is no memory.
    pub fn allocate(
        &mut self,
        byte_length: usize,
        max_byte_length: Option<usize>,
    ) -> Result<Local<'s, JsArrayBuffer>, Error> {
        self.allocate_either(byte_length, max_byte_length, false)
    }

    /// `new SharedArrayBuffer(byteLength, { maxByteLength })`, even if script replaced that constructor. The buffer
    /// has zeroed memory of the engine, for which [`externalize`](Self::externalize) gives a store. With a maximum,
    /// the buffer is growable.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`], [`Error::Memory`] if the maximum is less than the length, [`Error::Script`] if
    /// there is no memory.
    pub fn allocate_shared(
        &mut self,
        byte_length: usize,
        max_byte_length: Option<usize>,
    ) -> Result<Local<'s, JsArrayBuffer>, Error> {
        self.allocate_either(byte_length, max_byte_length, true)
    }

    fn allocate_either(
        &mut self,
        byte_length: usize,
        max_byte_length: Option<usize>,
        shared: bool,
    ) -> Result<Local<'s, JsArrayBuffer>, Error> {
        self.make(|host| {
            let limit = host.max_byte_length();
            let most = max_byte_length.unwrap_or(byte_length).max(byte_length);
            if most > limit {
                return Err(Error::TooLargeForEngine { engine: H::NAME, store: None, byte_length: most, limit });
            }
            if let Some(max_byte_length) = max_byte_length.filter(|&most| byte_length > most) {
                return Err(offheap::Error::MaximumTooSmall { byte_length, max_byte_length }.into());
            }
            host.allocate(byte_length, max_byte_length, shared)
        })
    }

    /// A buffer over a store, without a copy: a SharedArrayBuffer if the store is shared, an immutable ArrayBuffer
    /// if it is read-only. The adapter's extension traits describe each kind.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`], [`Error::Misaligned`], [`Error::AddressTaken`]; [`Error::Unsupported`] if the
    /// engine needs a copy, which [`expose_or_copy`](Self::expose_or_copy) makes; [`Error::Memory`] if another
    /// isolate has the store, a guard uses it, it was freed, or there is no memory. An error changes nothing.
    pub fn expose(&mut self, store: &BackingStore) -> Result<Local<'s, JsArrayBuffer>, Error> {
        self.make(|host| Ok(host.expose(store, false)?.0))
    }

    /// A buffer over a store, without a copy as from [`expose`](Self::expose) if the engine can do that, or else
    /// over a copy of the store's bytes. The returned [`Exposure`] says which. Later changes to the store are not
    /// seen in a copy, nor the other way round.
    ///
    /// # Errors
    /// Those of [`expose`](Self::expose), except for the cases in [`CopyReason`](crate::CopyReason).
    pub fn expose_or_copy(&mut self, store: &BackingStore) -> Result<(Local<'s, JsArrayBuffer>, Exposure), Error> {
        let mut how = Exposure::External;
        let buffer = self.make(|host| {
            let (buffer, exposure) = host.expose(store, true)?;
            how = exposure;
            Ok(buffer)
        })?;
        Ok((buffer, how))
    }

    /// A typed array over a part of a store, shared or not, without a copy. Script would get the same array from
    /// `new Float32Array(buffer, byteOffset, length)`, with a buffer over the whole store. The length of the array
    /// never changes.
    ///
    /// # Errors
    /// Those of [`expose`](Self::expose); [`Error::Misaligned`] also if the offset is not a multiple of the
    /// element's size, and [`Error::Memory`] with [`OutOfRange`](offheap::Error::OutOfRange) if the elements do not
    /// lie in the store.
    pub fn expose_typed<T: TypedElement>(
        &mut self,
        store: &BackingStore,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<Local<'s, JsTypedArray>, Error> {
        self.make(|host| {
            // Before anything is exposed, and after code that may run between two steps and shrink the store.
            T::ELEMENT.check(H::NAME, store, byte_offset, element_count)?;
            host.expose_typed(store, T::ELEMENT, byte_offset, element_count)
        })
    }

    /// A reference to the store of a buffer, no matter who made the buffer (V8's `GetBackingStore`). The store's
    /// memory outlives the buffer.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], and those of [`Engine::externalize`](crate::Engine::externalize).
    #[track_caller]
    pub fn externalize(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BackingStore, Error> {
        self.relieve();
        self.store(buffer)
    }

    /// Lends the bytes of a buffer to read. The guard borrows the scope, so no script runs while it lives. The
    /// first use of a buffer that script made [externalizes](Self::externalize) it. A detached buffer has no bytes.
    ///
    /// # Errors
    /// Those of [`externalize`](Self::externalize), and [`Error::Memory`] for a mapped file, for shared memory, and
    /// while a guard writes the bytes. [`Error::NotLent`] on V8 once its own scope was lent, unless every buffer
    /// over the store has a handle and nothing else refers to the memory of those buffers: the program may have
    /// given a `v8::BackingStore` to another isolate.
    #[track_caller]
    pub fn bytes(&self, buffer: &Handle<JsArrayBuffer>) -> Result<Bytes<'_>, Error> {
        let store = self.store(buffer)?;
        self.check_lendable(&store, UseOfBytes::Read, Some(buffer))?;
        guards::bytes(self, &store)
    }

    /// Lends the bytes of a buffer to write. The guard borrows the scope, so no script runs while it lives. The
    /// first use of a buffer that script made [externalizes](Self::externalize) it. A detached buffer has no bytes.
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes), [`Error::Memory`] also while a guard reads the bytes, and
    /// [`Error::Immutable`].
    #[track_caller]
    pub fn bytes_mut(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BytesMut<'_>, Error> {
        self.relieve();
        self.table.check(buffer)?;
        let immutable = self.table.entered_host().is_immutable(self.table.rooted(buffer.slot()))?;
        check_mutable(H::NAME, UseOfBytes::Write.attempted(), immutable)?;
        let store = self.store(buffer)?;
        self.check_lendable(&store, UseOfBytes::Write, Some(buffer))?;
        guards::bytes_mut(self, &store)
    }

    /// Lends the bytes of a store to read, if no other isolate has the store. The guard borrows the scope, so no
    /// script runs while it lives.
    ///
    /// # Errors
    /// [`Error::Memory`] if another isolate has the store, a guard writes it, it is shared, it is a mapped file, or
    /// it was freed; [`Error::NotLent`] in the cases of [`bytes`](Self::bytes).
    pub fn store_bytes(&self, store: &BackingStore) -> Result<Bytes<'_>, Error> {
        self.check_lendable(store, UseOfBytes::Read, None)?;
        guards::bytes(self, store)
    }

    /// Lends the bytes of a store to write, if no other isolate has the store. The guard borrows the scope, so no
    /// script runs while it lives.
    ///
    /// # Errors
    /// [`Error::Memory`] if another isolate has the store, a guard uses it, it is read-only, shared or a mapped
    /// file, or it was freed; [`Error::NotLent`] in the cases of [`bytes`](Self::bytes).
    pub fn store_bytes_mut(&mut self, store: &BackingStore) -> Result<BytesMut<'_>, Error> {
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

    /// The properties of a buffer that script sees.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::LayoutChanged`].
    pub fn state(&self, buffer: &Handle<JsArrayBuffer>) -> Result<BufferState, Error> {
        self.table.check(buffer)?;
        self.table.entered_host().state(self.table.rooted(buffer.slot()))
    }

    /// Collects all garbage, and finalizes the collected objects.
    pub fn collect(&mut self) {
        self.run(H::collect);
    }

    pub(crate) fn drain_finalizers(&mut self) {
        self.run(H::drain_finalizers);
    }

    pub(crate) fn collect_young(&mut self) {
        self.run(H::collect_young);
    }

    /// Runs a step of the adapter that may run script, with the host of the engine. Only the adapter has a key.
    pub fn host<R>(&mut self, _key: H::Key, step: impl FnOnce(&H) -> R) -> R {
        self.run(step)
    }

    /// Runs a step that may run script.
    #[inline]
    fn run<R>(&mut self, step: impl FnOnce(&H) -> R) -> R {
        let host = self.table.entered_host();
        self.table.relieve(&host);
        step(&host)
    }

    /// Runs a step on an object that may run script.
    #[inline]
    fn step_on<T, R>(
        &mut self,
        object: &Handle<T>,
        step: impl FnOnce(&H, Rooted<'_, H::Root>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.table.check(object)?;
        let rooted = self.table.rooted(object.slot());
        self.run(|host| step(host, rooted))
    }

    /// Runs a step that makes an object. It reserves memory for the root first, so a failure to do so leaves
    /// nothing changed.
    #[inline]
    fn make<T>(&mut self, make: impl FnOnce(&H) -> Result<H::Root, Error>) -> Result<Local<'s, T>, Error> {
        let table = self.table;
        let root = self.run(|host| {
            table.reserve()?;
            make(host)
        })?;
        Ok(Local::new(table.handle(root)))
    }

    #[inline]
    fn relieve(&mut self) {
        self.table.relieve(&self.table.entered_host());
    }

    #[track_caller]
    fn store(&self, buffer: &Handle<JsArrayBuffer>) -> Result<BackingStore, Error> {
        self.table.check(buffer)?;
        self.table.externalize(buffer.slot())
    }

    #[inline]
    fn check_lendable(
        &self,
        store: &BackingStore,
        use_of_bytes: UseOfBytes,
        buffer: Option<&Handle<JsArrayBuffer>>,
    ) -> Result<(), Error> {
        let buffer = buffer.map(|buffer| self.table.rooted(buffer.slot()));
        self.table.entered_host().check_lendable(store, use_of_bytes, buffer, self.table.roots())
    }
}
