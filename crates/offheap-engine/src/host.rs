//! `Host`: what an adapter says of its engine. All else of an [`Isolate`](crate::Isolate) is written once, here.
#![allow(unsafe_code, reason = "declares the contract that `guards` relies on")]

use offheap::{BackingStore, IsolateId};

use crate::{BufferState, Capabilities, Element, Error, Exposure, Rooted, Roots, ScriptValue, ViewState};

/// One isolate of an engine with one context, driven by its adapter on one thread.
///
/// The members are small, and about *rooted* objects: no lifetime of the engine's own crate shows. [`Scope`](crate::Scope) asks
/// in the right order and calls them; a member checks only what its text says. Each method that takes `&self` and may run
/// script says so: those are called through `&mut Scope`, while no guard of a store's bytes lives.
///
/// The engine's own isolate lives until [`end`](Self::end).
///
/// Only an [`Isolate`](crate::Isolate) builds a host, and only with a [`Key`](Self::Key) does anybody else get to see it. So the
/// members may rely on being called in order, with roots of this host, and never in a finalizer.
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
///   [`externalize`](Self::externalize), [`check_lendable`](Self::check_lendable), [`id`](Self::id),
///   [`version`](Self::version), [`capabilities`](Self::capabilities) and [`max_byte_length`](Self::max_byte_length) run no
///   script.
/// - Script of the isolate runs only in the other members, and in what the adapter lends through
///   [`Scope::host`](crate::Scope::host).
/// - Only the thread of this value runs script of the isolate, and [`id`](Self::id) is the id of the isolate, registered until
///   it ended.
/// - Where `check_lendable` answers `Ok`, no other isolate has the memory of that store, and none gets it before script
///   of this isolate, or what it lends, runs again.
pub unsafe trait Host: Sized + 'static {
    /// The engine's name in errors: `"QuickJS"`, `"V8"`.
    const NAME: &'static str;

    /// Whether releasing a root may run code of the program's at once. Then roots that are dropped while the isolate is entered
    /// are released between two steps of the scope.
    const RELEASING_RUNS_CODE: bool;

    /// An object that is kept alive from the call that made it to [`release`](Self::release) or [`end`](Self::end).
    type Root: 'static;

    /// The settings of a new isolate.
    type Builder: Default;

    /// A type that only the adapter can make: the permission to reach the host through a scope or an isolate. Where the adapter
    /// needs none, [`Infallible`](std::convert::Infallible), which nobody can make.
    type Key;

    /// Starts an isolate with these settings.
    ///
    /// # Errors
    /// What keeps the engine from starting one.
    fn build(builder: Self::Builder, by: ByIsolate) -> Result<Self, Error>;

    /// The id of this isolate.
    fn id(&self) -> IsolateId;

    /// The engine's version, in its own words.
    fn version(&self) -> String;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// The most bytes in one buffer.
    fn max_byte_length(&self) -> usize;

    /// Runs `work` with the isolate prepared for script, as for the stack of this thread.
    fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        work()
    }

    /// Called before each step of a scope, while no guard lives and no script of this isolate is on the stack.
    fn relieve(&self) {}

    /// Lets go of a root. Called once for each root that is not left to [`end`](Self::end).
    fn release(&self, root: Self::Root);

    /// The isolate ends, with the roots that are left.
    fn end(self, roots: impl Iterator<Item = Self::Root>);

    /// The value of a script. Runs script.
    ///
    /// # Errors
    /// [`Error::Script`] when it throws or does not parse.
    fn evaluate(&self, source: &str) -> Result<ScriptValue, Error>;

    /// The buffer that the value of a script is, or is a view of. Runs script.
    ///
    /// # Errors
    /// As for [`evaluate`](Self::evaluate), and [`Error::NotAnArrayBuffer`].
    fn evaluate_buffer(&self, source: &str) -> Result<Self::Root, Error>;

    /// What native code sees of the view that the value of a script is. Runs script.
    ///
    /// # Errors
    /// As for [`evaluate_buffer`](Self::evaluate_buffer).
    fn evaluate_view(&self, source: &str) -> Result<ViewState, Error>;

    /// Runs the microtasks that are due, and those that they queue.
    ///
    /// # Errors
    /// [`Error::Script`] when one throws.
    fn run_microtasks(&self) -> Result<(), Error>;

    /// Makes an object a global variable of script. Runs script, where there is a setter.
    ///
    /// # Errors
    /// [`Error::Script`] when a setter throws.
    fn set_global(&self, name: &str, object: Rooted<'_, Self::Root>) -> Result<(), Error>;

    /// A new buffer over zeroed memory of the engine's own, as the engine's own constructor makes it, whatever script replaced.
    /// The lengths were compared with each other and with [`max_byte_length`](Self::max_byte_length). May collect garbage.
    ///
    /// # Errors
    /// [`Error::Script`] where there is no memory.
    fn allocate(&self, byte_length: usize, max_byte_length: Option<usize>, shared: bool) -> Result<Self::Root, Error>;

    /// A buffer over a store: without a copy where the engine can. Otherwise with a copy of its bytes where `may_copy` says so,
    /// and an error where it does not. May collect garbage.
    ///
    /// # Errors
    /// [`Error::Unsupported`], [`Error::TooLargeForEngine`], [`Error::Misaligned`], [`Error::AddressTaken`]; [`Error::Memory`]
    /// where another isolate has the store, a guard uses it, it was freed, or there is no memory.
    fn expose(&self, store: &BackingStore, may_copy: bool) -> Result<(Self::Root, Exposure), Error>;

    /// A typed array over a part of a store, without a copy. The part was checked: it lies in the store, and begins at a
    /// multiple of the element's size. May collect garbage.
    ///
    /// # Errors
    /// As for [`expose`](Self::expose).
    fn expose_typed(
        &self,
        store: &BackingStore,
        element: Element,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<Self::Root, Error>;

    /// The store of a buffer, whoever made it. Runs no script, but may run an owner's drop.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`], [`Error::LayoutChanged`], [`Error::Unsupported`], [`Error::Memory`].
    #[track_caller]
    fn externalize(&self, buffer: Rooted<'_, Self::Root>) -> Result<BackingStore, Error>;

    /// Refuses what would lend the bytes of a store, of which `buffer` may be the object, where another isolate may have them
    /// without the core's knowledge. `all` are the roots of this isolate.
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

    /// What script sees of a buffer. Runs no script.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`], [`Error::LayoutChanged`].
    fn state(&self, buffer: Rooted<'_, Self::Root>) -> Result<BufferState, Error>;

    /// Whether a buffer is a SharedArrayBuffer. Runs no script.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`].
    fn is_shared(&self, buffer: Rooted<'_, Self::Root>) -> Result<bool, Error>;

    /// Whether a buffer is immutable. Runs no script.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`].
    fn is_immutable(&self, buffer: Rooted<'_, Self::Root>) -> Result<bool, Error>;

    /// Sets the key that detaching and transferring a buffer need, or with `None` takes it away. It is not shared.
    ///
    /// # Errors
    /// [`Error::NotDetachable`] of a buffer that a program can never detach, as of a `WebAssembly.Memory`.
    /// [`Error::Unsupported`], [`Error::EngineFailed`].
    fn set_detach_key(&self, buffer: Rooted<'_, Self::Root>, key: Option<&str>) -> Result<(), Error>;

    /// Detaches a buffer that is neither shared nor immutable, if this is its key. A detached buffer stays so.
    ///
    /// # Errors
    /// [`Error::NotDetachable`] as for [`set_detach_key`](Self::set_detach_key), [`Error::WrongDetachKey`].
    fn detach(&self, buffer: Rooted<'_, Self::Root>, key: Option<&str>) -> Result<(), Error>;

    /// `buffer.transfer(byteLength)`, once `check` let through what script sees of the buffer: it is not shared, immutable or
    /// detached then. The key is asked for before the length.
    ///
    /// # Errors
    /// That of `check`; [`Error::NotDetachable`] as for [`set_detach_key`](Self::set_detach_key), [`Error::WrongDetachKey`],
    /// [`Error::InvalidLength`], [`Error::Memory`] or [`Error::Script`] where there is no memory.
    fn transfer(
        &self,
        buffer: Rooted<'_, Self::Root>,
        byte_length: Option<usize>,
        check: impl FnOnce(&BufferState) -> Result<(), Error>,
    ) -> Result<Self::Root, Error>;

    /// `buffer.resize(byteLength)`, or `grow` of a shared one, once `check` let through what script sees of the buffer: it is
    /// resizable and not detached then, and the length within its maximum, and of shared memory no less than it had.
    ///
    /// # Errors
    /// That of `check`; [`Error::Memory`] and [`Error::Script`] where there is no memory. Where another thread grew shared
    /// memory beyond that length, [`Error::InvalidLength`], or [`Error::Memory`] with
    /// [`SharedShrink`](offheap::Error::SharedShrink).
    fn resize(
        &self,
        buffer: Rooted<'_, Self::Root>,
        byte_length: usize,
        check: impl FnOnce(&BufferState) -> Result<(), Error>,
    ) -> Result<(), Error>;

    /// `new Uint8Array(buffer)[index]` of a buffer that is not detached, whatever script replaced; `None` for `undefined`.
    ///
    /// # Errors
    /// [`Error::Script`] where there is no memory.
    fn read(&self, buffer: Rooted<'_, Self::Root>, index: usize) -> Result<Option<u8>, Error>;

    /// `new Uint8Array(buffer)[index] = value` of a buffer that is neither detached nor immutable, whatever script replaced.
    ///
    /// # Errors
    /// [`Error::Script`] where there is no memory.
    fn write(&self, buffer: Rooted<'_, Self::Root>, index: usize, value: u8) -> Result<(), Error>;

    /// Collects garbage, all of it, and finalizes what was collected.
    fn collect(&self);

    /// Waits until finalizers that the engine put off have run. Another collection does that on many engines.
    fn drain_finalizers(&self) {
        self.collect();
    }

    /// Collects what was made lately, where the engine has generations ([`Capabilities::GENERATIONS`]).
    fn collect_young(&self) {}
}

/// The permission to [build](Host::build) a host, which only an [`Isolate`](crate::Isolate) has.
#[derive(Debug)]
pub struct ByIsolate(());

impl ByIsolate {
    pub(crate) fn new() -> Self {
        ByIsolate(())
    }
}

/// What bytes are lent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UseOfBytes {
    /// A slice to read.
    Read,
    /// A slice to write.
    Write,
    /// A copy into them, which is done before anything else runs.
    CopyIn,
}

impl UseOfBytes {
    /// The word for it in errors.
    pub fn attempted(self) -> &'static str {
        match self {
            UseOfBytes::Read => "read",
            UseOfBytes::Write | UseOfBytes::CopyIn => "write",
        }
    }
}
