//! The primitives that the prelude builds `nativeModule` and `console` from.

use std::rc::Rc;

use offheap::Site;
use offheap_quickjs::rquickjs::context::EvalOptions;
use offheap_quickjs::rquickjs::function::{Rest, This};
use offheap_quickjs::rquickjs::{self, Array, Ctx, FromJs, Function, IntoJs, Object, TypedArray, Value};
use offheap_quickjs::{BackingStoreExt, collect, detach, script_site};

use crate::arguments::Argument;
use crate::console::{self, Stream};
use crate::failure::Failure;
use crate::native::{Described, NativeModule};

/// Each by its name and the length that script sees.
const PRIMITIVES: &[(&str, usize, Primitive)] = &[
    ("allocateMemory", 1, allocate_memory),
    ("arrayBuffer", 1, array_buffer),
    ("externalizeBuffer", 1, externalize_buffer),
    ("free", 1, free),
    ("detach", 1, detach_buffer),
    ("gc", 0, gc),
    ("stats", 0, stats),
    ("byteLength", 1, byte_length),
    ("freed", 1, freed),
    ("forget", 1, forget),
    ("read", 3, read),
    ("checkWrite", 3, check_write),
    ("write", 4, write),
    ("fill", 4, fill),
    ("externalArrayBuffer", 1, external_array_buffer),
    ("release", 1, release),
    ("print", 2, print),
];

type Primitive = for<'js> fn(&Call<'_, 'js>) -> Result<Value<'js>, Thrown>;

/// One call of a primitive by script.
struct Call<'a, 'js> {
    ctx: &'a Ctx<'js>,
    /// The prelude's object of this name.
    internals: &'a Object<'js>,
    native: &'a NativeModule,
    arguments: &'a [Value<'js>],
}

/// What a call throws.
enum Thrown {
    /// An error of ours.
    Failure(Failure),
    /// What rquickjs reports, or an exception that is pending.
    Engine(rquickjs::Error),
}

impl From<Failure> for Thrown {
    fn from(failure: Failure) -> Self {
        Thrown::Failure(failure)
    }
}

impl From<offheap_quickjs::Error> for Thrown {
    fn from(error: offheap_quickjs::Error) -> Self {
        Thrown::Failure(error.into())
    }
}

impl From<rquickjs::Error> for Thrown {
    fn from(error: rquickjs::Error) -> Self {
        Thrown::Engine(error)
    }
}

impl Thrown {
    fn throw<'js>(self, ctx: &Ctx<'js>, internals: &Object<'js>) -> rquickjs::Error {
        let failure = match self {
            Thrown::Failure(failure) => failure,
            Thrown::Engine(error) => return error,
        };
        let (class, code) = failure.class_name();
        let made = internals
            .get("fail")
            .and_then(|fail: Function<'js>| fail.call::<_, Value<'js>>((class, failure.message, code)));
        match made {
            Ok(error) => ctx.throw(error),
            Err(error) => error,
        }
    }
}

impl<'js> Call<'_, 'js> {
    fn value(&self, index: usize) -> Value<'js> {
        self.arguments.get(index).cloned().unwrap_or_else(|| Value::new_undefined(self.ctx.clone()))
    }

    fn argument(&self, index: usize) -> Argument {
        argument(&self.value(index))
    }

    /// A number that the prelude passes.
    fn id(&self) -> rquickjs::Result<u64> {
        Ok(f64::from_js(self.ctx, self.value(0))? as u64)
    }

    /// The number of the memory that script passes, if it is that.
    fn memory_id(&self) -> rquickjs::Result<Option<u64>> {
        let id_of: Function<'js> = self.internals.get("idOf")?;
        let id: Option<f64> = id_of.call((self.value(0),))?;
        Ok(id.map(|id| id as u64))
    }

    /// Where in the script this is; only near the end of its stack can QuickJS not tell.
    fn site(&self) -> Site {
        script_site(self.ctx).unwrap_or_else(|| Site::script("the script", 0, 0))
    }

    /// The prelude's object for memory or a reference.
    fn object(&self, make: &str, described: Described) -> Result<Value<'js>, Thrown> {
        let make: Function<'js> = self.internals.get(make)?;
        Ok(make.call((describe(self.ctx, described)?,))?)
    }

    fn undefined(&self) -> Value<'js> {
        Value::new_undefined(self.ctx.clone())
    }
}

fn argument(value: &Value<'_>) -> Argument {
    match value.as_number() {
        Some(number) => Argument::Number(number),
        None if value.is_undefined() => Argument::Absent,
        None => Argument::Other(value.type_name()),
    }
}

/// Runs the prelude in `ctx`; returns its function that describes a value.
pub(super) fn install<'js>(ctx: &Ctx<'js>, native: &Rc<NativeModule>) -> rquickjs::Result<Function<'js>> {
    let primitives = Object::new(ctx.clone())?;
    for &(name, length, primitive) in PRIMITIVES {
        let native = Rc::clone(native);
        let call = move |ctx: Ctx<'js>, This(internals): This<Object<'js>>, Rest(arguments): Rest<Value<'js>>| {
            let call = Call { ctx: &ctx, internals: &internals, native: &native, arguments: &arguments };
            primitive(&call).map_err(|thrown| thrown.throw(&ctx, &internals))
        };
        let function = Function::new(ctx.clone(), call)?.with_name(name)?.with_length(length)?;
        primitives.set(name, function)?;
    }
    let maps = Array::new(ctx.clone())?;
    for (index, (name, described)) in native.maps().iter().enumerate() {
        let map = describe(ctx, *described)?;
        map.set("name", name.as_str())?;
        maps.set(index, map)?;
    }
    let mut options = EvalOptions::default();
    options.filename = Some("offheap:prelude".to_owned());
    let prelude: Function<'js> = ctx.eval_with_options(include_str!("../prelude.js"), options)?;
    prelude.call((primitives, maps, native.arguments().to_vec()))
}

