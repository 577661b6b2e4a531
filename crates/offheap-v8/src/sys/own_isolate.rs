//! An isolate of ours. The crate's `OwnedIsolate` is entered when it is made and left when it is dropped, and ends the
//! process unless such isolates are dropped in reverse order. This one is entered only while it is used, so the order
//! does not matter.

use std::cell::Cell;
use std::ffi::c_void;
use std::pin::pin;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

use offheap::adapter::IsolateRegistration;
use offheap::observe::ScriptStack;
use offheap::{BackingStore, IsolateId};
use offheap_engine::{NativeFunction, Rooted, Roots};

use super::allocator::new_allocator;
use super::buffer_limit::BufferLimit;
use super::engine_memory::{drop_released, store_at};
use super::facts::Facts;
use super::function::{Functions, new_function};
use super::heap_limit::HeapLimit;
use super::limited_allocator::new_limited_allocator;
use super::natives::new_context;
use super::root::{Root, object_of};
use super::running::Asked;
use super::stack::StackLimit;
use super::state::{Entered, State, set_state};
use crate::script::{catching, compile_and_run, script_stack};
use crate::{ENGINE, Error};

pub(crate) struct OwnIsolate {
    state: Arc<State>,
    context: v8::Global<v8::Context>,
    /// The raw pointer to `isolate`.
    raw: v8::UnsafeRawIsolatePtr,
    collects_young: bool,
    stack: StackLimit,
    functions: Rc<Functions>,
    /// The bytes of buffers whose handles were dropped since V8 was last told to collect.
    dropped_bytes: Cell<usize>,
    // `drop` enters it again before this field is dropped.
    isolate: v8::OwnedIsolate,
    /// V8 may report a full heap to it until the isolate has ended, so it is dropped after the isolate.
    heap_limit: Arc<HeapLimit>,
}

/// The settings of an isolate that are not in V8's own parameters.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) name: Option<String>,
    /// The alignment of buffers that script makes, or `None` if they are V8's own memory.
    pub(crate) alignment: Option<usize>,
    /// The most bytes that these buffers may have together.
    pub(crate) max_buffer_bytes: Option<usize>,
    /// The largest size of V8's heap in bytes.
    pub(crate) max_heap_bytes: Option<usize>,
}

/// V8 is told to collect once the dropped handles have more bytes than this.
const BYTES_BEFORE_A_COLLECTION: usize = 256 << 20;

impl OwnIsolate {
    /// Makes an isolate, and prepares its context before any user code runs in it. V8 must be started. Script's buffers
    /// come from an allocator of ours, if the settings need one and `params` has no other. `configure` is called when
    /// everything else is done.
    pub(crate) fn new(
        settings: Settings,
        mut params: v8::CreateParams,
        configure: impl FnOnce(&mut v8::Isolate, &v8::Global<v8::Context>),
    ) -> Result<Self, Error> {
        let registration = Arc::new(IsolateRegistration::new(ENGINE)?);
        if let Some(name) = settings.name {
            registration.set_name(&name)?;
        }
        if !params.has_set_array_buffer_allocator() {
            let limit = settings.max_buffer_bytes.map(BufferLimit::new);
            params = match (settings.alignment, limit) {
                (Some(alignment), limit) => {
                    params.array_buffer_allocator(new_allocator(Arc::clone(&registration), alignment, limit))
                }
                (None, Some(limit)) => params.array_buffer_allocator(new_limited_allocator(limit)),
                (None, None) => params,
            };
        }
        let heap_limit = Arc::new(HeapLimit::default());
        let mut isolate = v8::Isolate::new(params);
        // SAFETY: I-FREE-ONCE: both this variable and the field are dropped after the isolate.
        unsafe { heap_limit.watch(&mut isolate, settings.max_heap_bytes) };
        let stack = StackLimit::new(&mut isolate);
        let state = set_state(&mut isolate, registration)?;
        state.set_heap_limit(Arc::clone(&heap_limit));
        isolate.set_microtasks_policy(v8::MicrotasksPolicy::Explicit);
        let (context, collects_young) = Self::prepare(&mut isolate, &state)?;
        configure(&mut isolate, &context);
        // SAFETY: I-NO-JS-OWNER: it is used only while this value lives, which keeps the isolate.
        let raw = unsafe { isolate.as_raw_isolate_ptr() };
        // SAFETY: I-BORROW: the crate entered the isolate when it was made, and it is the current one of this thread.
        unsafe { isolate.exit() };
        let dropped_bytes = Cell::new(0);
        let functions = Rc::default();
        Ok(OwnIsolate { state, context, raw, collects_young, stack, functions, dropped_bytes, isolate, heap_limit })
    }

