//! `Isolate` and `Scope` of V8: their settings, and functions that other engines do not have.

use std::fmt;
use std::rc::Rc;

use offheap::adapter;

use crate::callbacks::{MessageListener, RejectionTracker};
use crate::host::{Key, V8};
use crate::modules::Modules;
use crate::sys::{self, OwnIsolate, Running, Settings};
use crate::{ENGINE, Error};

/// One isolate of V8 with one context. Script runs in it only through its [scopes](Scope).
pub type Isolate = offheap_engine::Isolate<V8>;

/// The right to run script in an [`Isolate`]. [`ScopeExt`] adds functions that only V8 has.
pub type Scope<'s> = offheap_engine::Scope<'s, V8>;

/// The arguments with which script called a [function](offheap_engine::Scope::function).
pub type Arguments<'s> = offheap_engine::Arguments<'s, V8>;

/// Builds an [`Isolate`] with custom settings.
#[must_use = "call `build`"]
pub struct IsolateBuilder {
    settings: Settings,
    params: v8::CreateParams,
    max_young_bytes: Option<usize>,
    rejection_tracker: Option<RejectionTracker>,
    message_listener: Option<MessageListener>,
    modules: Option<MakeModules>,
}

type MakeModules = Box<dyn FnOnce(&v8::Global<v8::Context>) -> Modules>;

impl Default for IsolateBuilder {
    fn default() -> Self {
        IsolateBuilder {
            settings: Settings { alignment: Some(sys::ALIGNMENT), ..Settings::default() },
            params: v8::CreateParams::default(),
            max_young_bytes: None,
            rejection_tracker: None,
            message_listener: None,
            modules: None,
        }
    }
}

