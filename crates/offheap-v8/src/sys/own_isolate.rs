//! An isolate of ours. The crate's `OwnedIsolate` is entered from its making to its drop, and ends the process unless
//! they are dropped in reverse order; this one is entered while it is used, so that the order does not matter.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use offheap::adapter::IsolateRegistration;
use offheap_engine::in_finalizer;

use super::allocator::new_allocator;
use super::heap_limit::HeapLimit;
use super::natives::new_context;
use super::roots::Roots;
use super::stack::StackLimit;
use super::state::{State, set_state};
use crate::script::{catching, compile_and_run};
use crate::{ENGINE, Error};

pub(crate) struct OwnIsolate {
    roots: Rc<Roots>,
    collects_young: bool,
    stack: StackLimit,
    // Entered again by `drop`, and dropped after it.
    isolate: v8::OwnedIsolate,
    /// V8 may tell it of a full heap until the isolate has ended.
    _heap_limit: Rc<HeapLimit>,
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
        let (roots, collects_young) = Self::prepare(&mut isolate, state, &heap_limit)?;
        // SAFETY: I-BORROW: the crate entered it when it was made; it is the current one of this thread.
        unsafe { isolate.exit() };
        Ok(OwnIsolate { roots: Rc::new(roots), collects_young, stack, isolate, _heap_limit: heap_limit })
    }

    fn prepare(
        isolate: &mut v8::OwnedIsolate,
        state: Arc<State>,
        heap_limit: &Rc<HeapLimit>,
    ) -> Result<(Roots, bool), Error> {
        let handles = pin!(v8::HandleScope::new(isolate));
        let mut handles = handles.init();
        let context =
            new_context(&handles).ok_or(Error::EngineFailed { engine: ENGINE, attempted: "make a context" })?;
        let mut scope = v8::ContextScope::new(&mut handles, context);
        let scope: &mut v8::PinScope<'_, '_> = &mut scope;
        state.set_realm(scope)?;
        let has_gc = catching(scope, |scope| compile_and_run(scope, "typeof gc === 'function'"))?.is_true();
        Ok((Roots::new(scope, state, Rc::clone(heap_limit)), has_gc))
    }

    pub(crate) fn roots(&self) -> &Rc<Roots> {
        &self.roots
    }

    /// Before script runs.
    pub(crate) fn make_room_on_stack(&mut self) {
        self.stack.make_room(&mut self.isolate);
    }

    pub(crate) fn collects_young(&self) -> bool {
        self.collects_young
    }

    pub(crate) fn thread_safe_handle(&self) -> v8::IsolateHandle {
        self.isolate.thread_safe_handle()
    }
}

impl Drop for OwnIsolate {
    fn drop(&mut self) {
        assert!(!in_finalizer(), "an owner's drop or an observer ended an isolate that lets go of a buffer");
        self.roots.end();
        // SAFETY: I-BORROW: left again by the crate, which drops it next and asks that it is the current one.
        unsafe { self.isolate.enter() };
    }
}
