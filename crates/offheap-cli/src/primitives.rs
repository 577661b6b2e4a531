//! The primitives that the prelude builds `nativeModule` and `console` from, on any engine.

use offheap::{BackingStore, Site};

use crate::arguments::Argument;
use crate::console::{self, Stream};
use crate::failure::Failure;
use crate::native::{Described, NativeModule};

/// One call of a primitive by script: what the glue of an engine gives, in the engine's values.
pub(crate) trait Call {
    /// A value of script.
    type Value;
    /// An exception of the engine's own that is on its way to script.
    type Pending;

    /// The state behind `nativeModule`.
    fn native(&self) -> &NativeModule;

    /// An argument; `undefined` where script passed none.
    fn value(&mut self, index: usize) -> Self::Value;
    /// A value where a number is expected.
    fn as_argument(&mut self, value: &Self::Value) -> Argument;
    /// ECMAScript's `ToBoolean`.
    fn as_boolean(&mut self, value: &Self::Value) -> bool;
    /// A string, or `None` for `undefined` and `null`. Anything else is made one, as script does it.
    fn as_text(&mut self, value: &Self::Value) -> Outcome<Option<String>, Self>;
    /// `value.name`; `undefined` where that is no object.
    fn property(&mut self, value: &Self::Value, name: &str) -> Outcome<Self::Value, Self>;
    /// The bytes of the first `word_count` elements of a `Uint32Array`, in the machine's byte order.
    fn words(&mut self, words: &Self::Value, word_count: usize) -> Outcome<Vec<u8>, Self>;

    /// `undefined`.
    fn undefined(&mut self) -> Self::Value;
    /// A Boolean.
    fn boolean(&mut self, boolean: bool) -> Self::Value;
    /// A Number.
    fn number(&mut self, number: f64) -> Self::Value;
    /// A new object with these properties.
    fn object(&mut self, properties: &[(&str, f64)]) -> Outcome<Self::Value, Self>;
    /// A `Uint8Array` of its own.
    fn bytes(&mut self, bytes: Vec<u8>) -> Outcome<Self::Value, Self>;

    /// The prelude's `idOf(value)`.
    fn id_of(&mut self, value: &Self::Value) -> Outcome<Option<u64>, Self>;
    /// The prelude's object for memory or a reference: what its function `make` returns.
    fn describe(&mut self, make: &str, described: Described) -> Outcome<Self::Value, Self>;
    /// Where in the script this is.
    fn site(&mut self) -> Site;

    /// A buffer over a store.
    fn expose(&mut self, store: &BackingStore) -> Outcome<Self::Value, Self>;
    /// The store of a buffer.
    fn externalize(&mut self, buffer: &Self::Value) -> Outcome<BackingStore, Self>;
    /// Detaches a buffer.
    fn detach(&mut self, buffer: &Self::Value, key: Option<&str>) -> Outcome<(), Self>;
    /// A copy of all bytes of a store.
    fn copy_out(&mut self, store: &BackingStore) -> Outcome<Vec<u8>, Self>;
    /// Copies bytes into a store that is exposed here or nowhere.
    fn copy_in(&mut self, store: &BackingStore, byte_offset: usize, bytes: &[u8]) -> Outcome<(), Self>;
    /// Collects garbage, all of it.
    fn collect(&mut self);
}

/// What a call throws.
pub(crate) enum Thrown<P> {
    /// An error of ours.
    Failure(Failure),
    /// The engine's.
    Pending(P),
}

/// A value, or what is thrown.
pub(crate) type Outcome<T, C> = Result<T, Thrown<<C as Call>::Pending>>;

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

/// A function that the prelude is given.
pub(crate) struct Primitive<C: Call> {
    pub(crate) name: &'static str,
    /// The `length` that script sees.
    pub(crate) length: usize,
    pub(crate) run: fn(&mut C) -> Outcome<C::Value, C>,
}

/// All of them.
pub(crate) fn primitives<C: Call>() -> [Primitive<C>; 17] {
    let primitive = |name, length, run| Primitive { name, length, run };
    [
        primitive("allocateMemory", 1, allocate_memory::<C>),
        primitive("arrayBuffer", 1, array_buffer),
        primitive("externalizeBuffer", 1, externalize_buffer),
        primitive("free", 1, free),
        primitive("detach", 1, detach),
        primitive("gc", 0, gc),
        primitive("stats", 0, stats),
        primitive("byteLength", 1, byte_length),
        primitive("freed", 1, freed),
        primitive("forget", 1, forget),
        primitive("read", 3, read),
        primitive("checkWrite", 3, check_write),
        primitive("write", 4, write),
        primitive("fill", 4, fill),
        primitive("externalArrayBuffer", 1, external_array_buffer),
        primitive("release", 1, release),
        primitive("print", 2, print),
    ]
}

