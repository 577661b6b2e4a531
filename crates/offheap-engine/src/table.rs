//! The table behind handles: an isolate and the objects that its handles keep alive.

use std::cell::{Cell, Ref, RefCell};
use std::panic::resume_unwind;
use std::rc::Rc;

use offheap::adapter::{self, Lender};
use offheap::{BackingStore, IsolateId};

use crate::detached::DetachPlaces;
use crate::function::{InTable, Panic};
use crate::handle::RootTable;
use crate::host::Host;
use crate::slots::Slots;
use crate::{Error, Handle, in_finalizer, refused_in_finalizer};

/// An isolate and its roots. Handles keep the table alive, and it may outlive the isolate.
pub(crate) struct Table<H: Host> {
    id: IsolateId,
    /// `None` after the isolate's end.
    host: RefCell<Option<H>>,
    slots: RefCell<Slots<H::Root>>,
    /// The number of times that the isolate is entered: by `Isolate::enter`, and by each native function that script
    /// is calling.
    entered: Cell<u32>,
    /// The guards over memory without a store.
    lender: Lender,
    /// The native functions that script can call.
    functions: RefCell<Slots<InTable<H>>>,
    /// Where buffers were detached.
    pub(crate) detach_places: DetachPlaces,
    /// The panic of a native function. It goes on when the engine has returned to Rust.
    panic: Cell<Option<Panic>>,
}

/// An object in the table of its isolate. For adapters.
pub struct Rooted<'a, R> {
    slots: &'a RefCell<Slots<R>>,
    slot: usize,
}

/// All roots of one isolate. For adapters.
pub struct Roots<'a, R>(&'a RefCell<Slots<R>>);

impl<R> Clone for Roots<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Roots<'_, R> {}

impl<R> Clone for Rooted<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Rooted<'_, R> {}

impl<R> Rooted<'_, R> {
    /// Calls `look` with the root. `look` must not call anything that may drop or copy a handle.
    ///
    /// # Errors
    /// [`Error::IsolateGone`] if the slot is empty.
    #[inline]
    pub fn with<T>(self, look: impl FnOnce(&R) -> T) -> Result<T, Error> {
        self.slots.borrow().get(self.slot).map(look).ok_or(Error::IsolateGone)
    }
}

impl<R> Roots<'_, R> {
    /// Calls `look` with the next root, from the slot `from` on, and returns that slot and the result. `None` if there is none.
    /// `look` must not call anything that may drop or copy a handle.
    ///
    /// Between two calls, any code may run.
    pub fn next<T>(self, from: usize, look: impl FnOnce(&R) -> T) -> Option<(usize, T)> {
        self.0.borrow().next(from).map(|(slot, root)| (slot, look(root)))
    }

    /// The number of handles that share the root in this slot.
    pub fn handles(self, slot: usize) -> usize {
        self.0.borrow().handles(slot)
    }
}

impl<H: Host> Table<H> {
    pub(crate) fn new(host: H) -> Self {
        let (id, host) = (host.id(), RefCell::new(Some(host)));
        let (slots, functions) = (RefCell::default(), RefCell::default());
        let (lender, panic) = (Lender::default(), Cell::default());
        let detach_places = DetachPlaces::default();
        Table { id, host, slots, entered: Cell::new(0), lender, functions, detach_places, panic }
    }

    pub(crate) fn id(&self) -> IsolateId {
        self.id
    }

