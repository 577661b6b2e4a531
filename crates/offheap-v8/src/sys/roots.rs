//! The table behind handles: JavaScript values of one isolate, freed with it at the latest.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use offheap::adapter;
use offheap::{BackingStore, IsolateId};
use offheap_engine::{RootTable, Slots, in_finalizer, refused_in_finalizer};

use super::engine_memory::{find, locate, release_let_go};
use super::facts::Facts;
use super::heap_limit::HeapLimit;
use super::object::Buffer;
use super::state::{Entered, State};
use crate::{ENGINE, Error};

pub(crate) struct Roots {
    state: Arc<State>,
    /// `None` once the isolate has ended.
    isolate: Cell<Option<v8::UnsafeRawIsolatePtr>>,
    context: RefCell<Option<v8::Global<v8::Context>>>,
    slots: RefCell<Slots<Root>>,
    /// The bytes of buffers whose handles were dropped since V8 was last told to collect.
    dropped_bytes: Cell<usize>,
    heap_limit: Rc<HeapLimit>,
}

struct Root {
    object: v8::Global<v8::Object>,
    facts: Facts,
    byte_length: usize,
}

/// From so many bytes on it is looked up whether letting go of a buffer frees them.
const BYTES_BEFORE_A_LOOK: usize = 1 << 20;

/// Dropped handles of more bytes than these make V8 collect.
const BYTES_BEFORE_A_COLLECTION: usize = 256 << 20;

impl Roots {
    /// The table of the isolate that `scope` is of, with the entered context as its own.
    pub(crate) fn new(scope: &mut v8::PinScope<'_, '_>, state: Arc<State>, heap_limit: Rc<HeapLimit>) -> Self {
        let context = scope.get_current_context();
        // SAFETY: I-NO-JS-OWNER: used until `end`, which comes before the isolate does.
        let isolate = unsafe { scope.as_raw_isolate_ptr() };
        Roots {
            state,
            isolate: Cell::new(Some(isolate)),
            context: RefCell::new(Some(v8::Global::new(scope, context))),
            slots: RefCell::default(),
            dropped_bytes: Cell::new(0),
            heap_limit,
        }
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Enters the isolate while the result lives: whichever is entered, it is the current one then.
    fn enter(&self) -> Result<Entered, Error> {
        if in_finalizer() {
            return Err(refused_in_finalizer(ENGINE));
        }
        // The isolate lives until `end`, and the table stays on its thread.
        self.isolate.get().map(Entered::new).ok_or(Error::IsolateGone)
    }

    /// Calls `work` in the isolate's own context, with handles that end with the call. It is for what runs no script
    /// where guards may live.
    pub(crate) fn with_scope<R>(
        &self,
        work: impl for<'h, 'i> FnOnce(&mut v8::PinScope<'h, 'i>) -> R,
    ) -> Result<R, Error> {
        let mut entered = self.enter()?;
        let handles = pin!(v8::HandleScope::new(entered.isolate()));
        let mut handles = handles.init();
        let context = self.context.borrow();
        let context = v8::Local::new(&handles, context.as_ref().expect("there until the end"));
        let mut scope = v8::ContextScope::new(&mut handles, context);
        Ok(work(&mut scope))
    }

    /// A root for `buffer`, which is of this isolate.
    ///
    /// # Errors
    /// [`Error::Memory`] where there is no memory for the table; V8 ends the process where it has none.
    pub(crate) fn root<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        buffer: &Buffer<'s>,
        facts: Facts,
    ) -> Result<usize, Error> {
        let byte_length = if facts.shared { 0 } else { buffer.byte_length() };
        let frees_none =
            byte_length >= BYTES_BEFORE_A_LOOK && find(buffer).is_some_and(|store| !adapter::frees_bytes(&store));
        let byte_length = if frees_none { 0 } else { byte_length };
        self.root_object(scope, buffer.object(), facts, byte_length)
    }

    /// A root for `object`, which is of this isolate and frees that many bytes where it goes; as [`root`](Self::root).
    pub(crate) fn root_object(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        object: v8::Local<'_, v8::Object>,
        facts: Facts,
        byte_length: usize,
    ) -> Result<usize, Error> {
        let make = || Root { object: v8::Global::new(scope, object), facts, byte_length };
        self.slots.borrow_mut().insert_with(make)
    }

