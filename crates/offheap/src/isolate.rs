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
static EXTERNAL_BYTES: [AtomicUsize; 1 << 16] = [const { AtomicUsize::new(0) }; 1 << 16];

struct Registry {
    names: Vec<&'static str>,
    free: Vec<u16>,
}

impl IsolateId {
    pub(crate) fn from_bits(bits: u16) -> Option<IsolateId> {
        NonZeroU16::new(bits).map(IsolateId)
    }

    pub(crate) fn bits(self) -> u16 {
        self.0.get()
    }

    /// The bytes of unshared, writable stores that live buffers of this isolate are over, each store once.
    pub fn external_bytes(self) -> usize {
        EXTERNAL_BYTES[usize::from(self.bits())].load(Ordering::Relaxed)
    }

    pub(crate) fn add_external_bytes(self, byte_length: usize) {
        EXTERNAL_BYTES[usize::from(self.bits())].fetch_add(byte_length, Ordering::Relaxed);
    }

    pub(crate) fn subtract_external_bytes(self, byte_length: usize) {
        EXTERNAL_BYTES[usize::from(self.bits())].fetch_sub(byte_length, Ordering::Relaxed);
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
#[derive(Debug)]
pub struct IsolateRegistration(IsolateId);

impl IsolateRegistration {
    /// Registers an isolate of the engine with this name.
    ///
    /// # Errors
    /// [`Error::TooManyIsolates`] when 65,534 are alive.
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
                registry.names.push(engine);
                registry.names.len() as u16
            }
        };
        Ok(IsolateRegistration(IsolateId::from_bits(bits).expect("ids begin at 1")))
    }

    /// The isolate's id.
    pub fn id(&self) -> IsolateId {
        self.0
    }
}

impl Drop for IsolateRegistration {
    fn drop(&mut self) {
        let mut registry = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
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
}
