//! Stores for programs that use rquickjs: traits on the types of the core, over the program's own `Ctx`.
//!
//! No guard is needed for any of it: bytes are copied, or lent as cells, never as slices. SAFETY.md lists the few things
//! that the crate `rquickjs` allows and a program must not do.

use bytemuck::NoUninit;
use offheap::{BackingStore, Cells, FrozenStore, SharedStore};
use offheap_engine::{cells, copy_in};
use rquickjs::{ArrayBuffer, Ctx, Object, TypedArray, Value};

use crate::sys::{self, OnThread, with_state};
use crate::typed::{RquickjsElement, expose_typed};
use crate::{CopyReason, ENGINE, Error, Exposure};

/// What a [`BackingStore`] can do with a `Ctx`.
pub trait BackingStoreExt: Sized {
    /// An ArrayBuffer over these bytes, without a copy. Script owns them from now on: Rust reads by copy or through
    /// [`cells`](Self::cells) until the last such buffer is detached or collected.
    ///
    /// A store may have several buffers in one runtime, and none in another meanwhile. `transfer` to the same length
    /// moves the store to the new buffer, to any other length script gets new memory (ECMAScript 25.1.3.5
    /// ArrayBufferCopyAndDetach leaves it open; V8 does the same).
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`] beyond 2 GiB - 1; [`Error::Misaligned`] where the first byte is not at a multiple of
    /// 8; [`Error::Unsupported`] for shared memory, which has [`SharedStoreExt`], and for read-only memory in a context
    /// that is not an [`Isolate`](crate::Isolate)'s; [`Error::Memory`] where another isolate has the store, a guard uses it, or it was freed; [`Error::Script`] where
    /// QuickJS has no memory. Nothing changes then.
    fn expose<'js>(&self, ctx: &Ctx<'js>) -> Result<ArrayBuffer<'js>, Error>;

    /// A typed array over `element_count` elements from `byte_offset` on, without a copy: what script would get of
    /// `new Float32Array(buffer, byteOffset, length)` with the buffer of [`expose`](Self::expose), which is that of all these
    /// bytes. `T` is a [`TypedElement`](crate::TypedElement): `f32` makes a `Float32Array`, `i64` a `BigInt64Array`.
    ///
    /// ```
    /// # use offheap_quickjs::{BackingStoreExt, rquickjs::{Context, Runtime}};
    /// # use offheap_quickjs::offheap::{BackingStore, UniqueStore};
    /// # let context = Context::full(&Runtime::new()?)?;
    /// let store = BackingStore::from(UniqueStore::from_owner(vec![1.0_f32, 2.0, 3.0])?);
    /// context.with(|ctx| -> Result<(), Box<dyn std::error::Error>> {
    ///     ctx.globals().set("view", store.expose_typed::<f32>(&ctx, 4, 2)?)?;
    ///     assert_eq!(ctx.eval::<f32, _>("view.length * 10 + view[1]")?, 23.0);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`expose`](Self::expose); [`Error::Misaligned`] where the offset is no multiple of the element's size, and
    /// [`Error::Memory`] with [`OutOfRange`](offheap::Error::OutOfRange) where the elements do not lie in these bytes.
    fn expose_typed<'js, T: RquickjsElement>(
        &self,
        ctx: &Ctx<'js>,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<TypedArray<'js, T::Element>, Error>;

