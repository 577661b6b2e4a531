//! `Scope`: the right to run script in an isolate, and the guards that need it to be still.

use std::rc::Rc;

use bytemuck::NoUninit;
use offheap::{BackingStore, Bytes, BytesMut, FrozenStore, IsolateId, SharedStore};
use offheap_engine::{RootTable, unexpected_value};
use rquickjs::context::EvalOptions;
use rquickjs::{Ctx, FromJs, Value};

use crate::engine::script_value;
use crate::extension::{BackingStoreExt, FrozenStoreExt, SharedStoreExt};
use crate::script::from_rquickjs;
use crate::sys::{self, Roots};
use crate::{
    BufferState, ENGINE, Error, Exposure, Handle, JsArrayBuffer, JsTypedArray, Local, TypedElement, ViewState,
};

mod call;
mod change;

use call::Engine;

/// The right to run script in an [`Isolate`](crate::Isolate), for as long as it is entered.
///
/// Everything that may run script takes `&mut self`. The methods that take `&self` are plain reads, and guards of a
/// store's bytes borrow the scope; so the compiler keeps script from running while a slice lives.
///
/// A scope is neither `Clone` nor `Send`, does not deref to rquickjs's `Ctx`, and cannot be kept:
/// [`with_ctx`](Self::with_ctx) lends the `Ctx` while no guard can live.
pub struct Scope<'s> {
    engine: Engine<'s>,
}

impl<'s> Scope<'s> {
    pub(crate) fn new(ctx: Ctx<'s>, roots: Rc<Roots>) -> Self {
        Scope { engine: Engine::new(ctx, roots) }
    }

    /// The isolate that this is a scope of.
    pub fn isolate(&self) -> IsolateId {
        self.engine.roots.isolate()
    }

    /// Runs a script and returns its value. Microtasks run only when [asked](Self::run_microtasks).
    ///
    /// # Errors
    /// [`Error::Script`] when it throws, does not parse, or its value is of another type.
    pub fn eval<T>(&mut self, source: &str) -> Result<T, Error>
    where
        T: for<'js> FromJs<'js> + 'static,
    {
        let value = self.eval_value(source)?;
        let ctx = self.engine.call();
        T::from_js(&ctx, value.clone()).map_err(|error| match error {
            error if error.is_from_js() => unexpected_value::<T>(ENGINE, &script_value(&value)),
            other => from_rquickjs(&ctx, other),
        })
    }

