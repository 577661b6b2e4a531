//! The ids of isolates, and their registration by adapters.

use std::fmt;
use std::num::NonZeroU16;
// Not through `crate::sync`: a static cannot be a loom atomic, and a sum needs no model.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Error;

/// The id of a live instance of an engine.
///
/// An id is used again once its isolate has ended. Two isolates that live at the same time never share one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IsolateId(NonZeroU16);

/// The least id of a host. The ids of hosts are the greatest, so the access word tells them by one comparison.
pub(crate) const FIRST_HOST: u16 = 0xff00;

/// The isolates that are no hosts.
static ENGINES: Mutex<Registry> = Mutex::new(Registry::new(1, FIRST_HOST - 1));
/// The hosts. The last bit pattern stands for freed manual memory.
static HOSTS: Mutex<Registry> = Mutex::new(Registry::new(FIRST_HOST, u16::MAX - 1));

/// The external bytes of each isolate, indexed by its bits, in two parts. Each part may be negative; their sum never is.
///
/// In most programs one thread exposes and releases. It has a part of its own, which it changes without locked
/// instructions. These would be a fifth of the cost of exposing (`quickjs_expose_64` of the benchmark `peers`). V8 releases on
/// threads of its own, so the part of the others is in other cache lines.
///
/// The pages are touched as isolates are made; the rest costs only address space.
static BY_THREAD: [ByThread; 1 << 16] = [const { ByThread::new() }; 1 << 16];
static BY_OTHERS: [AtomicUsize; 1 << 16] = [const { AtomicUsize::new(0) }; 1 << 16];

struct ByThread {
    /// The thread that registered the isolate, by its [`thread_mark`]; 0 once the isolate has ended.
    thread: AtomicUsize,
    bytes: AtomicUsize,
}

impl ByThread {
    const fn new() -> Self {
        ByThread { thread: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }
}

/// A number other than 0 that no other live thread has.
#[inline]
fn thread_mark() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}

/// The live isolates of one sort.
struct Registry {
    /// Slot `n` is for the isolate with the bits `first + n`.
    isolates: Vec<Registered>,
    free: Vec<u16>,
    first: u16,
    last: u16,
}

struct Registered {
    engine: &'static str,
    /// The name that the program gave, while the isolate lives.
    name: Option<Box<str>>,
}

/// The most bytes of a name that are kept.
const LONGEST_NAME: usize = 256;

impl Registry {
    const fn new(first: u16, last: u16) -> Self {
        Registry { isolates: Vec::new(), free: Vec::new(), first, last }
    }

    /// Registers an isolate, and returns its bits.
    fn register(&mut self, engine: &'static str) -> Result<u16, Error> {
        if let Some(bits) = self.free.pop() {
            self.slot(bits).expect("it was registered before").engine = engine;
            return Ok(bits);
        }
        let limit = usize::from(self.last - self.first) + 1;
        if self.isolates.len() == limit {
            return Err(Error::TooManyIsolates { limit });
        }
        // Reserve room to free all ids too, since the end of an isolate must not fail.
        let requested = size_of::<Registered>();
        let missing = self.isolates.len() + 1 - self.free.len();
        let reserved = self.isolates.try_reserve(1).and_then(|()| self.free.try_reserve(missing));
        reserved.map_err(|_| Error::OutOfMemory { requested })?;
        self.isolates.push(Registered { engine, name: None });
        Ok(self.first + (self.isolates.len() - 1) as u16)
    }

    fn slot(&mut self, bits: u16) -> Option<&mut Registered> {
        self.isolates.get_mut(usize::from(bits - self.first))
    }
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

    /// Whether this is a host, as [`IsolateRegistration::host`](crate::adapter::IsolateRegistration::host) registers it.
    #[inline]
    pub fn is_host(self) -> bool {
        self.bits() >= FIRST_HOST
    }

    fn registry(self) -> MutexGuard<'static, Registry> {
        let registry = if self.is_host() { &HOSTS } else { &ENGINES };
        registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the id, counted from 1; those of hosts are counted from 65,280.
    pub fn number(self) -> u64 {
        u64::from(self.bits())
    }