    /// The store of an ArrayBuffer or SharedArrayBuffer, or of the buffer of a typed array or DataView, whoever made it
    /// (V8's `GetBackingStore`). Its memory outlives the object.
    ///
    /// The memory of a buffer that script made is copied into a store at the first call, and the buffer uses the store
    /// from then on; later calls give equal stores, without a copy. Of a detached buffer: a new, empty store each time.
    /// A slice that an `unsafe` call of rquickjs lent does not survive the first call, as it does not survive script.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`]; [`Error::Unsupported`] for a SharedArrayBuffer over memory of another library, which
    /// may have given it to others, and, of a buffer that is over no store yet, while QuickJS frees values or collects, as
    /// in the drop of what a function captured; [`Error::LayoutChanged`]; [`Error::Memory`] and [`Error::Script`] where there is no memory.
    #[track_caller]
    fn externalize(value: &Value<'_>) -> Result<Self, Error>;

    /// Copies elements in, from `byte_offset` on, in the machine's byte order.
    ///
    /// # Errors
    /// [`Error::Memory`]: out of range, a guard uses the store, another isolate has it, it is read-only or was freed.
    fn copy_in<T: NoUninit>(&self, ctx: &Ctx<'_>, byte_offset: usize, from: &[T]) -> Result<(), Error>;

    /// The bytes as cells: a view that stays valid whatever script does meanwhile. Other threads, and other guards, are
    /// refused while it lives.
    ///
    /// # Errors
    /// [`Error::Memory`]: somebody uses the store, another isolate has it, it is read-only, a mapped file, or was freed.
    fn cells<'a>(&'a self, ctx: &'a Ctx<'_>) -> Result<Cells<'a>, Error>;
}

impl BackingStoreExt for BackingStore {
    #[inline]
    fn expose<'js>(&self, ctx: &Ctx<'js>) -> Result<ArrayBuffer<'js>, Error> {
        if self.kind().is_read_only() && !enforces_immutable(ctx)? {
            return Err(Error::Unsupported {
                engine: ENGINE,
                what: "keep script in this context from writing to read-only memory",
                instead: "use an `Isolate`, or expose a copy of its bytes (`to_vec`)",
            });
        }
        sys::expose(ctx, self)
    }

    fn expose_typed<'js, T: RquickjsElement>(
        &self,
        ctx: &Ctx<'js>,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<TypedArray<'js, T::Element>, Error> {
        expose_typed::<T>(ctx, self, byte_offset, element_count, || Ok(self.expose(ctx)?.into_value()))
    }

    fn externalize(value: &Value<'_>) -> Result<Self, Error> {
        sys::externalize(value.ctx(), value, false)
    }

    fn copy_in<T: NoUninit>(&self, ctx: &Ctx<'_>, byte_offset: usize, from: &[T]) -> Result<(), Error> {
        copy_in(OnThread(ctx), self, byte_offset, bytemuck::cast_slice(from))
    }

    fn cells<'a>(&'a self, ctx: &'a Ctx<'_>) -> Result<Cells<'a>, Error> {
        cells(OnThread(ctx), self)
    }
}

/// What a [`FrozenStore`] can do with a `Ctx`.
pub trait FrozenStoreExt {
    /// An immutable ArrayBuffer with these bytes: over the store's own memory in the context of an
    /// [`Isolate`](crate::Isolate), otherwise over a copy, which is reported. QuickJS's writing `Atomics` ignore
    /// immutability, and only an isolate replaces them before any user code runs. Memory that does not begin at a
    /// multiple of 8 is copied too: `include_bytes!` aligns to 1.
    ///
    /// # Errors
    /// As for [`BackingStoreExt::expose`].
    fn expose<'js>(&self, ctx: &Ctx<'js>) -> Result<(ArrayBuffer<'js>, Exposure), Error>;
}

impl FrozenStoreExt for FrozenStore {
    fn expose<'js>(&self, ctx: &Ctx<'js>) -> Result<(ArrayBuffer<'js>, Exposure), Error> {
        let reason = if !enforces_immutable(ctx)? {
            CopyReason::ImmutableNotEnforced
        } else if !sys::is_aligned(self) {
            CopyReason::Misaligned
        } else {
            let buffer = sys::expose(ctx, &BackingStore::from(self.clone()))?;
            return Ok((buffer, Exposure::External));
        };
        let buffer = sys::copy_into_engine(ctx, self, true)?;
        Ok((buffer, Exposure::Copied { reason }))
    }
}

