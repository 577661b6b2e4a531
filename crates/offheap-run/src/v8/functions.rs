//! The primitives as functions of V8.

use std::rc::Rc;

use offheap::observe::ScriptStack;
use offheap::{BackingStore, Error, SharedStore, Site};
use offheap_v8::{BackingStoreExt, SharedStoreExt, collect, copy_of, detach, script_site, script_stack, v8};

use super::{LIMITS, frames, modules};
use crate::NativeModule;
use crate::glue::{
    Argument, Call, Failure, INSPECT, Outcome, PRELUDE, Source, State, Thrown, primitives, unknown_site,
};

/// Marks that an exception is pending in V8.
struct Pending;

type Value<'s> = v8::Local<'s, v8::Value>;

struct V8Call<'a, 's, 'i> {
    scope: &'a mut v8::PinScope<'s, 'i>,
    /// The prelude's object of this name.
    internals: v8::Local<'s, v8::Object>,
    state: &'a State,
    arguments: &'a v8::FunctionCallbackArguments<'s>,
}

/// The name of a type of values, and the test for it.
type Kind = (&'static str, fn(&v8::Value) -> bool);

/// V8 returns nothing where an exception is pending.
fn thrown<T>(given: Option<T>) -> Result<T, Thrown<Pending>> {
    given.ok_or(Thrown::Pending(Pending))
}

impl<'s> Call for V8Call<'_, 's, '_> {
    type Value = Value<'s>;
    type Pending = Pending;

    fn state(&self) -> &State {
        self.state
    }

    fn value(&mut self, index: usize) -> Value<'s> {
        // `undefined` beyond the last one.
        self.arguments.get(index as i32)
    }

    fn as_argument(&mut self, value: &Value<'s>) -> Argument {
        if let Ok(number) = v8::Local::<v8::Number>::try_from(*value) {
            return Argument::Number(number.value());
        }
        let kinds: [Kind; 7] = [
            ("null", v8::Value::is_null),
            ("boolean", v8::Value::is_boolean),
            ("string", v8::Value::is_string),
            ("symbol", v8::Value::is_symbol),
            ("bigint", v8::Value::is_big_int),
            ("array", v8::Value::is_array),
            ("function", v8::Value::is_function),
        ];
        match kinds.iter().find(|(_, is)| is(value)) {
            _ if value.is_undefined() => Argument::Absent,
            Some(&(kind, _)) => Argument::Other(kind),
            None => Argument::Other("object"),
        }
    }

    fn as_boolean(&mut self, value: &Value<'s>) -> bool {
        value.boolean_value(self.scope)
    }

    fn as_text(&mut self, value: &Value<'s>) -> Outcome<String, Self> {
        let text = thrown(value.to_string(self.scope))?;
        Ok(text.to_rust_string_lossy(self.scope))
    }

    fn property(&mut self, value: &Value<'s>, name: &str) -> Outcome<Value<'s>, Self> {
        match v8::Local::<v8::Object>::try_from(*value) {
            Ok(object) => thrown(get(self.scope, object, name)),
            Err(_) => Ok(self.undefined()),
        }
    }

    fn copy_of(&mut self, bytes: &Value<'s>) -> Outcome<Option<Vec<u8>>, Self> {
        match copy_of(self.scope, *bytes) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(offheap_v8::Error::NotAnArrayBuffer { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn undefined(&mut self) -> Value<'s> {
        v8::undefined(self.scope).into()
    }

    fn boolean(&mut self, boolean: bool) -> Value<'s> {
        v8::Boolean::new(self.scope, boolean).into()
    }

    fn number(&mut self, number: f64) -> Value<'s> {
        v8::Number::new(self.scope, number).into()
    }

    fn object(&mut self, properties: &[(&str, f64)]) -> Outcome<Value<'s>, Self> {
        thrown(object(self.scope, properties).map(Into::into))
    }

    fn bytes(&mut self, bytes: Vec<u8>) -> Outcome<Value<'s>, Self> {
        let byte_length = bytes.len();
        let block = v8::ArrayBuffer::new_backing_store_from_vec(bytes).make_shared();
        let buffer = v8::ArrayBuffer::with_backing_store(self.scope, &block);
        thrown(v8::Uint8Array::new(self.scope, buffer, 0, byte_length).map(Into::into))
    }

    fn internal(&mut self, name: &str, arguments: &[Value<'s>]) -> Outcome<Value<'s>, Self> {
        thrown(call(self.scope, self.internals, name, arguments))
    }

    fn site(&mut self) -> Site {
        script_site(self.scope).unwrap_or_else(unknown_site)
    }

    fn script_stack(&mut self) -> ScriptStack {
        script_stack(self.scope)
    }

    fn expose(&mut self, store: &BackingStore) -> Outcome<Value<'s>, Self> {
        match SharedStore::try_from(store.clone()) {
            Ok(shared) => Ok(shared.expose(self.scope)?.into()),
            Err(_) => Ok(store.expose(self.scope)?.into()),
        }
    }

    fn externalize(&mut self, buffer: &Value<'s>) -> Result<BackingStore, offheap_v8::Error> {
        BackingStore::externalize_buffer(self.scope, *buffer)
    }

    fn detach(&mut self, buffer: &Value<'s>, key: Option<&str>) -> Result<(), offheap_v8::Error> {
        detach(self.scope, *buffer, key)
    }

    fn copy_out(&mut self, store: &BackingStore) -> Outcome<Vec<u8>, Self> {
        let requested = store.byte_length();
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(requested).map_err(|_| Error::OutOfMemory { requested })?;
        bytes.resize(requested, 0);
        store.copy_to(self.scope, 0, &mut bytes)?;
        Ok(bytes)
    }

    fn copy_in(&mut self, store: &BackingStore, byte_offset: usize, bytes: &[u8]) -> Outcome<(), Self> {
        Ok(store.copy_in(self.scope, byte_offset, bytes)?)
    }

    fn collect(&mut self) {
        collect(self.scope);
    }
}

