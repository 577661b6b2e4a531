//! Arguments and results of rquickjs's functions: buffers of script as stores, and stores as buffers of script.

use std::ops::{Deref, DerefMut};

use bytemuck::Pod;
use offheap::{BackingStore, FrozenStore, SharedStore, UniqueStore};
use offheap_engine::Element;
use rquickjs::{Ctx, FromJs, IntoJs, Value};

use crate::extension::buffer_over;
use crate::{BackingStoreExt, Error, FrozenStoreExt, OrThrow, RquickjsElement, UniqueStoreExt, copy_of};

macro_rules! newtype {
    ($name:ident $(<$t:ident: $bound:ident>)? ($inner:ty)) => {
        impl $(<$t: $bound>)? $name $(<$t>)? {
            /// The value inside.
            pub fn into_inner(self) -> $inner {
                self.0
            }
        }

        impl $(<$t: $bound>)? From<$inner> for $name $(<$t>)? {
            fn from(inner: $inner) -> Self {
                $name(inner)
            }
        }

        impl $(<$t: $bound>)? Deref for $name $(<$t>)? {
            type Target = $inner;

            fn deref(&self) -> &$inner {
                &self.0
            }
        }

        impl $(<$t: $bound>)? DerefMut for $name $(<$t>)? {
            fn deref_mut(&mut self) -> &mut $inner {
                &mut self.0
            }
        }
    };
}

/// A buffer of script as its store, without a copy of bytes that have a store already.
///
/// As an argument it takes an ArrayBuffer, a SharedArrayBuffer or a view, as
/// [`externalize`](BackingStoreExt::externalize) does. As a result it is an ArrayBuffer over the store
/// ([`expose`](BackingStoreExt::expose)), or a SharedArrayBuffer if the store is shared. A [`UniqueStore`] converts to
/// it too: then script is the only one that has the memory.
///
/// A store is `Send` and has no lifetime, so it may be held across an `await`.
///
/// ```
/// use offheap_quickjs::prelude::*;
/// use offheap_quickjs::rquickjs::{self, Context, Function, Runtime};
///
/// fn sum(Buffer(store): Buffer) -> rquickjs::Result<u32> {
///     Ok(store.to_vec()?.iter().map(|&byte| u32::from(byte)).sum())
/// }
///
/// # fn main() -> Result<(), offheap_quickjs::Error> {
/// Context::full(&Runtime::new()?)?.with(|ctx| {
///     ctx.globals().set("sum", Function::new(ctx.clone(), sum)?)?;
///     assert_eq!(ctx.eval::<u32, _>("sum(new Uint8Array([1, 2, 3]))").caught(&ctx)?, 6);
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Buffer(pub BackingStore);

newtype!(Buffer(BackingStore));

impl From<UniqueStore> for Buffer {
    fn from(store: UniqueStore) -> Self {
        Buffer(store.into())
    }
}

impl<'js> FromJs<'js> for Buffer {
    #[track_caller]
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> rquickjs::Result<Self> {
        given(ctx, &value, "an ArrayBuffer or a view", BackingStore::externalize(ctx, &value)).map(Buffer)
    }
}

impl<'js> IntoJs<'js> for Buffer {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        buffer_over(ctx, &self.0).or_throw(ctx)
    }
}

/// A SharedArrayBuffer of script as its store.
///
/// As an argument it takes a SharedArrayBuffer or a view of one, and throws a TypeError for unshared memory. As a result
/// it is a SharedArrayBuffer over the store ([`SharedStoreExt::expose`](crate::SharedStoreExt::expose)).
#[derive(Clone, Debug)]
pub struct Shared(pub SharedStore);

newtype!(Shared(SharedStore));

impl<'js> FromJs<'js> for Shared {
    #[track_caller]
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> rquickjs::Result<Self> {
        let store = BackingStore::externalize(ctx, &value);
        let shared = store.and_then(|store| Ok(SharedStore::try_from(store)?));
        given(ctx, &value, "a SharedArrayBuffer or a view of one", shared).map(Shared)
    }
}

impl<'js> IntoJs<'js> for Shared {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        buffer_over(ctx, self.0.as_store()).or_throw(ctx)
    }
}

/// The memory of an ArrayBuffer, taken away from script, as an argument: the buffer is detached, and the function is the
/// only one that has the bytes ([`UniqueStoreExt::take`]).
///
/// It takes an ArrayBuffer without a detach key, or a view that shows all of it. It throws, and changes nothing, if
/// anything else refers to the memory. `Buffer::from` gives the store back to script.
///
/// ```
/// use offheap_quickjs::prelude::*;
/// use offheap_quickjs::rquickjs::{Context, Function, Runtime};
///
/// fn sorted(Taken(mut store): Taken) -> Buffer {
///     store.sort_unstable(); // &mut [u8]
///     store.into()
/// }
///
/// # fn main() -> Result<(), offheap_quickjs::Error> {
/// Context::full(&Runtime::new()?)?.with(|ctx| {
///     ctx.globals().set("sorted", Function::new(ctx.clone(), sorted)?)?;
///     let script = "const a = new Uint8Array([3, 1, 2]); `${new Uint8Array(sorted(a))}, and ${a.length} left`";
///     assert_eq!(ctx.eval::<String, _>(script).caught(&ctx)?, "1,2,3, and 0 left");
///     Ok(())
/// })
/// # }
/// ```
#[derive(Debug)]
pub struct Taken(pub UniqueStore);