    /// The object of a root. `scope` is of this isolate.
    pub(crate) fn object<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        slot: usize,
    ) -> Result<v8::Local<'s, v8::Object>, Error> {
        let slots = self.slots.borrow();
        let root = slots.get(slot).ok_or(Error::IsolateGone)?;
        Ok(v8::Local::new(scope, &root.object))
    }

    /// The buffer of a root, of which somebody may have made a handle to another object.
    pub(crate) fn get<'s>(&self, scope: &mut v8::PinScope<'s, '_>, slot: usize) -> Result<(Buffer<'s>, Facts), Error> {
        let object = self.object(scope, slot)?;
        let buffer = Buffer::of_object(scope, object.into())?;
        let facts = self.slots.borrow().get(slot).ok_or(Error::IsolateGone)?.facts;
        Ok((buffer, facts))
    }

    /// Whether `is_it` says so of one of the objects that handles are for, that of `first` before all others. It must not be
    /// anybody's code.
    pub(crate) fn any_object(
        &self,
        first: Option<usize>,
        mut is_it: impl for<'h, 'i> FnMut(&mut v8::PinScope<'h, 'i>, v8::Local<'h, v8::Object>) -> bool,
    ) -> Result<bool, Error> {
        let slots = self.slots.borrow();
        let first = first.and_then(|slot| slots.get(slot));
        self.with_scope(|scope| {
            first.into_iter().chain(slots.values()).any(|root| {
                let object = v8::Local::new(scope, &root.object);
                is_it(scope, object)
            })
        })
    }

    /// Frees what was released late, and collects where much was: between steps of a scope, when no guard lives.
    #[inline]
    pub(crate) fn relieve(&self) {
        self.restore_full_heap();
        if self.slots.borrow().has_released() {
            self.free_released();
        }
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
        let was_full = self.enter().is_ok_and(|mut entered| self.heap_limit.restore(entered.isolate()));
        release_let_go(&self.state);
        was_full
    }

    fn free_released(&self) {
        loop {
            // A statement of its own, so that the slots are not borrowed while a root is dropped.
            let Some(root) = self.slots.borrow_mut().take_released() else { return };
            self.free(root);
        }
    }

    fn free(&self, root: Root) {
        self.dropped_bytes.set(self.dropped_bytes.get().saturating_add(root.byte_length));
    }

    /// Collects garbage, all of it, and finalizes it.
    #[inline(never)]
    pub(crate) fn collect(&self) {
        self.free_released();
        self.dropped_bytes.set(0);
        if let Ok(mut entered) = self.enter() {
            entered.isolate().low_memory_notification();
        }
        release_let_go(&self.state);
    }

    /// Collects what was made lately; for V8 that was started with `--expose-gc`.
    pub(crate) fn collect_young(&self) {
        if let Ok(mut entered) = self.enter() {
            entered.isolate().request_garbage_collection_for_testing(v8::GarbageCollectionType::Minor);
        }
        release_let_go(&self.state);
    }

    /// Frees what is left: the isolate ends. What handles do afterwards does nothing.
    pub(crate) fn end(&self) {
        self.isolate.set(None);
        drop(self.context.take());
        drop(self.slots.take());
    }
}

impl RootTable for Roots {
    fn isolate(&self) -> IsolateId {
        self.state.isolate()
    }

    fn duplicate(&self, slot: usize) -> usize {
        self.slots.borrow_mut().duplicate(slot)
    }

    fn release(&self, slot: usize) {
        // V8 may be collecting when it waits for an owner's drop, and its handles are not to be touched then.
        let root = self.slots.borrow_mut().release(slot, in_finalizer());
        if let Some(root) = root {
            self.free(root);
        }
    }

    #[track_caller]
    fn externalize(&self, slot: usize) -> Result<BackingStore, Error> {
        let located = self.with_scope(|scope| {
            let (buffer, facts) = self.get(scope, slot)?;
            Ok::<_, Error>(locate(&buffer, facts))
        })??;
        located.into_store(&self.state)
    }
}