fn get<'s>(scope: &mut v8::PinScope<'s, '_>, object: v8::Local<'s, v8::Object>, name: &str) -> Option<Value<'s>> {
    let name = v8::String::new(scope, name)?;
    object.get(scope, name.into())
}

fn call<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    internals: v8::Local<'s, v8::Object>,
    name: &str,
    arguments: &[Value<'s>],
) -> Option<Value<'s>> {
    let function: v8::Local<'s, v8::Function> = get(scope, internals, name)?.try_into().ok()?;
    function.call(scope, internals.into(), arguments)
}

fn set<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    object: v8::Local<'s, v8::Object>,
    name: &str,
    value: Value<'s>,
) -> Option<bool> {
    let name = v8::String::new(scope, name)?;
    object.create_data_property(scope, name.into(), value)
}

fn object<'s>(scope: &mut v8::PinScope<'s, '_>, properties: &[(&str, f64)]) -> Option<v8::Local<'s, v8::Object>> {
    let object = v8::Object::new(scope);
    for &(name, number) in properties {
        let number = v8::Number::new(scope, number).into();
        set(scope, object, name, number)?;
    }
    Some(object)
}

/// The states of all modules that are installed in the contexts of an isolate.
#[derive(Default)]
struct States(Vec<Rc<State>>);

/// V8 calls this for every primitive. The data of the function says which state and which primitive.
fn run<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let data = arguments.data().uint32_value(scope).expect("a number") as usize;
    let primitives = primitives();
    let States(states) = scope.get_slot::<States>().expect("set before any script runs");
    let state = Rc::clone(&states[data / primitives.len()]);
    let run = primitives[data % primitives.len()].run;
    let internals = arguments.this();
    let mut call = V8Call { scope, internals, state: &state, arguments: &arguments };
    match run(&mut call) {
        Ok(value) => result.set(value),
        Err(Thrown::Failure(failure)) => throw(scope, internals, failure),
        Err(Thrown::Pending(Pending)) => {}
    }
}

fn throw<'s>(scope: &mut v8::PinScope<'s, '_>, internals: v8::Local<'s, v8::Object>, failure: Failure) {
    let text = |text: &str| v8::String::new(scope, text).map(Value::from);
    let arguments = [text(failure.class()), text(failure.message()), failure.code().and_then(text)];
    let nothing = v8::undefined(scope).into();
    let arguments = arguments.map(|argument| argument.unwrap_or(nothing));
    // Where it fails, the exception of that is pending.
    if let Some(error) = call(scope, internals, "fail", &arguments) {
        scope.throw_exception(error);
    }
}

/// Defines `nativeModule` and `console`; returns the function that describes a thrown value. `None` where an exception
/// is pending.
pub(super) fn install<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    module: NativeModule,
) -> Option<v8::Local<'s, v8::Function>> {
    let state = Rc::new(State::new(module, LIMITS));
    let first = note_state(scope, &state);
    let functions = v8::Object::new(scope);
    for (index, primitive) in primitives::<V8Call<'_, '_, '_>>().iter().enumerate() {
        let data = v8::Integer::new_from_unsigned(scope, (first + index) as u32).into();
        let function = v8::Function::builder(run).data(data).length(primitive.length as i32);
        // `new` would make an object of script's the one that `internals` is looked for in.
        let function = function.constructor_behavior(v8::ConstructorBehavior::Throw).build(scope)?;
        let name = v8::String::new(scope, primitive.name)?;
        function.set_name(name);
        functions.create_data_property(scope, name.into(), function.into())?;
    }
    let mapped = strings(scope, state.mapped_names())?;
    let arguments = strings(scope, state.arguments().iter().map(String::as_str))?;
    let nothing = v8::undefined(scope).into();
    let prelude = evaluate_source(scope, PRELUDE)?;
    let given = prelude.call(scope, nothing, &[functions.into(), mapped.into(), arguments.into()])?;
    let inspect = evaluate_source(scope, INSPECT)?;
    let engine = frames::install(scope)?;
    inspect.call(scope, nothing, &[given, engine])?.try_into().ok()
}

/// Keeps a state as long as the isolate. The result is the number of its first primitive.
fn note_state(isolate: &mut v8::Isolate, state: &Rc<State>) -> usize {
    if isolate.get_slot::<States>().is_none() {
        isolate.set_slot(States::default());
    }
    let States(states) = isolate.get_slot_mut::<States>().expect("set above");
    states.push(Rc::clone(state));
    (states.len() - 1) * primitives::<V8Call<'_, '_, '_>>().len()
}

fn strings<'s, 'a>(
    scope: &mut v8::PinScope<'s, '_>,
    strings: impl IntoIterator<Item = &'a str>,
) -> Option<v8::Local<'s, v8::Array>> {
    let array = v8::Array::new(scope, 0);
    for (index, string) in strings.into_iter().enumerate() {
        let string = v8::String::new(scope, string)?;
        array.set_index(scope, index as u32, string.into())?;
    }
    Some(array)
}

/// The function that is the value of a script of this crate.
pub(super) fn evaluate_source<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    source: Source,
) -> Option<v8::Local<'s, v8::Function>> {
    modules::compile_classic(scope, source.name, source.text)?.run(scope)?.try_into().ok()
}
