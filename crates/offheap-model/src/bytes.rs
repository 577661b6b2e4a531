//! The bytes of the model's buffers: reading, writing, resizing, and moving them into stores.

use offheap::adapter;
use offheap::{BackingStore, FrozenStore, SharedStore, UniqueStore};

use crate::NAME;
use crate::heap::{BufferId, Heap, Memory, OnThread, ReleasedHold};
use offheap_engine::{Capabilities, CopyReason, Error, Exposure, ScriptError, check_aligned, is_aligned};

impl Heap {
    pub(crate) fn byte_length(&self, id: BufferId) -> usize {
        match &self.buffer(id).memory {
            Memory::Own(bytes) => bytes.len(),
            Memory::Store { byte_length, .. } => *byte_length,
            Memory::Resizable(store) => self.shared(*store).byte_length(),
            Memory::Detached => 0,
        }
    }

    /// Bytes that lie in the buffer.
    fn load(&self, id: BufferId, offset: usize, byte_length: usize) -> Vec<u8> {
        match &self.buffer(id).memory {
            Memory::Own(bytes) => bytes[offset..offset + byte_length].to_vec(),
            Memory::Store { store, start, .. } => self.shared(*store).check(start + offset, byte_length),
            Memory::Resizable(store) => self.shared(*store).check(offset, byte_length),
            Memory::Detached => panic!("{NAME}: {id:?} is detached and is read"),
        }
    }

    pub(crate) fn read(&self, id: BufferId, index: usize) -> Option<u8> {
        (index < self.byte_length(id)).then(|| self.load(id, index, 1)[0])
    }

    pub(crate) fn write(&mut self, id: BufferId, index: usize, value: u8) -> Result<(), Error> {
        if index >= self.byte_length(id) {
            return Ok(());
        }
        match &mut self.buffer_mut(id).memory {
            Memory::Own(bytes) => bytes[index] = value,
            Memory::Store { store, start, .. } => {
                let (store, offset) = (*store, *start + index);
                self.shared_mut(store).write(offset, &[value])?;
            }
            Memory::Resizable(store) => {
                let store = *store;
                self.shared_mut(store).write(index, &[value])?;
            }
            Memory::Detached => panic!("{NAME}: {id:?} is detached and is written"),
        }
        Ok(())
    }

    /// Compares `given` with the key of a buffer; without one, nothing may be given.
    pub(crate) fn check_key(&self, id: BufferId, given: Option<&str>, attempted: &'static str) -> Result<(), Error> {
        let expected = self.buffer(id).detach_key.as_deref();
        let given = match (expected, given) {
            _ if expected == given => return Ok(()),
            (None, _) => "it has none",
            (_, Some(_)) => "another was given",
            (_, None) => "no key was given",
        };
        Err(Error::WrongDetachKey { engine: NAME, attempted, given })
    }

    fn check_resizable(&self, max_byte_length: Option<usize>) -> Result<(), Error> {
        match max_byte_length {
            Some(_) if !self.options.has(Capabilities::RESIZABLE) => {
                let instead = "leave out `max_byte_length`";
                Err(Error::Unsupported { engine: NAME, what: "make resizable buffers", instead })
            }
            _ => Ok(()),
        }
    }

    /// A buffer with memory of the model's own.
    pub(crate) fn allocate(&mut self, byte_length: usize, max_byte_length: Option<usize>) -> Result<BufferId, Error> {
        self.check_resizable(max_byte_length)?;
        let bytes = zeroed(byte_length, max_byte_length.unwrap_or(byte_length))?;
        Ok(self.add(Memory::Own(bytes), max_byte_length, false))
    }

    /// A SharedArrayBuffer, over a store from the start.
    pub(crate) fn allocate_shared(
        &mut self,
        byte_length: usize,
        max_byte_length: Option<usize>,
    ) -> Result<BufferId, Error> {
        if !self.options.has(Capabilities::SHARED) {
            return Err(no_shared());
        }
        self.check_resizable(max_byte_length)?;
        let store = match max_byte_length {
            Some(max_byte_length) => SharedStore::growable(byte_length, max_byte_length),
            None => SharedStore::zeroed(byte_length),
        };
        let (id, _) = self.expose(store.map_err(|_| out_of_memory())?.as_store(), false)?;
        Ok(id)
    }

