//! `Host`: the interface that an adapter implements for its engine. The rest of an [`Isolate`](crate::Isolate) is
//! written once, in this crate.
#![allow(unsafe_code, reason = "declares the contract that `guards` relies on")]

use std::ptr::NonNull;

use offheap::{BackingStore, IsolateId, adapter};

use crate::{
    BufferState, Capabilities, Element, Error, Exposure, FromScript, NativeFunction, Retainers, Rooted, Roots, Sought,
    Source, ToScript, ViewState, Window,
};

/// One isolate of an engine with one context, driven by its adapter on one thread.
///
/// The methods are small and work on *rooted* objects, so no lifetime of the engine's own crate appears in them.
/// [`Scope`](crate::Scope) makes the checks in the right order and then calls them; a method itself checks only
/// what its description says. The description of a method that may run script says so. Such methods are called only
/// through `&mut Scope`, while no guard of a store's bytes lives, although they take `&self`.
///
/// The engine's own isolate lives until [`end`](Self::end).
///
/// Only an [`Isolate`](crate::Isolate) builds a host, and other code reaches the host only with a
/// [`Key`](Self::Key). So the methods may rely on being called in order, with roots of this host, and not in a
/// finalizer, except for [`version`](Self::version), [`capabilities`](Self::capabilities) and
/// [`max_byte_length`](Self::max_byte_length), which ask the engine nothing.
/// ```compile_fail,E0061
/// use offheap_engine::{Error, Host};
///
/// fn build<H: Host>(builder: H::Builder) -> Result<H, Error> {
///     H::build(builder)
/// }
/// ```
///
/// # Safety
/// - [`state`](Self::state), [`is_shared`](Self::is_shared), [`is_immutable`](Self::is_immutable),
///   [`lend`](Self::lend), [`window`](Self::window), [`externalize`](Self::externalize), [`check_lendable`](Self::check_lendable),
///   [`check_only_buffer`](Self::check_only_buffer), [`id`](Self::id), [`version`](Self::version),
///   [`capabilities`](Self::capabilities) and [`max_byte_length`](Self::max_byte_length) run no script.
/// - Script of the isolate runs only in the other methods, and in what the adapter lends through
///   [`Scope::host`](crate::Scope::host).
/// - Only the thread of this value runs script of the isolate. [`id`](Self::id) is the id of the isolate and stays
///   registered until the isolate has ended. It is not the id of a
///   [host](offheap::adapter::IsolateRegistration::host) such as Node, since scopes lend slices.
/// - If `check_lendable` returns `Ok`, no other isolate has the memory of that store, and none gets it before
///   script of this isolate, or what the adapter lends, runs again.
/// - The bytes that `lend` returns are initialised, and no other code has them or frees them, until script of this
///   isolate, or what the adapter lends, runs again, or the buffer is externalized. Releasing a root does not free them
///   while the isolate is entered; [`RELEASING_RUNS_CODE`](Self::RELEASING_RUNS_CODE) postpones that.
pub unsafe trait Host: Sized + 'static {
    /// The engine's name in errors: `"QuickJS"`, `"V8"`.
    const NAME: &'static str;

    /// Whether releasing a root may run the program's code at once. If it may, roots that are dropped while the
    /// isolate is entered are released later, between two steps of the scope.
    const RELEASING_RUNS_CODE: bool;

    /// An object that stays alive from the call that made it until [`release`](Self::release) or
    /// [`end`](Self::end).
    type Root: 'static;

    /// The settings of a new isolate.
    type Builder: Default;

    /// A type that only the adapter can create: the permission to reach the host through a scope or an isolate. An
    /// adapter that needs no access uses [`Infallible`](std::convert::Infallible), which has no values.
    type Key;

    /// Starts an isolate with these settings.
    ///
    /// # Errors
    /// The reason why the engine could not start an isolate.
    fn build(builder: Self::Builder, by: ByIsolate) -> Result<Self, Error>;

    /// The id of this isolate.
    fn id(&self) -> IsolateId;

    /// The engine's version, in its own words.
    fn version(&self) -> String;

    /// The abilities of this engine.
    fn capabilities(&self) -> Capabilities;

    /// The maximum length of one buffer, in bytes.
    fn max_byte_length(&self) -> usize;

    /// Runs `work` with the isolate prepared for script, for example for the stack of this thread.
    ///
    /// When a handle is used or dropped outside of a scope, [`externalize`](Self::externalize) or
    /// [`release`](Self::release) may run code of the program, and that code may enter the isolate. If the engine
    /// cannot run script at that point, this panics.
    fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        work()
    }

    /// Does deferred work. Called before each step of a scope, while no guard lives. Script of this isolate may be on
    /// the stack: it called a native [function](Self::function), whose scope it is.
    fn relieve(&self) {}

    /// Releases a root. Called once for each root that is not left to [`end`](Self::end).
    fn release(&self, root: Self::Root);

    /// Ends the isolate and releases the remaining roots.
    fn end(self, roots: impl Iterator<Item = Self::Root>);

    /// Runs a script and returns its value. Runs script.
    ///
    /// # Errors
    /// [`Error::Script`] if the script throws or does not parse.
    fn evaluate(&self, source: Source<'_>) -> Result<FromScript<Self::Root>, Error> {
        let _ = source;
        no_script::<Self, _>()
    }

    /// Runs a script whose value is a buffer or a view, and returns that buffer or the view's buffer. Runs script.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`] if the value is neither, [`Error::Script`] if the script throws or does not
    /// parse.
    fn evaluate_buffer(&self, source: Source<'_>) -> Result<Self::Root, Error> {
        let _ = source;
        no_script::<Self, _>()
    }

    /// Runs a script whose value is a view, and returns what native code sees of it. Runs script.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`] if the value is not a view, [`Error::Script`] if the script throws or does not
    /// parse.
    fn evaluate_view(&self, source: Source<'_>) -> Result<ViewState, Error> {
        let _ = source;
        no_script::<Self, _>()
    }

    /// The value of a property of the global object. Runs script if it has a getter.
    ///
    /// # Errors
    /// [`Error::Script`] if a getter throws.
    fn global(&self, name: &str) -> Result<FromScript<Self::Root>, Error> {
        let _ = name;
        no_script::<Self, _>()
    }

    /// Calls a function with `undefined` as `this`. Runs script.
    ///
    /// # Errors
    /// [`Error::Script`] if the function throws.
    fn call(
        &self,
        function: Rooted<'_, Self::Root>,
        arguments: &[ToScript<'_, Self::Root>],
    ) -> Result<FromScript<Self::Root>, Error> {
        let _ = (function, arguments);
        no_script::<Self, _>()
    }

    /// A function that calls `native` when script calls it, and keeps `native` until script cannot call it any more.
    /// It is not a constructor. If `native` answers with an error, the engine throws it: as the exception that the
    /// error was made of if `native` got it from script, and else as an error of its class, with its code as `code`.
    ///
    /// # Errors
    /// [`Error::Script`] or [`Error::EngineFailed`] if there is no memory.
    fn function(&self, name: &str, native: NativeFunction<Self::Root>) -> Result<Self::Root, Error> {
        let _ = (name, native);
        no_script::<Self, _>()
    }

    /// Runs the microtasks that are due, and those that they queue. Runs script.
    ///
    /// # Errors
    /// [`Error::Script`] if a microtask throws.
    fn run_microtasks(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Makes a value a global variable of script. Runs script if the global has a setter.
    ///
    /// # Errors
    /// [`Error::Script`] if a setter throws.
    fn set_global(&self, name: &str, value: ToScript<'_, Self::Root>) -> Result<(), Error>;

    /// A new buffer over zeroed memory of the engine, as the engine's built-in constructor makes it, even if script
    /// replaced that constructor. The caller has compared the lengths with each other and with
    /// [`max_byte_length`](Self::max_byte_length). May collect garbage.
    ///
    /// # Errors
    /// [`Error::Script`] if there is no memory.
    fn allocate(&self, byte_length: usize, max_byte_length: Option<usize>, shared: bool) -> Result<Self::Root, Error>;

    /// A buffer over a store, without a copy if the engine can do that. Otherwise, a buffer over a copy if
    /// `may_copy` is true, and an error if it is false. May collect garbage.
    ///
    /// # Errors
    /// [`Error::Unsupported`], [`Error::TooLargeForEngine`], [`Error::Misaligned`], [`Error::AddressTaken`];
    /// [`Error::Memory`] if another isolate has the store, a guard uses it, it was freed, or there is no memory.
    fn expose(&self, store: &BackingStore, may_copy: bool) -> Result<(Self::Root, Exposure), Error>;

    /// A typed array over a part of a store, without a copy. The caller has checked the part: it lies in the store,
    /// and its offset is a multiple of the element's size. May collect garbage.
    ///
    /// # Errors
    /// Those of [`expose`](Self::expose).
    fn expose_typed(
        &self,
        store: &BackingStore,
        element: Element,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<Self::Root, Error>;

    /// The bytes of a buffer, or of the whole buffer of a view, if they are unshared memory that the engine has for a buffer
    /// of script, and in no store that native code may have. A scope lends such memory as it is. By default, and for any
    /// other buffer, this returns `None`, and a store lends the bytes. Runs no script, and collects nothing.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`], [`Error::LayoutChanged`].
    fn lend(&self, buffer: Rooted<'_, Self::Root>) -> Result<Option<NonNull<[u8]>>, Error> {
        let _ = buffer;
        Ok(None)
    }

    /// The store of a buffer, or of the buffer of a view, no matter who made the buffer. A detached buffer gives a
    /// new, empty store. Runs no script, but may run an owner's `Drop`.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`], [`Error::LayoutChanged`], [`Error::Unsupported`], [`Error::Memory`].
    #[track_caller]
    fn externalize(&self, buffer: Rooted<'_, Self::Root>) -> Result<BackingStore, Error>;

    /// [`externalize`](Self::externalize) for a scope. No finalizer reaches a scope, so the engine is not dropping the
    /// owner of the buffer's memory now.
    ///
    /// # Errors
    /// Those of [`externalize`](Self::externalize).
    #[track_caller]
    fn externalize_in_scope(&self, buffer: Rooted<'_, Self::Root>) -> Result<BackingStore, Error> {
        self.externalize(buffer)
    }

    /// What a buffer or a view shows of the bytes of the buffer, read from the engine's own slots and not from a
    /// property that script can replace. Runs no script. An engine without views need not implement it.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`] for another object, [`Error::LayoutChanged`].
    fn window(&self, object: Rooted<'_, Self::Root>) -> Result<Window, Error> {
        Ok(if self.state(object)?.detached { Window::Detached } else { Window::Buffer })
    }

    /// Checks that nothing would refer to the memory of `store` except for `store` itself, once this buffer, or the
    /// buffer of this view, is detached. An engine implements it if native code can refer to the engine's own blocks.
    /// Runs no script.
    ///
    /// # Errors
    /// [`Error::Memory`] with [`NotUnique`](offheap::Error::NotUnique), [`Error::NotLent`].
    fn check_only_buffer(&self, object: Rooted<'_, Self::Root>, store: &BackingStore) -> Result<(), Error> {
        let _ = object;
        Ok(adapter::check_only_buffer(store, self.id(), 0)?)
    }

    /// Refuses to lend the bytes of a store if another isolate may have them without the core's knowledge. `buffer`
    /// is the object that the store was taken from, if there is one. `all` are the roots of this isolate.
    ///
    /// # Errors
    /// [`Error::NotLent`].
    fn check_lendable(
        &self,
        store: &BackingStore,
        use_of_bytes: UseOfBytes,
        buffer: Option<Rooted<'_, Self::Root>>,
        all: Roots<'_, Self::Root>,
    ) -> Result<(), Error> {
        let _ = (store, use_of_bytes, buffer, all);
        Ok(())
    }

    /// The properties of a buffer, or of the buffer of a view, that script sees. Runs no script.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`], [`Error::LayoutChanged`].
    fn state(&self, buffer: Rooted<'_, Self::Root>) -> Result<BufferState, Error>;

    /// Whether a buffer, or the buffer of a view, is a SharedArrayBuffer. Runs no script.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`].
    fn is_shared(&self, buffer: Rooted<'_, Self::Root>) -> Result<bool, Error>;

    /// Whether a buffer, or the buffer of a view, is immutable. Runs no script.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`].
    fn is_immutable(&self, buffer: Rooted<'_, Self::Root>) -> Result<bool, Error>;

    /// Sets the key that detaching and transferring a buffer need; `None` removes it. The buffer is not shared.
    ///
    /// # Errors
    /// [`Error::NotDetachable`] for a buffer that a program can never detach, such as that of a
    /// `WebAssembly.Memory`; [`Error::Unsupported`], [`Error::EngineFailed`].
    fn set_detach_key(&self, buffer: Rooted<'_, Self::Root>, key: Option<&str>) -> Result<(), Error>;

    /// Detaches a buffer, or the buffer of a view, that is neither shared nor immutable, if `key` is its key and `check`
    /// agrees. A detached buffer stays detached. From the call of `check` on, no code of the program runs before the
    /// buffer is detached. After an error nothing has changed.
    ///
    /// # Errors
    /// [`Error::NotDetachable`] for a buffer that a program can never detach, [`Error::WrongDetachKey`], and the error
    /// of `check`.
    fn detach(
        &self,
        buffer: Rooted<'_, Self::Root>,
        key: Option<&str>,
        check: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// `buffer.transfer(byteLength)`. First calls `check` with the buffer's state; `check` refuses a shared,
    /// immutable or detached buffer. Then checks the key, and after that the length.
    ///
    /// # Errors
    /// The error of `check`; [`Error::NotDetachable`] for a buffer that a program can never detach,
    /// [`Error::WrongDetachKey`], [`Error::InvalidLength`]; [`Error::Memory`] or [`Error::Script`] if there is no
    /// memory.
    fn transfer(
        &self,
        buffer: Rooted<'_, Self::Root>,
        byte_length: Option<usize>,
        check: impl FnOnce(&BufferState) -> Result<(), Error>,
    ) -> Result<Self::Root, Error>;

    /// `buffer.resize(byteLength)`, or `buffer.grow(byteLength)` for a shared buffer. First calls `check` with the
    /// buffer's state. `check` lets through only a buffer that is resizable and not detached, and a length within
    /// its maximum; for shared memory, no length below the current one.
    ///
    /// # Errors
    /// The error of `check`; [`Error::Memory`] or [`Error::Script`] if there is no memory. If another thread has
    /// grown shared memory beyond the requested length, [`Error::InvalidLength`], or [`Error::Memory`] with
    /// [`SharedShrink`](offheap::Error::SharedShrink).
    fn resize(
        &self,
        buffer: Rooted<'_, Self::Root>,
        byte_length: usize,
        check: impl FnOnce(&BufferState) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// `new Uint8Array(buffer)[index]` of a buffer that is not detached, even if script replaced `Uint8Array`.
    /// `None` stands for `undefined`.
    ///
    /// # Errors
    /// [`Error::Script`] if there is no memory.
    fn read(&self, buffer: Rooted<'_, Self::Root>, index: usize) -> Result<Option<u8>, Error>;

    /// `new Uint8Array(buffer)[index] = value` of a buffer that is neither detached nor immutable, even if script
    /// replaced `Uint8Array`.
    ///
    /// # Errors
    /// [`Error::Script`] if there is no memory.
    fn write(&self, buffer: Rooted<'_, Self::Root>, index: usize, value: u8) -> Result<(), Error>;

    /// Collects all garbage, and finalizes the collected objects.
    fn collect(&self);

    /// Waits until the finalizers that the engine postponed have run. On many engines, another collection does
    /// that.
    fn drain_finalizers(&self) {
        self.collect();
    }

    /// What keeps each of these buffers alive, in the same order. `roots` are the roots of the handles of this isolate. Runs
    /// no script, but may collect garbage. It is asked for by people who look for a leak, so it may take long.
    ///
    /// # Errors
    /// [`Error::Unsupported`] on an engine that cannot tell, [`Error::NotAnArrayBuffer`], [`Error::LayoutChanged`].
    fn retainers(
        &self,
        sought: &[Sought<'_, Self::Root>],
        roots: Roots<'_, Self::Root>,
    ) -> Result<Vec<Retainers>, Error> {
        let _ = (sought, roots);
        let instead = "look through the objects of the program";
        Err(Error::Unsupported { engine: Self::NAME, what: "tell what keeps a buffer alive", instead })
    }

    /// Collects young objects, if the engine has generations ([`Capabilities::GENERATIONS`]).
    fn collect_young(&self) {}
}

fn no_script<H: Host, T>() -> Result<T, Error> {
    let instead = "use the operations of `Engine`, or an engine with script";
    Err(Error::Unsupported { engine: H::NAME, what: "run script", instead })
}

/// The permission to [build](Host::build) a host, which only an [`Isolate`](crate::Isolate) has.
#[derive(Debug)]
pub struct ByIsolate(());

impl ByIsolate {
    pub(crate) fn new() -> Self {
        ByIsolate(())
    }
}

/// The purpose for which bytes are lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseOfBytes {
    /// A slice to read.
    Read,
    /// A slice to write.
    Write,
    /// A copy into the bytes, which ends before any other code runs.
    CopyIn,
}

impl UseOfBytes {
    /// The verb for this use in errors.
    pub fn attempted(self) -> &'static str {
        match self {
            UseOfBytes::Read => "read",
            UseOfBytes::Write | UseOfBytes::CopyIn => "write",
        }
    }
}
