//! What each thread keeps of its environments in the safe modes: whether an environment still lives, and how many bytes
//! went out in this turn of its event loop.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use napi::Env;
use napi_sys::{
    Status, ThreadsafeFunctionCallMode, ThreadsafeFunctionReleaseMode, napi_add_env_cleanup_hook,
    napi_adjust_external_memory, napi_call_threadsafe_function, napi_close_handle_scope, napi_coerce_to_bool,
    napi_create_string_utf8, napi_create_threadsafe_function, napi_env, napi_get_boolean, napi_open_handle_scope,
    napi_release_threadsafe_function, napi_threadsafe_function, napi_unref_threadsafe_function, napi_value,
};

use super::napi::ok;
use crate::Error;

/// The bytes of buffers that may go out in one turn of the event loop. No host but Deno finalizes an ArrayBuffer before the
/// next turn, so a loop of script without one would keep all of them.
const MAX_BYTES_IN_TURN: usize = 64 << 20;

/// An environment of this thread.
pub(crate) struct Environment {
    raw: napi_env,
    /// Tells the next turn of the event loop.
    next_turn: napi_threadsafe_function,
    bytes_in_turn: Cell<usize>,
    /// The bytes of its live buffers that the host does not count itself.
    uncounted: Arc<AtomicUsize>,
    /// How many of them the host was told.
    told: Cell<usize>,
}

thread_local! {
    /// The environments of this thread that did not end: one for each addon that has its copy of this crate, mostly.
    static HERE: RefCell<Vec<Rc<Environment>>> = const { RefCell::new(Vec::new()) };
}

impl Environment {
    /// What is kept for this environment. The first call makes it.
    ///
    /// # Errors
    /// [`Error::EngineFailed`] if the environment is ending, or an exception is pending.
    pub(crate) fn of(env: &Env) -> Result<Rc<Self>, Error> {
        match Self::here(env.raw()) {
            Some(environment) => Ok(environment),
            None => Self::begin(env.raw()),
        }
    }

    fn here(raw: napi_env) -> Option<Rc<Self>> {
        // A thread that ends has no environments any more.
        let find = |here: &RefCell<Vec<Rc<Environment>>>| here.borrow().iter().find(|it| it.raw == raw).cloned();
        HERE.try_with(find).ok().flatten()
    }

    /// Whether this is an environment of this thread, in which buffers were made, and which did not end.
    pub(super) fn lives_here(raw: napi_env) -> bool {
        Self::here(raw).is_some()
    }

    #[cold]
    fn begin(raw: napi_env) -> Result<Rc<Self>, Error> {
        let attempted = "watch the event loop";
        let name = c"offheap";
        let mut name_of_resource = null_mut();
        // SAFETY: I-ENV: an environment of this thread, and a text of this length.
        ok(attempted, unsafe { napi_create_string_utf8(raw, name.as_ptr(), 7, &mut name_of_resource) })?;
        let mut next_turn = null_mut();
        // SAFETY: I-ENV: as above. `turned` takes any environment, and uses neither the context nor the data.
        let made = unsafe {
            napi_create_threadsafe_function(
                raw,
                null_mut(),
                null_mut(),
                name_of_resource,
                0,
                1,
                null_mut(),
                None,
                null_mut(),
                Some(turned),
                &mut next_turn,
            )
        };
        // Script may have run: a hook of `async_hooks` hears of the new function, and may make buffers.
        if let Some(environment) = Self::here(raw) {
            if made == Status::napi_ok {
                // SAFETY: I-ENV: it was just made, and nobody else has it.
                unsafe { napi_release_threadsafe_function(next_turn, ThreadsafeFunctionReleaseMode::abort) };
            }
            return Ok(environment);
        }
        ok(attempted, made)?;
        // It does not keep the event loop alive.
        // SAFETY: I-ENV: it was just made.
        ok(attempted, unsafe { napi_unref_threadsafe_function(raw, next_turn) })?;
        // Hooks run in the reverse of the order in which they were added, so this one runs before the host's own for
        // `next_turn`.
        // SAFETY: I-ENV: the hook gets the environment, and only compares it.
        ok(attempted, unsafe { napi_add_env_cleanup_hook(raw, Some(ended), raw.cast()) })?;
        let environment = Rc::new(Environment {
            raw,
            next_turn,
            bytes_in_turn: Cell::new(0),
            uncounted: Arc::default(),
            told: Cell::new(0),
        });
        HERE.with(|here| here.borrow_mut().push(Rc::clone(&environment)));
        Ok(environment)
    }