/// What a [`SharedStore`] can do with a `Ctx`. It comes back from [`BackingStoreExt::externalize`] and
/// `SharedStore::try_from`.
pub trait SharedStoreExt {
    /// A SharedArrayBuffer over these bytes, without a copy. Any number of isolates may have such buffers, and Rust goes on
    /// using the store meanwhile.
    ///
    /// Over a growable store it is growable in the context of an [`Isolate`](crate::Isolate): what anybody makes of the
    /// length is seen by script at the next `byteLength`, `grow` or call of `Atomics`, and whenever script begins. In any
    /// other context it has, for good, the length that the store has now: QuickJS keeps a length in each object, and only
    /// an isolate keeps script from making that longer than the store. Expose it again to see more.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`] where it may have more than 2 GiB - 1 bytes; [`Error::Misaligned`] where the first byte
    /// is not at a multiple of 8; [`Error::Unsupported`] for a part of a growable store, and in a runtime with a function
    /// of somebody else's that frees shared memory; [`Error::Script`] where QuickJS has no memory.
    fn expose<'js>(&self, ctx: &Ctx<'js>) -> Result<Object<'js>, Error>;

    /// A typed array over `element_count` elements from `byte_offset` on, without a copy; see
    /// [`BackingStoreExt::expose_typed`]. It has that length for good.
    ///
    /// # Errors
    /// As for [`expose`](Self::expose); [`Error::Misaligned`] where the offset is no multiple of the element's size, and
    /// [`Error::Memory`] with [`OutOfRange`](offheap::Error::OutOfRange) where the elements do not lie in these bytes.
    fn expose_typed<'js, T: RquickjsElement>(
        &self,
        ctx: &Ctx<'js>,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<TypedArray<'js, T::Element>, Error>;
}

impl SharedStoreExt for SharedStore {
    fn expose<'js>(&self, ctx: &Ctx<'js>) -> Result<Object<'js>, Error> {
        sys::expose_shared(ctx, self)
    }

    fn expose_typed<'js, T: RquickjsElement>(
        &self,
        ctx: &Ctx<'js>,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<TypedArray<'js, T::Element>, Error> {
        expose_typed::<T>(ctx, self.as_store(), byte_offset, element_count, || Ok(self.expose(ctx)?.into_value()))
    }
}

/// Whether all contexts of this runtime keep script from writing to immutable buffers: in that of an `Isolate` the only
/// one does, and nobody can make another.
fn enforces_immutable(ctx: &Ctx<'_>) -> Result<bool, Error> {
    with_state(ctx, |state| Ok(state.own().is_some()))
}

/// Detaches the ArrayBuffer that `value` is, or is a view of (V8's `Detach(key)`). A detached buffer stays so.
///
/// Its views have length 0 from then on, and the store loses one reference; native references keep it.
///
/// # Errors
/// [`Error::NotAnArrayBuffer`]; [`Error::NotDetachable`] for a SharedArrayBuffer; [`Error::Immutable`];
/// [`Error::WrongDetachKey`] in the context of an
/// [`Isolate`](crate::Isolate), where keys can be [set](crate::Scope::set_detach_key), and in any for a key where none
/// was set.
pub fn detach<'js>(ctx: &Ctx<'js>, value: &Value<'js>, key: Option<&str>) -> Result<(), Error> {
    crate::detach::detach(ctx, value, key)
}

/// A copy of the bytes that script sees at this moment of an ArrayBuffer, a SharedArrayBuffer or a view, whoever made it. No
/// script runs in between, and the buffer stays as it is. A view that is out of bounds has no bytes.
///
/// # Errors
/// [`Error::NotAnArrayBuffer`]; [`Error::Detached`]; [`Error::LayoutChanged`]; [`Error::Unsupported`] for a
/// SharedArrayBuffer over memory of another library; [`Error::Memory`] where there is no memory, a guard of another thread
/// writes, or it was freed.
pub fn copy_of<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<Vec<u8>, Error> {
    sys::copy_of(ctx, value)
}
