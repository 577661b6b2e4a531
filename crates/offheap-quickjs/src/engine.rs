//! `Engine` for QuickJS: what tools drive.

use offheap::adapter;
use offheap::{BackingStore, FrozenStore, IsolateId};
use rquickjs::{Type, Value};

use crate::{
    BufferState, Capabilities, ENGINE, Engine, Error, Exposure, Handle, Isolate, JsArrayBuffer, Scope, ScriptValue,
    ViewState,
};

/// One isolate of QuickJS as an [`Engine`].
pub struct QuickJsEngine {
    isolate: Isolate,
}

impl QuickJsEngine {
    /// An isolate with QuickJS's own settings.
    ///
    /// # Errors
    /// As for [`Isolate::new`].
    pub fn new() -> Result<Self, Error> {
        Isolate::new().map(|isolate| QuickJsEngine { isolate })
    }
}

impl QuickJsEngine {
    fn make(
        &mut self,
        constructor: &str,
        byte_length: usize,
        max_byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error> {
        let limit = crate::sys::MAX_BYTE_LENGTH;
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
        self.isolate.enter(|scope| scope.eval_buffer(&source).map(|buffer| buffer.into_handle()))
    }
}

impl From<Isolate> for QuickJsEngine {
    fn from(isolate: Isolate) -> Self {
        QuickJsEngine { isolate }
    }
}

pub(crate) fn script_value(value: &Value<'_>) -> ScriptValue {
    match value.type_of() {
        Type::Undefined => ScriptValue::Undefined,
        Type::Null => ScriptValue::Null,
        Type::Bool => ScriptValue::Boolean(value.as_bool().unwrap_or_default()),
        Type::Int | Type::Float => ScriptValue::Number(value.as_number().unwrap_or(f64::NAN)),
        Type::String => {
            let text = value.as_string().and_then(|text| text.to_string().ok());
            text.map_or(ScriptValue::Other("string"), ScriptValue::String)
        }
        other => ScriptValue::Other(other.as_str()),
    }
}

impl Engine for QuickJsEngine {
    fn name(&self) -> &'static str {
        ENGINE
    }

    fn version(&self) -> String {
        crate::sys::version().to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::SCRIPT
            | Capabilities::RESIZABLE
            | Capabilities::IMMUTABLE
            | Capabilities::DETACH_KEYS
            | Capabilities::SHARED
    }

    fn max_byte_length(&self) -> usize {
        crate::sys::MAX_BYTE_LENGTH
    }

    fn isolate(&self) -> IsolateId {
        self.isolate.id()
    }

    fn evaluate(&mut self, source: &str) -> Result<ScriptValue, Error> {
        self.isolate.enter(|scope| {
            let value = scope.eval_value(source)?;
            scope.run_microtasks()?;
            Ok(script_value(&value))
        })
    }

    fn evaluate_buffer(&mut self, source: &str) -> Result<Handle<JsArrayBuffer>, Error> {
        self.isolate.enter(|scope| scope.eval_buffer(source).map(|buffer| buffer.into_handle()))
    }

    fn set_global(&mut self, name: &str, buffer: &Handle<JsArrayBuffer>) -> Result<(), Error> {
        self.isolate.enter(|scope| scope.set_global(name, buffer))
    }

    fn allocate(&mut self, byte_length: usize, max_byte_length: Option<usize>) -> Result<Handle<JsArrayBuffer>, Error> {
        self.make("ArrayBuffer", byte_length, max_byte_length)
    }

    fn allocate_shared(
        &mut self,
        byte_length: usize,
        max_byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error> {
        self.make("SharedArrayBuffer", byte_length, max_byte_length)
    }

    fn expose(&mut self, store: &BackingStore) -> Result<(Handle<JsArrayBuffer>, Exposure), Error> {
        self.isolate.enter(|scope| match FrozenStore::try_from(store.clone()) {
            Ok(frozen) => scope.expose_frozen(&frozen).map(|(buffer, exposure)| (buffer.into_handle(), exposure)),
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
            let value = scope.call_with_buffer("(b, i) => new Uint8Array(b)[i]", buffer, index, 0)?;
            Ok(value.as_number().map(|number| number as u8))
        })
    }

    fn write(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize, value: u8) -> Result<(), Error> {
        self.isolate.enter(|scope| {
            let state = check_attached(scope, buffer, "write")?;
            if state.immutable {
                return Err(Error::Immutable { engine: ENGINE, attempted: "write" });
            }
            scope.call_with_buffer("(b, i, v) => { new Uint8Array(b)[i] = v }", buffer, index, value).map(drop)
        })
    }

    fn evaluate_view(&mut self, source: &str) -> Result<ViewState, Error> {
        self.isolate.enter(|scope| scope.eval_view(source))
    }

    fn collect_young(&mut self) {}

    fn collect(&mut self) {
        self.isolate.enter(|scope| scope.collect());
    }

    fn drain_finalizers(&mut self) {
        // QuickJS finalizes what it collects at once.
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
