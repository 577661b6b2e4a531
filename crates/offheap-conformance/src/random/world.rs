//! One engine's side of a sequence: its isolates, and the contents of the slots.

use std::cell::RefCell;
use std::thread;

use offheap_engine::offheap::{BackingStore, ManualMemory};
use offheap_engine::{BufferState, Error, Handle, JsArrayBuffer, ManuallyExternalizedBuffer};

use super::act::Act;
use super::callback::Callback;
use super::reentry;
use super::scoped::Scoped;
use super::step::{At, ISOLATES, SLOTS, Step};
use super::{Outcome, SeededFactory};
use crate::errors::kind_of;

mod objects;
mod stores;
use objects::View;

type Buffer = (usize, Handle<JsArrayBuffer>);

pub(super) struct World<'a> {
    factory: &'a SeededFactory<'a>,
    seed: u64,
    isolates: [Option<Box<dyn Scoped>>; ISOLATES],
    /// Each buffer has the slot of the isolate that it was made in.
    buffers: [Option<Buffer>; SLOTS],
    /// Whether the engine made the buffer in the slot with a maximum length.
    has_maximum: [bool; SLOTS],
    views: [Option<View>; SLOTS],
    stores: [Option<BackingStore>; SLOTS],
    manual: [Option<ManualMemory>; SLOTS],
    // Manual memory that no slot refers to any more and that was not freed.
    left: Vec<ManualMemory>,
    // Buffers may have died that no collection has found yet.
    unsettled: bool,
    // Some stores have owners that call engines, so the code that drops them matters.
    owners_call: bool,
}

impl<'a> World<'a> {
    pub(super) fn new(factory: &'a SeededFactory<'a>, seed: u64) -> Self {
        World {
            factory,
            seed,
            isolates: Default::default(),
            buffers: Default::default(),
            has_maximum: Default::default(),
            views: Default::default(),
            stores: Default::default(),
            manual: Default::default(),
            left: Vec::new(),
            unsettled: false,
            owners_call: false,
        }
    }

    fn isolate(&mut self, slot: usize) -> Result<&mut dyn Scoped, Error> {
        if self.isolates[slot].is_none() {
            self.seed += 1;
            self.isolates[slot] = Some((self.factory)(self.seed)?);
        }
        Ok(&mut **self.isolates[slot].as_mut().expect("just made"))
    }

    /// Calls `work` with a buffer and the engine of its isolate.
    fn with_buffer<R>(
        &mut self,
        slot: usize,
        step: impl FnOnce(&mut dyn Scoped, &Handle<JsArrayBuffer>) -> Result<R, Error>,
    ) -> Result<Option<R>, Error> {
        let Some((isolate, buffer)) = self.buffers[slot].clone() else { return Ok(None) };
        let result = step(self.isolate(isolate)?, &buffer);
        result.map(Some)
    }

    fn keep(&mut self, slot: usize, isolate: usize, buffer: Handle<JsArrayBuffer>) {
        self.unsettled |= self.buffers[slot].is_some();
        self.buffers[slot] = Some((isolate, buffer));
        self.has_maximum[slot] = false;
    }

    /// A store's state must not depend on when an engine collects, so all dead buffers are collected before it is read.
    fn settle(&mut self) {
        if std::mem::take(&mut self.unsettled) {
            for engine in self.isolates.iter_mut().flatten() {
                engine.collect();
                engine.drain_finalizers();
            }
        }
    }

    /// The store in a slot.
    pub(super) fn store(&self, slot: usize) -> Option<&BackingStore> {
        self.stores[slot].as_ref()
    }

    /// The state of the buffer in a slot, as script sees it.
    pub(super) fn state_of(&mut self, slot: usize) -> Option<BufferState> {
        self.with_buffer(slot, |engine, buffer| engine.state(buffer)).ok().flatten()
    }

    /// Performs a step.
    pub(super) fn run(&mut self, step: Step) -> Outcome {
        let _within_reach = reentry::reach(self.buffers.iter().flatten().map(|(_, buffer)| buffer.clone()).collect());
        self.try_step(step).unwrap_or_else(|error| Outcome::Refused(kind_of(&error)))
    }

