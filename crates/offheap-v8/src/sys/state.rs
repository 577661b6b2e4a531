//! The state that is kept for each isolate of V8, the program's or ours, in a slot of the isolate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use offheap::IsolateId;
use offheap::adapter::IsolateRegistration;
use offheap_engine::memory::{EndedCount, EngineMadeStores, LastIsolate};
use offheap_engine::{in_finalizer, refused_in_finalizer};

use super::block::Block;
use super::ended;
use super::heap_limit::HeapLimit;
use super::natives;
use super::platform;
use super::realm::Realm;
use crate::{ENGINE, Error};

pub(crate) struct State {
    /// Every hold has it too: V8 releases buffers after it dropped its slots, and only then may the id be reused.
    registration: Arc<IsolateRegistration>,
    realm: Mutex<Option<Arc<Realm>>>,
    /// Stores over V8's own memory. They count as exposed until V8 has released the memory.
    engine_made: Mutex<EngineMadeStores<Block>>,
    /// Whether a program ever had a scope of this isolate of ours, and so may have taken V8's blocks out of it.
    lent: AtomicBool,
    /// Watches the heap of an isolate of ours.
    heap_limit: OnceLock<Arc<HeapLimit>>,
}

/// The slot, with its isolate. An isolate of the crate `v8` 152.2 may move between threads (`v8::SharedIsolate`), and the
/// crate does not ask a slot whether it is `Send`. [`Realm`] only has handles of the crate, which may move in the versions
/// in which isolates do.
struct Slot(Arc<State>, RawIsolate);

const _: () = {
    const fn moves_between_threads<T: Send + Sync>() {}
    moves_between_threads::<(Arc<IsolateRegistration>, Mutex<EngineMadeStores<Block>>, Arc<HeapLimit>, RawIsolate)>();
};

struct RawIsolate(v8::UnsafeRawIsolatePtr);

// SAFETY: I-OWNER-SEND: this is an address. Only the slot's drop uses it, on the isolate's thread.
unsafe impl Send for RawIsolate {}
// SAFETY: I-OWNER-SEND: only the slot's drop uses the address, as above.
unsafe impl Sync for RawIsolate {}

impl Drop for Slot {
    fn drop(&mut self) {
        ENDED.note();
        // The isolate ends, so its script no longer runs. Script of another isolate may still have its memory.
        let stores = EngineMadeStores::end(&self.0.engine_made);
        if !stores.is_empty() {
            // SAFETY: I-NO-JS-OWNER: the crate drops the slots of an isolate that it is about to dispose of, on the
            // isolate's thread.
            let mut isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(self.1.0) };
            ended::leave(&mut isolate, stores, Arc::clone(&self.0.registration));
        }
        let realm = self.0.lock_realm().take();
        if let Some(realm) = realm.and_then(Arc::into_inner) {
            realm.end();
        }
    }
}

impl State {
    fn new(registration: Arc<IsolateRegistration>) -> Self {
        let (realm, engine_made, heap_limit) = Default::default();
        State { registration, realm, engine_made, lent: AtomicBool::new(false), heap_limit }
    }

    pub(crate) fn isolate(&self) -> IsolateId {
        self.registration.id()
    }

    pub(crate) fn registration(&self) -> &Arc<IsolateRegistration> {
        &self.registration
    }

    /// The stores over V8's own memory.
    pub(super) fn engine_made(&self) -> &Mutex<EngineMadeStores<Block>> {
        &self.engine_made
    }

    /// Records that a program gets a scope of this isolate of ours.
    pub(crate) fn note_lent(&self) {
        self.lent.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_lent(&self) -> bool {
        self.lent.load(Ordering::Relaxed)
    }

    pub(super) fn set_heap_limit(&self, heap_limit: Arc<HeapLimit>) {
        assert!(self.heap_limit.set(heap_limit).is_ok(), "an isolate has one heap");
    }

    /// The limit that script was stopped for, until it is restored.
    pub(crate) fn reached_heap_limit(&self) -> Option<&HeapLimit> {
        self.heap_limit.get().map(|heap_limit| &**heap_limit).filter(|heap_limit| heap_limit.is_reached())
    }

    fn lock_realm(&self) -> MutexGuard<'_, Option<Arc<Realm>>> {
        self.realm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// V8's own functions, from the context that an `Isolate` prepared. If there is none, makes a new context for them.
    pub(crate) fn realm(&self, scope: &mut v8::PinScope<'_, '_>) -> Result<Arc<Realm>, Error> {
        let made = self.lock_realm().clone();
        if let Some(realm) = made {
            return Ok(realm);
        }
        let realm = Arc::new(Realm::in_new_context(scope)?);
        *self.lock_realm() = Some(Arc::clone(&realm));
        Ok(realm)
    }

    /// Whether the realm was made and found that V8 enforces immutable buffers.
    pub(crate) fn enforces_immutable(&self) -> bool {
        self.lock_realm().as_ref().is_some_and(|realm| realm.enforces_immutable)
    }

    /// Takes the functions of the entered context, in which no user code has run yet.
    pub(crate) fn set_realm(&self, scope: &mut v8::PinScope<'_, '_>) -> Result<(), Error> {
        let realm = Realm::in_entered_context(scope)?;
        let before = self.lock_realm().replace(Arc::new(realm));
        assert!(before.is_none(), "an isolate is prepared once");
        Ok(())
    }
}

/// Checks that the adapter may be called in a scope of this isolate. Every function that takes a scope calls this. V8
/// assumes that everything it is given belongs to the current isolate, and mixes the heaps if it is called in a scope
/// of another one.
#[inline]
fn check_entered(isolate: &v8::Isolate) -> Result<(), Error> {
    match (in_finalizer(), natives::is_current(isolate)) {
        (true, _) => Err(refused_in_finalizer(ENGINE)),
        (false, true) => Ok(()),
        (false, false) => Err(Error::Unsupported {
            engine: ENGINE,
            what: "be called in this scope: its isolate is not the current one, because another was entered later",
            instead: "leave the other isolate first, or use a scope of it",
        }),
    }
}

/// The isolate is entered while this lives.
pub(crate) struct Entered(v8::Isolate);

impl Entered {
    /// Enters an isolate that lives on this thread, even if it or another one is already entered.
    pub(super) fn new(raw: v8::UnsafeRawIsolatePtr) -> Self {
        // SAFETY: I-NO-JS-OWNER: this is the caller's isolate, which lives.
        let isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(raw) };
        // SAFETY: I-BORROW: `drop` leaves it again, in reverse order, because this value does not leave its caller's
        // stack.
        unsafe { isolate.enter() };
        Entered(isolate)
    }

