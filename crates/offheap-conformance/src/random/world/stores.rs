//! The steps that involve no engine, and the stores that native code makes.

use std::sync::Arc;

use offheap_engine::Error;
use offheap_engine::offheap::{BackingStore, FrozenStore, ManualMemory, SharedStore, UniqueStore};

use super::World;
use crate::errors::kind_of;
use crate::random::step::{Made, Step};
use crate::random::{Outcome, reentry};

impl World<'_> {
    /// Performs the steps that involve no engine.
    pub(super) fn try_native(&mut self, step: Step) -> Result<Outcome, Error> {
        self.settle();
        let (Step::CopyOut { store }
        | Step::CopyIn { store, .. }
        | Step::ResizeStore { store, .. }
        | Step::Free { store }
        | Step::TakeUnique { store }
        | Step::DropStore { store }) = step
        else {
            unreachable!("{step:?} involves an engine")
        };
        let manual = self.manual[store].clone();
        let Some(held) = &mut self.stores[store] else { return Ok(Outcome::Nothing) };
        Ok(match step {
            Step::CopyOut { .. } => Outcome::Bytes(held.to_vec()?),
            Step::CopyIn { offset, byte_length, value, .. } => {
                let bytes = vec![value; byte_length];
                match SharedStore::try_from(held.clone()) {
                    Ok(shared) => shared.copy_from_slice(offset, &bytes)?,
                    Err(_) => {
                        let mut guard = held.bytes_mut()?;
                        // Script ignores a write outside the bytes, so this is not an error.
                        if let Some(target) = guard.get_mut(offset..offset + byte_length) {
                            target.copy_from_slice(&bytes);
                        }
                    }
                }
                Outcome::Done
            }
            Step::ResizeStore { byte_length, .. } => {
                match SharedStore::try_from(held.clone()) {
                    Ok(shared) => shared.grow(byte_length)?,
                    Err(_) => held.resize(byte_length)?,
                }
                Outcome::Done
            }
            Step::Free { .. } => match manual {
                Some(manual) => {
                    manual.free()?;
                    Outcome::Done
                }
                None => Outcome::Nothing,
            },
            Step::TakeUnique { .. } => {
                let taken = self.stores[store].take().expect("held, as just seen");
                match taken.try_into_unique() {
                    Ok(unique) => {
                        self.stores[store] = Some(unique.into());
                        Outcome::Done
                    }
                    Err(rejected) => {
                        let (error, taken) = rejected.into_parts();
                        self.stores[store] = Some(taken);
                        Outcome::Refused(kind_of(&error.into()))
                    }
                }
            }
            _ => {
                self.stores[store] = None;
                self.left.extend(self.manual[store].take());
                Outcome::Done
            }
        })
    }

    pub(super) fn put(&mut self, slot: usize, store: BackingStore) {
        if self.owners_call {
            self.settle();
        }
        self.stores[slot] = Some(store);
        self.left.extend(self.manual[slot].take());
    }

    pub(super) fn make(
        &mut self,
        slot: usize,
        made: Made,
        byte_length: usize,
        max_byte_length: usize,
    ) -> Result<(), Error> {
        let bytes: Vec<u8> = (1..=byte_length).map(|byte| byte as u8).collect();
        let store: BackingStore = match made {
            Made::Fixed => UniqueStore::from_owner(bytes)?.into(),
            Made::Calling => {
                self.owners_call = true;
                reentry::calling(bytes)?
            }
            Made::Resizable => UniqueStore::resizable(byte_length, max_byte_length)?.into(),
            Made::Shared => SharedStore::from_owner(bytes)?.into(),
            Made::Growable => SharedStore::growable(byte_length, max_byte_length)?.into(),
            Made::Frozen => FrozenStore::from_owner(Arc::<[u8]>::from(bytes))?.into(),
            Made::Manual => {
                let memory = ManualMemory::allocate(byte_length)?;
                self.put(slot, memory.store().clone());
                self.manual[slot] = Some(memory);
                return Ok(());
            }
        };
        self.put(slot, store);
        Ok(())
    }
}
