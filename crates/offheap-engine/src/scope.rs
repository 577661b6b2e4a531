//! `Scope`: the right to run script in an isolate, and the guards that need script not to run.

use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;

use offheap::{BackingStore, IsolateId, Site};

use crate::checks::check_attached;
use crate::element::element_count;
use crate::host::Host;
use crate::table::{Rooted, Table};
use crate::{
    BufferState, Error, Exposure, ExternalizedView, Handle, HasBytes, JsArrayBuffer, JsArrayBufferView, Local,
    TypedElement, Window,
};

mod bytes;
mod change;
mod retainers;
mod script;

const EXTERNALIZE: &str = "externalize";

/// The right to run script in an [`Isolate`](crate::Isolate), for as long as it is entered.
///
/// Every method that may run script takes `&mut self`. Methods that take `&self` only read, and guards of a store's
/// bytes borrow the scope. So no script can run while a slice lives: the compiler checks it.
///
/// A native [function](Self::function) that script calls has a scope of its own. Whoever runs script has borrowed the
/// scope that it runs it with, so the innermost scope is the only one that can be used, and no guard of another lives.
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

    /// A typed array over all of a store, shared or not, without a copy: `new Float32Array(buffer)` in script. The array
    /// has the elements that the store has now, and its length never changes.
    ///
    /// # Errors
    /// Those of [`expose`](Self::expose), and [`Error::Memory`] with
    /// [`PartialElement`](offheap::Error::PartialElement) if the store's length is not a multiple of the element's size.
    pub fn expose_as<T: TypedElement>(&mut self, store: &BackingStore) -> Result<Local<'s, JsArrayBufferView>, Error> {
        self.make(|host| host.expose_typed(store, T::ELEMENT, 0, element_count::<T>(store)?))
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
    ) -> Result<Local<'s, JsArrayBufferView>, Error> {
        self.make(|host| {
            // Before anything is exposed, and after code that may run between two steps and shrink the store.
            T::ELEMENT.check(H::NAME, store, byte_offset, element_count)?;
            host.expose_typed(store, T::ELEMENT, byte_offset, element_count)
        })
    }

    /// A reference to the store of a buffer, or to the part of it that a view shows, no matter who made the buffer. The
    /// store's memory outlives the buffer. A view that shows a whole buffer of fixed length gives the whole store.
    ///
    /// What a view shows is read from the engine's own slots, so script cannot replace it. A view whose length follows
    /// that of its buffer gives the bytes that it shows now.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`]; [`Error::Detached`]; [`Error::OutOfBounds`] for a view that does not lie in its buffer
    /// any more; and those of [`Engine::externalize`](crate::Engine::externalize). Buffers and views without bytes
    /// give a store without bytes.
    #[track_caller]
    pub fn externalize<T: HasBytes>(&mut self, object: &Handle<T>) -> Result<BackingStore, Error> {
        self.relieve();
        let view = self.view(object, EXTERNALIZE);
        Ok(self.told(object, view)?.store)
    }

    /// [Externalizes](Self::externalize) the part that a view shows. The result also has the type of its elements and its
    /// offset in the buffer.
    ///
    /// # Errors
    /// Those of [`externalize`](Self::externalize).
    #[track_caller]
    pub fn externalize_view<T: HasBytes>(&mut self, object: &Handle<T>) -> Result<ExternalizedView, Error> {
        self.relieve();
        let view = self.view(object, EXTERNALIZE);
        self.told(object, view)
    }

    /// A reference to the store of a whole buffer, or of the whole buffer of a view (V8's `GetBackingStore`), also if the
    /// view is out of bounds.
    ///
    /// # Errors
    /// Those of [`externalize`](Self::externalize), except for [`Error::OutOfBounds`].
    #[track_caller]
    pub fn externalize_buffer<T: HasBytes>(&mut self, object: &Handle<T>) -> Result<BackingStore, Error> {
        self.relieve();
        let store = self.store(object)?;
        let attached = self.check_attached(object, &store, EXTERNALIZE);
        self.told(object, attached)?;
        Ok(store)
    }

    /// V8's `GetBackingStore`, for [`Engine`](crate::Engine).
    #[track_caller]
    pub(crate) fn get_backing_store(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BackingStore, Error> {
        self.relieve();
        self.store(buffer)
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
        let panics = self.table.panics();
        let done = step(&host);
        panics.go_on();
        done
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

    /// Runs a step that makes an object. It reserves memory for the root first, so if it runs no script, a failure to
    /// do so leaves nothing changed.
    #[inline]
    fn make<T>(&mut self, make: impl FnOnce(&H) -> Result<H::Root, Error>) -> Result<Local<'s, T>, Error> {
        let table = self.table;
        self.run(|host| {
            table.reserve()?;
            let root = make(host)?;
            Ok(Local::new(table.handle_or_release(host, root)?))
        })
    }

    /// Tells the observer if the result is the refusal of a detached buffer.
    #[track_caller]
    #[inline]
    fn told<T, R>(&self, object: &Handle<T>, result: Result<R, Error>) -> Result<R, Error> {
        if let Err(error) = &result {
            self.table.detach_places.tell(object.slot(), error, Site::here());
        }
        result
    }

    #[inline]
    fn relieve(&mut self) {
        self.table.relieve(&self.table.entered_host());
    }

    /// The store of the buffer of an object; a new, empty store if the buffer is detached.
    #[track_caller]
    fn store<T>(&self, object: &Handle<T>) -> Result<BackingStore, Error> {
        self.table.check(object)?;
        self.table.externalize_in_scope(object.slot())
    }

    /// The part of the store that an object shows.
    #[track_caller]
    fn view<T: HasBytes>(&self, object: &Handle<T>, attempted: &'static str) -> Result<ExternalizedView, Error> {
        self.part(object, self.window(object, attempted)?, attempted)
    }

    /// What an object shows of its buffer. A buffer may be detached: [`part`](Self::part) finds that out.
    #[inline]
    fn window<T: HasBytes>(&self, object: &Handle<T>, attempted: &'static str) -> Result<Window, Error> {
        self.table.check(object)?;
        if !T::MAY_BE_VIEW {
            return Ok(Window::Buffer);
        }
        let window = self.table.entered_host().window(self.table.rooted(object.slot()))?;
        window.check(H::NAME, attempted)
    }

    /// The part of an object's store that this window shows.
    #[track_caller]
    #[inline]
    fn part<T: HasBytes>(
        &self,
        object: &Handle<T>,
        window: Window,
        attempted: &'static str,
    ) -> Result<ExternalizedView, Error> {
        let store = self.store(object)?;
        if !T::MAY_BE_VIEW {
            self.check_attached(object, &store, attempted)?;
        }
        window.of(store)
    }

    /// Refuses an object whose buffer is detached. `store` is the store that the buffer gave: only an empty one may
    /// come from a detached buffer.
    #[inline]
    fn check_attached<T>(
        &self,
        object: &Handle<T>,
        store: &BackingStore,
        attempted: &'static str,
    ) -> Result<(), Error> {
        if store.byte_length() != 0 {
            return Ok(());
        }
        let state = self.table.entered_host().state(self.table.rooted(object.slot()))?;
        check_attached(H::NAME, attempted, state.detached)
    }
}
