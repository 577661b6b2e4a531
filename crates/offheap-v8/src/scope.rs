//! `Scope`: the right to run script in an isolate, and the guards that need it to be still.

use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;

use bytemuck::NoUninit;
use offheap::adapter;
use offheap::{BackingStore, Bytes, BytesMut, FrozenStore, IsolateId, StoreKind};
use offheap_engine::{RootTable, unexpected_value};

use crate::extension::{BackingStoreExt, FrozenStoreExt};
use crate::script::{FromJs, catching, compile_and_run, script_value};
use crate::sys::{self, Buffer, Facts, Roots};
use crate::typed::{self, TypedElement};
use crate::{BufferState, CopyReason, ENGINE, Error, Exposure, Handle, JsArrayBuffer, JsTypedArray, Local, ViewState};

mod change;

const READ: &str = "read";
const WRITE: &str = "write";

/// The right to run script in an [`Isolate`](crate::Isolate), for as long as it is entered.
///
/// Everything that may run script takes `&mut self`. The methods that take `&self` are plain reads, and guards of a
/// store's bytes borrow the scope; so the compiler keeps script from running while a slice lives.
///
/// A scope is neither `Clone` nor `Send`, does not deref to a scope of the crate `v8`, and cannot be kept:
/// [`with_v8`](Self::with_v8) lends one while no guard can live.
///
/// It keeps no handles of V8's by itself: a buffer whose [`Local`]s and [`Handle`]s were dropped can be collected although
/// the scope lives on.
pub struct Scope<'s> {
    roots: Rc<Roots>,
    brand: PhantomData<Cell<&'s ()>>,
}

impl<'s> Scope<'s> {
    pub(crate) fn new(roots: Rc<Roots>) -> Self {
        Scope { roots, brand: PhantomData }
    }

    /// The isolate that this is a scope of.
    pub fn isolate(&self) -> IsolateId {
        self.roots.isolate()
    }

    /// Runs a script and returns its value. Microtasks run only when [asked](Self::run_microtasks).
    ///
    /// # Errors
    /// [`Error::Script`] when it throws, does not parse, or its value is of another type.
    pub fn eval<T: FromJs>(&mut self, source: &str) -> Result<T, Error> {
        let value = self.run_script(|scope| {
            let value = catching(scope, |scope| compile_and_run(scope, source))?;
            Ok(script_value(scope, value))
        })?;
        T::from_js(value).map_err(|value| unexpected_value::<T>(ENGINE, &value))
    }