    fn prepare(isolate: &mut v8::OwnedIsolate, state: &State) -> Result<(v8::Global<v8::Context>, bool), Error> {
        let handles = pin!(v8::HandleScope::new(isolate));
        let mut handles = handles.init();
        let context =
            new_context(&handles).ok_or(Error::EngineFailed { engine: ENGINE, attempted: "make a context" })?;
        let mut scope = v8::ContextScope::new(&mut handles, context);
        let scope: &mut v8::PinScope<'_, '_> = &mut scope;
        state.set_realm(scope)?;
        let has_gc = catching(scope, |scope| compile_and_run(scope, "typeof gc === 'function'".into()))?.is_true();
        Ok((v8::Global::new(scope, context), has_gc))
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Gives script room on the stack. Call it before script runs.
    pub(crate) fn make_room_on_stack(&self) {
        // SAFETY: I-NO-JS-OWNER: this value keeps the isolate, and both are on its thread.
        let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(self.raw) };
        self.stack.make_room(&mut isolate);
    }

    /// Whether script used up the stack, so that V8 must not be called.
    #[inline]
    pub(crate) fn stack_is_exceeded(&self) -> bool {
        self.stack.is_exceeded()
    }

    /// Whether V8 was started with `--expose-gc`, so that a collection of only young objects is possible.
    pub(crate) fn collects_young(&self) -> bool {
        self.collects_young
    }

    pub(crate) fn thread_safe_handle(&self) -> v8::IsolateHandle {
        self.isolate.thread_safe_handle()
    }

    /// Enters the isolate while the result lives. It becomes the current one, even if another isolate is entered.
    fn enter(&self) -> Entered {
        Entered::new(self.raw)
    }

    /// Calls `work` in the isolate's own context. Handles that `work` makes end with the call.
    pub(crate) fn with_scope<R>(&self, work: impl for<'h, 'i> FnOnce(&mut v8::PinScope<'h, 'i>) -> R) -> R {
        let mut entered = self.enter();
        let handles = pin!(v8::HandleScope::new(entered.isolate()));
        let mut handles = handles.init();
        let context = v8::Local::new(&handles, &self.context);
        let mut scope = v8::ContextScope::new(&mut handles, context);
        work(&mut scope)
    }

    /// The store that an ArrayBuffer is over; `None` in every other case. Only for scopes: no finalizer reaches a scope, so
    /// V8 is not dropping the owner of the memory, and need not be asked for the block.
    pub(crate) fn store_in_scope(&self, buffer: Rooted<'_, Root>) -> Option<BackingStore> {
        let (data, byte_length) = self.array_buffer_bytes(buffer)?;
        // SAFETY: I-FREE-ONCE: these are the bytes of a buffer that its root keeps.
        unsafe { store_at(data, byte_length) }
    }

    /// The address and the length of an ArrayBuffer's bytes; `None` for another object, and without memory. The isolate is
    /// not entered, because V8 only reads two words of the object.
    #[inline]
    pub(super) fn array_buffer_bytes(&self, object: Rooted<'_, Root>) -> Option<(NonNull<c_void>, usize)> {
        object.with(Root::array_buffer_bytes).ok()?
    }

    /// Makes a function of script that calls `native`.
    pub(crate) fn function(&self, name: &str, native: NativeFunction<Root>) -> Result<Root, Error> {
        self.with_scope(|scope| {
            let function = new_function(scope, name, native, &self.functions)?;
            Ok(Root::of_object(scope, function.into(), Facts::PLAIN, 0))
        })
    }

