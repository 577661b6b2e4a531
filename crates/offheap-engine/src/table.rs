//! The table behind handles: an isolate, and the objects that its handles keep.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;

use offheap::{BackingStore, IsolateId};

use crate::handle::RootTable;
use crate::host::Host;
use crate::slots::Slots;
use crate::{Error, Handle, in_finalizer, refused_in_finalizer};

/// An isolate and its roots. Handles keep it, and may outlive the isolate.
pub(crate) struct Table<H: Host> {
    id: IsolateId,
    /// `None` once the isolate has ended.
    host: RefCell<Option<H>>,
    slots: RefCell<Slots<H::Root>>,
    /// How often the isolate is entered.
    entered: Cell<u32>,
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
    /// Looks at the root. `look` must call nothing that may drop or copy a handle.
    ///
    /// # Errors
    /// [`Error::IsolateGone`] where there is nothing in the slot.
    #[inline]
    pub fn with<T>(self, look: impl FnOnce(&R) -> T) -> Result<T, Error> {
        self.slots.borrow().get(self.slot).map(look).ok_or(Error::IsolateGone)
    }
}

impl<R> Roots<'_, R> {
    /// Whether `is_it` says so of one of the roots, asked of `first` before all others. It must call nothing that may drop
    /// or copy a handle.
    pub fn any(self, first: Option<Rooted<'_, R>>, mut is_it: impl FnMut(&R) -> bool) -> bool {
        let slots = self.0.borrow();
        let first = first.and_then(|first| slots.get(first.slot));
        first.into_iter().chain(slots.values()).any(&mut is_it)
    }
}

impl<H: Host> Table<H> {
    pub(crate) fn new(host: H) -> Self {
        let (id, host) = (host.id(), RefCell::new(Some(host)));
        Table { id, host, slots: RefCell::default(), entered: Cell::new(0) }
    }

    pub(crate) fn id(&self) -> IsolateId {
        self.id
    }

    /// The host, for a scope: the isolate lives, and no finalizer can reach a scope.
    #[inline]
    pub(crate) fn entered_host(&self) -> Ref<'_, H> {
        Ref::map(self.host.borrow(), |host| host.as_ref().expect("an isolate lives while it is entered"))
    }

    /// The host, for a handle: while the isolate lives and no finalizer runs.
    #[inline]
    pub(crate) fn host(&self) -> Result<Ref<'_, H>, Error> {
        if in_finalizer() {
            return Err(refused_in_finalizer(H::NAME));
        }
        Ref::filter_map(self.host.borrow(), Option::as_ref).map_err(|_| Error::IsolateGone)
    }

    /// The host for what is no call into the engine, while the isolate lives.
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

    /// Whether a handle is for an object of this isolate. Ids are not compared, since they are given out again.
    #[inline]
    pub(crate) fn check<T>(&self, handle: &Handle<T>) -> Result<(), Error> {
        match std::ptr::addr_eq(Rc::as_ptr(handle.table()), self) {
            true => Ok(()),
            false => Err(Error::WrongIsolate { handle: handle.isolate(), here: self.id }),
        }
    }

    /// Memory for one more root.
    #[inline]
    pub(crate) fn reserve(&self) -> Result<(), Error> {
        self.slots.borrow_mut().reserve()
    }

    /// A handle for a root that [`reserve`](Self::reserve) made room for.
    #[inline]
    pub(crate) fn handle<T>(self: &Rc<Self>, root: H::Root) -> Handle<T> {
        let slot = self.slots.borrow_mut().insert(root);
        Handle::new(Rc::clone(self) as Rc<dyn RootTable>, slot)
    }

    /// Between two steps of a scope: no guard lives, and no script is on the stack.
    #[inline]
    pub(crate) fn relieve(&self, host: &H) {
        if self.slots.borrow().has_released() {
            self.release_all(host);
        }
        host.relieve();
    }

    fn release_all(&self, host: &H) {
        loop {
            // A statement of its own, so that the slots are not borrowed: releasing one root may release others.
            let Some(root) = self.slots.borrow_mut().take_released() else { return };
            host.release(root);
        }
    }

    fn release_now(&self, root: H::Root) {
        if let Some(host) = &*self.host.borrow() {
            host.release(root);
        }
    }

    /// The isolate counts as entered while the result lives.
    pub(crate) fn enter<'a>(&'a self, host: &'a H) -> Entered<'a, H> {
        self.entered.set(self.entered.get() + 1);
        Entered { table: self, host }
    }

    /// The isolate ends. Handles that are left do nothing from then on.
    ///
    /// # Panics
    /// Where a call into the isolate is still going on, as in the drop of a value that its script kept.
    pub(crate) fn end(&self) {
        let host = self.host.try_borrow_mut().map(|mut host| host.take());
        let host = host.expect("an isolate was dropped in the middle of a call into it");
        let slots = std::mem::take(&mut *self.slots.borrow_mut());
        if let Some(host) = host {
            host.end(slots.into_values());
        }
    }
}

impl<H: Host> Drop for Table<H> {
    fn drop(&mut self) {
        // The isolate could not be ended where it was dropped. Ended by halves, without `Host::end`, it would end the process.
        if let Some(host) = self.host.get_mut().take() {
            std::mem::forget((host, self.slots.take()));
        }
    }
}

/// See [`Table::enter`].
pub(crate) struct Entered<'a, H: Host> {
    table: &'a Table<H>,
    host: &'a H,
}

impl<H: Host> Drop for Entered<'_, H> {
    fn drop(&mut self) {
        self.table.release_all(self.host);
        self.table.entered.set(self.table.entered.get() - 1);
    }
}

impl<H: Host> RootTable for Table<H> {
    fn isolate(&self) -> IsolateId {
        self.id
    }

    fn duplicate(&self, slot: usize) -> usize {
        self.slots.borrow_mut().duplicate(slot)
    }

    fn release(&self, slot: usize) {
        // A guard may live where the isolate is entered, and the engine waits where a finalizer runs.
        let put_off = in_finalizer() || H::RELEASING_RUNS_CODE && self.entered.get() != 0;
        // A statement of its own, so that the slots are not borrowed: what goes with the root may be any code.
        let released = self.slots.borrow_mut().release(slot, put_off);
        if let Some(root) = released {
            self.release_now(root);
        }
    }

    #[track_caller]
    fn externalize(&self, slot: usize) -> Result<BackingStore, Error> {
        self.host()?.externalize(self.rooted(slot))
    }
}
