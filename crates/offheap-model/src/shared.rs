//! A store that the model has buffers over, and what its bytes must be.

use std::cell::{Cell, RefCell};
use std::thread;
use std::time::{Duration, Instant};

use offheap::adapter::Hold;
use offheap::{BackingStore, IsolateId, SharedStore, Sharing, StoreId, StoreKind};

use crate::NAME;
use offheap_engine::Error;

/// How long a reader on another thread may take. A longer wait means that a guard lives, which is an error here.
const PATIENCE: Duration = Duration::from_secs(2);

/// A store with live buffers in the model: one hold for each, and a shadow of the bytes.
pub(crate) struct Shared {
    isolate: IsolateId,
    // One for each live buffer; which belongs to which does not matter.
    holds: Vec<Hold>,
    // What the bytes must be. None for a mapped file, which other processes may write, and for shared memory, which
    // any thread may write.
    shadow: RefCell<Option<Vec<u8>>>,
    // Native code got the bytes to write since the model last looked.
    lent: Cell<bool>,
}

impl Shared {
    /// A first buffer over the store that `store` is a handle to.
    pub(crate) fn new(store: &BackingStore, isolate: IsolateId) -> Result<Self, Error> {
        let hold = Hold::new(store, isolate)?;
        let shared = Shared { isolate, holds: vec![hold], shadow: RefCell::default(), lent: Cell::default() };
        if !store.kind().is_file() && !store.kind().is_shared() {
            shared.shadow.replace(Some(shared.store().to_vec()?));
        }
        Ok(shared)
    }

    /// One more buffer.
    pub(crate) fn add(&mut self, store: &BackingStore) -> Result<(), Error> {
        self.holds.push(Hold::new(store, self.isolate)?);
        Ok(())
    }

    /// One buffer less, and whether it was the last. The bytes are checked first: after the last buffer, native code may
    /// write them.
    pub(crate) fn remove(&mut self) -> (Option<Hold>, bool) {
        if !thread::panicking() {
            let byte_length = self.shadow.borrow().as_ref().map_or(0, Vec::len);
            self.check(0, byte_length);
        }
        let hold = self.holds.pop();
        (hold, self.holds.is_empty())
    }

    /// Native code gets the bytes to write. The guard ends before the model looks at them again.
    pub(crate) fn lend(&self) {
        self.lent.set(true);
    }

    /// Takes over what native code wrote to the bytes that it had.
    fn learn(&self) {
        if self.lent.take()
            && let Some(shadow) = &mut *self.shadow.borrow_mut()
            && let Err(error) = self.store().copy_to_slice(0, shadow)
        {
            panic!("{NAME}: native code still has the bytes that it got to write: {error}");
        }
    }

    fn hold(&self) -> &Hold {
        self.holds.first().expect("a store without buffers is forgotten")
    }

    /// A handle to the whole store.
    pub(crate) fn store(&self) -> BackingStore {
        let hold = self.hold();
        hold.store(hold.data().as_ptr(), hold.byte_length())
    }

    pub(crate) fn byte_length(&self) -> usize {
        self.hold().byte_length()
    }

    pub(crate) fn max_byte_length(&self) -> usize {
        self.hold().max_byte_length()
    }

    pub(crate) fn kind(&self) -> StoreKind {
        self.hold().kind()
    }

    /// Whether its length may change.
    pub(crate) fn has_room(&self) -> bool {
        match SharedStore::try_from(self.store()) {
            Ok(shared) => shared.is_growable(),
            Err(unshared) => unshared.into_inner().kind().is_resizable_by_rust(),
        }
    }

    /// The bytes, checked.
    ///
    /// # Panics
    /// If the store is exposed elsewhere, a guard lives, or the bytes are not those that the model knows.
    pub(crate) fn check(&self, offset: usize, byte_length: usize) -> Vec<u8> {
        let store = self.store();
        self.check_exposure(&store);
        self.learn();
        let mut bytes = vec![0; byte_length];
        if let Err(error) = store.copy_to_slice(offset, &mut bytes) {
            panic!("{NAME}: script reads store {} while native code uses it: {error}", store.id());
        }
        if let Some(shadow) = &*self.shadow.borrow()
            && let Some(index) = (0..byte_length).find(|index| bytes[*index] != shadow[offset + index])
        {
            panic!(
                "{NAME}: byte {} of store {} is {:#04x} and must be {:#04x}: it was written while script had it, or \
                 the memory was freed",
                offset + index,
                store.id(),
                bytes[index],
                shadow[offset + index],
            );
        }
        bytes
    }

