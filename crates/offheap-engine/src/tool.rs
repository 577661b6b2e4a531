//! `Engine`, for tools, on an isolate of any engine.

use offheap::{BackingStore, IsolateId, UniqueStore, adapter};

use crate::host::Host;
use crate::{
    BufferState, Capabilities, Engine, Error, Exposure, Handle, Isolate, JsArrayBuffer, ScriptValue, Value, ViewState,
};

impl<H: Host> Engine for Isolate<H> {
    fn name(&self) -> &'static str {
        H::NAME
    }

    fn version(&self) -> String {
        self.look(H::version)
    }

    fn capabilities(&self) -> Capabilities {
        self.look(H::capabilities)
    }

    fn max_byte_length(&self) -> usize {
        self.look(H::max_byte_length)
    }

    fn isolate(&self) -> IsolateId {
        self.id()
    }

    fn evaluate(&mut self, source: &str) -> Result<ScriptValue, Error> {
        self.enter(|scope| {
            let value: ScriptValue = scope.eval::<Value<'_>>(source)?.into();
            scope.run_microtasks()?;
            Ok(value)
        })
    }

    fn evaluate_buffer(&mut self, source: &str) -> Result<Handle<JsArrayBuffer>, Error> {
        self.enter(|scope| Ok(scope.eval_buffer(source)?.into_handle()))
    }

    fn set_global(&mut self, name: &str, buffer: &Handle<JsArrayBuffer>) -> Result<(), Error> {
        self.enter(|scope| scope.set_global(name, buffer))
    }

    fn allocate(&mut self, byte_length: usize, max_byte_length: Option<usize>) -> Result<Handle<JsArrayBuffer>, Error> {
        self.enter(|scope| Ok(scope.allocate(byte_length, max_byte_length)?.into_handle()))
    }

    #[track_caller]
    fn allocate_shared(
        &mut self,
        byte_length: usize,
        max_byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error> {
        adapter::on_behalf_of_caller(|| {
            self.enter(|scope| Ok(scope.allocate_shared(byte_length, max_byte_length)?.into_handle()))
        })
    }

    fn expose(&mut self, store: &BackingStore) -> Result<(Handle<JsArrayBuffer>, Exposure), Error> {
        self.enter(|scope| scope.expose_or_copy(store).map(|(buffer, exposure)| (buffer.into_handle(), exposure)))
    }

    #[track_caller]
    fn externalize(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BackingStore, Error> {
        adapter::on_behalf_of_caller(|| self.enter(|scope| scope.get_backing_store(buffer)))
    }

    fn detach(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        self.enter(|scope| scope.detach(buffer, key))
    }

    #[track_caller]
    fn take(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<UniqueStore, Error> {
        adapter::on_behalf_of_caller(|| self.enter(|scope| scope.take(buffer, key)))
    }

    fn set_detach_key(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        self.enter(|scope| scope.set_detach_key(buffer, key))
    }

    fn transfer(
        &mut self,
        buffer: &Handle<JsArrayBuffer>,
        byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error> {
        self.enter(|scope| Ok(scope.transfer(buffer, byte_length)?.into_handle()))
    }

    fn resize(&mut self, buffer: &Handle<JsArrayBuffer>, byte_length: usize) -> Result<(), Error> {
        self.enter(|scope| scope.resize(buffer, byte_length))
    }

    fn state(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BufferState, Error> {
        self.enter(|scope| scope.state(buffer))
    }

    fn read(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize) -> Result<Option<u8>, Error> {
        self.enter(|scope| scope.read(buffer, index))
    }

    fn write(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize, value: u8) -> Result<(), Error> {
        self.enter(|scope| scope.write(buffer, index, value))
    }

    fn with_bytes(&mut self, buffer: &Handle<JsArrayBuffer>, read: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        self.enter(|scope| scope.bytes(buffer).map(|bytes| read(&bytes)))
    }

    fn evaluate_view(&mut self, source: &str) -> Result<ViewState, Error> {
        self.enter(|scope| scope.eval_view(source))
    }

    fn collect(&mut self) {
        self.enter(|scope| scope.collect());
    }

    fn collect_young(&mut self) {
        self.enter(|scope| scope.collect_young());
    }

    fn drain_finalizers(&mut self) {
        self.enter(|scope| scope.drain_finalizers());
    }

    fn external_bytes(&self) -> usize {
        self.id().external_bytes()
    }

    fn shut_down(self: Box<Self>) {}
}
