//! One thread of a soak.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use fastrand::Rng;
use offheap_engine::offheap::{BackingStore, Error as CoreError, FrozenStore, ManualMemory, SharedStore, UniqueStore};
use offheap_engine::{Capabilities, Engine, Error, Handle, JsArrayBuffer};

use super::{Common, Soaked, locked};
use crate::Failure;

/// The byte that is written. New memory is 0, so any other byte comes from memory that never belonged to a store.
const WRITTEN: [u8; 2] = [0xa5, 0x5a];
/// The largest number of stores in the pool, of handles in a thread, and of watched stores before dead ones are
/// forgotten.
const POOLED: usize = 48;
const HELD: usize = 24;
const WATCHED: usize = 1024;

pub(super) struct Worker<'a> {
    common: &'a Common<'a>,
    random: Rng,
    isolates: Vec<Option<Box<dyn Engine>>>,
    held: Vec<(usize, Handle<JsArrayBuffer>)>,
    done: Soaked,
}

impl<'a> Worker<'a> {
    pub(super) fn new(common: &'a Common<'a>, seed: u64) -> Self {
        let isolates = (0..common.isolates_per_thread).map(|_| None).collect();
        Worker { common, random: Rng::with_seed(seed), isolates, held: Vec::new(), done: Soaked::default() }
    }

    pub(super) fn run(mut self) -> Result<Soaked, Failure> {
        while Instant::now() < self.common.end {
            self.done.steps += 1;
            match self.step() {
                Ok(()) => {}
                Err(Stopped::Refused(error)) if may_be(&error) => self.done.refused += 1,
                Err(Stopped::Refused(error)) => return Err(Failure::new(format!("expected no such error: {error}"))),
                Err(Stopped::Wrong(failure)) => return Err(failure),
            }
        }
        // The drop order is random: isolates with live handles, handles, and stores in the pool.
        while !self.isolates.is_empty() {
            let slot = self.random.usize(..self.isolates.len());
            if self.random.bool() {
                self.held.truncate(self.held.len() / 2);
            }
            if let Some(engine) = self.isolates.swap_remove(slot) {
                engine.shut_down();
            }
        }
        Ok(self.done)
    }