    /// Runs a script whose value is an ArrayBuffer or SharedArrayBuffer, or a view, of which it takes the buffer.
    ///
    /// # Errors
    /// As for [`eval`](Self::eval), and [`Error::NotAnArrayBuffer`].
    pub fn eval_buffer(&mut self, source: &str) -> Result<Local<'s, JsArrayBuffer>, Error> {
        let value = self.eval_value(source)?;
        let buffer = sys::view_buffer(self.engine.look(), &value)?;
        self.local(buffer)
    }

    /// What native code sees of the view that this script evaluates to.
    pub(crate) fn eval_view(&mut self, source: &str) -> Result<ViewState, Error> {
        let value = self.eval_value(source)?;
        sys::view_of(&self.engine.call(), &value)
    }

    pub(crate) fn eval_value(&mut self, source: &str) -> Result<Value<'s>, Error> {
        let ctx = self.engine.begin();
        let mut options = EvalOptions::default();
        options.strict = false;
        ctx.eval_with_options(source, options).map_err(|error| from_rquickjs(&ctx, error))
    }

    /// Calls the function that this script evaluates to, with a buffer, an index and a byte.
    pub(crate) fn call_with_buffer(
        &mut self,
        source: &str,
        buffer: &Handle<JsArrayBuffer>,
        index: usize,
        byte: u8,
    ) -> Result<Value<'s>, Error> {
        let function = self.eval_value(source)?.into_function().expect("the source of a function");
        let buffer = self.value(buffer)?;
        let ctx = self.engine.begin();
        function.call((buffer, index as f64, byte)).map_err(|error| from_rquickjs(&ctx, error))
    }

    /// Runs the microtasks that are due, and those that they queue.
    ///
    /// # Errors
    /// [`Error::Script`] when one throws; those after it stay queued.
    pub fn run_microtasks(&mut self) -> Result<(), Error> {
        let ctx = self.engine.begin();
        while sys::run_job(&ctx).map_err(|error| from_rquickjs(&ctx, error))? {}
        Ok(())
    }

    /// Lends rquickjs's `Ctx`: to define functions, call them, load modules. No guard lives meanwhile, and nothing of
    /// the context can be kept beyond the call.
    ///
    /// One thing is left to the program, which no type can refuse: a value that script keeps for Rust (a captured
    /// variable of a function, a class) must not use JavaScript in its `Drop`. rquickjs lets it, and what frees the
    /// value may be a `Persistent` that is dropped, or a collection, while a slice lives.
    pub fn with_ctx<R>(&mut self, work: impl for<'js> FnOnce(Ctx<'js>) -> R) -> R {
        let ctx = self.engine.begin();
        work(ctx.clone())
    }

    /// Makes a buffer, or another object of a handle, a global variable of script.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::Script`] when a setter throws.
    pub fn set_global<T>(&mut self, name: &str, object: &Handle<T>) -> Result<(), Error> {
        let value = self.value(object)?;
        let ctx = self.engine.begin();
        ctx.globals().set(name, value).map_err(|error| from_rquickjs(&ctx, error))
    }

    /// A handle of this isolate as a local of this scope.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`].
    pub fn open<T>(&self, handle: Handle<T>) -> Result<Local<'s, T>, Error> {
        self.check(&handle)?;
        Ok(Local::new(handle))
    }

    /// An ArrayBuffer over a store, without a copy, or a SharedArrayBuffer where the store is shared; see
    /// [`BackingStoreExt::expose`] and [`SharedStoreExt::expose`].
    ///
    /// # Errors
    /// Those of [`BackingStoreExt::expose`], or for shared memory of [`SharedStoreExt::expose`].
    pub fn expose(&mut self, store: &BackingStore) -> Result<Local<'s, JsArrayBuffer>, Error> {
        let ctx = self.engine.call();
        let buffer = match store.kind().is_shared() {
            true => SharedStore::try_from(store.clone())?.expose(&ctx)?.into_value(),
            false => store.expose(&ctx)?.into_value(),
        };
        self.local(buffer)
    }

    /// A typed array over a part of a store, shared or not, without a copy; see [`BackingStoreExt::expose_typed`].
    ///
    /// # Errors
    /// Those of [`BackingStoreExt::expose_typed`].
    pub fn expose_typed<T: TypedElement>(
        &mut self,
        store: &BackingStore,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<Local<'s, JsTypedArray>, Error> {
        let ctx = self.engine.call();
        let array = match store.kind().is_shared() {
            true => SharedStore::try_from(store.clone())?.expose_typed::<T>(&ctx, byte_offset, element_count)?,
            false => store.expose_typed::<T>(&ctx, byte_offset, element_count)?,
        };
        self.local(array.into_value())
    }

    /// An immutable ArrayBuffer over a frozen store, without a copy.
    ///
    /// # Errors
    /// As for [`BackingStoreExt::expose`].
    pub fn expose_frozen(&mut self, store: &FrozenStore) -> Result<(Local<'s, JsArrayBuffer>, Exposure), Error> {
        let (buffer, exposure) = store.expose(&self.engine.call())?;
        Ok((self.local(buffer.into_value())?, exposure))
    }

    /// A reference to the store of a buffer, whoever made it; see [`BackingStoreExt::externalize`].
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], and those of [`BackingStoreExt::externalize`].
    #[track_caller]
    pub fn externalize(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BackingStore, Error> {
        self.engine.roots.free_released();
        self.store(buffer)
    }

    /// The bytes of a buffer, to read. No script runs while the guard lives, since it borrows the scope. The first use of
    /// a buffer that script made [externalizes](Self::externalize) it. A detached buffer has none.
    ///
    /// # Errors
    /// As for [`externalize`](Self::externalize), and [`Error::Memory`] while somebody writes, or for a mapped file.
    #[track_caller]
    pub fn bytes(&self, buffer: &Handle<JsArrayBuffer>) -> Result<Bytes<'_>, Error> {
        let store = self.store(buffer)?;
        sys::bytes(self.engine.look(), &store, self)
    }

    /// The bytes of a buffer, to write; as [`bytes`](Self::bytes).
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes), [`Error::Memory`] also while somebody reads, and [`Error::Immutable`].
    #[track_caller]
    pub fn bytes_mut(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BytesMut<'_>, Error> {
        self.engine.roots.free_released();
        self.check_mutable(buffer, "write")?;
        let store = self.store(buffer)?;
        let ctx = self.engine.look().clone();
        sys::bytes_mut(&ctx, &store, self)
    }

    /// The bytes of a store that is exposed here or nowhere, to read; as [`bytes`](Self::bytes).
    ///
    /// # Errors
    /// [`Error::Memory`]: another isolate has it, somebody writes, it is a mapped file, it was freed.
    pub fn store_bytes(&self, store: &BackingStore) -> Result<Bytes<'_>, Error> {
        sys::bytes(self.engine.look(), store, self)
    }

    /// The bytes of a store that is exposed here or nowhere, to write; as [`bytes`](Self::bytes).
    ///
    /// # Errors
    /// [`Error::Memory`]: another isolate has it, somebody uses it, it is read-only, a mapped file, or was freed.
    pub fn store_bytes_mut(&mut self, store: &BackingStore) -> Result<BytesMut<'_>, Error> {
        self.engine.roots.free_released();
        let ctx = self.engine.look().clone();
        sys::bytes_mut(&ctx, store, self)
    }

    /// Copies elements into a store that is exposed here or nowhere, mapped files too; as
    /// [`BackingStoreExt::copy_in`].
    ///
    /// # Errors
    /// Those of [`BackingStoreExt::copy_in`].
    pub fn copy_in<T: NoUninit>(&mut self, store: &BackingStore, byte_offset: usize, from: &[T]) -> Result<(), Error> {
        store.copy_in(&self.engine.call(), byte_offset, from)
    }

    /// What script sees of a buffer.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::LayoutChanged`].
    pub fn state(&self, buffer: &Handle<JsArrayBuffer>) -> Result<BufferState, Error> {
        sys::state_of(self.engine.look(), &self.value(buffer)?)
    }

    /// Collects garbage, all of it.
    pub fn collect(&mut self) {
        self.engine.call().run_gc();
    }

    fn check_mutable(&self, buffer: &Handle<JsArrayBuffer>, attempted: &'static str) -> Result<(), Error> {
        if sys::is_immutable(&self.value(buffer)?) {
            return Err(Error::Immutable { engine: ENGINE, attempted });
        }
        Ok(())
    }

    fn check<T>(&self, handle: &Handle<T>) -> Result<(), Error> {
        // Not the ids, which are given out again.
        if std::ptr::addr_eq(Rc::as_ptr(handle.table()), Rc::as_ptr(&self.engine.roots)) {
            return Ok(());
        }
        Err(Error::WrongIsolate { handle: handle.isolate(), here: self.isolate() })
    }

    pub(crate) fn value<T>(&self, handle: &Handle<T>) -> Result<Value<'s>, Error> {
        self.check(handle)?;
        self.engine.roots.get(self.engine.look(), handle.slot())
    }

    #[track_caller]
    fn store(&self, buffer: &Handle<JsArrayBuffer>) -> Result<BackingStore, Error> {
        let value = self.value(buffer)?;
        // What the buffer's memory was may have an owner, whose drop is anybody's code.
        let _in_call = self.engine.roots.call();
        sys::externalize(self.engine.look(), &value, false)
    }

    pub(crate) fn local<T>(&self, object: Value<'s>) -> Result<Local<'s, T>, Error> {
        let roots = &self.engine.roots;
        let table: Rc<dyn RootTable> = Rc::clone(roots) as _;
        Ok(Local::new(Handle::new(table, roots.root(object)?)))
    }
}