newtype!(Taken(UniqueStore));

impl<'js> FromJs<'js> for Taken {
    #[track_caller]
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> rquickjs::Result<Self> {
        given(ctx, &value, "an ArrayBuffer or a view of all of it", UniqueStore::take(ctx, &value, None)).map(Taken)
    }
}

/// A copy of the elements that script has at the moment of the call, as an argument. Script keeps its own.
///
/// `Copied<f32>` takes a `Float32Array`, and so on for the other [element types](crate::TypedElement). `Copied<u8>`
/// takes any buffer or view, and has the bytes that it shows ([`copy_of`]).
///
/// ```
/// use offheap_quickjs::prelude::*;
/// use offheap_quickjs::rquickjs::{Context, Function, Runtime};
///
/// fn doubled(Copied(samples): Copied<f32>) -> TypedArrayOf<f32> {
///     samples.iter().map(|sample| sample * 2.0).collect::<Vec<_>>().into()
/// }
///
/// # fn main() -> Result<(), offheap_quickjs::Error> {
/// Context::full(&Runtime::new()?)?.with(|ctx| {
///     ctx.globals().set("doubled", Function::new(ctx.clone(), doubled)?)?;
///     let script = "doubled(new Float32Array([1, 2, 3]).subarray(1)).join()";
///     assert_eq!(ctx.eval::<String, _>(script).caught(&ctx)?, "4,6");
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Copied<T: RquickjsElement>(pub Vec<T>);

newtype!(Copied<T: RquickjsElement>(Vec<T>));

impl<'js, T: RquickjsElement + Pod> FromJs<'js> for Copied<T> {
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> rquickjs::Result<Self> {
        if T::ELEMENT != Element::Uint8 {
            T::array(value.clone()).map_err(of_another_type)?;
        }
        given(ctx, &value, "an ArrayBuffer or a view", copy_of(ctx, &value)).map(Copied)
    }
}

/// A `Vec` as a typed array over the `Vec`'s own memory, as a result: `TypedArrayOf<f32>` is a `Float32Array`. Nothing
/// is copied. Script has the memory, and the `Vec` is dropped when script has released it.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedArrayOf<T: RquickjsElement>(pub Vec<T>);

newtype!(TypedArrayOf<T: RquickjsElement>(Vec<T>));

impl<'js, T: RquickjsElement + Pod + Send> IntoJs<'js> for TypedArrayOf<T> {
    #[track_caller]
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        let element_count = self.0.len();
        let store = BackingStore::from_owner(self.0).or_throw(ctx)?;
        Ok(store.expose_typed::<T>(ctx, 0, element_count).or_throw(ctx)?.into_value())
    }
}

/// Read-only memory as an immutable ArrayBuffer, as a result: over the store's own memory in an
/// [`Isolate`](crate::Isolate), and over a copy in any other context. [`FrozenStoreExt::expose`] says which of the two
/// happened, and why.
#[derive(Clone, Debug)]
pub struct FrozenOrCopy(pub FrozenStore);

newtype!(FrozenOrCopy(FrozenStore));

impl<'js> IntoJs<'js> for FrozenOrCopy {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        Ok(self.0.expose(ctx).or_throw(ctx)?.0.into_value())
    }
}

/// rquickjs's error for an argument that is not a typed array of the right type, with advice.
fn of_another_type(error: rquickjs::Error) -> rquickjs::Error {
    match error {
        rquickjs::Error::FromJs { from, to, .. } => {
            let advice = format!("convert it in script, by `new {to}(value)`, or take a `Copied<u8>` in Rust");
            rquickjs::Error::new_from_js_message(from, to, advice)
        }
        other => other,
    }
}

/// What was made of an argument. A value of another type is rquickjs's own error for it, so that an argument may also
/// be an `Option`, or an `Either` of two types.
fn given<T>(ctx: &Ctx<'_>, value: &Value<'_>, expected: &'static str, made: Result<T, Error>) -> rquickjs::Result<T> {
    match made {
        Err(Error::NotAnArrayBuffer { .. }) => {
            let advice = "pass an ArrayBuffer or a SharedArrayBuffer, or a typed array or a DataView of one";
            Err(rquickjs::Error::new_from_js_message(value.type_name(), expected, advice))
        }
        made => made.or_throw(ctx),
    }
}
