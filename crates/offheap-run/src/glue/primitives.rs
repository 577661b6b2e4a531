//! The native functions that the prelude builds `nativeModule` and `console` from, on any engine.

use offheap::adapter::{self, WithScriptStack, on_behalf_of};
use offheap::observe::ScriptStack;
use offheap::{BackingStore, Site};
use offheap_engine::detached_is_wrong_argument;

use crate::Stream;
use crate::glue::arguments::Argument;
use crate::glue::failure::Failure;
use crate::glue::freed::FreedMemory;
use crate::glue::state::{Described, Memory, State};

/// One call of a primitive by script, in the engine's values. An engine's glue implements it.
pub trait Call {
    /// A value of script.
    type Value;
    /// An exception that the engine has thrown.
    type Pending;

    /// The state behind `nativeModule`.
    fn state(&self) -> &State;

    /// An argument; `undefined` where script passed none.
    fn value(&mut self, index: usize) -> Self::Value;
    /// What this value is where a number is expected.
    fn as_argument(&mut self, value: &Self::Value) -> Argument;
    /// ECMAScript's `ToBoolean`.
    fn as_boolean(&mut self, value: &Self::Value) -> bool;
    /// The text of a string.
    fn as_text(&mut self, value: &Self::Value) -> Outcome<String, Self>;
    /// `value.name`; `undefined` where the value is not an object.
    fn property(&mut self, value: &Self::Value, name: &str) -> Outcome<Self::Value, Self>;
    /// A copy of the bytes of a buffer or a view; `None` for any other value. Must run no script.
    fn copy_of(&mut self, bytes: &Self::Value) -> Outcome<Option<Vec<u8>>, Self>;

    /// `undefined`.
    fn undefined(&mut self) -> Self::Value;
    /// A Boolean.
    fn boolean(&mut self, boolean: bool) -> Self::Value;
    /// A Number.
    fn number(&mut self, number: f64) -> Self::Value;
    /// A new object with these properties.
    fn object(&mut self, properties: &[(&str, f64)]) -> Outcome<Self::Value, Self>;
    /// A new `Uint8Array` with these bytes.
    fn bytes(&mut self, bytes: Vec<u8>) -> Outcome<Self::Value, Self>;

    /// Calls the function `name` of the prelude's `internals`, which is `this` of the call. It calls no function of script's.
    fn internal(&mut self, name: &str, arguments: &[Self::Value]) -> Outcome<Self::Value, Self>;
    /// The place of the call in script.
    fn site(&mut self) -> Site;
    /// The functions of script in the call, the innermost first.
    fn script_stack(&mut self) -> ScriptStack;

    /// A buffer over a store.
    fn expose(&mut self, store: &BackingStore) -> Outcome<Self::Value, Self>;
    /// The store of a buffer.
    fn externalize(&mut self, buffer: &Self::Value) -> Result<BackingStore, offheap_engine::Error>;
    /// Detaches a buffer.
    fn detach(&mut self, buffer: &Self::Value, key: Option<&str>) -> Result<(), offheap_engine::Error>;
    /// A copy of all bytes of a store.
    fn copy_out(&mut self, store: &BackingStore) -> Outcome<Vec<u8>, Self>;
    /// Copies bytes into a store that is exposed here or nowhere.
    fn copy_in(&mut self, store: &BackingStore, byte_offset: usize, bytes: &[u8]) -> Outcome<(), Self>;
    /// Collects all garbage.
    fn collect(&mut self);
}

/// What a primitive throws.
pub enum Thrown<P> {
    /// An error of `nativeModule`, which the glue makes with `internals.fail(name, message, code)`.
    Failure(Failure),
    /// An exception that the engine has thrown.
    Pending(P),
}

/// What a step of a primitive returns, or throws.
pub type Outcome<T, C> = Result<T, Thrown<<C as Call>::Pending>>;

