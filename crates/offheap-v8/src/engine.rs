//! `Engine` for V8: what tools drive.

use offheap::adapter;
use offheap::{BackingStore, FrozenStore, IsolateId};

use crate::script::{catching, compile_and_run};
use crate::{
    BufferState, Capabilities, ENGINE, Engine, Error, Exposure, Handle, Isolate, JsArrayBuffer, Scope, ScriptValue,
    ViewState,
};

/// One isolate of V8 as an [`Engine`].
pub struct V8Engine {
    isolate: Isolate,
}

impl V8Engine {
    /// An isolate with V8's own settings.
    ///
    /// # Errors
    /// As for [`Isolate::new`].
    pub fn new() -> Result<Self, Error> {
        Isolate::new().map(|isolate| V8Engine { isolate })
    }

    fn allocate_with(
        &mut self,
        constructor: &str,
        byte_length: usize,
        max_byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error> {
        let limit = crate::sys::max_byte_length();
        let most = max_byte_length.unwrap_or(byte_length).max(byte_length);
        if most > limit {
            return Err(Error::TooLargeForEngine { engine: ENGINE, store: None, byte_length: most, limit });
        }
        if let Some(max_byte_length) = max_byte_length.filter(|&most| byte_length > most) {
            return Err(offheap::Error::MaximumTooSmall { byte_length, max_byte_length }.into());
        }
        let source = match max_byte_length {
            Some(max) => format!("new {constructor}({byte_length}, {{ maxByteLength: {max} }})"),
            None => format!("new {constructor}({byte_length})"),
        };
        self.evaluate_buffer(&source)
    }
}

impl From<Isolate> for V8Engine {
    fn from(isolate: Isolate) -> Self {
        V8Engine { isolate }
    }
}

/// `(Uint8Array of buffer)[index]`, read or written by script.
fn call_with_buffer(
    scope: &mut Scope<'_>,
    source: &str,
    buffer: &Handle<JsArrayBuffer>,
    index: usize,
    value: u8,
) -> Result<Option<u8>, Error> {
    scope.with_buffer(buffer, |scope, _, buffer, _| {
        let object = buffer.object();
        let result = catching(scope, |scope| {
            let function: v8::Local<'_, v8::Function> = compile_and_run(scope, source)?.try_into().ok()?;
            let index = v8::Number::new(scope, index as f64);
            let value = v8::Number::new(scope, f64::from(value));
            let nothing = v8::undefined(scope);
            function.call(scope, nothing.into(), &[object.into(), index.into(), value.into()])
        })?;
        Ok(v8::Local::<v8::Number>::try_from(result).ok().map(|number| number.value() as u8))
    })
}

impl Engine for V8Engine {
    fn name(&self) -> &'static str {
        ENGINE
    }

    fn version(&self) -> String {
        v8::V8::get_version().to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::all();
        capabilities.set(Capabilities::IMMUTABLE, self.isolate.enforces_immutable());
        capabilities.set(Capabilities::GENERATIONS, self.isolate.collects_young());
        capabilities
    }

    fn max_byte_length(&self) -> usize {
        crate::sys::max_byte_length()
    }

    fn isolate(&self) -> IsolateId {
        self.isolate.id()
    }

    fn evaluate(&mut self, source: &str) -> Result<ScriptValue, Error> {
        self.isolate.enter(|scope| {
            let value = scope.eval(source)?;
            scope.run_microtasks()?;
            Ok(value)
        })
    }

    fn evaluate_buffer(&mut self, source: &str) -> Result<Handle<JsArrayBuffer>, Error> {
        self.isolate.enter(|scope| scope.eval_buffer(source).map(|buffer| buffer.into_handle()))
    }

    fn set_global(&mut self, name: &str, buffer: &Handle<JsArrayBuffer>) -> Result<(), Error> {
        self.isolate.enter(|scope| scope.set_global(name, buffer))
    }

    fn allocate(&mut self, byte_length: usize, max_byte_length: Option<usize>) -> Result<Handle<JsArrayBuffer>, Error> {
        self.allocate_with("ArrayBuffer", byte_length, max_byte_length)
    }

    fn allocate_shared(
        &mut self,
        byte_length: usize,
        max_byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error> {
        self.allocate_with("SharedArrayBuffer", byte_length, max_byte_length)
    }

    fn expose(&mut self, store: &BackingStore) -> Result<(Handle<JsArrayBuffer>, Exposure), Error> {
        self.isolate.enter(|scope| match FrozenStore::try_from(store.clone()) {
            Ok(frozen) => scope.expose_frozen(&frozen).map(|(buffer, exposure)| (buffer.into_handle(), exposure)),
            Err(_) if store.kind().is_resizable_by_rust() => {
                scope.expose_resizable(store).map(|(buffer, exposure)| (buffer.into_handle(), exposure))
            }
            Err(_) => Ok((scope.expose(store)?.into_handle(), Exposure::External)),
        })
    }

    #[track_caller]
    fn externalize(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BackingStore, Error> {
        adapter::on_behalf_of_caller(|| self.isolate.enter(|scope| scope.externalize(buffer)))
    }

    fn detach(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        self.isolate.enter(|scope| scope.detach(buffer, key))
    }

    fn set_detach_key(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        self.isolate.enter(|scope| scope.set_detach_key(buffer, key))
    }

    fn transfer(
        &mut self,
        buffer: &Handle<JsArrayBuffer>,
        byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error> {
        self.isolate.enter(|scope| scope.transfer(buffer, byte_length).map(|buffer| buffer.into_handle()))
    }

    fn resize(&mut self, buffer: &Handle<JsArrayBuffer>, byte_length: usize) -> Result<(), Error> {
        self.isolate.enter(|scope| scope.resize(buffer, byte_length))
    }

    fn state(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BufferState, Error> {
        self.isolate.enter(|scope| scope.state(buffer))
    }

    fn read(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize) -> Result<Option<u8>, Error> {
        self.isolate.enter(|scope| {
            check_attached(scope, buffer, "read")?;
            call_with_buffer(scope, "(b, i) => new Uint8Array(b)[i]", buffer, index, 0)
        })
    }

    fn write(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize, value: u8) -> Result<(), Error> {
        self.isolate.enter(|scope| {
            let state = check_attached(scope, buffer, "write")?;
            if state.immutable {
                return Err(Error::Immutable { engine: ENGINE, attempted: "write" });
            }
            call_with_buffer(scope, "(b, i, v) => { new Uint8Array(b)[i] = v }", buffer, index, value).map(drop)
        })
    }

    fn evaluate_view(&mut self, source: &str) -> Result<ViewState, Error> {
        self.isolate.enter(|scope| scope.eval_view(source))
    }

    fn collect(&mut self) {
        self.isolate.enter(|scope| scope.collect());
    }

    fn collect_young(&mut self) {
        if self.isolate.collects_young() {
            self.isolate.enter(|scope| scope.collect_young());
        }
    }

    fn drain_finalizers(&mut self) {
        // A collection of all completes the sweep that the one before may have left to another thread.
        self.isolate.enter(|scope| scope.collect());
    }

    fn external_bytes(&self) -> usize {
        self.isolate.id().external_bytes()
    }

    fn shut_down(self: Box<Self>) {}
}

fn check_attached(
    scope: &Scope<'_>,
    buffer: &Handle<JsArrayBuffer>,
    attempted: &'static str,
) -> Result<BufferState, Error> {
    let state = scope.state(buffer)?;
    match state.detached {
        true => Err(Error::Detached { engine: ENGINE, attempted }),
        false => Ok(state),
    }
}
