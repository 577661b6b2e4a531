//! The names of isolates, for those who write adapters to engines.

use std::fmt;
use std::num::NonZeroU16;
// Not through `crate::sync`: a static cannot be a loom atomic, and a sum needs no model.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::Error;

/// One living instance of an engine.
///
/// Ids are given out again once an isolate has ended; two isolates that live at the same time never share one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IsolateId(NonZeroU16);

/// The most isolates that may be alive at once. The last bit pattern stands for freed manual memory.
const MAX_ISOLATES: usize = u16::MAX as usize - 1;

/// Who is alive: slot `n` is the isolate with the bits `n + 1`.
static ENGINES: Mutex<Registry> = Mutex::new(Registry { names: Vec::new(), free: Vec::new() });

/// By the bits of the isolate. Pages of it are touched as isolates are made: the rest costs address space alone.
static EXTERNAL_BYTES: [ExternalBytes; 1 << 16] = [const { ExternalBytes::new() }; 1 << 16];

/// The external bytes of one isolate, in two parts of which each may be negative; their sum never is.
///
/// Mostly it is one thread that exposes and lets go. It has a part of its own, which it changes without the locked
/// instructions that would be a fifth of what exposing costs (`quickjs_expose_64` of the benchmark `peers`).
struct ExternalBytes {
    /// The thread that registered the isolate, by its [`thread_mark`]; 0 once the isolate has ended.
    thread: AtomicUsize,
    by_thread: AtomicUsize,
    by_others: AtomicUsize,
}

impl ExternalBytes {
    const fn new() -> Self {
        ExternalBytes { thread: AtomicUsize::new(0), by_thread: AtomicUsize::new(0), by_others: AtomicUsize::new(0) }
    }

    /// Adds `change`, which wraps where it is negative.
    #[inline]
    fn add(&self, change: usize) {
        if self.thread.load(Ordering::Relaxed) == thread_mark() {
            // Nobody else stores to this part, so nothing comes between the load and the store.
            self.by_thread.store(self.by_thread.load(Ordering::Relaxed).wrapping_add(change), Ordering::Relaxed);
        } else {
            self.by_others.fetch_add(change, Ordering::Relaxed);
        }
    }
}

/// A number that no other living thread has, and not 0.
#[inline]
fn thread_mark() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}

struct Registry {
    names: Vec<&'static str>,
    free: Vec<u16>,
}

impl IsolateId {
    #[inline]
    pub(crate) fn from_bits(bits: u16) -> Option<IsolateId> {
        NonZeroU16::new(bits).map(IsolateId)
    }

    #[inline]
    pub(crate) fn bits(self) -> u16 {
        self.0.get()
    }

    /// The bytes of stores that live buffers of this isolate are over, each store once: of those that an owner frees and
    /// script may write (resizable ones with all that they reserve). Manual, shared, frozen and mapped memory is 0.
    pub fn external_bytes(self) -> usize {
        let ExternalBytes { by_thread, by_others, .. } = self.external();
        let sum = by_thread.load(Ordering::Relaxed).wrapping_add(by_others.load(Ordering::Relaxed));
        // Between the two loads, or between a step and its count, another thread may take away what was not yet added.
        sum.cast_signed().max(0).cast_unsigned()
    }

    #[inline]
    fn external(self) -> &'static ExternalBytes {
        &EXTERNAL_BYTES[usize::from(self.bits())]
    }

    #[inline]
    pub(crate) fn add_external_bytes(self, byte_length: usize) {
        self.external().add(byte_length);
    }

    #[inline]
    pub(crate) fn subtract_external_bytes(self, byte_length: usize) {
        self.external().add(byte_length.wrapping_neg());
    }

    /// The engine, as the adapter named it at registration: `"QuickJS"`.
    pub fn engine(self) -> &'static str {
        let registry = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
        registry.names.get(usize::from(self.bits()) - 1).copied().unwrap_or("isolate")
    }
}

impl fmt::Display for IsolateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} isolate {}", self.engine(), self.0)
    }
}

impl fmt::Debug for IsolateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IsolateId({self})")
    }
}

/// The registration of a living isolate, held by its adapter; dropped when the isolate has ended.
///
/// Not earlier: the id may be given to the next isolate at once, which then counts as the one that has the stores. A
/// field after that of the engine is the place for it. Any thread may make or drop one.
#[derive(Debug)]
pub struct IsolateRegistration(IsolateId);

impl IsolateRegistration {
    /// Registers an isolate of the engine with this name.
    ///
    /// # Errors
    /// [`Error::TooManyIsolates`] when 65,534 are alive, [`Error::OutOfMemory`].
    pub fn new(engine: &'static str) -> Result<Self, Error> {
        let mut registry = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
        let bits = match registry.free.pop() {
            Some(bits) => {
                registry.names[usize::from(bits) - 1] = engine;
                bits
            }
            None if registry.names.len() == MAX_ISOLATES => {
                return Err(Error::TooManyIsolates { limit: MAX_ISOLATES });
            }
            None => {
                // Room to free all ids too, since nothing may fail when an isolate ends.
                let requested = size_of::<&str>();
                let missing = registry.names.len() + 1 - registry.free.len();
                let reserved = registry.names.try_reserve(1).and_then(|()| registry.free.try_reserve(missing));
                reserved.map_err(|_| Error::OutOfMemory { requested })?;
                registry.names.push(engine);
                registry.names.len() as u16
            }
        };
        let id = IsolateId::from_bits(bits).expect("ids begin at 1");
        // Under the lock: what the thread of an ended isolate with this id stored is seen by this one.
        id.external().thread.store(thread_mark(), Ordering::Relaxed);
        Ok(IsolateRegistration(id))
    }

    /// The isolate's id.
    pub fn id(&self) -> IsolateId {
        self.0
    }
}

impl Drop for IsolateRegistration {
    fn drop(&mut self) {
        let mut registry = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.external().thread.store(0, Ordering::Relaxed);
        registry.free.push(self.0.bits());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_living_isolates_never_share_an_id() {
        let first = IsolateRegistration::new("QuickJS").unwrap();
        let second = IsolateRegistration::new("Model").unwrap();
        assert_ne!(first.id(), second.id());
        assert_eq!(second.id().engine(), "Model");
        assert!(first.id().to_string().starts_with("QuickJS isolate "));
    }

    #[test]
    fn external_bytes_are_exact_whichever_threads_change_them() {
        let registration = IsolateRegistration::new("Model").unwrap();
        let id = registration.id();
        let before = id.external_bytes();
        id.add_external_bytes(100);
        std::thread::spawn(move || {
            id.add_external_bytes(7);
            id.subtract_external_bytes(100);
        })
        .join()
        .unwrap();
        assert_eq!(id.external_bytes() - before, 7);
        drop(registration);
        id.subtract_external_bytes(7);
        assert_eq!(id.external_bytes(), before);
    }
}