impl<P> From<Failure> for Thrown<P> {
    fn from(failure: Failure) -> Self {
        Thrown::Failure(failure)
    }
}

impl<P> From<offheap::Error> for Thrown<P> {
    fn from(error: offheap::Error) -> Self {
        Thrown::Failure(error.into())
    }
}

impl<P> From<offheap_engine::Error> for Thrown<P> {
    fn from(error: offheap_engine::Error) -> Self {
        Thrown::Failure(error.into())
    }
}

/// A native function that the prelude builds on.
pub struct Primitive<C: Call> {
    /// Its name, for the prelude.
    pub name: &'static str,
    /// The `length` that script sees.
    pub length: usize,
    /// What it does when script calls it.
    pub run: fn(&mut C) -> Outcome<C::Value, C>,
}

/// All primitives.
pub fn primitives<C: Call>() -> [Primitive<C>; 16] {
    let primitive = |name, length, run| Primitive { name, length, run };
    [
        primitive("map", 1, map::<C>),
        primitive("allocateMemory", 1, allocate_memory),
        primitive("arrayBuffer", 1, array_buffer),
        primitive("externalizeBuffer", 1, externalize_buffer),
        primitive("free", 1, free),
        primitive("detach", 1, detach),
        primitive("gc", 0, gc),
        primitive("stats", 0, stats),
        primitive("byteLength", 1, byte_length),
        primitive("freed", 1, freed),
        primitive("read", 3, read),
        primitive("write", 3, write),
        primitive("fill", 4, fill),
        primitive("externalArrayBuffer", 1, external_array_buffer),
        primitive("release", 1, release),
        primitive("print", 2, print),
    ]
}

/// The place of a call that an engine cannot tell the place of.
#[cfg(any(feature = "quickjs", feature = "v8"))]
pub(crate) fn unknown_site() -> Site {
    offheap::adapter::script_site("the script", 0, 0)
}

fn argument<C: Call>(call: &mut C, index: usize) -> Argument {
    let value = call.value(index);
    call.as_argument(&value)
}

/// While the result lives, the observer knows which functions of script called, if it wants to. An engine knows it by itself
/// where it makes a buffer or gives the store of one.
fn with_script_stack<C: Call>(call: &mut C) -> Option<WithScriptStack> {
    adapter::wants_script_stack(usize::MAX).then(|| adapter::with_script_stack(call.script_stack()))
}

/// The first argument: the number of memory or of a reference, which the prelude passes.
fn id<C: Call>(call: &mut C) -> Result<u64, Failure> {
    Ok(argument(call, 0).byte_count("id")? as u64)
}

/// The first argument, which should be memory.
fn memory<C: Call>(call: &mut C) -> Outcome<Memory, C> {
    memory_at(call, 0)
}

/// An argument that should be memory.
fn memory_at<C: Call>(call: &mut C, index: usize) -> Outcome<Memory, C> {
    let value = call.value(index);
    let id = call.internal("idOf", &[value])?;
    let Argument::Number(id) = call.as_argument(&id) else { return Ok(Memory::No) };
    if let Some(memory) = call.state().memory(id as u64) {
        return Ok(memory);
    }
    let mut numbers = [0.0; FreedMemory::NUMBERS];
    for (at, number) in numbers.iter_mut().enumerate() {
        let (value, at) = (call.value(index), call.number(at as f64));
        let kept = call.internal("freedAt", &[value, at])?;
        let Argument::Number(kept) = call.as_argument(&kept) else { return Ok(Memory::No) };
        *number = kept;
    }
    Ok(Memory::Freed(call.state().freed_memory(numbers)))
}

/// An object of script for memory or a reference, made by the function `make` of the prelude.
fn describe<C: Call>(call: &mut C, make: &str, described: Described) -> Outcome<C::Value, C> {
    let Described { id, byte_length, max_byte_length, is_shared, address } = described;
    let max_byte_length = match max_byte_length {
        Some(max_byte_length) => call.number(max_byte_length as f64),
        None => call.undefined(),
    };
    let (id, byte_length, address) =
        (call.number(id as f64), call.number(byte_length as f64), call.number(address as f64));
    let is_shared = call.boolean(is_shared);
    call.internal(make, &[id, byte_length, max_byte_length, is_shared, address])
}

