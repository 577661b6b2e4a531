//! An isolate of ours. The crate's `OwnedIsolate` is entered from its making to its drop, and ends the process unless
//! they are dropped in reverse order; this one is entered while it is used, so that the order does not matter.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use offheap::adapter::IsolateRegistration;
use offheap_engine::{Rooted, Roots};

use super::allocator::new_allocator;
use super::engine_memory::{find, release_let_go};
use super::facts::Facts;
use super::heap_limit::HeapLimit;
use super::natives::new_context;
use super::object::Buffer;
use super::stack::StackLimit;
use super::state::{Entered, State, set_state};
use crate::script::{catching, compile_and_run};
use crate::{ENGINE, Error};

pub(crate) struct OwnIsolate {
    state: Arc<State>,
    context: v8::Global<v8::Context>,
    /// The same isolate as `isolate`.
    raw: v8::UnsafeRawIsolatePtr,
    collects_young: bool,
    stack: StackLimit,
    /// The bytes of buffers whose handles were dropped since V8 was last told to collect.
    dropped_bytes: Cell<usize>,
    // Entered again by `drop`, and dropped after it.
    isolate: v8::OwnedIsolate,
    /// V8 may tell it of a full heap until the isolate has ended.
    heap_limit: Rc<HeapLimit>,
}

/// An object that a handle keeps.
pub struct Root {
    object: v8::Global<v8::Object>,
    facts: Facts,
    /// What collecting it may free.
    byte_length: usize,
}

/// From so many bytes on it is looked up whether letting go of a buffer frees them.
const BYTES_BEFORE_A_LOOK: usize = 1 << 20;

/// Dropped handles of more bytes than these make V8 collect.
const BYTES_BEFORE_A_COLLECTION: usize = 256 << 20;

impl Root {
    /// A root for a buffer of the isolate of `scope`.
    pub(crate) fn of_buffer<'s>(scope: &mut v8::PinScope<'s, '_>, buffer: &Buffer<'s>, facts: Facts) -> Self {
        let byte_length = if facts.shared { 0 } else { buffer.byte_length() };
        let frees_none = byte_length >= BYTES_BEFORE_A_LOOK
            && find(buffer).is_some_and(|store| !offheap::adapter::frees_bytes(&store));
        Root::of_object(scope, buffer.object(), facts, if frees_none { 0 } else { byte_length })
    }

    /// A root for an object of the isolate of `scope`, which frees that many bytes when it goes.
    pub(crate) fn of_object(
        scope: &mut v8::PinScope<'_, '_>,
        object: v8::Local<'_, v8::Object>,
        facts: Facts,
        byte_length: usize,
    ) -> Self {
        Root { object: v8::Global::new(scope, object), facts, byte_length }
    }

    /// What never changes of it.
    pub(crate) fn facts(&self) -> Facts {
        self.facts
    }
}

/// The object of a root. `scope` is of its isolate.
pub(crate) fn object_of<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    root: Rooted<'_, Root>,
) -> Result<v8::Local<'s, v8::Object>, Error> {
    root.with(|root| v8::Local::new(scope, &root.object))
}

/// The buffer of a root, which may be another object where the handle was made for one. `scope` is of its isolate.
pub(crate) fn buffer_of<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    root: Rooted<'_, Root>,
) -> Result<(Buffer<'s>, Facts), Error> {
    let (object, facts) = root.with(|root| (v8::Local::new(scope, &root.object), root.facts))?;
    Ok((Buffer::of_object(scope, object.into())?, facts))
}

impl OwnIsolate {
    /// Makes an isolate, and prepares its context before any user code runs in it. V8 was started. With `alignment` script's
    /// buffers come from our allocator, unless `params` name one.
    pub(crate) fn new(mut params: v8::CreateParams, alignment: Option<usize>) -> Result<Self, Error> {
        let registration = Arc::new(IsolateRegistration::new(ENGINE)?);
        if let Some(alignment) = alignment
            && !params.has_set_array_buffer_allocator()
        {
            params = params.array_buffer_allocator(new_allocator(Arc::clone(&registration), alignment));
        }
        let heap_limit = Rc::new(HeapLimit::default());
        let mut isolate = v8::Isolate::new(params);
        // SAFETY: I-FREE-ONCE: here and as a field it is dropped after the isolate.
        unsafe { heap_limit.watch(&mut isolate) };
        let stack = StackLimit::new(&mut isolate);
        let state = set_state(&mut isolate, registration)?;
        isolate.set_microtasks_policy(v8::MicrotasksPolicy::Explicit);
        let (context, collects_young) = Self::prepare(&mut isolate, &state)?;
        // SAFETY: I-NO-JS-OWNER: used while this value lives, which keeps the isolate.
        let raw = unsafe { isolate.as_raw_isolate_ptr() };
        // SAFETY: I-BORROW: the crate entered it when it was made; it is the current one of this thread.
        unsafe { isolate.exit() };
        let dropped_bytes = Cell::new(0);
        Ok(OwnIsolate { state, context, raw, collects_young, stack, dropped_bytes, isolate, heap_limit })
    }

