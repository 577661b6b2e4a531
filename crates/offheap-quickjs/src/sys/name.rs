//! The id of a runtime as an isolate. The runtime has it for as long as it has objects.
//!
//! A runtime that is dropped first drops its user data, which includes [`State`](super::state::State), and then
//! frees its objects. Any code may run in between: user data of the program may have a `Ctx` and run script when it
//! is dropped. The runtime's buffers are still over stores then, so no other isolate may get the id; and nothing
//! can be made in the runtime any more.

use std::cell::{Cell, OnceCell};
use std::ffi::c_void;
use std::ptr;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use offheap::IsolateId;
use offheap::adapter::IsolateRegistration;
use rquickjs::{Ctx, qjs};

use crate::{ENGINE, Error};

/// The id, in the state of the runtime.
#[derive(Default)]
pub(super) struct Name(OnceCell<Rc<Named>>);

/// The record that a runtime keeps until it has freed its objects.
struct Named {
    registration: Cell<Option<IsolateRegistration>>,
    isolate: IsolateId,
    runtime: *mut qjs::JSRuntime,
    /// The next record in the list of runtimes that are ending.
    next: Cell<*const Named>,
}

thread_local! {
    /// Runtimes whose user data was dropped on this thread, and whose objects are not freed yet.
    static ENDING: Cell<*const Named> = const { Cell::new(ptr::null()) };
}

/// The runtimes that have ids, by their addresses, on all threads. A callback that frees memory gets only the runtime.
static RUNTIMES: Mutex<Vec<(usize, IsolateId)>> = Mutex::new(Vec::new());

fn lock_runtimes() -> MutexGuard<'static, Vec<(usize, IsolateId)>> {
    RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The id of a runtime, which may be freeing its objects. For the observer: it takes a lock.
pub(super) fn isolate_of(runtime: *mut qjs::JSRuntime) -> Option<IsolateId> {
    lock_runtimes().iter().find(|known| known.0 == runtime.addr()).map(|known| known.1)
}

impl Name {
    /// The id, if the runtime has one.
    pub(super) fn get(&self) -> Option<IsolateId> {
        self.0.get().map(|named| named.isolate)
    }

    /// Gives the runtime of `ctx` an id, unless it has one.
    ///
    /// # Errors
    /// [`Error::Memory`] if too many isolates are alive, [`Error::EngineFailed`] if there is no memory.
    #[inline]
    pub(super) fn give(&self, ctx: &Ctx<'_>) -> Result<(), Error> {
        if self.0.get().is_some() { Ok(()) } else { self.give_new(ctx) }
    }

    /// Gives the isolate a name for reports, after [`give`](Self::give).
    pub(super) fn set_isolate_name(&self, name: &str) -> Result<(), Error> {
        let named = self.0.get().expect("it has an id");
        let registration = named.registration.take();
        let set = registration.as_ref().expect("it has not ended").set_name(name);
        named.registration.set(registration);
        Ok(set?)
    }

    fn give_new(&self, ctx: &Ctx<'_>) -> Result<(), Error> {
        let registration = IsolateRegistration::new(ENGINE)?;
        let (isolate, runtime) = (registration.id(), runtime_of(ctx));
        // Room for its entry first: nothing fails once the runtime has the finalizer, which removes the entry.
        let mut runtimes = lock_runtimes();
        let requested = size_of::<(usize, IsolateId)>();
        runtimes.try_reserve(1).map_err(|_| offheap::Error::OutOfMemory { requested })?;
        let next = Cell::new(ptr::null());
        let named = Rc::new(Named { registration: Cell::new(Some(registration)), isolate, runtime, next });
        let raw = Rc::into_raw(Rc::clone(&named));
        // SAFETY: a live runtime; `ended` takes back the pointer that it gets.
        if unsafe { qjs::JS_AddRuntimeFinalizer(runtime, Some(ended), raw.cast_mut().cast()) } != 0 {
            // SAFETY: I-FREE-ONCE: made above, and no other code got it.
            drop(unsafe { Rc::from_raw(raw) });
            return Err(Error::EngineFailed { engine: ENGINE, attempted: "register a finalizer of the runtime" });
        }
        runtimes.push((runtime.addr(), isolate));
        drop(runtimes);
        assert!(self.0.set(named).is_ok(), "a name is given once");
        Ok(())
    }
}

impl Drop for Name {
    /// The runtime drops its user data, and will end on this thread.
    fn drop(&mut self) {
        if let Some(named) = self.0.get().filter(|named| Rc::strong_count(named) != 1) {
            named.next.set(ENDING.replace(Rc::as_ptr(named)));
        }
    }
}

/// The finalizer of a runtime: QuickJS has freed the runtime's objects.
unsafe extern "C" fn ended(_rt: *mut qjs::JSRuntime, named: *mut c_void) {
    // SAFETY: I-FREE-ONCE: the pointer was given together with this function, which is called once.
    let named = unsafe { Rc::from_raw(named.cast_const().cast::<Named>()) };
    // Before the id is free, and before another runtime can get the address.
    lock_runtimes().retain(|known| known.0 != named.runtime.addr());
    named.registration.take();
    let ending = Rc::as_ptr(&named);
    if ENDING.get() == ending {
        ENDING.set(named.next.get());
        return;
    }
    let mut at = ENDING.get();
    // SAFETY: I-FREE-ONCE: a record in the list is kept alive until this function removes it.
    while let Some(before) = unsafe { at.as_ref() } {
        if before.next.get() == ending {
            before.next.set(named.next.get());
        }
        at = before.next.get();
    }
}

/// Returns an error if the runtime of `ctx` has dropped its state.
pub(super) fn check_not_ending(ctx: &Ctx<'_>) -> Result<(), Error> {
    let mut at = ENDING.get();
    // SAFETY: I-FREE-ONCE: a record in the list is kept alive until `ended` removes it.
    while let Some(named) = unsafe { at.as_ref() } {
        if named.runtime == runtime_of(ctx) {
            return Err(Error::Unsupported {
                engine: ENGINE,
                what: "do anything in a runtime that is being dropped",
                instead: "do it before, while the runtime lives",
            });
        }
        at = named.next.get();
    }
    Ok(())
}

fn runtime_of(ctx: &Ctx<'_>) -> *mut qjs::JSRuntime {
    // SAFETY: reads a field of a live context.
    unsafe { qjs::JS_GetRuntime(ctx.as_raw().as_ptr()) }
}