    /// Notes an exception of script and the error for it, so that a native function can throw it again.
    pub(crate) fn note_thrown(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        exception: v8::Local<'_, v8::Value>,
        error: &Error,
    ) {
        self.functions.note_thrown(scope, exception, error);
    }

    /// Whether `is_it` accepts one of the objects that handles keep. It is asked for `first` before all others, and
    /// must not call code of the program.
    pub(crate) fn any_object(
        &self,
        first: Option<Rooted<'_, Root>>,
        all: Roots<'_, Root>,
        mut is_it: impl for<'h, 'i> FnMut(&mut v8::PinScope<'h, 'i>, v8::Local<'h, v8::Object>) -> bool,
    ) -> bool {
        self.with_scope(|scope| {
            // The table is not borrowed while `is_it` runs.
            if let Some(Ok(object)) = first.map(|first| object_of(scope, first))
                && is_it(scope, object)
            {
                return true;
            }
            let mut from = 0;
            while let Some((slot, object)) = all.next(from, |root| root.object(scope)) {
                if is_it(scope, object) {
                    return true;
                }
                from = slot + 1;
            }
            false
        })
    }

    /// Collects if many bytes were dropped. Call it between steps of a scope, while no guard lives.
    #[inline]
    pub(crate) fn relieve(&self) {
        self.restore_full_heap();
        if self.dropped_bytes.get() > BYTES_BEFORE_A_COLLECTION {
            self.collect();
        }
    }

    /// Lets script run again after it was stopped, and restores the heap's limit. Call it while no guard lives. While
    /// script calls a native function, it does nothing: that script has to stop first.
    #[inline]
    pub(crate) fn restore_full_heap(&self) {
        if self.functions.is_in_call() {
            return;
        }
        if self.functions.has_stopped() {
            self.enter().isolate().cancel_terminate_execution();
        }
        if self.heap_limit.is_raised() {
            self.restore_heap();
        }
    }

    pub(crate) fn heap_limit(&self) -> &HeapLimit {
        &self.heap_limit
    }

    /// Notes that script was stopped.
    pub(crate) fn note_stopped(&self) {
        self.functions.note_stopped();
    }

    /// Whether script that called a native function is being stopped, so that the function may run no more of it.
    pub(crate) fn is_stopping(&self) -> bool {
        self.functions.is_stopping()
    }

    /// Whether script keeps so much more than the heap's limit that no more script may run.
    #[inline]
    pub(crate) fn keeps_too_much(&self) -> bool {
        // Script may have dropped the memory by now, so collect and look again.
        self.heap_limit.is_exceeded() && !self.functions.is_in_call() && {
            self.restore_heap();
            self.heap_limit.is_exceeded()
        }
    }

    #[cold]
    fn restore_heap(&self) {
        self.heap_limit.restore(self.enter().isolate());
        drop_released(&self.state);
    }

    /// Releases an object.
    #[inline]
    pub(crate) fn release(&self, root: Root) {
        self.dropped_bytes.set(self.dropped_bytes.get().saturating_add(root.byte_length()));
        root.release();
    }

    /// Collects all garbage, and finalizes it.
    #[inline(never)]
    pub(crate) fn collect(&self) {
        self.dropped_bytes.set(0);
        self.enter().isolate().low_memory_notification();
        drop_released(&self.state);
    }

    /// Collects young objects. V8 must have been started with `--expose-gc`.
    pub(crate) fn collect_young(&self) {
        self.enter().isolate().request_garbage_collection_for_testing(v8::GarbageCollectionType::Minor);
        drop_released(&self.state);
    }
}

impl Drop for OwnIsolate {
    fn drop(&mut self) {
        self.functions.end();
        // SAFETY: I-BORROW: the crate drops `isolate` next. It requires that the isolate is the current one, and leaves
        // it.
        unsafe { self.isolate.enter() };
    }
}

impl Asked for OwnIsolate {
    fn id(&self) -> IsolateId {
        self.state.isolate()
    }

    fn was_lent(&self) -> bool {
        self.state.was_lent()
    }

    fn script_stack(&self) -> ScriptStack {
        self.with_scope(script_stack)
    }
}