/// The memory of a mapped file. The prelude asks for each file once, by its place in the list of names.
fn map<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let index = argument(call, 0).byte_count("index")?;
    let described = call.state().mapped(index).expect("the prelude was given this many names");
    describe(call, "memory", described)
}

fn allocate_memory<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let options = call.value(1);
    match call.as_argument(&options) {
        Argument::Absent | Argument::Other("object") => {}
        other => return Err(no_options(other).into()),
    }
    let shared = call.property(&options, "shared")?;
    let max_byte_length = call.property(&options, "maxByteLength")?;
    let shared = match call.as_argument(&shared) {
        Argument::Absent => false,
        Argument::Other("boolean") => call.as_boolean(&shared),
        other => {
            let found = other.found();
            return Err(Failure::type_error(format!("shared is of type {found}; pass true or false")).into());
        }
    };
    let max_byte_length = call.as_argument(&max_byte_length);
    let (byte_length, site) = (argument(call, 0), call.site());
    let script = with_script_stack(call);
    let described = call.state().allocate(byte_length, shared, max_byte_length, site)?;
    drop(script);
    let id = described.id;
    // Script could not free memory that it has no object for.
    describe(call, "memory", described).inspect_err(|_| {
        let freed = call.state().free(id, site);
        debug_assert!(freed.is_ok(), "nobody has it yet");
        call.state().forget(id);
    })
}

fn no_options(given: Argument) -> Failure {
    let found = given.found();
    Failure::type_error(format!(
        "allocateMemory: the options are of type {found}; pass an object: {{ shared: true }}, {{ maxByteLength: 4096 }} or \
         both"
    ))
}

fn array_buffer<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let (memory, offset, length) = (memory(call)?, argument(call, 1), argument(call, 2));
    let window = call.state().window(memory, offset, length)?;
    call.expose(&window)
}

fn externalize_buffer<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let (buffer, site) = (call.value(0), call.site());
    // The line of script is what made a store of the buffer.
    let store = on_behalf_of(site, || {
        let _wrong = detached_is_wrong_argument();
        call.externalize(&buffer)
    });
    let store = store.map_err(|error| not_a_buffer(call, "externalizeBuffer", error))?;
    let described = call.state().externalize(store, site);
    let id = described.id;
    // Script could not release a reference that it has no object for.
    describe(call, "external", described).inspect_err(|_| {
        let released = call.state().release(id);
        debug_assert!(released.is_ok(), "nobody has it yet");
    })
}

fn free<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let (memory, site) = (memory(call)?, call.site());
    let script = with_script_stack(call);
    let Memory::Present(id) = memory else { return Err(call.state().refuse_free(memory, site).into()) };
    let freed = call.state().free(id, site)?;
    drop(script);
    let numbers = call.state().to_numbers(&freed).map(|number| call.number(number));
    let mut arguments = vec![call.value(0)];
    arguments.extend(numbers);
    call.internal("keepFreed", &arguments)?;
    call.state().forget(id);
    Ok(call.undefined())
}

fn detach<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let (buffer, key) = (call.value(0), call.value(1));
    let key = match call.as_argument(&key) {
        Argument::Absent => None,
        Argument::Other("string") => Some(call.as_text(&key)?),
        other => {
            let found = other.found();
            let message = format!("detach: the key is of type {found}; pass a string, or none");
            return Err(Failure::type_error(message).into());
        }
    };
    call.detach(&buffer, key.as_deref()).map_err(|error| not_a_buffer(call, "detach", error))?;
    Ok(call.undefined())
}

