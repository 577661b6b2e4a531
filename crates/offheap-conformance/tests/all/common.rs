//! An engine with one fault.
#![allow(dead_code, reason = "each test needs some of it")]

use std::cell::RefCell;
use std::rc::Rc;

use offheap_conformance::random::{Act, Kept, NativeCall, Object, Part, Scoped, Shows};
use offheap_engine::offheap::{self, BackingStore, IsolateId, UniqueStore};
use offheap_engine::{
    BufferState, Capabilities, Engine, Error, Exposure, Handle, JsArrayBuffer, JsArrayBufferView, ScriptValue,
    ViewState,
};
use offheap_model::ModelEngine;

/// The fault of an engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Sabotage {
    Nothing,
    DetachDoesNothing,
    ExposesSilentCopies,
    ExternalizesCopies,
    NeverCollects,
    IgnoresDetachKeys,
    WritesAnotherByte,
    GrowsWithoutLimit,
    CountsNothing,
    EndsByPanic,
    SaysItIsImmutable,
    SaysItIsUnshared,
    CopiesWhatItTransfers,
    AsksForTheKeyFirst,
    SaysBusyForFreed,
    SeesNothingInDetachedViews,
}

pub(crate) struct Sabotaged {
    pub(crate) engine: ModelEngine,
    pub(crate) how: Sabotage,
}

impl Engine for Sabotaged {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn version(&self) -> String {
        self.engine.version()
    }

    fn capabilities(&self) -> Capabilities {
        self.engine.capabilities()
    }

    fn max_byte_length(&self) -> usize {
        self.engine.max_byte_length()
    }

    fn isolate(&self) -> IsolateId {
        self.engine.isolate()
    }

    fn evaluate(&mut self, source: &str) -> Result<ScriptValue, Error> {
        self.engine.evaluate(source)
    }

    fn evaluate_buffer(&mut self, source: &str) -> Result<Handle<JsArrayBuffer>, Error> {
        self.engine.evaluate_buffer(source)
    }

    fn set_global(&mut self, name: &str, buffer: &Handle<JsArrayBuffer>) -> Result<(), Error> {
        self.engine.set_global(name, buffer)
    }

    fn allocate(&mut self, byte_length: usize, max_byte_length: Option<usize>) -> Result<Handle<JsArrayBuffer>, Error> {
        self.engine.allocate(byte_length, max_byte_length)
    }

    fn allocate_shared(
        &mut self,
        byte_length: usize,
        max_byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error> {
        self.engine.allocate_shared(byte_length, max_byte_length)
    }

    fn expose(&mut self, store: &BackingStore) -> Result<(Handle<JsArrayBuffer>, Exposure), Error> {
        if self.how == Sabotage::ExposesSilentCopies {
            let copy = UniqueStore::from_owner(store.to_vec()?).map_err(|rejected| rejected.into_parts().0)?;
            return self.engine.expose(&copy.into());
        }
        match self.engine.expose(store) {
            Err(Error::Memory(offheap::Error::Freed { store, attempted, .. }))
                if self.how == Sabotage::SaysBusyForFreed =>
            {
                Err(offheap::Error::Busy { store, attempted, holder: offheap::Holder::Writer }.into())
            }
            exposed => exposed,
        }
    }

    fn externalize(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BackingStore, Error> {
        let store = self.engine.externalize(buffer)?;
        if self.how == Sabotage::ExternalizesCopies {
            let copy = UniqueStore::from_owner(store.to_vec()?).map_err(|rejected| rejected.into_parts().0)?;
            return Ok(copy.into());
        }
        Ok(store)
    }

    fn detach(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        match self.how {
            Sabotage::AsksForTheKeyFirst if key.is_some() && self.engine.state(buffer)?.immutable => {
                Err(Error::WrongDetachKey { engine: self.name(), attempted: "detach", given: "it has none" })
            }
            Sabotage::DetachDoesNothing => Ok(()),
            Sabotage::IgnoresDetachKeys => {
                self.engine.set_detach_key(buffer, None)?;
                self.engine.detach(buffer, None)
            }
            _ => self.engine.detach(buffer, key),
        }
    }

    fn take(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<UniqueStore, Error> {
        self.engine.take(buffer, key)
    }

    fn set_detach_key(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        self.engine.set_detach_key(buffer, key)
    }

    fn transfer(
        &mut self,
        buffer: &Handle<JsArrayBuffer>,
        byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error> {
        if self.how == Sabotage::CopiesWhatItTransfers {
            let byte_length = byte_length.unwrap_or(self.engine.state(buffer)?.byte_length);
            let longer = self.engine.transfer(buffer, Some(byte_length + 1))?;
            return self.engine.transfer(&longer, Some(byte_length));
        }
        self.engine.transfer(buffer, byte_length)
    }

    fn resize(&mut self, buffer: &Handle<JsArrayBuffer>, byte_length: usize) -> Result<(), Error> {
        match self.engine.resize(buffer, byte_length) {
            Err(Error::InvalidLength { .. }) if self.how == Sabotage::GrowsWithoutLimit => Ok(()),
            result => result,
        }
    }

    fn state(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BufferState, Error> {
        let mut state = self.engine.state(buffer)?;
        state.immutable |= self.how == Sabotage::SaysItIsImmutable;
        state.shared &= self.how != Sabotage::SaysItIsUnshared;
        Ok(state)
    }

    fn read(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize) -> Result<Option<u8>, Error> {
        self.engine.read(buffer, index)
    }

    fn write(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize, value: u8) -> Result<(), Error> {
        let shift = usize::from(self.how == Sabotage::WritesAnotherByte);
        self.engine.write(buffer, index + shift, value)
    }

    fn with_bytes(&mut self, buffer: &Handle<JsArrayBuffer>, read: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        self.engine.with_bytes(buffer, read)
    }

    fn evaluate_view(&mut self, source: &str) -> Result<ViewState, Error> {
        self.engine.evaluate_view(source)
    }

    fn collect_young(&mut self) {
        self.engine.collect_young();
    }

    fn collect(&mut self) {
        if self.how != Sabotage::NeverCollects {
            self.engine.collect();
        }
    }

    fn drain_finalizers(&mut self) {
        if self.how != Sabotage::NeverCollects {
            self.engine.drain_finalizers();
        }
    }

    fn external_bytes(&self) -> usize {
        if self.how == Sabotage::CountsNothing { 0 } else { self.engine.external_bytes() }
    }

    fn shut_down(self: Box<Self>) {
        assert_ne!(self.how, Sabotage::EndsByPanic, "an engine that cannot end");
    }
}

impl Scoped for Sabotaged {
    fn view(&mut self, buffer: &Handle<JsArrayBuffer>, shows: Shows) -> Result<Handle<JsArrayBufferView>, Error> {
        self.engine.view(buffer, shows)
    }

    fn expose_typed(&mut self, store: &BackingStore, part: Part) -> Result<Handle<JsArrayBufferView>, Error> {
        self.engine.expose_typed(store, part)
    }

    fn act(&mut self, act: Act, object: &Object, kept: &RefCell<Kept>) -> Result<String, Error> {
        match self.engine.act(act, object, kept) {
            Err(Error::Detached { .. }) if self.how == Sabotage::SeesNothingInDetachedViews => Ok("[]".to_owned()),
            seen => seen,
        }
    }

    fn call_native(
        &mut self,
        call: NativeCall,
        objects: [&Object; 2],
        kept: &Rc<RefCell<Kept>>,
    ) -> Result<ScriptValue, Error> {
        self.engine.call_native(call, objects, kept)
    }
}
