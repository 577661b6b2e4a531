//! Another engine gets `nativeModule` through the public items of `glue`: here the model, which has no script, so that a
//! test calls the primitives. The prelude's `internals` are Rust here.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::LazyLock;

use offheap::observe::ScriptStack;
use offheap::{BackingStore, Site};
use offheap_engine::{Engine, Handle, JsArrayBuffer};
use offheap_ledger::{Ledger, Level};
use offheap_model::{ModelEngine, model};
use offheap_run::NativeModule;
use offheap_run::glue::{Argument, Call, Failure, Limits, Outcome, State, Thrown, primitives};

#[derive(Clone)]
enum Value {
    Undefined,
    Boolean(bool),
    Number(f64),
    Text(String),
    Buffer(Rc<Handle<JsArrayBuffer>>),
    Bytes(Vec<u8>),
    Properties(Vec<(String, Value)>),
    /// Memory or a reference.
    Native(Rc<Native>),
}

struct Native {
    is_reference: bool,
    id: Value,
    byte_length: Value,
    freed: RefCell<Vec<Value>>,
}

/// The engine throws nothing by itself.
enum Never {}

struct ModelCall<'a> {
    engine: &'a mut ModelEngine,
    state: &'a State,
    arguments: Vec<Value>,
    line: u32,
}

impl Call for ModelCall<'_> {
    type Value = Value;
    type Pending = Never;

    fn state(&self) -> &State {
        self.state
    }

    fn value(&mut self, index: usize) -> Value {
        self.arguments.get(index).cloned().unwrap_or(Value::Undefined)
    }

    fn as_argument(&mut self, value: &Value) -> Argument {
        match value {
            Value::Undefined => Argument::Absent,
            Value::Number(number) => Argument::Number(*number),
            Value::Boolean(_) => Argument::Other("boolean"),
            Value::Text(_) => Argument::Other("string"),
            _ => Argument::Other("object"),
        }
    }

    fn as_boolean(&mut self, value: &Value) -> bool {
        matches!(value, Value::Boolean(true))
    }

    fn as_text(&mut self, value: &Value) -> Outcome<String, Self> {
        let Value::Text(text) = value else { panic!("only strings are asked for their text") };
        Ok(text.clone())
    }

    fn property(&mut self, value: &Value, name: &str) -> Outcome<Value, Self> {
        let Value::Properties(properties) = value else { return Ok(Value::Undefined) };
        let found = properties.iter().find(|(property, _)| property == name);
        Ok(found.map_or(Value::Undefined, |(_, value)| value.clone()))
    }

    fn copy_of(&mut self, bytes: &Value) -> Outcome<Option<Vec<u8>>, Self> {
        Ok(if let Value::Bytes(bytes) = bytes { Some(bytes.clone()) } else { None })
    }

    fn undefined(&mut self) -> Value {
        Value::Undefined
    }

    fn boolean(&mut self, boolean: bool) -> Value {
        Value::Boolean(boolean)
    }

    fn number(&mut self, number: f64) -> Value {
        Value::Number(number)
    }

    fn object(&mut self, properties: &[(&str, f64)]) -> Outcome<Value, Self> {
        let property = |&(name, number): &(&str, f64)| (name.to_owned(), Value::Number(number));
        Ok(Value::Properties(properties.iter().map(property).collect()))
    }

    fn bytes(&mut self, bytes: Vec<u8>) -> Outcome<Value, Self> {
        Ok(Value::Bytes(bytes))
    }

    fn internal(&mut self, name: &str, arguments: &[Value]) -> Outcome<Value, Self> {
        let native = if let Some(Value::Native(native)) = arguments.first() { Some(native) } else { None };
        let memory = native.filter(|native| !native.is_reference);
        Ok(match name {
            "memory" | "external" => {
                let (id, byte_length) = (arguments[0].clone(), arguments[1].clone());
                let is_reference = name == "external";
                Value::Native(Rc::new(Native { is_reference, id, byte_length, freed: RefCell::default() }))
            }
            "idOf" => memory.map_or(Value::Undefined, |memory| memory.id.clone()),
            "isExternal" => Value::Boolean(native.is_some_and(|native| native.is_reference)),
            "keepFreed" => {
                *memory.expect("memory").freed.borrow_mut() = arguments[1..].to_vec();
                Value::Undefined
            }
            "freedAt" => {
                let Value::Number(index) = arguments[1] else { panic!("an index") };
                memory.and_then(|memory| memory.freed.borrow().get(index as usize).cloned()).unwrap_or(Value::Undefined)
            }
            other => panic!("the prelude has no function {other} of which a primitive knows"),
        })
    }

    fn site(&mut self) -> Site {
        offheap::adapter::script_site("model.js", self.line, 1)
    }

    fn script_stack(&mut self) -> ScriptStack {
        ScriptStack::new()
    }

    fn expose(&mut self, store: &BackingStore) -> Outcome<Value, Self> {
        Ok(Value::Buffer(Rc::new(self.engine.expose(store)?.0)))
    }

    fn externalize(&mut self, buffer: &Value) -> Result<BackingStore, offheap_engine::Error> {
        self.engine.externalize(buffer_of(buffer)?)
    }

    fn detach(&mut self, buffer: &Value, key: Option<&str>) -> Result<(), offheap_engine::Error> {
        self.engine.detach(buffer_of(buffer)?, key)
    }

    fn copy_out(&mut self, store: &BackingStore) -> Outcome<Vec<u8>, Self> {
        Ok(store.to_vec()?)
    }

    fn copy_in(&mut self, store: &BackingStore, byte_offset: usize, bytes: &[u8]) -> Outcome<(), Self> {
        panic!("no test here writes {} bytes at {byte_offset} of {store:?}", bytes.len())
    }

    fn collect(&mut self) {
        self.engine.collect();
        self.engine.drain_finalizers();
    }
}