    /// A buffer over a store, or where `may_copy` says so over a copy of it.
    pub(crate) fn expose(&mut self, store: &BackingStore, may_copy: bool) -> Result<(BufferId, Exposure), Error> {
        if store.kind().is_shared() && !self.options.has(Capabilities::SHARED) {
            return Err(no_shared());
        }
        let (byte_length, limit) = (store.byte_length(), self.options.max_byte_length);
        let most = store.max_byte_length();
        if most > limit {
            return Err(Error::TooLargeForEngine { engine: NAME, store: Some(store.id()), byte_length: most, limit });
        }
        let immutable = store.kind().is_read_only();
        if immutable && !self.options.has(Capabilities::IMMUTABLE) {
            if !may_copy {
                let what = "keep script from writing to read-only memory";
                return Err(Error::Unsupported {
                    engine: NAME,
                    what,
                    instead: "expose a copy of its bytes (`to_vec`)",
                });
            }
            let id = self.add(Memory::Own(store.to_vec()?), None, false);
            return Ok((id, Exposure::Copied { reason: CopyReason::ImmutableNotEnforced }));
        }
        if !is_aligned(store) && may_copy && FrozenStore::try_from(store.clone()).is_ok() {
            let id = self.add(Memory::Own(store.to_vec()?), None, true);
            return Ok((id, Exposure::Copied { reason: CopyReason::Misaligned }));
        }
        check_aligned(NAME, store)?;
        self.hold(store)?;
        let shared = self.shared(store.id());
        let has_room = self.options.has(Capabilities::RESIZABLE) && shared.has_room();
        // A part has no room of its own. Its length does not show that: another thread may be growing the store.
        if has_room && (store.byte_offset() != 0 || most != shared.max_byte_length()) {
            // The caller's handle keeps the owner, so nothing but the hold goes.
            self.release_memory(Memory::Resizable(store.id()), OnThread::This).finish();
            let instead = "copy the part; such memory is exposed as a whole";
            let what = "make a buffer over a part of memory that may get another length";
            return Err(Error::Unsupported { engine: NAME, what, instead });
        }
        let id = if has_room {
            let max_byte_length = shared.max_byte_length();
            self.add(Memory::Resizable(store.id()), Some(max_byte_length), false)
        } else {
            let memory = Memory::Store { store: store.id(), start: store.byte_offset(), byte_length };
            self.add(memory, None, immutable)
        };
        Ok((id, Exposure::External))
    }

    /// The store of a buffer. The model's own bytes become one.
    pub(crate) fn externalize(&mut self, id: BufferId) -> Result<BackingStore, Error> {
        let store = match &mut self.buffer_mut(id).memory {
            Memory::Detached => BackingStore::from(UniqueStore::zeroed(0)?),
            Memory::Own(bytes) => {
                let bytes = std::mem::take(bytes);
                self.move_out(id, bytes)?
            }
            Memory::Store { store, start, byte_length } => {
                let (store, start, byte_length) = (*store, *start, *byte_length);
                let whole = self.shared(store).store();
                match start == 0 && byte_length == whole.byte_length() {
                    true => whole,
                    false => whole.slice(start..start + byte_length)?,
                }
            }
            Memory::Resizable(store) => {
                let store = *store;
                self.shared(store).store()
            }
        };
        adapter::note_externalized(&store, self.isolate);
        Ok(store)
    }