    /// The bytes that this isolate keeps alive through its live buffers. Each store counts once, a resizable one with all
    /// bytes that it has reserved. Manual, shared, frozen and mapped memory, and an engine's own, does not count.
    pub fn external_bytes(self) -> usize {
        let (by_thread, by_others) = (&self.by_thread().bytes, self.by_others());
        let sum = by_thread.load(Ordering::Relaxed).wrapping_add(by_others.load(Ordering::Relaxed));
        // Between the two loads another thread may subtract bytes whose addition is not seen yet.
        sum.cast_signed().max(0).cast_unsigned()
    }

    #[inline]
    fn by_thread(self) -> &'static ByThread {
        &BY_THREAD[usize::from(self.bits())]
    }

    #[inline]
    fn by_others(self) -> &'static AtomicUsize {
        &BY_OTHERS[usize::from(self.bits())]
    }

    #[inline]
    pub(crate) fn add_external_bytes(self, byte_length: usize) {
        let ByThread { thread, bytes } = self.by_thread();
        if thread.load(Ordering::Relaxed) == thread_mark() {
            // No other thread stores to this part, so no other store comes between the load and the store.
            bytes.store(bytes.load(Ordering::Relaxed).wrapping_add(byte_length), Ordering::Relaxed);
        } else {
            self.by_others().fetch_add(byte_length, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn subtract_external_bytes(self, byte_length: usize) {
        self.add_external_bytes(byte_length.wrapping_neg());
    }

    /// The engine, as the adapter named it at registration: `"QuickJS"`.
    pub fn engine(self) -> &'static str {
        self.registered(|isolate| isolate.engine).unwrap_or("isolate")
    }

    /// The name that the program gave to the living isolate with this id. `None` if it gave none, if the isolate has ended,
    /// or if there is no memory for the text.
    ///
    /// An observer may call this. An id is used again, so an observer that keeps ids asks for the name while the isolate
    /// lives: at the first event that has the id.
    pub fn name(self) -> Option<String> {
        self.registered(|isolate| isolate.name.as_deref().and_then(copy_of)).flatten()
    }

    fn registered<R>(self, look: impl FnOnce(&Registered) -> R) -> Option<R> {
        self.registry().slot(self.bits()).map(|isolate| look(isolate))
    }
}

/// A copy of a text; `None` if there is no memory.
fn copy_of(text: &str) -> Option<String> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).ok()?;
    copy.push_str(text);
    Some(copy)
}

impl fmt::Display for IsolateId {
    /// `V8 isolate 3`, or `V8 isolate 3 "worker"` if the isolate has a name. A host: `host Node`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_host() {
            true => write!(f, "host {}", self.engine())?,
            false => write!(f, "{} isolate {}", self.engine(), self.0)?,
        }
        match self.name() {
            Some(name) => write!(f, " {name:?}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for IsolateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IsolateId({self})")
    }
}

/// The registration of a living isolate, held by its adapter; dropped when the isolate has ended.
///
/// It must not be dropped earlier: the next isolate may get the id at once, and would then count as the one that has the
/// stores. So its place is a field after that of the engine. Any thread may make or drop one.
#[derive(Debug)]
pub struct IsolateRegistration(IsolateId);

impl IsolateRegistration {
    /// Registers an isolate of the engine with this name.
    ///
    /// # Errors
    /// [`Error::TooManyIsolates`] when 65,279 are alive, [`Error::OutOfMemory`].
    pub fn new(engine: &'static str) -> Result<Self, Error> {
        Self::in_registry(&ENGINES, engine)
    }

