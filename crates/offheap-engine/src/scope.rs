//! `Scope`: the right to run script in an isolate, and the guards that need script to be still.

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
/// Every method that may run script takes `&mut self`. Those that take `&self` only read, and guards of a store's bytes
/// borrow the scope; so the compiler keeps script from running while a slice lives.
///
/// A scope is neither `Clone` nor `Send`, and cannot be kept. It does not deref to a scope or context of the engine's own
/// crate: the adapter's extension trait lends one while no guard can live.
///
/// It keeps no object alive by itself: a buffer whose [`Local`]s and [`Handle`]s were dropped can be collected although the
/// scope lives on.
pub struct Scope<'s, H: Host> {
    pub(crate) table: &'s Rc<Table<H>>,
    pub(crate) brand: PhantomData<Cell<&'s ()>>,
}

impl<'s, H: Host> Scope<'s, H> {
    /// The isolate that this is a scope of.
    pub fn isolate(&self) -> IsolateId {
        self.table.id()
    }

    /// Runs a script and returns its value. Microtasks run only when [asked](Self::run_microtasks).
    ///
    /// # Errors
    /// [`Error::Script`] when it throws, does not parse, or its value is of another type; see [`FromJs`].
    pub fn eval<T: FromJs>(&mut self, source: &str) -> Result<T, Error> {
        let value = self.run(|host| host.evaluate(source))?;
        T::from_js(value).map_err(|value| unexpected_value::<T>(H::NAME, &value))
    }

