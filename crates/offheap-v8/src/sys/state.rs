//! What is kept per isolate of V8, the program's own or ours: in a slot of the isolate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offheap::IsolateId;
use offheap::adapter::IsolateRegistration;
use offheap_engine::memory::{EndedCount, EngineMadeStores, LastIsolate};
use offheap_engine::{in_finalizer, refused_in_finalizer};

use super::block::Block;
use super::ended;
use super::natives;
use super::platform;
use super::realm::Realm;
use crate::{ENGINE, Error};

pub(crate) struct State {
    /// Every hold has it too: V8 lets go of buffers after it dropped its slots, and the id is given out again.
    registration: Arc<IsolateRegistration>,
    realm: Mutex<Option<Arc<Realm>>>,
    /// Stores over V8's own memory, which count as exposed until V8 let go of it.
    engine_made: Mutex<EngineMadeStores<Block>>,
    /// Whether a program ever had a scope of this isolate of ours, and may have taken blocks of V8's out of it.
    lent: AtomicBool,
}

/// The slot, with its isolate. That may be one that moves between threads, which nobody asks a slot about.
struct Slot(Arc<State>, RawIsolate);

struct RawIsolate(v8::UnsafeRawIsolatePtr);

// SAFETY: I-OWNER-SEND: an address; only the slot's drop uses it, where the isolate is.
unsafe impl Send for RawIsolate {}
// SAFETY: I-OWNER-SEND: as above.
unsafe impl Sync for RawIsolate {}

const _: () = {
    const fn moves_between_threads<T: Send + Sync>() {}
    moves_between_threads::<Slot>();
};

impl Drop for Slot {
    fn drop(&mut self) {
        ENDED.note();
        // The isolate ends: no script of it runs any more. That of another one may have its memory.
        let stores = EngineMadeStores::end(&self.0.engine_made);
        if !stores.is_empty() {
            // SAFETY: I-NO-JS-OWNER: the crate drops the slots of an isolate that it is about to dispose of, on its thread.
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
        State { registration, realm: Mutex::default(), engine_made: Mutex::default(), lent: AtomicBool::new(false) }
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

    /// Notes that a program gets a scope of this isolate of ours.
    pub(crate) fn note_lent(&self) {
        self.lent.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_lent(&self) -> bool {
        self.lent.load(Ordering::Relaxed)
    }

    fn lock_realm(&self) -> MutexGuard<'_, Option<Arc<Realm>>> {
        self.realm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// V8's own functions: those of the context that an `Isolate` prepared, otherwise of one that is made now.
    pub(crate) fn realm(&self, scope: &mut v8::PinScope<'_, '_>) -> Result<Arc<Realm>, Error> {
        let made = self.lock_realm().clone();
        if let Some(realm) = made {
            return Ok(realm);
        }
        let realm = Arc::new(Realm::in_new_context(scope)?);
        *self.lock_realm() = Some(Arc::clone(&realm));
        Ok(realm)
    }

    /// Whether the realm was made, and found immutable buffers enforced.
    pub(crate) fn enforces_immutable(&self) -> bool {
        self.lock_realm().as_ref().is_some_and(|realm| realm.enforces_immutable)
    }

    /// Takes the functions of the entered context, in which no user code ran yet.
    pub(crate) fn set_realm(&self, scope: &mut v8::PinScope<'_, '_>) -> Result<(), Error> {
        let realm = Realm::in_entered_context(scope)?;
        let before = self.lock_realm().replace(Arc::new(realm));
        assert!(before.is_none(), "an isolate is prepared once");
        Ok(())
    }
}

/// Whether the adapter may be called in a scope of this isolate. Every verb that takes a scope comes through here. V8 takes
/// the current isolate for that of whatever it is given: in another one's scope it mixes their heaps.
#[inline]
fn check_entered(isolate: &v8::Isolate) -> Result<(), Error> {
    match (in_finalizer(), natives::is_current(isolate)) {
        (true, _) => Err(refused_in_finalizer(ENGINE)),
        (false, true) => Ok(()),
        (false, false) => Err(Error::Unsupported {
            engine: ENGINE,
            what: "be called in this scope: its isolate is not the current one, since another was entered inside of it",
            instead: "leave that one first, or use a scope of it",
        }),
    }
}

/// The isolate is entered while this lives.
pub(crate) struct Entered(v8::Isolate);

impl Entered {
    /// Enters an isolate that lives on this thread, also where another one is entered, or this one.
    pub(super) fn new(raw: v8::UnsafeRawIsolatePtr) -> Self {
        // SAFETY: I-NO-JS-OWNER: the caller's isolate, which lives.
        let isolate = unsafe { v8::Isolate::from_raw_isolate_ptr(raw) };
        // SAFETY: I-BORROW: left again by `drop`, in reverse order, since it does not leave its caller's stack.
        unsafe { isolate.enter() };
        Entered(isolate)
    }

    pub(super) fn isolate(&mut self) -> &mut v8::Isolate {
        &mut self.0
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // SAFETY: I-BORROW: entered when this was made; whatever was entered since has been left, in reverse order.
        unsafe { self.0.exit() };
    }
}

/// Enters the isolate of a scope: for what has no error to give where it is not the current one.
pub(crate) fn enter(isolate: &v8::Isolate) -> Entered {
    // SAFETY: I-NO-JS-OWNER: used for the call below, which is on the isolate's thread.
    Entered::new(unsafe { isolate.as_raw_isolate_ptr() })
}

/// The state of an isolate, which is made at the first call.
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

/// The id of an isolate, where it was asked for its state before: without that it has no buffer over a store.
pub(crate) fn known_isolate_id(isolate: &v8::Isolate) -> Result<Option<IsolateId>, Error> {
    check_entered(isolate)?;
    Ok(isolate.get_slot::<Slot>().map(|Slot(state, _)| state.isolate()))
}

static ENDED: EndedCount = EndedCount::new();

thread_local! {
    static LAST: LastIsolate = const { LastIsolate::new() };
}

/// The same, and `None` where there is an error to tell.
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
    use std::sync::OnceLock;
    use std::sync::atomic::AtomicUsize;

    use offheap::observe::{Event, EventKind, Observer, set_observer};

    use super::*;
    use crate::ScopeExt;

    /// The state whose lock is looked at, and how often it was free when the observer was told of a release.
    struct Looks {
        state: OnceLock<Arc<State>>,
        free: AtomicUsize,
        held: AtomicUsize,
    }
    static LOOKS: Looks = Looks { state: OnceLock::new(), free: AtomicUsize::new(0), held: AtomicUsize::new(0) };

    impl Observer for Looks {
        fn event(&self, event: &Event) {
            if let (EventKind::Released { .. }, Some(state)) = (event.kind, self.state.get()) {
                let looks = if state.engine_made.try_lock().is_ok() { &self.free } else { &self.held };
                looks.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    #[test]
    fn b14_no_lock_is_held_while_exposures_are_dropped_at_an_isolate_s_end() {
        set_observer(&LOOKS).unwrap();
        let mut isolate = crate::Isolate::builder().v8_allocator().build().unwrap();
        isolate.enter(|scope| {
            let buffer = scope.eval_buffer("globalThis.buffer = new ArrayBuffer(64)").unwrap();
            scope.externalize(buffer.as_handle()).unwrap();
            let state = scope.with_v8(|scope| super::state(scope)).unwrap();
            assert!(LOOKS.state.set(state).is_ok());
        });
        drop(isolate);
        assert_eq!((LOOKS.free.load(Ordering::SeqCst), LOOKS.held.load(Ordering::SeqCst)), (1, 0));
    }
}