/// What the prelude makes an object for memory or a reference of.
fn describe<'js>(ctx: &Ctx<'js>, described: Described) -> rquickjs::Result<Object<'js>> {
    let object = Object::new(ctx.clone())?;
    object.set("id", described.id as f64)?;
    object.set("byteLength", described.byte_length as f64)?;
    object.set("maxByteLength", described.max_byte_length.map(|max_byte_length| max_byte_length as f64))?;
    object.set("shared", described.is_shared)?;
    object.set("address", described.address as f64)?;
    Ok(object)
}

fn allocate_memory<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    let (mut shared, mut max_byte_length) = (false, Argument::Absent);
    if let Some(options) = call.value(1).as_object() {
        shared = options.get::<_, rquickjs::Coerced<bool>>("shared")?.0;
        max_byte_length = argument(&options.get("maxByteLength")?);
    }
    let site = call.site();
    let described = call.native.allocate(call.argument(0), shared, max_byte_length, site)?;
    let id = described.id;
    // Without its object script could not free it.
    call.object("memory", described).inspect_err(|_| {
        let freed = call.native.free(Some(id), site);
        debug_assert!(freed.is_ok(), "nobody has it yet");
        call.native.forget(id);
    })
}

fn array_buffer<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    let window = call.native.window(call.memory_id()?, call.argument(1), call.argument(2))?;
    Ok(window.to_js(call.ctx)?.into_value())
}

fn externalize_buffer<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    let buffer = offheap::BackingStore::from_js(&call.value(0))?;
    let described = call.native.externalize(buffer, call.site());
    let id = described.id;
    // Without its object script could not release it.
    call.object("external", described).inspect_err(|_| {
        let released = call.native.release(id);
        debug_assert!(released.is_ok(), "nobody has it yet");
    })
}

fn free<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    call.native.free(call.memory_id()?, call.site())?;
    Ok(call.undefined())
}

fn detach_buffer<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    let key: Option<String> = Option::from_js(call.ctx, call.value(1))?;
    detach(call.ctx, &call.value(0), key.as_deref())?;
    Ok(call.undefined())
}

fn gc<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    collect(call.ctx);
    Ok(call.undefined())
}

fn stats<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    let stats = call.native.stats();
    let object = Object::new(call.ctx.clone())?;
    object.set("stores", stats.stores as f64)?;
    object.set("resizableStores", stats.resizable_stores as f64)?;
    object.set("sharedStores", stats.shared_stores as f64)?;
    object.set("externalBytes", stats.external_bytes as f64)?;
    object.set("liveStores", stats.live_stores as f64)?;
    object.set("liveBytes", stats.live_bytes as f64)?;
    object.set("unreleased", stats.unreleased as f64)?;
    object.set("refused", stats.refused as f64)?;
    Ok(object.into_value())
}

fn byte_length<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    match call.native.byte_length(call.id()?) {
        Some(byte_length) => Ok((byte_length as f64).into_js(call.ctx)?),
        None => Ok(call.undefined()),
    }
}

fn freed<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    Ok(call.native.is_freed(call.id()?).into_js(call.ctx)?)
}

fn forget<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    call.native.forget(call.id()?);
    Ok(call.undefined())
}

fn read<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    let bytes = call.native.read(call.id()?, call.argument(1), call.argument(2))?;
    Ok(TypedArray::<u8>::new(call.ctx.clone(), bytes)?.into_value())
}

fn check_write<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    let byte_length = call.argument(2).byte_count("length")?;
    call.native.write_range(call.id()?, call.argument(1), byte_length)?;
    Ok(call.undefined())
}

/// The bytes come as words of this machine's byte order, a part at a time.
fn write<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    let words = Object::from_js(call.ctx, call.value(2))?;
    let byte_length = call.argument(3).byte_count("length")?;
    let range = call.native.write_range(call.id()?, call.argument(1), byte_length)?;
    let mut bytes = Vec::with_capacity(byte_length.next_multiple_of(4));
    for index in 0..byte_length.div_ceil(4) {
        let word: u32 = words.get(index as u32)?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    range.copy_in(call.ctx, 0, &bytes[..byte_length])?;
    Ok(call.undefined())
}

fn fill<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    let value = call.argument(1).byte("value")?;
    let range = call.native.external_range(call.id()?, call.argument(2), call.argument(3))?;
    let chunk = [value; 16 << 10];
    let byte_length = range.byte_length();
    for offset in (0..byte_length).step_by(chunk.len()) {
        range.copy_in(call.ctx, offset, &chunk[..chunk.len().min(byte_length - offset)])?;
    }
    Ok(call.undefined())
}

fn external_array_buffer<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    let store = call.native.external(call.id()?)?;
    Ok(store.to_js(call.ctx)?.into_value())
}

fn release<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    call.native.release(call.id()?)?;
    Ok(call.undefined())
}

fn print<'js>(call: &Call<'_, 'js>) -> Result<Value<'js>, Thrown> {
    let stream = if call.value(0).as_bool() == Some(true) { Stream::Error } else { Stream::Output };
    let text = String::from_js(call.ctx, call.value(1))?;
    console::line(stream, &text).map_err(|error| Failure::plain(format!("console cannot write: {error}")))?;
    Ok(call.undefined())
}