    fn prepare(isolate: &mut v8::OwnedIsolate, state: &State) -> Result<(v8::Global<v8::Context>, bool), Error> {
        let handles = pin!(v8::HandleScope::new(isolate));
        let mut handles = handles.init();
        let context =
            new_context(&handles).ok_or(Error::EngineFailed { engine: ENGINE, attempted: "make a context" })?;
        let mut scope = v8::ContextScope::new(&mut handles, context);
        let scope: &mut v8::PinScope<'_, '_> = &mut scope;
        state.set_realm(scope)?;
        let has_gc = catching(scope, |scope| compile_and_run(scope, "typeof gc === 'function'"))?.is_true();
        Ok((v8::Global::new(scope, context), has_gc))
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Before script runs.
    pub(crate) fn make_room_on_stack(&self) {
        // SAFETY: I-NO-JS-OWNER: this value keeps the isolate, and both are on its thread.
        let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(self.raw) };
        self.stack.make_room(&mut isolate);
    }

    /// Whether V8 was started with `--expose-gc`, so that young objects can be collected apart.
    pub(crate) fn collects_young(&self) -> bool {
        self.collects_young
    }

    pub(crate) fn thread_safe_handle(&self) -> v8::IsolateHandle {
        self.isolate.thread_safe_handle()
    }

    /// Enters the isolate while the result lives: whichever is entered, it is the current one then.
    fn enter(&self) -> Entered {
        Entered::new(self.raw)
    }

    /// Calls `work` in the isolate's own context, with handles that end with the call.
    pub(crate) fn with_scope<R>(&self, work: impl for<'h, 'i> FnOnce(&mut v8::PinScope<'h, 'i>) -> R) -> R {
        let mut entered = self.enter();
        let handles = pin!(v8::HandleScope::new(entered.isolate()));
        let mut handles = handles.init();
        let context = v8::Local::new(&handles, &self.context);
        let mut scope = v8::ContextScope::new(&mut handles, context);
        work(&mut scope)
    }

    /// Whether `is_it` says so of one of the objects that handles are for, asked of `first` before all others. It must call
    /// no code of the program's.
    pub(crate) fn any_object(
        &self,
        first: Option<Rooted<'_, Root>>,
        all: Roots<'_, Root>,
        mut is_it: impl for<'h, 'i> FnMut(&mut v8::PinScope<'h, 'i>, v8::Local<'h, v8::Object>) -> bool,
    ) -> bool {
        self.with_scope(|scope| {
            all.any(first, |root| {
                let object = v8::Local::new(scope, &root.object);
                is_it(scope, object)
            })
        })
    }

    /// Collects where much was let go of: between steps of a scope, when no guard lives.
    #[inline]
    pub(crate) fn relieve(&self) {
        self.restore_full_heap();
        if self.dropped_bytes.get() > BYTES_BEFORE_A_COLLECTION {
            self.collect();
        }
    }

    /// Whether the heap was full since this was asked last; it has its limit again. No script of the isolate is on the stack,
    /// and no guard lives.
    #[inline]
    pub(crate) fn restore_full_heap(&self) -> bool {
        self.heap_limit.is_raised() && self.restore_heap()
    }

    /// Whether script keeps far more than its heap may have, so that no more of it is run.
    #[inline]
    pub(crate) fn keeps_too_much(&self) -> bool {
        // What was kept may be gone by now.
        self.heap_limit.is_exceeded() && {
            self.restore_heap();
            self.heap_limit.is_exceeded()
        }
    }

    #[cold]
    fn restore_heap(&self) -> bool {
        let was_full = self.heap_limit.restore(self.enter().isolate());
        release_let_go(&self.state);
        was_full
    }

    /// Lets go of an object.
    pub(crate) fn release(&self, root: Root) {
        self.dropped_bytes.set(self.dropped_bytes.get().saturating_add(root.byte_length));
    }

    /// Collects garbage, all of it, and finalizes it.
    #[inline(never)]
    pub(crate) fn collect(&self) {
        self.dropped_bytes.set(0);
        self.enter().isolate().low_memory_notification();
        release_let_go(&self.state);
    }

    /// Collects what was made lately; for V8 that was started with `--expose-gc`.
    pub(crate) fn collect_young(&self) {
        self.enter().isolate().request_garbage_collection_for_testing(v8::GarbageCollectionType::Minor);
        release_let_go(&self.state);
    }
}

impl Drop for OwnIsolate {
    fn drop(&mut self) {
        // SAFETY: I-BORROW: left again by the crate, which drops it next and asks that it is the current one.
        unsafe { self.isolate.enter() };
    }
}