/// The error of a function whose first argument should be a buffer. For another value the message says what it is, and
/// what to pass instead.
fn not_a_buffer<C: Call>(call: &mut C, function: &str, error: offheap_engine::Error) -> Thrown<C::Pending> {
    let offheap_engine::Error::NotAnArrayBuffer { .. } = error else { return error.into() };
    let found = match found(call, 0) {
        Ok(found) => found,
        Err(thrown) => return thrown,
    };
    Failure::type_error(format!("{function}: expected an ArrayBuffer or a view of one, found {found}")).into()
}

/// The name of what script passes, for a message.
fn found<C: Call>(call: &mut C, index: usize) -> Outcome<&'static str, C> {
    let value = call.value(index);
    let is_reference = call.internal("isExternal", &[value])?;
    Ok(match memory_at(call, index)? {
        Memory::No if call.as_boolean(&is_reference) => "a reference; pass its arrayBuffer()",
        Memory::No => argument(call, index).found(),
        _ => "native memory; pass nativeModule.arrayBuffer(memory)",
    })
}

fn gc<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    call.collect();
    Ok(call.undefined())
}

fn stats<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let stats = call.state().stats();
    call.object(&[
        ("stores", stats.stores as f64),
        ("resizableStores", stats.resizable_stores as f64),
        ("sharedStores", stats.shared_stores as f64),
        ("externalBytes", stats.external_bytes as f64),
        ("liveStores", stats.live_stores as f64),
        ("liveBytes", stats.live_bytes as f64),
        ("unreleased", stats.unreleased as f64),
        ("refused", stats.refused as f64),
    ])
}

fn byte_length<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let id = id(call)?;
    match call.state().byte_length(id) {
        Some(byte_length) => Ok(call.number(byte_length as f64)),
        None => Ok(call.undefined()),
    }
}

fn freed<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let id = id(call)?;
    let is_present = matches!(call.state().memory(id), Some(Memory::Present(_)));
    Ok(call.boolean(!is_present))
}

fn read<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let (id, from, to) = (id(call)?, argument(call, 1), argument(call, 2));
    let range = call.state().read_range(id, from, to)?;
    let bytes = call.copy_out(&range)?;
    call.bytes(bytes)
}

/// The bytes are copied first: they may overlap with the memory that they are written to.
fn write<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let (id, from, source) = (id(call)?, argument(call, 1), call.value(2));
    call.state().external(id, "write")?;
    let wrong = detached_is_wrong_argument();
    let bytes = call.copy_of(&source)?;
    drop(wrong);
    let Some(bytes) = bytes else {
        let found = found(call, 2)?;
        let message = format!("write: expected a typed array, DataView or ArrayBuffer with the bytes, found {found}");
        return Err(Failure::type_error(message).into());
    };
    let range = call.state().write_range(id, from, bytes.len())?;
    call.copy_in(&range, 0, &bytes)?;
    Ok(call.undefined())
}

fn fill<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let (id, value) = (id(call)?, argument(call, 1).byte("value")?);
    let (from, to) = (argument(call, 2), argument(call, 3));
    let range = call.state().fill_range(id, from, to)?;
    let chunk = [value; 16 << 10];
    let byte_length = range.byte_length();
    for offset in (0..byte_length).step_by(chunk.len()) {
        call.copy_in(&range, offset, &chunk[..chunk.len().min(byte_length - offset)])?;
    }
    Ok(call.undefined())
}

fn external_array_buffer<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let id = id(call)?;
    let store = call.state().external(id, "make a buffer")?;
    call.expose(&store)
}

fn release<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let id = id(call)?;
    call.state().release(id)?;
    Ok(call.undefined())
}

fn print<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let (is_error, text) = (call.value(0), call.value(1));
    let stream = if call.as_boolean(&is_error) { Stream::Error } else { Stream::Output };
    let text = call.as_text(&text)?;
    call.state().print(stream, &text).map_err(|error| Failure::plain(format!("console cannot write: {error}")))?;
    Ok(call.undefined())
}