    /// The host, for a scope. The isolate is alive while a scope exists, and no finalizer can reach a scope.
    #[inline]
    pub(crate) fn entered_host(&self) -> Ref<'_, H> {
        Ref::map(self.host.borrow(), |host| host.as_ref().expect("an isolate lives while it is entered"))
    }

    /// The host, for a handle. It is available while the isolate lives and no finalizer runs.
    #[inline]
    pub(crate) fn host(&self) -> Result<Ref<'_, H>, Error> {
        if in_finalizer() {
            return Err(refused_in_finalizer(H::NAME));
        }
        Ref::filter_map(self.host.borrow(), Option::as_ref).map_err(|_| Error::IsolateGone)
    }

    /// Lends the host for a call that does not enter the engine; `None` after the isolate's end.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&H) -> R) -> Option<R> {
        self.host.borrow().as_ref().map(look)
    }

    #[inline]
    pub(crate) fn rooted(&self, slot: usize) -> Rooted<'_, H::Root> {
        Rooted { slots: &self.slots, slot }
    }

    pub(crate) fn roots(&self) -> Roots<'_, H::Root> {
        Roots(&self.slots)
    }

    /// Checks that a handle is for an object of this isolate. It does not compare ids, because they are reused.
    #[inline]
    pub(crate) fn check<T>(&self, handle: &Handle<T>) -> Result<(), Error> {
        match std::ptr::addr_eq(Rc::as_ptr(handle.table()), self) {
            true => Ok(()),
            false if handle.table().has_ended() => Err(Error::IsolateGone),
            false => Err(Error::WrongIsolate { handle: handle.isolate(), here: self.id }),
        }
    }

    /// Reserves memory for one more root.
    #[inline]
    pub(crate) fn reserve(&self) -> Result<(), Error> {
        self.slots.borrow_mut().reserve()
    }

    /// A handle for a root that the engine just made. If there is no memory, the root is released. Where
    /// [`reserve`](Self::reserve) made room and no script ran since, there is memory.
    #[inline]
    pub(crate) fn handle_or_release<T>(self: &Rc<Self>, host: &H, root: H::Root) -> Result<Handle<T>, Error> {
        if let Err(error) = self.reserve() {
            host.release(root);
            return Err(error);
        }
        let slot = self.slots.borrow_mut().insert(root);
        Ok(Handle::new(Rc::clone(self) as Rc<dyn RootTable>, slot))
    }

    /// The guards over memory without a store.
    pub(crate) fn lender(&self) -> &Lender {
        &self.lender
    }

    /// Keeps a native function, and returns its slot.
    pub(crate) fn insert_function(&self, function: InTable<H>) -> Result<usize, Error> {
        let mut functions = self.functions.borrow_mut();
        functions.reserve()?;
        Ok(functions.insert(function))
    }

    #[inline]
    pub(crate) fn function(&self, slot: usize) -> Option<InTable<H>> {
        self.functions.borrow().get(slot).cloned()
    }

    /// Removes a native function, which is dropped before a later step: the engine may be collecting now.
    pub(crate) fn release_function(&self, slot: usize) {
        let put_off = self.functions.borrow_mut().release(slot, true);
        debug_assert!(put_off.is_none(), "it was put off");
    }

    /// Keeps the panic of a native function until the engine has returned to Rust. The first of several goes on.
    #[cold]
    pub(crate) fn put_off(&self, panic: Panic) {
        let before = self.panic.take();
        self.panic.set(Some(before.unwrap_or(panic)));
    }

    /// The panics of native functions during a call of the engine.
    #[inline]
    pub(crate) fn panics(&self) -> Panics<'_> {
        Panics(&self.panic)
    }

    /// Does deferred work between two steps of a scope, when no guard lives.
    #[inline]
    pub(crate) fn relieve(&self, host: &H) {
        self.lender.forget_guards();
        if self.slots.borrow().has_released() {
            self.release_all(host);
        }
        if self.functions.borrow().has_released() {
            self.drop_functions();
        }
        host.relieve();
    }

    #[cold]
    fn drop_functions(&self) {
        loop {
            // A separate statement, which ends the borrow: the drop of a captured value may run any code.
            let Some(function) = self.functions.borrow_mut().take_released() else { return };
            drop(function);
        }
    }

    fn release_all(&self, host: &H) {
        loop {
            // A separate statement, which ends the borrow of the slots: releasing one root may release others.
            let Some(root) = self.slots.borrow_mut().take_released() else { return };
            host.release(root);
        }
    }

    fn release_now(&self, root: H::Root) {
        if let Some(host) = &*self.host.borrow() {
            host.release(root);
        }
    }

    /// Whether the isolate is entered.
    pub(crate) fn is_entered(&self) -> bool {
        self.entered.get() != 0
    }

    /// A reference to the store of the buffer in a slot, for a scope.
    #[track_caller]
    pub(crate) fn externalize_in_scope(&self, slot: usize) -> Result<BackingStore, Error> {
        let (host, buffer) = (self.host()?, self.rooted(slot));
        self.check_not_lending(&host, buffer)?;
        let _places = adapter::handles_of_caller();
        host.externalize_in_scope(buffer)
    }

    /// A guard may lend the memory of this buffer. In a store, others could use the memory, or it could move.
    fn check_not_lending(&self, host: &H, buffer: Rooted<'_, H::Root>) -> Result<(), Error> {
        match self.lender.is_lending() && host.lend(buffer)?.is_some() {
            false => Ok(()),
            true => Err(Error::Unsupported {
                engine: H::NAME,
                what: "externalize a buffer by its handle while a guard lends memory without a store",
                instead: "drop the guard first, or externalize the buffer before",
            }),
        }
    }

    /// Marks the isolate as entered while the result lives.
    pub(crate) fn enter<'a>(&'a self, host: &'a H) -> Entered<'a, H> {
        self.entered.set(self.entered.get() + 1);
        Entered { table: self, host }
    }

    /// Ends the isolate. After that, its remaining handles do nothing.
    ///
    /// # Panics
    /// If a call into the isolate is still running, for example in the drop of a value that its script kept.
    pub(crate) fn end(&self) {
        let host = self.host.try_borrow_mut().map(|mut host| host.take());
        let host = host.expect("an isolate was dropped during a call into it");
        let slots = std::mem::take(&mut *self.slots.borrow_mut());
        if let Some(host) = host {
            host.end(slots.into_values());
        }
        // The engine has none of them any more. Two statements, because the drop of a captured value may run any code.
        let functions = std::mem::take(&mut *self.functions.borrow_mut());
        drop(functions);
    }
}

