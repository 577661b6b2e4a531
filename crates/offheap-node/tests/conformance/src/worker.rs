//! A worker of the host as an isolate: `Host`, with verbs that run on the worker's thread.

use std::convert::Infallible;

use offheap_engine::offheap::{BackingStore, IsolateId, UniqueStore};
use offheap_engine::{
    BufferState, ByIsolate, Capabilities, Element, Error, Exposure, FromScript, Host, Rooted, Source, ToScript,
    ViewState, Window,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::engine_failed;
use crate::hub::{HUB, Member};
use crate::reply::{Abilities, Seen, Shown, State, Wire, read};

pub(crate) const NAME: &str = "Node";

/// A worker. Its objects are in a table of its own, so nothing of the host is here.
pub(crate) struct Worker {
    member: Member,
    abilities: Abilities,
}

/// The number of an object in the worker's table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Root(pub(crate) u32);

impl Worker {
    /// Calls a verb that fails only with an exception.
    fn verb<T: for<'d> Deserialize<'d>>(&self, name: &str, arguments: Value) -> Result<T, Error> {
        self.verb_or(name, arguments, |_| None)
    }

    /// Calls a verb. `thrown` may make an error of the class of an exception.
    fn verb_or<T: for<'d> Deserialize<'d>>(
        &self,
        name: &str,
        arguments: Value,
        thrown: impl FnOnce(&str) -> Option<Error>,
    ) -> Result<T, Error> {
        let request = json!([name, arguments]).to_string();
        read(&self.member.ask(move |env, verbs| verbs.call(env, request))?, thrown)
    }

    fn value(&self, name: &str, arguments: Value) -> Result<FromScript<Root>, Error> {
        self.verb::<Wire>(name, arguments)?.into_value()
    }

    fn root(&self, name: &str, arguments: Value) -> Result<Root, Error> {
        self.verb(name, arguments).map(Root)
    }

    fn properties(&self, buffer: Rooted<'_, Root>) -> Result<BufferState, Error> {
        let State { byte_length, max_byte_length, detached, resizable, immutable, shared } =
            self.verb("state", json!([number(buffer)?]))?;
        Ok(BufferState { byte_length, max_byte_length, detached, resizable, immutable, shared })
    }

    /// Has the worker do something that takes turns of its event loop.
    fn turn(&self, name: &str) {
        let _: Option<()> = self.verb(name, json!([self.member.number])).ok();
        // A worker that does not answer fails the next verb.
        self.member.wait_for_turns().ok();
        offheap_node::release_collected();
    }
}

fn number(object: Rooted<'_, Root>) -> Result<u32, Error> {
    object.with(|root| root.0)
}

fn wire(value: &ToScript<'_, Root>) -> Result<Value, Error> {
    let wire = match value {
        ToScript::Data(data) => Wire::of(data)?,
        ToScript::Object(object) => return Ok(json!({ "object": number(*object)? })),
    };
    serde_json::to_value(wire).map_err(|_| Error::EngineFailed { engine: NAME, attempted: "write a value" })
}

fn source(source: Source<'_>) -> Value {
    json!([source.text(), source.name().unwrap_or("case.js")])
}

fn not_detachable(attempted: &'static str) -> Error {
    let why = "the host does not allow it, as for the buffer of a WebAssembly.Memory";
    Error::NotDetachable { engine: NAME, attempted, why }
}

/// Nothing that runs on the worker's thread between two calls touches the bytes of a case.
#[allow(unsafe_code, reason = "`Host` is a contract")]
mod contract {
    use super::*;

    // SAFETY: I-BORROW: the runner asks for one verb after the other, and a worker runs no script of its own between
    // them. The core lends no bytes of a store that a host has. The id is the one of the process.
    unsafe impl Host for Worker {
        const NAME: &'static str = NAME;
        const RELEASING_RUNS_CODE: bool = false;
        type Root = Root;
        type Builder = ();
        type Key = Infallible;

        fn build((): (), _: ByIsolate) -> Result<Self, Error> {
            let member = HUB.start()?;
            let request = json!(["abilities", []]).to_string();
            let abilities = read(&member.ask(move |env, verbs| verbs.call(env, request))?, |_| None)?;
            Ok(Worker { member, abilities })
        }

        fn id(&self) -> IsolateId {
            offheap_node::isolate().expect("the process has an isolate")
        }

        fn version(&self) -> String {
            self.abilities.version.clone()
        }

        fn capabilities(&self) -> Capabilities {
            let mut capabilities = Capabilities::SCRIPT | Capabilities::SHARED;
            capabilities.set(Capabilities::RESIZABLE, self.abilities.resizable);
            capabilities.set(Capabilities::WASM, self.abilities.wasm);
            capabilities.set(Capabilities::GENERATIONS, self.abilities.generations);
            capabilities
        }

        fn max_byte_length(&self) -> usize {
            self.abilities.max_byte_length
        }

        fn release(&self, Root(root): Root) {
            let request = json!(["release", [root]]).to_string();
            self.member.send(Box::new(move |env, verbs| drop(verbs.call(env, request))));
        }

        fn end(self, _: impl Iterator<Item = Root>) {
            let _: Option<()> = self.verb("end", json!([])).ok();
            self.member.wait_for_end().ok();
        }

        fn evaluate(&self, script: Source<'_>) -> Result<FromScript<Root>, Error> {
            self.value("evaluate", source(script))
        }

        fn evaluate_buffer(&self, script: Source<'_>) -> Result<Root, Error> {
            self.root("evaluateBuffer", source(script))
        }

        fn evaluate_view(&self, script: Source<'_>) -> Result<ViewState, Error> {
            let Seen { byte_offset, byte_length, contents } = self.verb("evaluateView", source(script))?;
            Ok(ViewState { byte_offset, byte_length, contents })
        }

        fn global(&self, name: &str) -> Result<FromScript<Root>, Error> {
            self.value("global", json!([name]))
        }

        fn call(
            &self,
            function: Rooted<'_, Root>,
            arguments: &[ToScript<'_, Root>],
        ) -> Result<FromScript<Root>, Error> {
            let arguments: Vec<Value> = arguments.iter().map(wire).collect::<Result<_, _>>()?;
            self.value("call", json!([number(function)?, arguments]))
        }

        fn run_microtasks(&self) -> Result<(), Error> {
            // The host runs them after each call of a worker. This call comes after those.
            self.verb("nothing", json!([]))
        }

        fn set_global(&self, name: &str, value: ToScript<'_, Root>) -> Result<(), Error> {
            self.verb("setGlobal", json!([name, wire(&value)?]))
        }

        fn allocate(&self, byte_length: usize, max_byte_length: Option<usize>, shared: bool) -> Result<Root, Error> {
            self.root("allocate", json!([byte_length, max_byte_length, shared]))
        }

        fn expose(&self, store: &BackingStore, may_copy: bool) -> Result<(Root, Exposure), Error> {
            let store = store.clone();
            self.member.ask(move |env, verbs| {
                // The value is used up before this call of the worker ends.
                let (value, exposure) = match may_copy {
                    true => offheap_node::expose_or_copy(env, &store)?,
                    false => (offheap_node::expose(env, &store)?, Exposure::External),
                };
                let value = lasting(value)?;
                Ok((Root(verbs.keep(env, value)?), exposure))
            })
        }

        fn expose_typed(
            &self,
            store: &BackingStore,
            element: Element,
            byte_offset: usize,
            element_count: usize,
        ) -> Result<Root, Error> {
            let (buffer, _) = self.expose(store, false)?;
            let name = format!("{element:?}Array");
            let array = self.root("typed", json!([buffer.0, name, byte_offset, element_count]));
            self.release(buffer);
            array
        }

        #[track_caller]
        fn externalize(&self, buffer: Rooted<'_, Root>) -> Result<BackingStore, Error> {
            let root = number(buffer)?;
            let incoming = self.member.ask(move |env, verbs| offheap_node::externalize(&verbs.get(env, root)?));
            match incoming {
                Ok(incoming) => Ok(incoming.view.store),
                // As V8's `GetBackingStore`.
                Err(Error::Detached { .. }) => Ok(UniqueStore::zeroed(0)?.into()),
                Err(error) => Err(error),
            }
        }

        fn window(&self, object: Rooted<'_, Root>) -> Result<Window, Error> {
            self.verb::<Shown>("window", json!([number(object)?])).map(Window::from)
        }

        fn state(&self, buffer: Rooted<'_, Root>) -> Result<BufferState, Error> {
            self.properties(buffer)
        }

        fn is_shared(&self, buffer: Rooted<'_, Root>) -> Result<bool, Error> {
            Ok(self.properties(buffer)?.shared)
        }

        fn is_immutable(&self, buffer: Rooted<'_, Root>) -> Result<bool, Error> {
            Ok(self.properties(buffer)?.immutable)
        }

        fn set_detach_key(&self, _: Rooted<'_, Root>, _: Option<&str>) -> Result<(), Error> {
            let instead = "keep the buffer from code that may detach it";
            Err(Error::Unsupported { engine: NAME, what: "set detach keys", instead })
        }

        fn detach(
            &self,
            buffer: Rooted<'_, Root>,
            key: Option<&str>,
            check: impl FnOnce() -> Result<(), Error>,
        ) -> Result<(), Error> {
            if key.is_some() {
                return Err(Error::WrongDetachKey { engine: NAME, attempted: "detach", given: "a key" });
            }
            check()?;
            let root = number(buffer)?;
            self.member.ask(move |env, verbs| {
                let value = verbs.get(env, root)?;
                let store = offheap_node::externalize(&value).ok().map(|incoming| incoming.view.store);
                detach(env, &value)?;
                offheap_node::release_collected();
                if let Some(store) = store {
                    // SAFETY: I-HOST: no case makes a call of the host that is pending.
                    let done = unsafe { store.assume_host_is_done() };
                    // Refused while another buffer has the memory.
                    done.ok();
                }
                Ok(())
            })
        }

        fn transfer(
            &self,
            buffer: Rooted<'_, Root>,
            byte_length: Option<usize>,
            check: impl FnOnce(&BufferState) -> Result<(), Error>,
        ) -> Result<Root, Error> {
            let state = self.properties(buffer)?;
            check(&state)?;
            let thrown = |class: &str| match (class, byte_length) {
                ("TypeError", _) => Some(not_detachable("transfer")),
                // The host says the same of a length beyond the maximum, and where there is no memory.
                ("RangeError", Some(requested)) if state.resizable && requested > state.max_byte_length => {
                    let limit = state.max_byte_length;
                    Some(Error::InvalidLength { engine: NAME, attempted: "transfer", requested, limit })
                }
                ("RangeError", Some(requested)) if requested > self.abilities.max_byte_length => {
                    let limit = self.abilities.max_byte_length;
                    Some(Error::InvalidLength { engine: NAME, attempted: "transfer", requested, limit })
                }
                _ => None,
            };
            self.verb_or("transfer", json!([number(buffer)?, byte_length]), thrown).map(Root)
        }

        fn resize(
            &self,
            buffer: Rooted<'_, Root>,
            byte_length: usize,
            check: impl FnOnce(&BufferState) -> Result<(), Error>,
        ) -> Result<(), Error> {
            let state = self.properties(buffer)?;
            check(&state)?;
            // Another thread may have grown it since.
            let thrown = |class: &str| {
                let limit = self.properties(buffer).map_or(0, |now| now.byte_length);
                let is_shorter = class == "RangeError" && state.shared && byte_length < limit;
                let error = Error::InvalidLength { engine: NAME, attempted: "grow", requested: byte_length, limit };
                is_shorter.then_some(error)
            };
            self.verb_or("resize", json!([number(buffer)?, byte_length]), thrown)
        }

        fn read(&self, buffer: Rooted<'_, Root>, index: usize) -> Result<Option<u8>, Error> {
            self.verb("read", json!([number(buffer)?, index]))
        }

        fn write(&self, buffer: Rooted<'_, Root>, index: usize, value: u8) -> Result<(), Error> {
            self.verb("write", json!([number(buffer)?, index, value]))
        }

        fn collect(&self) {
            self.turn("collect");
        }

        fn drain_finalizers(&self) {
            self.turn("drain");
        }

        fn collect_young(&self) {
            let _: Option<()> = self.verb("collectYoung", json!([])).ok();
        }
    }

    /// Detaches a buffer as any addon can.
    fn detach(env: &napi::Env, value: &napi::bindgen_prelude::Unknown<'_>) -> Result<(), Error> {
        use napi::JsValue;
        // SAFETY: I-HOST: the value is of the open handle scope of this environment.
        match unsafe { napi::sys::napi_detach_arraybuffer(env.raw(), value.value().value) } {
            napi::sys::Status::napi_ok => Ok(()),
            _ => Err(not_detachable("detach")),
        }
    }

    /// The value without the lifetime of its environment.
    fn lasting(value: napi::bindgen_prelude::Unknown<'_>) -> Result<napi::bindgen_prelude::Unknown<'static>, Error> {
        use napi::JsValue;
        let raw = value.value();
        // SAFETY: I-FREE-ONCE: the value is that of an open handle scope, which ends after the call that uses it.
        unsafe { napi::bindgen_prelude::FromNapiValue::from_napi_value(raw.env, raw.value) }.map_err(engine_failed)
    }
}