    /// Whether so many bytes went out in this turn of the event loop that further ones are copied.
    pub(crate) fn is_turn_full(&self) -> bool {
        self.bytes_in_turn.get() >= MAX_BYTES_IN_TURN
    }

    /// Counts the bytes of a buffer that goes out in this turn of the event loop.
    pub(crate) fn count_in_turn(&self, byte_length: usize) {
        if byte_length == 0 {
            return;
        }
        if self.bytes_in_turn.get() == 0 {
            // SAFETY: I-ENV: it is released by `ended`, after which nobody finds this environment. If the host does not
            // take the call, the turn does not end, and buffers are copied.
            unsafe {
                napi_call_threadsafe_function(self.next_turn, null_mut(), ThreadsafeFunctionCallMode::nonblocking)
            };
        }
        self.bytes_in_turn.set(self.bytes_in_turn.get().saturating_add(byte_length));
    }

    /// The count of the bytes that the host does not count itself. Whoever adds to it calls [`tell`](Self::tell).
    pub(super) fn uncounted(&self) -> &Arc<AtomicUsize> {
        &self.uncounted
    }

    /// Tells the host how many bytes it does not count itself, so that it collects in time. May collect.
    pub(super) fn tell(&self) {
        let bytes = self.uncounted.load(Ordering::Relaxed);
        let change = (bytes as i64).wrapping_sub(self.told.replace(bytes) as i64);
        if change != 0 {
            // SAFETY: I-ENV: an environment of this thread that did not end.
            unsafe { napi_adjust_external_memory(self.raw, change, &mut 0) };
        }
    }
}

/// The event loop turned.
unsafe extern "C" fn turned(env: napi_env, _function: napi_value, _context: *mut c_void, _data: *mut c_void) {
    if let Some(environment) = Environment::here(env) {
        environment.bytes_in_turn.set(0);
        environment.tell();
    }
}

/// The environment ends.
unsafe extern "C" fn ended(env: *mut c_void) {
    let Some(environment) = Environment::here(env.cast()) else { return };
    let _ = HERE.try_with(|here| here.borrow_mut().retain(|it| !Rc::ptr_eq(it, &environment)));
    // SAFETY: I-ENV: it lives, by the order of hooks, and nobody calls it any more.
    unsafe { napi_release_threadsafe_function(environment.next_turn, ThreadsafeFunctionReleaseMode::abort) };
}

/// Whether the environment, which [lives here](Environment::lives_here), runs script. It does not while it ends. This runs no
/// script.
pub(super) fn runs_script(env: napi_env) -> bool {
    let (mut scope, mut value) = (null_mut(), null_mut());
    // SAFETY: I-ENV: an environment of this thread that did not end.
    if unsafe { napi_open_handle_scope(env, &mut scope) } != Status::napi_ok {
        return false;
    }
    // SAFETY: I-ENV: as above.
    let got = unsafe { napi_get_boolean(env, true, &mut value) };
    // Of the functions that are refused when the environment ends, this one does the least.
    // SAFETY: I-ENV: as above, and a value of the scope.
    let runs = got == Status::napi_ok && unsafe { napi_coerce_to_bool(env, value, &mut value) } == Status::napi_ok;
    // SAFETY: I-ENV: the scope that was opened above.
    unsafe { napi_close_handle_scope(env, scope) };
    runs
}