impl IsolateBuilder {
    /// Sets a name for reports: [`IsolateId::name`](offheap::IsolateId::name) returns it while the isolate lives, and
    /// messages show it. At most 256 bytes are kept. Several isolates may have the same name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = Some(name.into());
        self
    }

    /// Sets the initial and the maximum size of V8's heap, in bytes. `initial` is lowered to `max` if it is larger. The
    /// memory of stores does not count.
    ///
    /// Script that exceeds the maximum is stopped, and so is script that exceeds V8's own limit if none was set. The call
    /// that ran it returns [`Error::HeapLimit`] with the limit, and the isolate can be used again. Inside
    /// [`ScopeExt::with_v8`], the functions of the crate `v8` behave as they do after execution was terminated, and
    /// [`heap_limit_error`](crate::heap_limit_error) says why. Until script stops, V8 may use up to 2.25 GiB more; if a
    /// single step of script needs more than that, V8 ends the process.
    ///
    /// If script still keeps far more than twice the maximum, no more script runs: calls that would run it return
    /// [`Error::HeapLimit`] that says so. Drop such an isolate. `with_v8` refuses nothing, so a program that runs script
    /// only there should make a new isolate after the first such error.
    ///
    /// ```
    /// use offheap_v8::{Error, Isolate};
    ///
    /// # fn main() -> Result<(), Error> {
    /// let mut isolate = Isolate::builder().heap_limits(0, 32 << 20).build()?;
    /// isolate.enter(|scope| {
    ///     let error = scope.eval::<()>("for (const all = [];;) all.push({})").unwrap_err();
    ///     assert!(matches!(error, Error::HeapLimit { limit, keeps_too_much: false, .. } if limit == 32 << 20));
    ///     assert_eq!(scope.eval::<u32>("6 * 7")?, 42);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn heap_limits(mut self, initial: usize, max: usize) -> Self {
        self.settings.max_heap_bytes = Some(max);
        self.params = self.params.heap_limits(initial.min(max), max);
        self
    }

    /// Sets the maximum size of the young generation of V8's heap, in bytes. V8 makes new objects in a third of it, and moves those
    /// that are still used when that third is full. V8 lets it grow to 96 MiB, or to 3/32 of the maximum of
    /// [`heap_limits`](Self::heap_limits). Script that makes many short-lived objects is often faster if a third is not much larger than
    /// a cache of the processor. With less than the objects in use at a time, V8 collects them too often.
    pub fn max_young_bytes(mut self, byte_limit: usize) -> Self {
        self.max_young_bytes = Some(byte_limit);
        self
    }

    /// Sets the alignment, in bytes, of the fixed-length buffers that script makes. It must be a power of two. The
    /// default is 16; Arrow and SIMD code want 64. Each buffer takes `alignment` additional bytes.
    pub fn buffer_alignment(mut self, alignment: usize) -> Self {
        self.settings.alignment = Some(alignment);
        self
    }

    /// Limits the bytes of all buffers that script of this isolate makes. Beyond `byte_limit`, what would make a buffer
    /// throws a `RangeError`: `new ArrayBuffer`, `new SharedArrayBuffer`, typed arrays, their `slice` and `map`, and a
    /// `transfer` to another length. No memory is allocated or zeroed for it. [`Scope::allocate`] and
    /// [`Scope::expose_or_copy`] ask for memory in the same way, so they return [`Error::Script`]; but
    /// `v8::ArrayBuffer::new` ends the process, because V8 has no error for it.
    ///
    /// A buffer counts until V8 frees it. It collects garbage before it refuses, so a buffer that script has dropped is
    /// not in the way. Memory that native code [takes](Scope::take) counts no longer, except that of `v8_allocator`, which
    /// stays V8's. Shared memory counts in the isolate that made it until no isolate has it. Buffers do not count
    /// for [`heap_limits`](Self::heap_limits), and no isolate notices the limit of another.
    ///
    /// Some memory does not count. V8 maps the memory of resizable and growable buffers (those with a `maxByteLength`), and
    /// that of `WebAssembly.Memory`, without asking. Stores that native code exposes are the program's own.
    ///
    /// It works with [`buffer_alignment`](Self::buffer_alignment), and with [`v8_allocator`](Self::v8_allocator), for which
    /// Rust's allocator then takes the place of V8's. It cannot limit an
    /// [`array_buffer_allocator`](Self::array_buffer_allocator).
    ///
    /// ```
    /// use offheap_v8::Isolate;
    ///
    /// # fn main() -> Result<(), offheap_v8::Error> {
    /// let mut isolate = Isolate::builder().max_buffer_bytes(1 << 20).build()?;
    /// isolate.enter(|scope| {
    ///     let source = "try { new Float64Array(2e9) } catch (error) { String(error) }";
    ///     assert_eq!(scope.eval::<String>(source)?, "RangeError: Array buffer allocation failed");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn max_buffer_bytes(mut self, byte_limit: usize) -> Self {
        self.settings.max_buffer_bytes = Some(byte_limit);
        self
    }

    /// Uses V8's own allocator for the buffers that script makes.
    ///
    /// By default, every fixed-length buffer of script, shared ones included, is over a store from the beginning, at
    /// the same cost. An [observer](offheap::observe) is told of each. A [`Budget`](offheap::Budget) counts each, and
    /// can make `new ArrayBuffer` throw a RangeError. Native code can make an externalized store unique once script no
    /// longer refers to it. Without an observer and a budget, the store is made when native code first asks for it.
    ///
    /// To make buffers under a budget from native code, use [`expose`](crate::BackingStoreExt::expose), which returns
    /// an error if the budget refuses. `v8::ArrayBuffer::new` ends the process if it gets no memory.
    ///
    /// An allocator given to [`array_buffer_allocator`](Self::array_buffer_allocator) takes precedence over both.
    pub fn v8_allocator(mut self) -> Self {
        self.settings.alignment = None;
        self
    }

    /// Uses the program's allocator for the buffers that script makes.
    pub fn array_buffer_allocator(mut self, allocator: impl Into<v8::SharedPtr<v8::Allocator>>) -> Self {
        self.params = self.params.array_buffer_allocator(allocator);
        self
    }

    /// Sets the function that V8 calls for a rejected promise, with the promise, its reason, and whether it is handled:
    /// `false` when the promise is rejected without a handler, `true` when a handler is added later.
    ///
    /// Script is on the stack when V8 calls it, so it gets a scope of the crate `v8`. The rules of
    /// [`with_v8`](ScopeExt::with_v8) hold for it. It may run script, and so be called again before it returns. A panic in it
    /// ends the process, because nothing may unwind into V8.
    pub fn rejection_tracker(
        mut self,
        tracker: impl for<'s, 'i> Fn(&mut v8::PinScope<'s, 'i>, v8::Local<'s, v8::Promise>, v8::Local<'s, v8::Value>, bool)
        + 'static,
    ) -> Self {
        self.rejection_tracker = Some(RejectionTracker(Rc::new(tracker)));
        self
    }

    /// Sets the function that V8 calls for an error that no code of the program gets: for example, one that the callback of a
    /// `FinalizationRegistry` throws. Without it V8 prints such errors. V8 also calls it for an error that script threw in
    /// [`with_v8`](ScopeExt::with_v8) outside of any `TryCatch`.
    ///
    /// It gets V8's message, which has the place, and the thrown value. The rules of
    /// [`rejection_tracker`](Self::rejection_tracker) hold for it, too.
    pub fn message_listener(
        mut self,
        listener: impl for<'s, 'i> Fn(&mut v8::PinScope<'s, 'i>, v8::Local<'s, v8::Message>, v8::Local<'s, v8::Value>)
        + 'static,
    ) -> Self {
        self.message_listener = Some(MessageListener(Rc::new(listener)));
        self
    }

    /// Sets the functions that find and read ES modules, for `import` declarations and for `import(specifier)`.
    ///
    /// `resolver` gets the name of the importing module or script (empty for the code of `eval`) and a specifier. It returns
    /// the name of the module, which the isolate loads once. `loader` gets the name and returns the module's text. An error
    /// becomes a `ReferenceError` in script, with this text. The name is also the module's `import.meta.url`. Both are called at
    /// once for `import(specifier)`; the module runs in a microtask.
    ///
    /// Both functions are called while script is on the stack. They get no scope, so they cannot run script of this isolate.
    /// A panic in them ends the process, because nothing may unwind into V8. Imports with attributes (`with { .. }`) are
    /// refused.
    ///
    /// ```
    /// use offheap_v8::{Isolate, ScopeExt};
    ///
    /// # fn main() -> Result<(), offheap_v8::Error> {
    /// let resolver = |_importer: &str, specifier: &str| Ok::<_, String>(specifier.to_owned());
    /// let loader = |name: &str| match name {
    ///     "answer" => Ok("export default 42"),
    ///     _ => Err("there is no such module"),
    /// };
    /// let loader = move |name: &str| loader(name).map(str::to_owned);
    /// let mut isolate = Isolate::builder().loader(resolver, loader).build()?;
    /// isolate.enter(|scope| {
    ///     scope.evaluate_module("main", "import answer from 'answer'; globalThis.answer = answer")?;
    ///     assert_eq!(scope.eval::<u32>("answer")?, 42);
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn loader<E: fmt::Display, F: fmt::Display>(
        mut self,
        resolver: impl Fn(&str, &str) -> Result<String, E> + 'static,
        loader: impl Fn(&str) -> Result<String, F> + 'static,
    ) -> Self {
        self.modules = Some(Box::new(move |context| Modules::new(context, resolver, loader)));
        self
    }

    /// Makes the isolate. Starts V8 unless it was already [started](crate::start).
    ///
    /// # Errors
    /// [`Error::Unsupported`] on a thread that is older than V8's memory-protection key and so cannot run V8, in an
    /// observer, and in the `Drop` of an owner that an engine is waiting for, and for a limit on the bytes of the program's
    /// own [allocator](Self::array_buffer_allocator). [`Error::Memory`] if too many isolates
    /// are alive, or the alignment is not a power of two. [`Error::Script`] or [`Error::EngineFailed`] if the stack is
    /// exhausted, or there is no memory for the isolate's first buffer.
    ///
    /// # Panics
    /// If the program started V8 itself and did not [say so](crate::started_by_the_program).
    pub fn build(self) -> Result<Isolate, Error> {
        Isolate::build(self)
    }

    /// Starts V8 if necessary, and makes an isolate.
    pub(crate) fn start(self) -> Result<V8, Error> {
        sys::start("")?;
        sys::check_thread()?;
        let (mut settings, mut params) = (self.settings, self.params);
        if let Some(limit) = self.max_young_bytes {
            // Now, since `heap_limits` sets it, too.
            params = params.set_max_young_generation_size_in_bytes(limit);
        }
        if let Some(alignment) = &mut settings.alignment {
            if !alignment.is_power_of_two() {
                return Err(offheap::Error::InvalidAlignment { alignment: *alignment }.into());
            }
            *alignment = sys::ALIGNMENT.max(*alignment);
        }
        if settings.max_buffer_bytes.is_some() && params.has_set_array_buffer_allocator() {
            return Err(Error::Unsupported {
                engine: ENGINE,
                what: "limit the bytes of an allocator of the program's own",
                instead: "let that allocator return null, or leave it out",
            });
        }
        let (tracker, listener, modules) = (self.rejection_tracker, self.message_listener, self.modules);
        let configure = |isolate: &mut v8::Isolate, context: &v8::Global<v8::Context>| {
            if let Some(tracker) = tracker {
                tracker.install(isolate);
            }
            if let Some(listener) = listener {
                listener.install(isolate);
            }
            if let Some(modules) = modules {
                modules(context).install(isolate);
            }
        };
        Ok(V8 { own: OwnIsolate::new(settings, params, configure)? })
    }
}

