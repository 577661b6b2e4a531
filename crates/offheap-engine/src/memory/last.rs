//! The isolate that a thread used last, and its id: asking the engine for the id costs more than a buffer does.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use offheap::IsolateId;

/// Counts the isolates of an engine that ended: an address is that of the same isolate as long as the count stays. One static
/// for each engine.
pub struct EndedCount(AtomicU64);

/// The isolate that a thread used last. One thread local for each engine.
pub struct LastIsolate(Cell<Option<Last>>);

#[derive(Clone, Copy)]
struct Last {
    address: usize,
    id: IsolateId,
    ended: u64,
}

impl EndedCount {
    /// A count of 0.
    #[expect(clippy::new_without_default, reason = "for a static")]
    pub const fn new() -> Self {
        EndedCount(AtomicU64::new(0))
    }

    /// Counts an isolate that ends, before another one can have its address.
    pub fn note(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

impl LastIsolate {
    /// None yet.
    #[expect(clippy::new_without_default, reason = "for a thread local")]
    pub const fn new() -> Self {
        LastIsolate(Cell::new(None))
    }

    /// The id of the isolate at this address, where it is the one that this thread used last and has not ended.
    #[inline]
    pub fn get(&self, ended: &EndedCount, address: usize) -> Option<IsolateId> {
        let last = self.0.get()?;
        (last.address == address && last.ended == ended.0.load(Ordering::Acquire)).then_some(last.id)
    }

    /// Asks `find` for the id of the isolate at this address, which lives, and remembers it.
    #[cold]
    pub fn find<E>(
        &self,
        ended: &EndedCount,
        address: usize,
        find: impl FnOnce() -> Result<IsolateId, E>,
    ) -> Result<IsolateId, E> {
        let ended = ended.0.load(Ordering::Acquire);
        let id = find()?;
        self.0.set(Some(Last { address, id, ended }));
        Ok(id)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use offheap::adapter::IsolateRegistration;

    use super::*;

    #[test]
    fn an_id_is_believed_until_an_isolate_ends() {
        let (ended, last) = (EndedCount::new(), LastIsolate::new());
        let (first, second) = (IsolateRegistration::new("Mine").unwrap(), IsolateRegistration::new("Mine").unwrap());
        assert_eq!(last.get(&ended, 8), None);
        assert_eq!(last.find(&ended, 8, || Ok::<_, ()>(first.id())), Ok(first.id()));
        assert_eq!((last.get(&ended, 8), last.get(&ended, 16)), (Some(first.id()), None));
        ended.note();
        assert_eq!(last.get(&ended, 8), None);
        assert_eq!(last.find(&ended, 8, || Err(())), Err(()));
        assert_eq!(last.find(&ended, 8, || Ok::<_, ()>(second.id())), Ok(second.id()));
        assert_eq!(last.get(&ended, 8), Some(second.id()));
    }
}