    fn try_step(&mut self, step: Step) -> Result<Outcome, Error> {
        Ok(match step {
            Step::Make { store, made, byte_length, max_byte_length } => {
                self.make(store, made, byte_length, max_byte_length)?;
                Outcome::Done
            }
            Step::Allocate { isolate, buffer, byte_length, max_byte_length, shared } => {
                let engine = self.isolate(isolate)?;
                let made = match shared {
                    true => engine.allocate_shared(byte_length, max_byte_length)?,
                    false => engine.allocate(byte_length, max_byte_length)?,
                };
                self.keep(buffer, isolate, made);
                self.has_maximum[buffer] = max_byte_length.is_some();
                Outcome::Done
            }
            Step::Expose { isolate, store, buffer } => {
                self.settle();
                let Some(store) = self.stores[store].clone() else { return Ok(Outcome::Nothing) };
                let (made, exposure) = self.isolate(isolate)?.expose(&store)?;
                self.keep(buffer, isolate, made);
                Outcome::Exposed(exposure)
            }
            Step::Externalize { buffer, store } => {
                let taken = self.with_buffer(buffer, |engine, buffer| engine.externalize(buffer))?;
                let Some(taken) = taken else { return Ok(Outcome::Nothing) };
                self.put(store, taken);
                Outcome::Done
            }
            Step::Slice { from, store, start, end } => {
                let Some(whole) = &self.stores[from] else { return Ok(Outcome::Nothing) };
                let part = whole.slice(start..end)?;
                self.put(store, part);
                Outcome::Done
            }
            Step::CloneBuffer { from, buffer } => {
                let Some((isolate, cloned)) = self.buffers[from].clone() else { return Ok(Outcome::Nothing) };
                let has_maximum = self.has_maximum[from];
                self.keep(buffer, isolate, cloned);
                self.has_maximum[buffer] = has_maximum;
                Outcome::Done
            }
            Step::SetGlobal { buffer, name } => {
                self.unsettled = true;
                let name = format!("kept{name}");
                done(self.with_buffer(buffer, |engine, buffer| engine.set_global(&name, buffer))?)
            }
            Step::Write { buffer, index, value } => {
                done(self.with_buffer(buffer, |engine, buffer| engine.write(buffer, index, value))?)
            }
            Step::Read { buffer, index } => {
                let read = self.with_buffer(buffer, |engine, buffer| engine.read(buffer, index))?;
                read.map_or(Outcome::Nothing, Outcome::Byte)
            }
            Step::Lend { buffer } => {
                let lent = self.with_buffer(buffer, |engine, buffer| {
                    let mut copy = Vec::new();
                    engine.with_bytes(buffer, &mut |bytes| {
                        // Whether this is refused depends on the engine. The bytes stay lent either way.
                        if let Ok(taken) = ManuallyExternalizedBuffer::new(buffer.clone()) {
                            let _ = taken.store().to_vec();
                        }
                        copy.extend_from_slice(bytes);
                    })?;
                    // From here on all engines have a store.
                    engine.externalize(buffer)?;
                    Ok(copy)
                })?;
                lent.map_or(Outcome::Nothing, Outcome::Bytes)
            }
            Step::Detach { buffer, key } => {
                self.unsettled = true;
                done(self.with_buffer(buffer, |engine, buffer| engine.detach(buffer, key))?)
            }
            Step::Take { buffer, key, store } => {
                // A dead buffer may still count.
                self.unsettled = true;
                self.settle();
                let taken = self.with_buffer(buffer, |engine, buffer| engine.take(buffer, key))?;
                let Some(taken) = taken else { return Ok(Outcome::Nothing) };
                self.put(store, taken.into());
                Outcome::Done
            }
            Step::SetDetachKey { buffer, key } => {
                done(self.with_buffer(buffer, |engine, buffer| engine.set_detach_key(buffer, key))?)
            }
            Step::Transfer { from, buffer, byte_length } => {
                self.unsettled = true;
                let moved = self.with_buffer(from, |engine, buffer| engine.transfer(buffer, byte_length))?;
                let (Some(moved), Some((isolate, _))) = (moved, &self.buffers[from]) else {
                    return Ok(Outcome::Nothing);
                };
                let (isolate, has_maximum) = (*isolate, self.has_maximum[from]);
                self.keep(buffer, isolate, moved);
                self.has_maximum[buffer] = has_maximum;
                Outcome::Done
            }
            Step::Resize { buffer, byte_length } => {
                done(self.with_buffer(buffer, |engine, buffer| engine.resize(buffer, byte_length))?)
            }
            Step::View { .. }
            | Step::ResizableView { .. }
            | Step::ResizeUnder { .. }
            | Step::ExposeTyped { .. }
            | Step::Act { .. }
            | Step::CallNative { .. }
            | Step::DropView { .. } => self.try_scoped(step)?,
            Step::CallBack { first, second, callback } => self.call_back(first, second, callback)?,
            Step::DropBuffer { buffer } => {
                self.unsettled |= self.buffers[buffer].is_some();
                done(self.buffers[buffer].take().map(drop))
            }
            Step::Collect { isolate } | Step::CollectYoung { isolate } => {
                let engine = self.isolate(isolate)?;
                match step {
                    Step::Collect { .. } => engine.collect(),
                    _ => engine.collect_young(),
                }
                Outcome::Done
            }
            Step::EndIsolate { isolate } => done(self.isolates[isolate].take().map(|engine| engine.shut_down())),
            Step::Compare => Outcome::Everything(self.everything()),
            Step::CompareExternalBytes => {
                self.unsettled = true;
                self.settle();
                let count = |engine: &Option<Box<dyn Scoped>>| engine.as_ref().map(|engine| engine.external_bytes());
                Outcome::Everything(self.isolates.iter().map(|engine| format!("{:?} bytes", count(engine))).collect())
            }
            native => self.try_native(native)?,
        })
    }