    /// Makes a store of `bytes`, which were the buffer's own, and puts the buffer over it.
    fn move_out(&mut self, id: BufferId, bytes: Vec<u8>) -> Result<BackingStore, Error> {
        let max_byte_length = self.buffer(id).max_byte_length;
        let made = match max_byte_length {
            None if self.buffer(id).immutable => {
                FrozenStore::from_owner(bytes).map(BackingStore::from).map_err(|rejected| {
                    let (error, bytes) = rejected.into_parts();
                    (Error::from(error), bytes)
                })
            }
            None => UniqueStore::from_owner(bytes).map(BackingStore::from).map_err(|rejected| {
                let (error, bytes) = rejected.into_parts();
                (Error::from(error), bytes)
            }),
            Some(max_byte_length) => match resizable_store(&bytes, max_byte_length) {
                Ok(store) => Ok(store),
                Err(error) => Err((error, bytes)),
            },
        };
        let store = match made {
            Ok(store) => store,
            Err((error, bytes)) => {
                self.buffer_mut(id).memory = Memory::Own(bytes);
                return Err(error);
            }
        };
        if let Err(error) = self.hold(&store) {
            // Only memory for the shadow may be missing: the bytes are still there, in the store.
            self.buffer_mut(id).memory = Memory::Own(store.to_vec()?);
            return Err(error);
        }
        self.buffer_mut(id).memory = match max_byte_length {
            Some(_) => Memory::Resizable(store.id()),
            None => Memory::Store { store: store.id(), start: 0, byte_length: store.byte_length() },
        };
        Ok(store)
    }

    pub(crate) fn set_byte_length(&mut self, id: BufferId, byte_length: usize) -> Result<(), Error> {
        match &mut self.buffer_mut(id).memory {
            // Within the room that was made for it, so it stays where it is.
            Memory::Own(bytes) => bytes.resize(byte_length, 0),
            Memory::Resizable(store) => {
                let store = *store;
                self.shared_mut(store).set_byte_length(byte_length)?;
            }
            Memory::Store { .. } | Memory::Detached => panic!("{NAME}: {id:?} has one length"),
        }
        Ok(())
    }

    /// The buffer that takes another's bytes over.
    pub(crate) fn transfer(
        &mut self,
        id: BufferId,
        byte_length: Option<usize>,
    ) -> Result<(BufferId, ReleasedHold), Error> {
        const ATTEMPTED: &str = "transfer";
        self.check_key(id, None, ATTEMPTED)?;
        let before = self.byte_length(id);
        let requested = byte_length.unwrap_or(before);
        let max_byte_length = self.buffer(id).max_byte_length;
        let limit = max_byte_length.unwrap_or(self.options.max_byte_length);
        if requested > limit {
            return Err(Error::InvalidLength { engine: NAME, attempted: ATTEMPTED, requested, limit });
        }
        if requested == 0 {
            let made = self.allocate(0, max_byte_length)?;
            return Ok((made, self.detach(id)));
        }
        if max_byte_length.is_some() {
            self.set_byte_length(id, requested)?;
        } else if requested != before {
            let made = self.copy(id, requested)?;
            return Ok((made, self.detach(id)));
        }
        let memory = self.take_memory(id);
        Ok((self.add(memory, max_byte_length, false), ReleasedHold::default()))
    }

    /// A fixed-length buffer with the bytes of another, cut off or filled up with zeros.
    fn copy(&mut self, id: BufferId, byte_length: usize) -> Result<BufferId, Error> {
        let mut bytes = zeroed(byte_length, byte_length)?;
        let shared = self.byte_length(id).min(byte_length);
        bytes[..shared].copy_from_slice(&self.load(id, 0, shared));
        if self.buffer(id).memory.store().is_none() {
            return Ok(self.add(Memory::Own(bytes), None, false));
        }
        let store = BackingStore::from(UniqueStore::from_owner(bytes).map_err(|rejected| rejected.into_parts().0)?);
        self.hold(&store)?;
        let memory = Memory::Store { store: store.id(), start: 0, byte_length };
        Ok(self.add(memory, None, false))
    }
}

fn no_shared() -> Error {
    Error::Unsupported { engine: NAME, what: "make SharedArrayBuffers", instead: "use unshared memory" }
}

fn out_of_memory() -> Error {
    let message = "RangeError: Array buffer allocation failed".to_owned();
    ScriptError::new(NAME, message, String::new()).into()
}

fn resizable_store(bytes: &[u8], max_byte_length: usize) -> Result<BackingStore, Error> {
    let mut unique = UniqueStore::resizable(bytes.len(), max_byte_length)?;
    unique.copy_from_slice(bytes);
    Ok(unique.into())
}

/// Zeroed bytes, with room for more, or what script throws where there is no memory.
fn zeroed(byte_length: usize, room: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    if bytes.try_reserve_exact(room).is_err() {
        return Err(out_of_memory());
    }
    bytes.resize(byte_length, 0);
    Ok(bytes)
}