impl fmt::Debug for IsolateBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IsolateBuilder")
    }
}

/// Functions of an [`Isolate`] that only V8 has.
pub trait IsolateExt {
    /// Returns a handle with which other threads can stop script that runs too long. Call its `cancel_terminate_execution` only on
    /// the isolate's thread: while script is being stopped, V8 may end the process if another thread cancels that. Functions of
    /// V8's own are not stopped.
    ///
    /// # Panics
    /// In an observer, and in the `Drop` of an owner that an engine is waiting for.
    fn thread_safe_handle(&self) -> v8::IsolateHandle;
}

impl IsolateExt for Isolate {
    fn thread_safe_handle(&self) -> v8::IsolateHandle {
        self.host(Key::new(), |host| host.own.thread_safe_handle())
    }
}

/// Functions of a [`Scope`] that only V8 has.
pub trait ScopeExt {
    /// Lends a scope of the crate `v8` in which the isolate's context is entered, for example to define functions, call
    /// them, or load modules. No guard lives during the call. Neither the scope nor its locals can outlive the call.
    /// If script is stopped in it while script is calling a native function, all of that script stops.
    ///
    /// If `work` makes another isolate with the crate `v8` (`v8::Isolate::new`, or a `v8::Locker`), it must also end it
    /// before it returns. Until then V8 has that isolate entered, and ends the process if `work` returns.
    ///
    /// The type system cannot refuse everything, so the program must keep two rules. First, code that runs script
    /// without a scope, such as a `v8::inspector::V8InspectorSession` or the tasks of the program's own platform, must
    /// be used only inside `with_v8`: only there is the isolate entered, and no guard alive. Second, do not keep a
    /// `v8::BackingStore` of a buffer: its cells can write from any thread, even to frozen stores. Take stores with
    /// [`externalize`](offheap_engine::Scope::externalize) instead.
    ///
    /// The program may also make a buffer over the same memory in another isolate. Therefore, once a scope was lent,
    /// borrowing a slice requires [handles to all buffers](offheap_engine::Scope::bytes) over it.
    fn with_v8<R>(&mut self, work: impl for<'h, 'i> FnOnce(&mut v8::PinScope<'h, 'i>) -> R) -> R;