impl<H: Host> Drop for Table<H> {
    fn drop(&mut self) {
        // The isolate was dropped where it could not be ended. Dropping the parts without `Host::end` would end the
        // process, so leak them.
        if let Some(host) = self.host.get_mut().take() {
            std::mem::forget((host, self.slots.take()));
        }
    }
}

/// See [`Table::panics`]. If the call panics itself, that panic goes on, and none of a function is left for a later call.
pub(crate) struct Panics<'a>(&'a Cell<Option<Panic>>);

impl Panics<'_> {
    /// Panics if a native function panicked. Call it when the engine has returned to Rust.
    #[inline]
    pub(crate) fn go_on(self) {
        if let Some(panic) = self.0.take() {
            resume_unwind(panic);
        }
        std::mem::forget(self);
    }
}

impl Drop for Panics<'_> {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

/// See [`Table::enter`].
pub(crate) struct Entered<'a, H: Host> {
    table: &'a Table<H>,
    host: &'a H,
}

impl<H: Host> Drop for Entered<'_, H> {
    fn drop(&mut self) {
        // The scope is gone, so no guard lives.
        self.table.lender.forget_guards();
        self.table.release_all(self.host);
        self.table.entered.set(self.table.entered.get() - 1);
    }
}

impl<H: Host> RootTable for Table<H> {
    fn isolate(&self) -> IsolateId {
        self.id
    }

    fn has_ended(&self) -> bool {
        self.host.try_borrow().is_ok_and(|host| host.is_none())
    }

    fn duplicate(&self, slot: usize) -> usize {
        self.slots.borrow_mut().duplicate(slot)
    }

    fn release(&self, slot: usize) {
        // While the isolate is entered, a guard may live; while a finalizer runs, the engine waits for it.
        let put_off = in_finalizer() || H::RELEASING_RUNS_CODE && self.entered.get() != 0;
        // A separate statement, which ends the borrow of the slots: releasing a root may run any code.
        let released = self.slots.borrow_mut().release(slot, put_off);
        if self.slots.borrow().handles(slot) == 0 {
            self.detach_places.forget(slot);
        }
        if let Some(root) = released {
            self.release_now(root);
        }
    }

    #[track_caller]
    fn externalize(&self, slot: usize) -> Result<BackingStore, Error> {
        let (host, buffer) = (self.host()?, self.rooted(slot));
        self.check_not_lending(&host, buffer)?;
        // A guard of a scope may live.
        let _quiet = adapter::without_script_stack();
        host.externalize(buffer)
    }
}