    /// Makes script call a function of the engine with two buffers of one isolate.
    fn call_back(&mut self, first: usize, second: usize, callback: Callback) -> Result<Outcome, Error> {
        self.unsettled = true;
        let (Some((isolate, a)), Some((_, b))) = (self.buffers[first].clone(), self.buffers[second].clone()) else {
            return Ok(Outcome::Nothing);
        };
        let engine = self.isolate(isolate)?;
        engine.set_global("a", &a)?;
        engine.set_global("b", &b)?;
        let answer = engine.evaluate(&callback.source());
        engine.evaluate("globalThis.a = globalThis.b = undefined")?;
        Ok(Outcome::Answer(answer?))
    }

    /// The complete state as text, with one line for each slot.
    fn everything(&mut self) -> Vec<String> {
        self.unsettled = true;
        self.settle();
        let ids: Vec<_> = self.isolates.iter().map(|engine| engine.as_ref().map(|engine| engine.isolate())).collect();
        let mut lines = Vec::new();
        for slot in 0..SLOTS {
            let Some(store) = &self.stores[slot] else { continue };
            let same = self.stores.iter().position(|other| other.as_ref() == Some(store));
            let exposure =
                store.exposure().map(|(isolate, buffers)| (ids.iter().position(|id| *id == Some(isolate)), buffers));
            let bytes = store.to_vec().map_err(|error| kind_of(&error.into()));
            lines.push(format!(
                "s{slot}: like s{same:?}, {:?}, {} of {} bytes from {} on, in {exposure:?}: {bytes:?}",
                store.kind(),
                store.byte_length(),
                store.max_byte_length(),
                store.byte_offset(),
            ));
        }
        for slot in 0..SLOTS {
            let seen = self.with_buffer(slot, |engine, buffer| {
                let state = engine.state(buffer)?;
                let last = state.byte_length.saturating_sub(1);
                let bytes =
                    [0, 1, last / 2, last, last + 1].map(|index| engine.read(buffer, index).map_err(|e| kind_of(&e)));
                Ok((state, bytes))
            });
            match seen {
                Ok(None) => {}
                Ok(Some((state, bytes))) => lines.push(format!("b{slot}: {state:?}, some bytes {bytes:?}")),
                Err(error) => lines.push(format!("b{slot}: {}", kind_of(&error))),
            }
        }
        for slot in 0..SLOTS {
            let Some((isolate, object)) = self.object(At::View(slot)) else { continue };
            let read = self.isolate(isolate).and_then(|engine| engine.act(Act::Read, &object, &RefCell::default()));
            lines.push(format!("v{slot}: {}", read.unwrap_or_else(|error| kind_of(&error))));
        }
        lines
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        self.buffers = Default::default();
        self.views = Default::default();
        self.unsettled = true;
        self.settle();
        self.isolates = Default::default();
        self.stores = Default::default();
        for memory in self.left.drain(..).chain(self.manual.iter_mut().filter_map(Option::take)) {
            // It was freed before, or is freed here. It can still be in use only after a panic.
            let freed = memory.freed().is_some() || memory.free().is_ok();
            assert!(
                freed || thread::panicking(),
                "manual memory {} is used after everything ended",
                memory.store().id()
            );
        }
    }
}

fn done(result: Option<()>) -> Outcome {
    result.map_or(Outcome::Nothing, |()| Outcome::Done)
}