fn argument<C: Call>(call: &mut C, index: usize) -> Argument {
    let value = call.value(index);
    call.as_argument(&value)
}

/// The number that the prelude passes first.
fn id<C: Call>(call: &mut C) -> Result<u64, Failure> {
    Ok(argument(call, 0).byte_count("id")? as u64)
}

/// The number of the memory that script passes first, if it is that.
fn memory_id<C: Call>(call: &mut C) -> Outcome<Option<u64>, C> {
    let value = call.value(0);
    call.id_of(&value)
}

fn allocate_memory<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let options = call.value(1);
    let shared = call.property(&options, "shared")?;
    let max_byte_length = call.property(&options, "maxByteLength")?;
    let (shared, max_byte_length) = (call.as_boolean(&shared), call.as_argument(&max_byte_length));
    let (byte_length, site) = (argument(call, 0), call.site());
    let described = call.native().allocate(byte_length, shared, max_byte_length, site)?;
    let id = described.id;
    // Without its object script could not free it.
    call.describe("memory", described).inspect_err(|_| {
        let freed = call.native().free(Some(id), site);
        debug_assert!(freed.is_ok(), "nobody has it yet");
        call.native().forget(id);
    })
}

fn array_buffer<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let (id, offset, length) = (memory_id(call)?, argument(call, 1), argument(call, 2));
    let window = call.native().window(id, offset, length)?;
    call.expose(&window)
}

fn externalize_buffer<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let buffer = call.value(0);
    let store = call.externalize(&buffer)?;
    let site = call.site();
    let described = call.native().externalize(store, site);
    let id = described.id;
    // Without its object script could not release it.
    call.describe("external", described).inspect_err(|_| {
        let released = call.native().release(id);
        debug_assert!(released.is_ok(), "nobody has it yet");
    })
}

fn free<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let (id, site) = (memory_id(call)?, call.site());
    call.native().free(id, site)?;
    Ok(call.undefined())
}

fn detach<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let (buffer, key) = (call.value(0), call.value(1));
    let key = call.as_text(&key)?;
    call.detach(&buffer, key.as_deref())?;
    Ok(call.undefined())
}

fn gc<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    call.collect();
    Ok(call.undefined())
}

fn stats<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let stats = call.native().stats();
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
    match call.native().byte_length(id) {
        Some(byte_length) => Ok(call.number(byte_length as f64)),
        None => Ok(call.undefined()),
    }
}

fn freed<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let id = id(call)?;
    let is_freed = call.native().is_freed(id);
    Ok(call.boolean(is_freed))
}

fn forget<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let id = id(call)?;
    call.native().forget(id);
    Ok(call.undefined())
}

fn read<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let (id, from, to) = (id(call)?, argument(call, 1), argument(call, 2));
    let range = call.native().read_range(id, from, to)?;
    let bytes = call.copy_out(&range)?;
    call.bytes(bytes)
}

fn check_write<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let (id, from, byte_length) = (id(call)?, argument(call, 1), argument(call, 2).byte_count("length")?);
    call.native().write_range(id, from, byte_length)?;
    Ok(call.undefined())
}

/// The bytes come as words of this machine's byte order, a part at a time.
fn write<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let (id, from, byte_length) = (id(call)?, argument(call, 1), argument(call, 3).byte_count("length")?);
    let words = call.value(2);
    let range = call.native().write_range(id, from, byte_length)?;
    let bytes = call.words(&words, byte_length.div_ceil(4))?;
    call.copy_in(&range, 0, &bytes[..byte_length])?;
    Ok(call.undefined())
}

fn fill<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let (id, value) = (id(call)?, argument(call, 1).byte("value")?);
    let (from, to) = (argument(call, 2), argument(call, 3));
    let range = call.native().external_range(id, from, to)?;
    let chunk = [value; 16 << 10];
    let byte_length = range.byte_length();
    for offset in (0..byte_length).step_by(chunk.len()) {
        call.copy_in(&range, offset, &chunk[..chunk.len().min(byte_length - offset)])?;
    }
    Ok(call.undefined())
}

fn external_array_buffer<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let id = id(call)?;
    let store = call.native().external(id)?;
    call.expose(&store)
}

fn release<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let id = id(call)?;
    call.native().release(id)?;
    Ok(call.undefined())
}

fn print<C: Call>(call: &mut C) -> Outcome<C::Value, C> {
    let (is_error, text) = (call.value(0), call.value(1));
    let stream = if call.as_boolean(&is_error) { Stream::Error } else { Stream::Output };
    let text = call.as_text(&text)?.unwrap_or_default();
    console::line(stream, &text).map_err(|error| Failure::plain(format!("console cannot write: {error}")))?;
    Ok(call.undefined())
}