    /// Runs an ES module with this text, and then the microtasks that are due. Returns whether the module has ended: a
    /// top-level `await` may wait for something that comes later. The isolate needs a [loader](IsolateBuilder::loader).
    ///
    /// `name` is for stack traces, for `import.meta.url`, and for the resolver. Later imports of this name find this module.
    ///
    /// # Errors
    /// [`Error::Script`] if the module, or one that it imports, cannot be loaded or throws.
    fn evaluate_module(&mut self, name: &str, source: &str) -> Result<bool, Error>;
}

impl ScopeExt for Scope<'_> {
    fn with_v8<R>(&mut self, work: impl for<'h, 'i> FnOnce(&mut v8::PinScope<'h, 'i>) -> R) -> R {
        self.host(Key::new(), |host| {
            host.own.state().note_lent();
            let _script = adapter::script_runs();
            let _running = Running::program();
            let done = host.own.with_scope(|scope| {
                let done = work(scope);
                // The script that called a native function has to stop too.
                if scope.is_execution_terminating() {
                    host.own.note_stopped();
                }
                done
            });
            host.own.restore_full_heap();
            done
        })
    }

    fn evaluate_module(&mut self, name: &str, source: &str) -> Result<bool, Error> {
        self.host(Key::new(), |host| host.evaluate_module(name, source))
    }
}