    /// Registers a host: a program such as Node that runs script in isolates of its own. All its isolates are one
    /// registration, which lives as long as the process.
    ///
    /// A host differs from an isolate in two ways. It moves buffers between its isolates untold. And its functions write
    /// into memory while no script runs: in Node a pending `fs.read` wrote into memory whose buffer had been detached. So
    /// nobody can tell when the bytes are free to be lent, and memory that a host has, or ever had, is treated with care:
    ///
    /// - Safe code gets copies of it, and the atomics of shared memory. Slices, taking it back as a
    ///   [`UniqueStore`](crate::UniqueStore), resizing it, freeing it by hand, and exposing it in an isolate that is no host
    ///   are [`Error::HostMayWrite`], also after the last buffer is gone.
    ///   [`BackingStore::assume_host_is_done`](crate::BackingStore::assume_host_is_done) ends that.
    /// - Memory that a host does not have yet is as anywhere else.
    /// - An unshared store has one live buffer at a time.
    /// - Read-only memory is not exposed ([`Error::ReadOnlyInHost`]), since functions of hosts write into immutable
    ///   buffers too.
    /// - The unsafe functions of this module that lend bytes in an isolate lend them in a host too. Their caller promises
    ///   more there.
    ///
    /// # Errors
    /// [`Error::TooManyIsolates`] when 255 hosts are alive, [`Error::OutOfMemory`].
    pub fn host(name: &'static str) -> Result<Self, Error> {
        Self::in_registry(&HOSTS, name)
    }

    fn in_registry(registry: &Mutex<Registry>, engine: &'static str) -> Result<Self, Error> {
        let mut registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
        let id = IsolateId::from_bits(registry.register(engine)?).expect("ids begin at 1");
        // Under the lock, so that this thread sees the stores of the thread that had an ended isolate with this id.
        id.by_thread().thread.store(thread_mark(), Ordering::Relaxed);
        Ok(IsolateRegistration(id))
    }

    /// The isolate's id.
    pub fn id(&self) -> IsolateId {
        self.0
    }

    /// Gives the isolate a name, which [`IsolateId::name`] returns until this value is dropped. At most 256 bytes are kept.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn set_name(&self, name: &str) -> Result<(), Error> {
        let longest = name.len().min(LONGEST_NAME);
        let name = (0..=longest).rev().find_map(|end| name.get(..end)).unwrap_or_default();
        let name = copy_of(name).ok_or(Error::OutOfMemory { requested: name.len() })?;
        // The copy has no spare room, so this allocates nothing.
        self.0.registry().slot(self.0.bits()).expect("registered").name = Some(name.into_boxed_str());
        Ok(())
    }
}

impl Drop for IsolateRegistration {
    fn drop(&mut self) {
        let mut registry = self.0.registry();
        self.0.by_thread().thread.store(0, Ordering::Relaxed);
        registry.slot(self.0.bits()).expect("registered").name = None;
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
    fn ids_of_one_sort_end_before_those_of_the_other() {
        let mut registry = Registry::new(FIRST_HOST - 2, FIRST_HOST - 1);
        assert_eq!([(); 2].map(|()| registry.register("Model").unwrap()), [FIRST_HOST - 2, FIRST_HOST - 1]);
        assert!(matches!(registry.register("Model"), Err(Error::TooManyIsolates { limit: 2 })));
        registry.free.push(FIRST_HOST - 2);
        assert_eq!(registry.register("Other").unwrap(), FIRST_HOST - 2);
        assert_eq!(registry.slot(FIRST_HOST - 2).unwrap().engine, "Other");
    }

    #[test]
    fn a_name_belongs_to_the_isolate_that_lives() {
        let registration = IsolateRegistration::new("Model").unwrap();
        let id = registration.id();
        assert_eq!((id.name(), id.to_string()), (None, format!("Model isolate {}", id.bits())));
        registration.set_name("worker \"2\"\n").unwrap();
        assert_eq!(id.name().as_deref(), Some("worker \"2\"\n"));
        assert_eq!(id.to_string(), format!("Model isolate {} \"worker \\\"2\\\"\\n\"", id.bits()));
        drop(registration);
        assert_eq!(id.name(), None);
    }

    #[test]
    fn a_name_is_kept_up_to_256_bytes() {
        let registration = IsolateRegistration::new("Model").unwrap();
        registration.set_name(&"ü".repeat(1000)).unwrap();
        assert_eq!(registration.id().name().unwrap(), "ü".repeat(128));
        registration.set_name(&format!("x{}", "ü".repeat(1000))).unwrap();
        assert_eq!(registration.id().name().unwrap().len(), 255);
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