    fn check_exposure(&self, store: &BackingStore) {
        let buffers = u16::try_from(self.holds.len()).expect("no store has more buffers");
        let is_counted = self.kind().sharing() == Sharing::Unshared;
        let expected = is_counted.then_some((self.isolate, buffers));
        assert_eq!(
            store.exposure(),
            expected,
            "{NAME}: store {} is exposed in another way than the model did",
            store.id()
        );
    }

    /// Writes bytes, checked.
    ///
    /// The core's safe calls write only to stores that are not exposed, so the model takes its buffers back for a moment
    /// and exposes them again. One thread cannot see this; the model waits for readers on other threads.
    ///
    /// # Panics
    /// If the store is exposed elsewhere, or a guard lives.
    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        let store = self.store();
        self.check_exposure(&store);
        let mut store = match SharedStore::try_from(store) {
            // Others may write it at the same time.
            Ok(shared) => return Ok(shared.copy_from_slice(offset, bytes)?),
            Err(unshared) => unshared.into_inner(),
        };
        self.learn();
        let shadow = self.shadow.get_mut().as_mut().expect("a map that is not shared is read-only");
        shadow[offset..offset + bytes.len()].copy_from_slice(bytes);
        let buffers = self.holds.len();
        self.holds.clear();
        let id = store.id();
        patiently(id, || store.bytes_mut().map(|mut guard| guard[offset..offset + bytes.len()].copy_from_slice(bytes)));
        for _ in 0..buffers {
            let hold = patiently(id, || Hold::new(&store, self.isolate));
            self.holds.push(hold);
        }
        Ok(())
    }

    /// Gives resizable memory another length. Bytes that a shrink removes are zero when a growth brings them back. Shared
    /// memory only grows.
    pub(crate) fn set_byte_length(&mut self, byte_length: usize) -> Result<(), Error> {
        if self.kind().is_shared() {
            return Ok(self.hold().resize(byte_length)?);
        }
        let before = self.byte_length();
        if byte_length < before {
            self.write(byte_length, &vec![0; before - byte_length])?;
        }
        self.learn();
        self.hold().resize(byte_length)?;
        if let Some(shadow) = self.shadow.get_mut() {
            shadow.resize(byte_length, 0);
        }
        self.check(byte_length.min(before), byte_length.saturating_sub(before));
        Ok(())
    }
}

/// Tries again while another thread reads.
fn patiently<T>(store: StoreId, mut step: impl FnMut() -> Result<T, offheap::Error>) -> T {
    let begun = Instant::now();
    loop {
        match step() {
            Ok(done) => return done,
            Err(offheap::Error::Busy { .. }) if begun.elapsed() < PATIENCE => thread::yield_now(),
            Err(error) => panic!("{NAME}: script writes store {store} while another user has it: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use offheap::UniqueStore;
    use offheap::adapter::IsolateRegistration;

    use super::*;

    #[test]
    #[should_panic(expected = "byte 2 of store")]
    fn bytes_that_are_not_what_they_must_be_are_noticed() {
        let isolate = IsolateRegistration::new(NAME).unwrap();
        let store = BackingStore::from(UniqueStore::zeroed(4).unwrap());
        let mut shared = Shared::new(&store, isolate.id()).unwrap();
        assert_eq!(shared.check(0, 4), [0; 4]);
        // Nothing in safe code writes the store behind the model's back, so the test changes the shadow instead.
        shared.shadow.get_mut().as_mut().unwrap()[2] = 1;
        shared.check(0, 4);
    }

    #[test]
    fn a_write_leaves_all_buffers_exposed() {
        let isolate = IsolateRegistration::new(NAME).unwrap();
        let store = BackingStore::from(UniqueStore::zeroed(4).unwrap());
        let mut shared = Shared::new(&store, isolate.id()).unwrap();
        shared.add(&store).unwrap();
        shared.write(1, &[5, 6]).unwrap();
        assert_eq!(shared.check(0, 4), [0, 5, 6, 0]);
        assert_eq!(store.exposure(), Some((isolate.id(), 2)));
        assert_eq!(store.reference_count(), 3);
    }
}