    /// Runs a script whose value is an ArrayBuffer or SharedArrayBuffer, or a view, of which it takes the buffer.
    ///
    /// # Errors
    /// As for [`eval`](Self::eval), and [`Error::NotAnArrayBuffer`].
    pub fn eval_buffer(&mut self, source: &str) -> Result<Local<'s, JsArrayBuffer>, Error> {
        self.make(|host| host.evaluate_buffer(source))
    }

    pub(crate) fn eval_view(&mut self, source: &str) -> Result<ViewState, Error> {
        self.run(|host| host.evaluate_view(source))
    }

    /// Runs the microtasks that are due, and those that they queue.
    ///
    /// # Errors
    /// [`Error::Script`]: on QuickJS when one throws, and those after it stay queued; on V8 where execution was terminated, and
    /// what a microtask throws is lost. Promises that reject are reported to the engine's own rejection callback.
    pub fn run_microtasks(&mut self) -> Result<(), Error> {
        self.run(H::run_microtasks)
    }

    /// Makes a buffer, or another object of a handle, a global variable of script.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::Script`] when a setter throws.
    pub fn set_global<T>(&mut self, name: &str, object: &Handle<T>) -> Result<(), Error> {
        self.step_on(object, |host, object| host.set_global(name, object))
    }

    /// A handle of this isolate as a local of this scope.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`].
    pub fn open<T>(&self, handle: Handle<T>) -> Result<Local<'s, T>, Error> {
        self.table.check(&handle)?;
        Ok(Local::new(handle))
    }

    /// `new ArrayBuffer(byteLength, { maxByteLength })`, whatever script made of that constructor: zeroed memory of the
    /// engine's own, which [`externalize`](Self::externalize) gives a store of. With a maximum it is resizable.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`], [`Error::Memory`] for a maximum that is less than the length, [`Error::Script`] where
    /// there is no memory.
    pub fn allocate(
        &mut self,
        byte_length: usize,
        max_byte_length: Option<usize>,
    ) -> Result<Local<'s, JsArrayBuffer>, Error> {
        self.allocate_either(byte_length, max_byte_length, false)
    }

    /// `new SharedArrayBuffer(byteLength, { maxByteLength })`, as [`allocate`](Self::allocate). With a maximum it is growable.
    ///
    /// # Errors
    /// As for [`allocate`](Self::allocate).
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

    /// A buffer over a store, without a copy: a SharedArrayBuffer where the store is shared, an immutable ArrayBuffer where
    /// it is read-only. The adapter's extension traits say more of each.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`], [`Error::Misaligned`], [`Error::AddressTaken`]; [`Error::Unsupported`] where the engine
    /// would need a copy, which [`expose_or_copy`](Self::expose_or_copy) makes; [`Error::Memory`] where another isolate has the
    /// store, a guard uses it, it was freed, or there is no memory. Nothing changes then.
    pub fn expose(&mut self, store: &BackingStore) -> Result<Local<'s, JsArrayBuffer>, Error> {
        self.make(|host| Ok(host.expose(store, false)?.0))
    }

    /// A buffer over a store, as [`expose`](Self::expose); or, where the engine cannot do without, over a copy of its bytes,
    /// which is reported. Later changes on either side of a copy are not seen on the other.
    ///
    /// # Errors
    /// Those of [`expose`](Self::expose), for everything that [`CopyReason`](crate::CopyReason) does not list.
    pub fn expose_or_copy(&mut self, store: &BackingStore) -> Result<(Local<'s, JsArrayBuffer>, Exposure), Error> {
        let mut how = Exposure::External;
        let buffer = self.make(|host| {
            let (buffer, exposure) = host.expose(store, true)?;
            how = exposure;
            Ok(buffer)
        })?;
        Ok((buffer, how))
    }

    /// A typed array over a part of a store, shared or not, without a copy: what script would get of
    /// `new Float32Array(buffer, byteOffset, length)` with a buffer over the whole store. It has that length for good.
    ///
    /// # Errors
    /// Those of [`expose`](Self::expose); [`Error::Misaligned`] also where the offset is not a multiple of the element's size,
    /// and [`Error::Memory`] with [`OutOfRange`](offheap::Error::OutOfRange) where the elements do not lie in the store.
    pub fn expose_typed<T: TypedElement>(
        &mut self,
        store: &BackingStore,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<Local<'s, JsTypedArray>, Error> {
        self.make(|host| {
            // Before anything is exposed, and after what may run between two steps, which may make the store shorter.
            T::ELEMENT.check(H::NAME, store, byte_offset, element_count)?;
            host.expose_typed(store, T::ELEMENT, byte_offset, element_count)
        })
    }

    /// A reference to the store of a buffer, whoever made it (V8's `GetBackingStore`). Its memory outlives the buffer.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], and those of [`Engine::externalize`](crate::Engine::externalize).
    #[track_caller]
    pub fn externalize(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BackingStore, Error> {
        self.relieve();
        self.store(buffer)
    }

    /// The bytes of a buffer, to read. No script runs while the guard lives, since it borrows the scope. The first use of
    /// a buffer that script made [externalizes](Self::externalize) it. A detached buffer has none.
    ///
    /// # Errors
    /// As for [`externalize`](Self::externalize), and [`Error::Memory`] while a guard writes them, for a mapped file, and for
    /// shared memory. [`Error::NotLent`] on V8 once its own scope was lent, unless there is a handle for each buffer over the
    /// store, and nothing else refers to their memory: a `v8::BackingStore` that the program took can be in another isolate.
    #[track_caller]
    pub fn bytes(&self, buffer: &Handle<JsArrayBuffer>) -> Result<Bytes<'_>, Error> {
        let store = self.store(buffer)?;
        self.check_lendable(&store, UseOfBytes::Read, Some(buffer))?;
        guards::bytes(self, &store)
    }

    /// The bytes of a buffer, to write; as [`bytes`](Self::bytes).
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes), [`Error::Memory`] also while a guard reads them, and [`Error::Immutable`].
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

    /// The bytes of a store that is exposed here or nowhere, to read; as [`bytes`](Self::bytes).
    ///
    /// # Errors
    /// [`Error::Memory`]: another isolate has it, a guard writes it, it is shared, a mapped file, or was freed.
    /// [`Error::NotLent`] as for [`bytes`](Self::bytes).
    pub fn store_bytes(&self, store: &BackingStore) -> Result<Bytes<'_>, Error> {
        self.check_lendable(store, UseOfBytes::Read, None)?;
        guards::bytes(self, store)
    }

    /// The bytes of a store that is exposed here or nowhere, to write; as [`bytes`](Self::bytes).
    ///
    /// # Errors
    /// [`Error::Memory`]: another isolate has it, a guard uses it, it is read-only, shared, a mapped file, or was freed.
    /// [`Error::NotLent`] as for [`bytes`](Self::bytes).
    pub fn store_bytes_mut(&mut self, store: &BackingStore) -> Result<BytesMut<'_>, Error> {
        self.relieve();
        self.check_lendable(store, UseOfBytes::Write, None)?;
        guards::bytes_mut(self, store)
    }

    /// Copies elements into a store that is exposed here or nowhere, mapped files too, from `byte_offset` on, in the
    /// machine's byte order.
    ///
    /// # Errors
    /// [`Error::Memory`]: out of range, a guard uses the store, another isolate has it, it is read-only or was freed.
    /// [`Error::NotLent`] as for [`bytes`](Self::bytes), of resizable memory of V8's own.
    pub fn copy_in<T: NoUninit>(&mut self, store: &BackingStore, byte_offset: usize, from: &[T]) -> Result<(), Error> {
        self.relieve();
        self.check_lendable(store, UseOfBytes::CopyIn, None)?;
        guards::copy_in_scope(self, store, byte_offset, bytemuck::cast_slice(from))
    }

    /// What script sees of a buffer.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::LayoutChanged`].
    pub fn state(&self, buffer: &Handle<JsArrayBuffer>) -> Result<BufferState, Error> {
        self.table.check(buffer)?;
        self.table.entered_host().state(self.table.rooted(buffer.slot()))
    }

    /// Collects garbage, all of it, and finalizes what was collected.
    pub fn collect(&mut self) {
        self.run(H::collect);
    }

    pub(crate) fn drain_finalizers(&mut self) {
        self.run(H::drain_finalizers);
    }

    pub(crate) fn collect_young(&mut self) {
        self.run(H::collect_young);
    }

    /// Runs a step of the adapter's own that may run script, with the host of the engine: only the adapter has a key.
    pub fn host<R>(&mut self, _key: H::Key, step: impl FnOnce(&H) -> R) -> R {
        self.run(step)
    }

    /// A step that may run script.
    #[inline]
    fn run<R>(&mut self, step: impl FnOnce(&H) -> R) -> R {
        let host = self.table.entered_host();
        self.table.relieve(&host);
        step(&host)
    }

    /// A step that may run script, on an object.
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

    /// A step that makes an object. Room for its root comes first: nothing has happened where there is none.
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