    fn step(&mut self) -> Result<(), Stopped> {
        match self.random.usize(..40) {
            0..6 => {
                let store = self.make()?;
                self.pool(store);
            }
            6..16 => self.expose()?,
            16..19 => self.allocate()?,
            19..31 => self.with_held(Self::use_buffer)?,
            31..34 => {
                let dropped = self.random.usize(..self.held.len().max(1));
                if dropped < self.held.len() {
                    self.held.swap_remove(dropped);
                }
            }
            34..37 => {
                // For some stores this drops the last reference, on any of the threads.
                let pooled = self.random.usize(..POOLED);
                let mut pool = locked(&self.common.pool);
                let gone = (pooled < pool.len()).then(|| pool.swap_remove(pooled));
                drop(pool);
                drop(gone);
            }
            37 => {
                let slot = self.random.usize(..self.isolates.len());
                let engine = self.isolate(slot)?;
                engine.collect();
                engine.drain_finalizers();
            }
            38 => {
                let slot = self.random.usize(..self.isolates.len());
                self.isolate(slot)?.collect_young();
            }
            _ if self.random.usize(..40) == 0 => {
                let slot = self.random.usize(..self.isolates.len());
                if let Some(engine) = self.isolates[slot].take() {
                    engine.shut_down();
                    self.done.isolates_ended += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn isolate(&mut self, slot: usize) -> Result<&mut dyn Engine, Error> {
        if self.isolates[slot].is_none() {
            self.isolates[slot] = Some((self.common.factory)()?);
        }
        Ok(&mut **self.isolates[slot].as_mut().expect("just made"))
    }

    /// A store, and a counter that tells whether its owner was dropped.
    fn make(&mut self) -> Result<BackingStore, Error> {
        let byte_length = self.random.usize(..4096);
        let max_byte_length = byte_length + self.random.usize(..16_384);
        let bytes = vec![WRITTEN[0]; byte_length];
        let dropped = Arc::clone(&self.common.owners_dropped);
        let deleter = move |_: *mut u8, _: usize| {
            dropped.fetch_add(1, Ordering::SeqCst);
        };
        let mut is_watched = true;
        let store: BackingStore = match self.random.usize(..8) {
            0..3 => {
                is_watched = false;
                UniqueStore::from_owner_with_deleter(bytes, deleter)?.into()
            }
            3 => {
                is_watched = false;
                SharedStore::from_owner_with_deleter(bytes, deleter)?.into()
            }
            4 => UniqueStore::resizable(byte_length, max_byte_length)?.into(),
            5 => SharedStore::growable(byte_length, max_byte_length)?.into(),
            6 => FrozenStore::from_owner(Arc::<[u8]>::from(bytes))?.into(),
            _ => {
                let memory = ManualMemory::allocate(byte_length)?;
                let store = memory.store().clone();
                self.manual(memory);
                store
            }
        };
        match is_watched {
            true => self.watch(&store),
            false => drop(self.common.owners_made.fetch_add(1, Ordering::SeqCst)),
        }
        (self.common.visit)(&store);
        Ok(store)
    }

    /// Keeps manual memory until it is freed. Some of the earlier memory is freed now, if it is not in use.
    fn manual(&mut self, memory: ManualMemory) {
        let mut manual = locked(&self.common.manual);
        manual.push(memory);
        if manual.len() > POOLED {
            manual.retain(|memory| memory.free().is_err());
        }
    }

    fn watch(&self, store: &BackingStore) {
        let mut watched = locked(&self.common.watched);
        if watched.len() >= WATCHED {
            watched.retain(|weak| weak.upgrade().is_some());
        }
        watched.push(store.downgrade());
    }

    fn pool(&mut self, store: BackingStore) {
        let replaced = self.random.usize(..POOLED);
        let mut pool = locked(&self.common.pool);
        let gone = match pool.len() < POOLED {
            true => {
                pool.push(store);
                None
            }
            false => Some(std::mem::replace(&mut pool[replaced], store)),
        };
        // This may drop an owner, so it must not happen under the lock.
        drop(pool);
        drop(gone);
    }

    fn hold(&mut self, slot: usize, buffer: Handle<JsArrayBuffer>) {
        if self.held.len() < HELD {
            self.held.push((slot, buffer));
        } else {
            let replaced = self.random.usize(..HELD);
            self.held[replaced] = (slot, buffer);
        }
    }

    fn expose(&mut self) -> Result<(), Stopped> {
        let (pooled, slot) = (self.random.usize(..POOLED), self.random.usize(..self.isolates.len()));
        let Some(store) = locked(&self.common.pool).get(pooled).cloned() else { return Ok(()) };
        // Parts begin at multiples of the element size.
        let byte_length = store.byte_length();
        let part = match self.random.usize(..4) {
            0 if byte_length > 64 => store.slice(64..byte_length)?,
            _ => store,
        };
        let (buffer, _) = self.isolate(slot)?.expose(&part)?;
        self.hold(slot, buffer);
        Ok(())
    }

    fn allocate(&mut self) -> Result<(), Stopped> {
        let (byte_length, slot) = (self.random.usize(..4096), self.random.usize(..self.isolates.len()));
        let (has_room, is_shared) = (self.random.usize(..3) == 0, self.random.usize(..3) == 0);
        let engine = self.isolate(slot)?;
        let capabilities = engine.capabilities();
        let max_byte_length =
            (has_room && capabilities.contains(Capabilities::RESIZABLE)).then_some(byte_length + 4096);
        let buffer = match is_shared && capabilities.contains(Capabilities::SHARED) {
            true => engine.allocate_shared(byte_length, max_byte_length)?,
            false => engine.allocate(byte_length, max_byte_length)?,
        };
        let store = engine.externalize(&buffer)?;
        self.watch(&store);
        self.pool(store);
        self.hold(slot, buffer);
        Ok(())
    }

    fn with_held(
        &mut self,
        step: impl FnOnce(&mut Self, usize, &Handle<JsArrayBuffer>) -> Result<(), Stopped>,
    ) -> Result<(), Stopped> {
        let chosen = self.random.usize(..HELD);
        let Some((slot, buffer)) = self.held.get(chosen).cloned() else { return Ok(()) };
        step(self, slot, &buffer)
    }

    fn use_buffer(&mut self, slot: usize, buffer: &Handle<JsArrayBuffer>) -> Result<(), Stopped> {
        let (what, index) = (self.random.usize(..8), self.random.usize(..4096));
        let value = WRITTEN[self.random.usize(..2)];
        let byte_length = self.random.bool().then_some(index);
        let engine = self.isolate(slot)?;
        match what {
            0..2 => engine.write(buffer, index, value)?,
            2 => {
                let byte = engine.read(buffer, index)?;
                check_bytes(byte.as_slice())?;
            }
            3 => engine.detach(buffer, None)?,
            4 => {
                let moved = engine.transfer(buffer, byte_length)?;
                self.hold(slot, moved);
            }
            5 => engine.resize(buffer, index)?,
            _ => {
                let store = engine.externalize(buffer)?;
                let kind = store.kind();
                if kind.is_shared() || !kind.is_of_engine() && !kind.is_manual() && !kind.is_file() {
                    check_bytes(&store.to_vec()?)?;
                }
                self.watch(&store);
                self.pool(store);
            }
        }
        Ok(())
    }
}

/// The reason why a step ended early.
enum Stopped {
    Refused(Error),
    Wrong(Failure),
}

impl<E: Into<Error>> From<E> for Stopped {
    fn from(error: E) -> Self {
        Stopped::Refused(error.into())
    }
}

fn check_bytes(bytes: &[u8]) -> Result<(), Stopped> {
    match bytes.iter().find(|byte| **byte != 0 && !WRITTEN.contains(byte)) {
        None => Ok(()),
        Some(byte) => Err(Stopped::Wrong(Failure::new(format!("expected bytes that were written, saw {byte:#04x}")))),
    }
}

/// Whether a random step may fail with this error on a store that other threads also use.
fn may_be(error: &Error) -> bool {
    match error {
        Error::Memory(error) => matches!(
            error,
            CoreError::OtherIsolate { .. }
                | CoreError::OneBuffer { .. }
                | CoreError::Busy { .. }
                | CoreError::Freed { .. }
                | CoreError::OutOfRange { .. }
                | CoreError::Exposed { .. }
        ),
        Error::Detached { .. }
        | Error::NotDetachable { .. }
        | Error::NotResizable { .. }
        | Error::InvalidLength { .. }
        | Error::Immutable { .. }
        | Error::WrongIsolate { .. }
        | Error::IsolateGone
        | Error::Unsupported { .. } => true,
        _ => false,
    }
}