    /// Runs a script whose value is an ArrayBuffer or SharedArrayBuffer, or a view, of which it takes the buffer.
    ///
    /// # Errors
    /// As for [`eval`](Self::eval), and [`Error::NotAnArrayBuffer`].
    pub fn eval_buffer(&mut self, source: &str) -> Result<Local<'s, JsArrayBuffer>, Error> {
        let roots = Rc::clone(&self.roots);
        self.run_script(|scope| {
            let value = catching(scope, |scope| compile_and_run(scope, source))?;
            let buffer = Buffer::of(scope, value)?;
            let facts = buffer.facts();
            local(&roots, scope, &buffer, facts)
        })
    }

    pub(crate) fn eval_view(&mut self, source: &str) -> Result<ViewState, Error> {
        self.run_script(|scope| {
            let value = catching(scope, |scope| compile_and_run(scope, source))?;
            let view: v8::Local<'_, v8::ArrayBufferView> = value
                .try_into()
                .map_err(|_| Error::NotAnArrayBuffer { engine: ENGINE, found: value.type_repr().to_owned() })?;
            let mut contents = vec![0; view.byte_length()];
            let copied = view.copy_contents(&mut contents);
            contents.truncate(copied);
            Ok(ViewState { byte_offset: view.byte_offset(), byte_length: view.byte_length(), contents })
        })
    }

    /// Runs the microtasks that are due, and those that they queue. What one throws is lost, as in V8: promises that
    /// reject are told to its promise-reject callback.
    ///
    /// # Errors
    /// [`Error::Script`] where execution was terminated.
    pub fn run_microtasks(&mut self) -> Result<(), Error> {
        self.run_script(|scope| {
            catching(scope, |scope| {
                scope.perform_microtask_checkpoint();
                (!scope.is_execution_terminating()).then_some(())
            })
        })
    }

    /// Lends a scope of the crate `v8`, with the isolate's context entered: to define functions, call them, load modules.
    /// No guard lives meanwhile, and neither the scope nor a local can be kept beyond the call.
    ///
    /// An isolate of the crate's own (`v8::Isolate::new`, or a `v8::Locker`) that begins in the call ends in it, too: it is the
    /// one that V8 has entered until then, and V8 ends the process where `work` returns before.
    ///
    /// What no type can refuse is left to the program. What runs script without a scope, a
    /// `v8::inspector::V8InspectorSession` or the tasks of a platform of the program's own, is used inside of `with_v8`
    /// alone: only there is the isolate entered, and no guard lives. And a `v8::BackingStore` that it takes from a buffer can
    /// be kept, and its cells write on any thread, frozen stores too: take stores by [`externalize`](Self::externalize). As
    /// it may make a buffer in another isolate, slices need [handles to all buffers](Self::bytes) once a scope was lent.
    pub fn with_v8<R>(&mut self, work: impl for<'h, 'i> FnOnce(&mut v8::PinScope<'h, 'i>) -> R) -> R {
        self.roots.relieve();
        self.roots.state().note_lent();
        let done = self.roots.with_scope(work).expect("the isolate of a scope lives");
        self.roots.restore_full_heap();
        done
    }

    /// Makes a buffer, or another object of a handle, a global variable of script.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::Script`] when a setter throws.
    pub fn set_global<T>(&mut self, name: &str, object: &Handle<T>) -> Result<(), Error> {
        self.check(object)?;
        let roots = Rc::clone(&self.roots);
        self.run(|scope| {
            let object = roots.object(scope, object.slot())?;
            catching(scope, |scope| {
                let name = v8::String::new(scope, name)?;
                let global = scope.get_current_context().global(scope);
                global.set(scope, name.into(), object.into())
            })
            .map(drop)
        })
    }

    /// A handle of this isolate as a local of this scope.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`].
    pub fn open<T>(&self, handle: Handle<T>) -> Result<Local<'s, T>, Error> {
        self.check(&handle)?;
        Ok(Local::new(handle))
    }

    /// A buffer over a store, without a copy; see [`BackingStoreExt::expose`]. Over shared memory it is a
    /// SharedArrayBuffer; see [`SharedStoreExt::expose`](crate::SharedStoreExt::expose).
    ///
    /// # Errors
    /// Those of [`BackingStoreExt::expose`], or for shared memory of
    /// [`SharedStoreExt::expose`](crate::SharedStoreExt::expose).
    pub fn expose(&mut self, store: &BackingStore) -> Result<Local<'s, JsArrayBuffer>, Error> {
        let roots = Rc::clone(&self.roots);
        self.run(|scope| {
            let buffer = match store.kind().is_shared() {
                true => Buffer::Shared(sys::expose_shared(scope, store)?),
                false => Buffer::Unshared(store.expose(scope)?),
            };
            let facts = match store.kind() {
                StoreKind::FIXED | StoreKind::MANUAL => Facts::PLAIN,
                kind if kind.is_read_only() => Facts::IMMUTABLE,
                // Of memory that V8 made itself, V8 tells what its buffers are.
                _ => buffer.facts(),
            };
            local(&roots, scope, &buffer, facts)
        })
    }

    /// An immutable ArrayBuffer over a frozen store, without a copy where it can; see [`FrozenStoreExt::expose`].
    ///
    /// # Errors
    /// Those of [`FrozenStoreExt::expose`].
    pub fn expose_frozen(&mut self, store: &FrozenStore) -> Result<(Local<'s, JsArrayBuffer>, Exposure), Error> {
        let roots = Rc::clone(&self.roots);
        self.run(|scope| {
            let (buffer, exposure) = store.expose(scope)?;
            let facts = if exposure.is_external() { Facts::IMMUTABLE } else { Facts::PLAIN };
            Ok((local(&roots, scope, &Buffer::Unshared(buffer), facts)?, exposure))
        })
    }

    /// A resizable ArrayBuffer of `byte_length` zeroed bytes that can have up to `max_byte_length`, as script makes them:
    /// the memory is V8's, and [`externalize`](Self::externalize) gives a store of it
    /// ([`StoreKind::ENGINE_RESIZABLE`]).
    ///
    /// # Errors
    /// [`Error::Memory`] for a maximum that is less, [`Error::TooLargeForEngine`], [`Error::Script`] where there is no
    /// memory.
    pub fn new_resizable(
        &mut self,
        byte_length: usize,
        max_byte_length: usize,
    ) -> Result<Local<'s, JsArrayBuffer>, Error> {
        let roots = Rc::clone(&self.roots);
        self.run(|scope| {
            let buffer = sys::new_resizable(scope, byte_length, max_byte_length)?;
            local(&roots, scope, &Buffer::Unshared(buffer), Facts::resizable(max_byte_length))
        })
    }

    /// A resizable ArrayBuffer for a [resizable store](offheap::UniqueStore::resizable) of Rust: with a copy of its bytes,
    /// which is reported, since V8 resizes memory of its own alone. Later changes on either side are not seen on the other;
    /// to share, begin with [`new_resizable`](Self::new_resizable).
    ///
    /// # Errors
    /// Those of [`new_resizable`](Self::new_resizable), and [`Error::Memory`] while somebody writes the store, or where there
    /// is no memory.
    pub fn expose_resizable(&mut self, store: &BackingStore) -> Result<(Local<'s, JsArrayBuffer>, Exposure), Error> {
        let roots = Rc::clone(&self.roots);
        self.run(|scope| {
            let buffer = sys::copy_resizable(scope, store)?;
            let facts = Facts::resizable(store.max_byte_length());
            let exposure = Exposure::Copied { reason: CopyReason::Resizable };
            Ok((local(&roots, scope, &Buffer::Unshared(buffer), facts)?, exposure))
        })
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
        let roots = Rc::clone(&self.roots);
        self.run(|scope| {
            let array = typed::expose_typed::<T>(scope, store, byte_offset, element_count)?;
            let byte_length = if adapter::frees_bytes(store) { store.byte_length() } else { 0 };
            let slot = roots.root_object(scope, array.into(), Facts::PLAIN, byte_length)?;
            Ok(Local::new(Handle::new(Rc::clone(&roots) as _, slot)))
        })
    }

    /// A reference to the store of a buffer, whoever made it; see [`BackingStoreExt::externalize`].
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], and those of [`BackingStoreExt::externalize`].
    #[track_caller]
    pub fn externalize(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BackingStore, Error> {
        self.roots.relieve();
        self.store(buffer)
    }

    /// The bytes of a buffer, to read. No script runs while the guard lives, since it borrows the scope. The first use of
    /// a buffer that script made [externalizes](Self::externalize) it. A detached buffer has none.
    ///
    /// # Errors
    /// As for [`externalize`](Self::externalize), and [`Error::Memory`] while somebody writes, for a mapped file, and for
    /// shared memory. Since [`with_v8`](Self::with_v8) lent a scope, [`Error::NotLent`] unless there is a handle for each
    /// buffer over the store, and nothing else refers to their memory: a `v8::BackingStore` that the program took can be in
    /// another isolate. Memory of a `WebAssembly.Memory` is copied then.
    #[track_caller]
    pub fn bytes(&self, buffer: &Handle<JsArrayBuffer>) -> Result<Bytes<'_>, Error> {
        let store = self.store(buffer)?;
        sys::check_lendable(&self.roots, &store, Some(buffer.slot()), READ)?;
        sys::bytes(self.isolate(), &store, self)
    }

    /// The bytes of a buffer, to write; as [`bytes`](Self::bytes).
    ///
    /// # Errors
    /// Those of [`bytes`](Self::bytes), [`Error::Memory`] also while somebody reads, and [`Error::Immutable`].
    #[track_caller]
    pub fn bytes_mut(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BytesMut<'_>, Error> {
        self.roots.relieve();
        if self.look(buffer, |_, facts| facts.immutable)? {
            return Err(Error::Immutable { engine: ENGINE, attempted: WRITE });
        }
        let store = self.store(buffer)?;
        sys::check_lendable(&self.roots, &store, Some(buffer.slot()), WRITE)?;
        sys::bytes_mut(self.isolate(), &store, self)
    }

    /// The bytes of a store that is exposed here or nowhere, to read; as [`bytes`](Self::bytes).
    ///
    /// # Errors
    /// [`Error::Memory`]: another isolate has it, somebody writes, it is shared, a mapped file, it was freed.
    /// [`Error::NotLent`] as for [`bytes`](Self::bytes).
    pub fn store_bytes(&self, store: &BackingStore) -> Result<Bytes<'_>, Error> {
        sys::check_lendable(&self.roots, store, None, READ)?;
        sys::bytes(self.isolate(), store, self)
    }

    /// The bytes of a store that is exposed here or nowhere, to write; as [`bytes`](Self::bytes).
    ///
    /// # Errors
    /// [`Error::Memory`]: another isolate has it, somebody uses it, it is read-only, shared, a mapped file, or was freed.
    /// [`Error::NotLent`] as for [`bytes`](Self::bytes).
    pub fn store_bytes_mut(&mut self, store: &BackingStore) -> Result<BytesMut<'_>, Error> {
        self.roots.relieve();
        sys::check_lendable(&self.roots, store, None, WRITE)?;
        sys::bytes_mut(self.isolate(), store, self)
    }

    /// Copies elements into a store that is exposed here or nowhere, mapped files too; as
    /// [`BackingStoreExt::copy_in`].
    ///
    /// # Errors
    /// Those of [`BackingStoreExt::copy_in`].
    pub fn copy_in<T: NoUninit>(&mut self, store: &BackingStore, byte_offset: usize, from: &[T]) -> Result<(), Error> {
        if store.kind() == StoreKind::ENGINE_RESIZABLE {
            // Another isolate that has it could take it away in between.
            sys::check_lendable(&self.roots, store, None, WRITE)?;
        }
        self.run(|scope| store.copy_in(scope, byte_offset, from))
    }

    /// What script sees of a buffer.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`].
    pub fn state(&self, buffer: &Handle<JsArrayBuffer>) -> Result<BufferState, Error> {
        self.look(buffer, |buffer, facts| buffer.state(facts))
    }

    /// Collects garbage, all of it, and finalizes what was collected.
    pub fn collect(&mut self) {
        self.roots.collect();
    }

    pub(crate) fn collect_young(&mut self) {
        self.roots.collect_young();
    }

    /// Runs what may run script.
    pub(crate) fn run<R>(
        &mut self,
        work: impl for<'h, 'i> FnOnce(&mut v8::PinScope<'h, 'i>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.roots.relieve();
        let done = self.roots.with_scope(work)?;
        match self.roots.restore_full_heap() {
            true => done.map_err(|_| heap_is_full()),
            false => done,
        }
    }

    /// Runs script of the program's.
    fn run_script<R>(
        &mut self,
        work: impl for<'h, 'i> FnOnce(&mut v8::PinScope<'h, 'i>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        if self.roots.keeps_too_much() {
            return Err(heap_is_exceeded());
        }
        self.run(work)
    }

    /// The same with a buffer.
    pub(crate) fn with_buffer<R>(
        &mut self,
        buffer: &Handle<JsArrayBuffer>,
        work: impl for<'h, 'i> FnOnce(&mut v8::PinScope<'h, 'i>, &Rc<Roots>, &Buffer<'h>, Facts) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.check(buffer)?;
        let roots = Rc::clone(&self.roots);
        self.run(|scope| {
            let (buffer, facts) = roots.get(scope, buffer.slot())?;
            work(scope, &roots, &buffer, facts)
        })
    }

    /// Looks at a buffer, which runs no script.
    fn look<R>(
        &self,
        buffer: &Handle<JsArrayBuffer>,
        look: impl for<'h> FnOnce(&Buffer<'h>, Facts) -> R,
    ) -> Result<R, Error> {
        self.check(buffer)?;
        self.roots.with_scope(|scope| {
            let (buffer, facts) = self.roots.get(scope, buffer.slot())?;
            Ok(look(&buffer, facts))
        })?
    }

    fn check<T>(&self, handle: &Handle<T>) -> Result<(), Error> {
        // Not the ids, which are given out again.
        if std::ptr::addr_eq(Rc::as_ptr(handle.table()), Rc::as_ptr(&self.roots)) {
            return Ok(());
        }
        Err(Error::WrongIsolate { handle: handle.isolate(), here: self.isolate() })
    }

    #[track_caller]
    fn store(&self, buffer: &Handle<JsArrayBuffer>) -> Result<BackingStore, Error> {
        self.look(buffer, sys::locate)?.into_store(self.roots.state())
    }
}

/// What script gets no exception for, since there is no memory for one.
#[cold]
fn heap_is_full() -> Error {
    let message = "out of memory: V8's heap is full, and what ran was stopped; keep fewer objects, or raise \
                   `IsolateBuilder::heap_limits`";
    Error::Script { engine: ENGINE, message: message.to_owned(), stack: String::new() }
}

/// What V8 would end the process for, sooner or later.
#[cold]
fn heap_is_exceeded() -> Error {
    let message = "out of memory: V8's heap was full, and script keeps more than twice what it may have; no more of it is run, \
                   so drop the isolate, or raise `IsolateBuilder::heap_limits`";
    Error::Script { engine: ENGINE, message: message.to_owned(), stack: String::new() }
}

/// A local for a buffer of this isolate.
fn local<'s, 'h>(
    roots: &Rc<Roots>,
    scope: &mut v8::PinScope<'h, '_>,
    buffer: &Buffer<'h>,
    facts: Facts,
) -> Result<Local<'s, JsArrayBuffer>, Error> {
    let slot = roots.root(scope, buffer, facts)?;
    let table: Rc<dyn RootTable> = Rc::clone(roots) as _;
    Ok(Local::new(Handle::new(table, slot)))
}
