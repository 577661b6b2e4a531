//! The isolate that a thread used last, and its id. Asking the engine for the id takes longer than making a buffer.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use offheap::IsolateId;

/// Counts the isolates of an engine that have ended. While the count is unchanged, an address still belongs to the
/// same isolate. Each engine has one static.
pub struct EndedCount(AtomicU64);

/// The isolate that a thread used last. Each engine has one thread-local.
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

    /// Counts an isolate that ends. Call it before another isolate can get the same address.
    pub fn note(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

impl LastIsolate {
    /// No isolate yet.
    #[expect(clippy::new_without_default, reason = "for a thread local")]
    pub const fn new() -> Self {
        LastIsolate(Cell::new(None))
    }

    /// The id of the isolate at this address, if this thread used that isolate last and no isolate has ended since.
    #[inline]
    pub fn get(&self, ended: &EndedCount, address: usize) -> Option<IsolateId> {
        let last = self.0.get()?;
        (last.address == address && last.ended == ended.0.load(Ordering::Acquire)).then_some(last.id)
    }

    /// Calls `find` for the id of the live isolate at this address, and remembers the id.
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