fn buffer_of(value: &Value) -> Result<&Handle<JsArrayBuffer>, offheap_engine::Error> {
    match value {
        Value::Buffer(buffer) => Ok(buffer),
        _ => Err(offheap_engine::Error::NotAnArrayBuffer { engine: "Model", found: "something else".to_owned() }),
    }
}

/// What script would be on this engine.
struct Script {
    engine: ModelEngine,
    state: State,
    line: u32,
}

impl Script {
    fn new() -> Self {
        Self::limited(1 << 20)
    }

    /// On an engine whose buffers have at most this many bytes.
    fn limited(max_byte_length: usize) -> Self {
        static LEDGER: LazyLock<&'static Ledger> =
            LazyLock::new(|| offheap_ledger::install(Level::Sites).expect("no other observer is installed"));
        let engine = model(7).expect("an isolate");
        let limits = Limits { engine: "Model", max_byte_length, alignment: 8, resizes_any_memory: true };
        Script { engine, state: State::new(NativeModule::new(*LEDGER), limits), line: 0 }
    }

    /// Calls a primitive, from a line of its own.
    fn call(&mut self, name: &str, arguments: &[Value]) -> Result<Value, Failure> {
        self.line += 1;
        let Script { engine, state, line } = self;
        let mut call = ModelCall { engine, state, arguments: arguments.to_vec(), line: *line };
        let primitives = primitives::<ModelCall<'_>>();
        let primitive = primitives.iter().find(|primitive| primitive.name == name).expect("a primitive");
        (primitive.run)(&mut call).map_err(|thrown| match thrown {
            Thrown::Failure(failure) => failure,
            Thrown::Pending(never) => match never {},
        })
    }

    #[track_caller]
    fn fails(&mut self, name: &str, arguments: &[Value]) -> (&'static str, Option<&'static str>, String) {
        let failure = self.call(name, arguments).err().expect("it is refused");
        (failure.class(), failure.code(), failure.message().to_owned())
    }
}

/// What the object of memory or a reference has for its methods.
fn id_of(value: &Value) -> Value {
    let Value::Native(native) = value else { panic!("memory or a reference") };
    native.id.clone()
}

#[test]
fn another_engine_allocates_exposes_and_frees() {
    let mut script = Script::new();
    let memory = script.call("allocateMemory", &[Value::Number(16.0)]).expect("memory");
    let Value::Native(native) = &memory else { panic!("memory") };
    assert!(matches!(native.byte_length, Value::Number(16.0)));
    let buffer = script.call("arrayBuffer", std::slice::from_ref(&memory)).expect("a buffer");
    let Value::Buffer(handle) = &buffer else { panic!("a buffer") };
    script.engine.write(handle, 3, 7).expect("a write");

    let reference = script.call("externalizeBuffer", std::slice::from_ref(&buffer)).expect("a reference");
    let range = [id_of(&reference), Value::Number(2.0), Value::Number(5.0)];
    let Ok(Value::Bytes(bytes)) = script.call("read", &range) else { panic!("bytes") };
    assert_eq!(bytes, [0, 7, 0]);

    let (class, code, _) = script.fails("free", std::slice::from_ref(&memory));
    assert_eq!((class, code), ("NativeMemoryError", Some("FREE_IN_USE")));
    script.call("detach", &[buffer]).expect("it is detached");
    script.call("free", std::slice::from_ref(&memory)).expect("it is free");
    let (class, code, message) = script.fails("free", std::slice::from_ref(&memory));
    assert_eq!((class, code), ("NativeMemoryError", Some("DOUBLE_FREE")));
    assert!(
        message.contains("allocated at model.js:1:1: freed at model.js:7:1, and again at model.js:8:1"),
        "{message}"
    );
    assert_eq!(script.fails("arrayBuffer", &[memory]).1, Some("FREED"));

    script.call("release", &[id_of(&reference)]).expect("it is released");
    assert_eq!(script.fails("release", &[id_of(&reference)]).1, Some("RELEASED"));
}

#[test]
fn errors_name_the_engine_and_what_was_passed() {
    let mut script = Script::new();
    let (class, code, message) = script.fails("allocateMemory", &[Value::Text("8".to_owned())]);
    assert_eq!((class, code), ("TypeError", None));
    assert_eq!(message, "byteLength is of type string; pass a number of bytes");
    let (_, _, message) = script.fails("detach", &[Value::Number(1.0)]);
    assert_eq!(message, "detach: expected an ArrayBuffer or a view of one, found number");

    let mut script = Script::limited(8);
    let memory = script.call("allocateMemory", &[Value::Number(9.0)]).expect("memory");
    let (class, _, message) = script.fails("arrayBuffer", &[memory]);
    assert_eq!(class, "RangeError");
    assert!(message.starts_with("Model takes at most 8 bytes in one ArrayBuffer, "), "{message}");
}