    pub(super) fn isolate(&mut self) -> &mut v8::Isolate {
        &mut self.0
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // SAFETY: I-BORROW: `new` entered it. Every isolate that was entered since has been left, in reverse order.
        unsafe { self.0.exit() };
    }
}

/// Enters the isolate of a scope, for functions that cannot return an error if it is not the current one.
pub(crate) fn enter(isolate: &v8::Isolate) -> Entered {
    // SAFETY: I-NO-JS-OWNER: it is used only for the call below, on the isolate's thread.
    Entered::new(unsafe { isolate.as_raw_isolate_ptr() })
}

/// Returns the state of an isolate. The first call makes it.
pub(crate) fn state(isolate: &mut v8::Isolate) -> Result<Arc<State>, Error> {
    check_entered(isolate)?;
    if let Some(Slot(state, _)) = isolate.get_slot::<Slot>() {
        return Ok(Arc::clone(state));
    }
    platform::started_by_the_program();
    set_state(isolate, Arc::new(IsolateRegistration::new(ENGINE)?))
}

/// Gives a new isolate the id of a registration.
pub(super) fn set_state(
    isolate: &mut v8::Isolate,
    registration: Arc<IsolateRegistration>,
) -> Result<Arc<State>, Error> {
    platform::check_sandbox()?;
    let state = Arc::new(State::new(registration));
    // SAFETY: I-NO-JS-OWNER: only the slot's drop uses it, while the isolate lives.
    let raw = unsafe { isolate.as_raw_isolate_ptr() };
    isolate.set_slot(Slot(Arc::clone(&state), RawIsolate(raw)));
    Ok(state)
}

/// The id of an isolate if it already has a state. Without a state, none of its buffers is over a store.
pub(crate) fn known_isolate_id(isolate: &v8::Isolate) -> Result<Option<IsolateId>, Error> {
    check_entered(isolate)?;
    Ok(isolate.get_slot::<Slot>().map(|Slot(state, _)| state.isolate()))
}

static ENDED: EndedCount = EndedCount::new();

thread_local! {
    static LAST: LastIsolate = const { LastIsolate::new() };
}

/// The id of an isolate, or `None` if it has no id or there is an error to report.
#[inline]
pub(super) fn quick_isolate_id(isolate: &v8::Isolate) -> Option<IsolateId> {
    let current = natives::current_if(isolate)?;
    if in_finalizer() {
        return None;
    }
    LAST.with(|last| {
        last.get(&ENDED, current.addr()).or_else(|| {
            let find = || isolate.get_slot::<Slot>().map(|Slot(state, _)| state.isolate()).ok_or(());
            last.find(&ENDED, current.addr(), find).ok()
        })
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::atomic::AtomicUsize;

    use offheap::observe::{Event, EventKind, Observer, set_observer};

    use super::*;
    use crate::ScopeExt;

    /// Counts how often the lock of this state was free when the observer was told of a release.
    struct Looks {
        free: AtomicUsize,
        held: AtomicUsize,
    }
    static LOOKS: Looks = Looks { free: AtomicUsize::new(0), held: AtomicUsize::new(0) };

    thread_local! {
        /// The state that is looked at, by the thread on which its isolate ends.
        static STATE: RefCell<Option<Arc<State>>> = const { RefCell::new(None) };
    }

    impl Observer for Looks {
        fn event(&self, event: &Event) {
            STATE.with_borrow(|state| {
                if let (EventKind::Released { .. }, Some(state)) = (event.kind, state) {
                    let looks = if state.engine_made.try_lock().is_ok() { &self.free } else { &self.held };
                    looks.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    }

    #[test]
    fn b14_no_lock_is_held_while_exposures_are_dropped_at_an_isolate_s_end() {
        set_observer(&LOOKS).unwrap();
        let mut isolate = crate::Isolate::builder().v8_allocator().build().unwrap();
        isolate.enter(|scope| {
            let buffer = scope.eval_buffer("globalThis.buffer = new ArrayBuffer(64)").unwrap();
            scope.externalize(&buffer).unwrap();
            let state = scope.with_v8(|scope| super::state(scope)).unwrap();
            STATE.set(Some(state));
        });
        drop(isolate);
        assert_eq!((LOOKS.free.load(Ordering::SeqCst), LOOKS.held.load(Ordering::SeqCst)), (1, 0));
    }
}
