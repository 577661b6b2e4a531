//! Stores for programs that use rquickjs: traits on the types of the core, over the program's own `Ctx`.
//!
//! None of this needs a guard: bytes are copied, or lent as cells, never as slices. SAFETY.md lists the few things
//! that the crate `rquickjs` allows and a program must not do.

use bytemuck::{NoUninit, Pod};
use offheap::{BackingStore, Cells, FrozenStore, SharedStore, StoreKind, UniqueStore, adapter};
use offheap_engine::{ExternalizedView, cells, copy_in, element_count, is_aligned};
use rquickjs::{ArrayBuffer, Ctx, Object, TypedArray, Value};

use crate::script::told;
use crate::sys::{self, OnThread, with_state};
use crate::typed::{RquickjsElement, expose_typed};
use crate::{CopyReason, ENGINE, Error, Exposure};

/// The functions of a [`BackingStore`] that need a `Ctx`.
pub trait BackingStoreExt: Sized {
    /// Makes an ArrayBuffer over these bytes, without a copy. From now on script may write them: until the last
    /// such buffer is detached or collected, Rust reads by copy or through [`cells`](Self::cells).
    ///
    /// A store may have several buffers in one runtime, but not buffers in two runtimes at once. `transfer` to the
    /// same length moves the store to the new buffer; to any other length, script gets new memory (ECMAScript
    /// 25.1.3.5 ArrayBufferCopyAndDetach allows both; V8 does the same).
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`] beyond 2 GiB - 1. [`Error::Misaligned`] if the first byte is not at a multiple
    /// of 8. [`Error::Unsupported`] for shared memory, for which there is [`SharedStoreExt`], and for read-only
    /// memory in a context that does not belong to an [`Isolate`](crate::Isolate). [`Error::Memory`] if another
    /// isolate has the store, a guard uses it, or it was freed. [`Error::Script`] if QuickJS is out of memory.
    /// After an error nothing has changed.
    fn expose<'js>(&self, ctx: &Ctx<'js>) -> Result<ArrayBuffer<'js>, Error>;

    /// Makes an ArrayBuffer over these bytes as [`expose`](Self::expose) does, or else over a copy of them. The
    /// [`Exposure`] says which. Read-only memory is copied if this context does not keep script from writing to it, which
    /// only an [`Isolate`](crate::Isolate) does, or if it does not begin at a multiple of 8. This is the way to show a
    /// read-only [`Mapped`](offheap::Mapped) file, or a part of one, to script in your own context.
    ///
    /// ```
    /// # use offheap_quickjs::{BackingStoreExt, rquickjs::{Context, Runtime}};
    /// # use offheap_quickjs::offheap::{FrozenStore, MapMode, Mapped};
    /// # let context = Context::full(&Runtime::new()?)?;
    /// let file = Mapped::open("Cargo.toml", MapMode::ReadOnly)?;
    /// context.with(|ctx| -> Result<(), Box<dyn std::error::Error>> {
    ///     let (buffer, exposure) = file.store().slice(..9)?.expose_or_copy(&ctx)?;
    ///     assert!(!exposure.is_external()); // a copy, since this is not the context of an `Isolate`
    ///     ctx.globals().set("head", buffer)?;
    ///     assert_eq!(ctx.eval::<String, _>("String.fromCharCode(...new Uint8Array(head))")?, "[package]");
    ///     Ok(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`expose`](Self::expose), except for read-only memory that is copied.
    fn expose_or_copy<'js>(&self, ctx: &Ctx<'js>) -> Result<(ArrayBuffer<'js>, Exposure), Error>;

    /// Makes a typed array over all of these bytes, without a copy: `new Float32Array(buffer)` in script, with a buffer
    /// as [`expose`](Self::expose) makes it. `T` is a [`TypedElement`](crate::TypedElement): `f32` makes a
    /// `Float32Array`, `i64` a `BigInt64Array`. The length of the array never changes.
    ///
    /// # Errors
    /// Those of [`expose`](Self::expose). [`Error::Memory`] with
    /// [`PartialElement`](offheap::Error::PartialElement) if the length is not a multiple of the element's size.
    fn expose_as<'js, T: RquickjsElement>(&self, ctx: &Ctx<'js>) -> Result<TypedArray<'js, T::Element>, Error>;

    /// Makes a typed array over `element_count` elements from `byte_offset` on, without a copy. It is the result of
    /// `new Float32Array(buffer, byteOffset, length)` in script, with a buffer over all these bytes, as
    /// [`expose`](Self::expose) makes it. `T` is a [`TypedElement`](crate::TypedElement): `f32` makes a
    /// `Float32Array`, `i64` a `BigInt64Array`.
    ///
    /// ```
    /// # use offheap_quickjs::{BackingStoreExt, rquickjs::{Context, Runtime}};
    /// # use offheap_quickjs::offheap::BackingStore;
    /// # let context = Context::full(&Runtime::new()?)?;
    /// let store = BackingStore::from_owner(vec![1.0_f32, 2.0, 3.0])?;
    /// context.with(|ctx| -> Result<(), Box<dyn std::error::Error>> {
    ///     ctx.globals().set("view", store.expose_typed::<f32>(&ctx, 4, 2)?)?;
    ///     assert_eq!(ctx.eval::<f32, _>("view.length * 10 + view[1]")?, 23.0);
    ///     Ok(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`expose`](Self::expose). [`Error::Misaligned`] if the offset is not a multiple of the element's
    /// size. [`Error::Memory`] with [`OutOfRange`](offheap::Error::OutOfRange) if the elements are not all within
    /// these bytes.
    fn expose_typed<'js, T: RquickjsElement>(
        &self,
        ctx: &Ctx<'js>,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<TypedArray<'js, T::Element>, Error>;

    /// Returns the store of any ArrayBuffer or SharedArrayBuffer, or of the part of it that a typed array or DataView
    /// shows. The store outlives the object. A view that shows a whole buffer of fixed length gives the whole store.
    ///
    /// What a view shows is read from QuickJS's own structs, so script cannot replace it. A view whose length follows
    /// that of its buffer gives the bytes that it shows now.
    ///
    /// The first call for a buffer that script made moves its memory into a store, and the buffer uses the store from
    /// then on. With our [`Allocator`](crate::Allocator), which every [`Isolate`](crate::Isolate) has, memory of more
    /// than 504 bytes with a fixed length stays where it is; other memory is copied. Later calls return equal stores,
    /// without a copy. The first call ends every slice that an `unsafe` function of rquickjs lent, like a call of script
    /// does.
    ///
    /// ```
    /// # use offheap_quickjs::{BackingStoreExt, rquickjs::{Context, Runtime, Value}};
    /// # use offheap_quickjs::offheap::BackingStore;
    /// # Context::full(&Runtime::new()?)?.with(|ctx| -> Result<(), Box<dyn std::error::Error>> {
    /// let part: Value = ctx.eval("new Uint8Array([1, 2, 3, 4]).subarray(1, 3)")?;
    /// assert_eq!(BackingStore::externalize(&ctx, &part)?.to_vec()?, [2, 3]);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`]. [`Error::Detached`]. [`Error::OutOfBounds`] for a view that does not lie in its
    /// buffer any more. Buffers and views without bytes give a store without bytes. [`Error::Unsupported`] for a
    /// SharedArrayBuffer over memory of another library, which may have shared it with others; and for a buffer that
    /// is not over a store yet, while QuickJS frees values or collects, for example in the drop of a value that a
    /// function captured. [`Error::LayoutChanged`]. [`Error::WrongIsolate`] for a value of another runtime.
    /// [`Error::Memory`] and [`Error::Script`] if memory runs out.
    #[track_caller]
    fn externalize(ctx: &Ctx<'_>, value: &Value<'_>) -> Result<Self, Error>;

    /// Returns what [`externalize`](Self::externalize) returns, with the type of the elements and the offset in the
    /// buffer.
    ///
    /// ```
    /// # use offheap_quickjs::{BackingStoreExt, Element, rquickjs::{Context, Runtime, Value}};
    /// # use offheap_quickjs::offheap::BackingStore;
    /// # Context::full(&Runtime::new()?)?.with(|ctx| -> Result<(), Box<dyn std::error::Error>> {
    /// let part: Value = ctx.eval("new Float32Array([1, 2, 3, 4]).subarray(1, 3)")?;
    /// let view = BackingStore::externalize_view(&ctx, &part)?;
    /// assert_eq!((view.element, view.byte_offset), (Some(Element::Float32), 4));
    /// assert_eq!(view.store.copy_out::<f32>()?, [2.0, 3.0]);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`externalize`](Self::externalize).
    #[track_caller]
    fn externalize_view(ctx: &Ctx<'_>, value: &Value<'_>) -> Result<ExternalizedView, Error>;

    /// Returns the store of a whole buffer, or of the whole buffer of a view (V8's `GetBackingStore`), also if the
    /// view is out of bounds.
    ///
    /// # Errors
    /// Those of [`externalize`](Self::externalize), except for [`Error::OutOfBounds`].
    #[track_caller]
    fn externalize_buffer(ctx: &Ctx<'_>, value: &Value<'_>) -> Result<Self, Error>;

    /// Copies elements in, from `byte_offset` on, in the machine's byte order.
    ///
    /// # Errors
    /// [`Error::Memory`] if the range is not within the store, a guard uses the store, another isolate has it, or
    /// it is read-only or was freed.
    fn copy_in<T: NoUninit>(&self, ctx: &Ctx<'_>, byte_offset: usize, from: &[T]) -> Result<(), Error>;

    /// Lends the bytes as cells. The view stays valid no matter what script does while it lives. Other threads and other
    /// guards are refused until it is dropped.
    ///
    /// # Errors
    /// [`Error::Memory`] if the store is in use, another isolate has it, or it is read-only, a mapped file, or was
    /// freed.
    fn cells<'a>(&'a self, ctx: &'a Ctx<'_>) -> Result<Cells<'a>, Error>;
}

impl BackingStoreExt for BackingStore {
    #[inline]
    fn expose<'js>(&self, ctx: &Ctx<'js>) -> Result<ArrayBuffer<'js>, Error> {
        // The most frequent kind. Nothing has to be checked for it.
        if self.kind() != StoreKind::FIXED {
            check_immutable_enforced(ctx, self)?;
        }
        sys::expose(ctx, self)
    }

    fn expose_or_copy<'js>(&self, ctx: &Ctx<'js>) -> Result<(ArrayBuffer<'js>, Exposure), Error> {
        if !self.kind().is_read_only() {
            return Ok((sys::expose(ctx, self)?, Exposure::External));
        }
        let enforces_immutable = enforces_immutable(ctx)?;
        let reason = match enforces_immutable {
            true if is_aligned(self) => return Ok((sys::expose(ctx, self)?, Exposure::External)),
            true => CopyReason::Misaligned,
            false => CopyReason::ImmutableNotEnforced,
        };
        Ok((sys::expose_copy(ctx, self, enforces_immutable)?, Exposure::Copied { reason }))
    }

    fn expose_as<'js, T: RquickjsElement>(&self, ctx: &Ctx<'js>) -> Result<TypedArray<'js, T::Element>, Error> {
        self.expose_typed::<T>(ctx, 0, element_count::<T>(self)?)
    }

    fn expose_typed<'js, T: RquickjsElement>(
        &self,
        ctx: &Ctx<'js>,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<TypedArray<'js, T::Element>, Error> {
        expose_typed::<T>(ctx, self, byte_offset, element_count, || Ok(self.expose(ctx)?.into_value()))
    }

    #[inline]
    fn externalize(ctx: &Ctx<'_>, value: &Value<'_>) -> Result<Self, Error> {
        let ctx = sys::same_runtime(ctx, value)?;
        // The fast path: most values are ArrayBuffers over stores.
        let _places = adapter::handles_of_caller();
        match sys::find_existing(value.as_raw()) {
            Some(store) => Ok(store),
            None => Ok(told(ctx, sys::externalize_view(ctx, value))?.store),
        }
    }

    fn externalize_view(ctx: &Ctx<'_>, value: &Value<'_>) -> Result<ExternalizedView, Error> {
        let ctx = sys::same_runtime(ctx, value)?;
        let _places = adapter::handles_of_caller();
        told(ctx, sys::externalize_view(ctx, value))
    }

    fn externalize_buffer(ctx: &Ctx<'_>, value: &Value<'_>) -> Result<Self, Error> {
        let ctx = sys::same_runtime(ctx, value)?;
        Self::externalize(ctx, &sys::view_buffer(ctx, value)?)
    }

    fn copy_in<T: NoUninit>(&self, ctx: &Ctx<'_>, byte_offset: usize, from: &[T]) -> Result<(), Error> {
        copy_in(OnThread(ctx), self, byte_offset, bytemuck::cast_slice(from))
    }

    fn cells<'a>(&'a self, ctx: &'a Ctx<'_>) -> Result<Cells<'a>, Error> {
        cells(OnThread(ctx), self)
    }
}

/// The functions of a [`UniqueStore`] that need a `Ctx`.
pub trait UniqueStoreExt: Sized {
    /// Externalizes and detaches an ArrayBuffer in one step. Nothing else has the memory then: it is a `&mut [u8]`, on
    /// any thread. `value` is the buffer, or a view that shows all of it. `key` is as for [`detach`].
    ///
    /// Nothing else may refer to the memory: no other buffer, no handle to the store, not even a weak one. After an
    /// error the buffer is as it was. Memory that script made is copied, once, like in
    /// [`externalize`](BackingStoreExt::externalize).
    ///
    /// ```
    /// # use offheap_quickjs::{UniqueStoreExt, rquickjs::{Context, Runtime, Value}};
    /// # use offheap_quickjs::offheap::UniqueStore;
    /// # Context::full(&Runtime::new()?)?.with(|ctx| -> Result<(), Box<dyn std::error::Error>> {
    /// let bytes: Value = ctx.eval("globalThis.bytes = new Uint8Array([1, 2, 3])")?;
    /// let mut store = UniqueStore::take(&ctx, &bytes, None)?;
    /// assert_eq!(ctx.eval::<u32, _>("bytes.length")?, 0);
    /// std::thread::spawn(move || store[0] = 7).join().unwrap();
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`externalize`](BackingStoreExt::externalize) and of [`detach`]. [`Error::Unsupported`] for a view that
    /// shows a part. [`Error::Memory`] with [`NotUnique`](offheap::Error::NotUnique) if something else refers to the
    /// memory, or if it is manual memory or a mapped file.
    #[track_caller]
    fn take(ctx: &Ctx<'_>, value: &Value<'_>, key: Option<&str>) -> Result<Self, Error>;
}

impl UniqueStoreExt for UniqueStore {
    fn take(ctx: &Ctx<'_>, value: &Value<'_>, key: Option<&str>) -> Result<Self, Error> {
        let ctx = sys::same_runtime(ctx, value)?;
        told(ctx, crate::detach::take(ctx, value, key))
    }
}

/// The functions of a [`FrozenStore`] that need a `Ctx`.
pub trait FrozenStoreExt {
    /// Makes an immutable ArrayBuffer with these bytes. In the context of an [`Isolate`](crate::Isolate) it is over
    /// the store's own memory, and elsewhere over a copy, as the result says: QuickJS's `Atomics` that write ignore
    /// immutability, and only an isolate replaces them before any user code runs. Memory that does not begin at a
    /// multiple of 8 is copied too; `include_bytes!` aligns to 1.
    ///
    /// # Errors
    /// Those of [`BackingStoreExt::expose`].
    fn expose<'js>(&self, ctx: &Ctx<'js>) -> Result<(ArrayBuffer<'js>, Exposure), Error>;
}

impl FrozenStoreExt for FrozenStore {
    fn expose<'js>(&self, ctx: &Ctx<'js>) -> Result<(ArrayBuffer<'js>, Exposure), Error> {
        self.as_store().expose_or_copy(ctx)
    }
}

/// The functions of a [`SharedStore`] that need a `Ctx`. [`BackingStoreExt::externalize`] and then
/// `SharedStore::try_from` return the store of a SharedArrayBuffer.
pub trait SharedStoreExt {
    /// Makes a SharedArrayBuffer over these bytes, without a copy. Any number of isolates may have such buffers,
    /// and Rust may use the store at the same time.
    ///
    /// A buffer over a growable store is growable in the context of an [`Isolate`](crate::Isolate). Script sees
    /// that the store grew at the next `byteLength`, `grow` or call of `Atomics`, and whenever script starts. In
    /// any other context the buffer keeps the length that the store has now: QuickJS keeps a length in each object,
    /// and only an isolate prevents script from making it longer than the store. Expose the store again for a
    /// longer buffer.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`] if the store can have more than 2 GiB - 1 bytes. [`Error::Misaligned`] if the
    /// first byte is not at a multiple of 8. [`Error::Unsupported`] for a part of a growable store, and in a
    /// runtime to which another library gave a function that frees shared memory. [`Error::Script`] if QuickJS is
    /// out of memory.
    fn expose<'js>(&self, ctx: &Ctx<'js>) -> Result<Object<'js>, Error>;

    /// Makes a typed array over all of these bytes, without a copy; see [`BackingStoreExt::expose_as`]. It has the
    /// elements that the store has now, and its length never changes.
    ///
    /// # Errors
    /// Those of [`expose`](Self::expose). [`Error::Memory`] with
    /// [`PartialElement`](offheap::Error::PartialElement) if the length is not a multiple of the element's size.
    fn expose_as<'js, T: RquickjsElement>(&self, ctx: &Ctx<'js>) -> Result<TypedArray<'js, T::Element>, Error>;

    /// Makes a typed array over `element_count` elements from `byte_offset` on, without a copy; see
    /// [`BackingStoreExt::expose_typed`]. Its length never changes.
    ///
    /// # Errors
    /// Those of [`expose`](Self::expose). [`Error::Misaligned`] if the offset is not a multiple of the element's
    /// size. [`Error::Memory`] with [`OutOfRange`](offheap::Error::OutOfRange) if the elements are not all within
    /// these bytes.
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

    fn expose_as<'js, T: RquickjsElement>(&self, ctx: &Ctx<'js>) -> Result<TypedArray<'js, T::Element>, Error> {
        self.expose_typed::<T>(ctx, 0, element_count::<T>(self.as_store())?)
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

/// A buffer over a store, without a copy: a SharedArrayBuffer if the store is shared.
pub(crate) fn buffer_over<'js>(ctx: &Ctx<'js>, store: &BackingStore) -> Result<Value<'js>, Error> {
    match store.kind().is_shared() {
        true => Ok(SharedStore::try_from(store.clone())?.expose(ctx)?.into_value()),
        false => Ok(store.expose(ctx)?.into_value()),
    }
}

/// Refuses read-only memory in a context that does not keep script from writing to it.
#[inline(never)]
fn check_immutable_enforced(ctx: &Ctx<'_>, store: &BackingStore) -> Result<(), Error> {
    if store.kind().is_read_only() && !enforces_immutable(ctx)? {
        return Err(Error::Unsupported {
            engine: ENGINE,
            what: "keep script in this context from writing to read-only memory",
            instead: "use an `Isolate`, or let `expose_or_copy` make a copy of its bytes",
        });
    }
    Ok(())
}

/// Whether all contexts of this runtime keep script from writing to immutable buffers. The runtime of an `Isolate`
/// has only one context, which does, and nothing can make another.
fn enforces_immutable(ctx: &Ctx<'_>) -> Result<bool, Error> {
    with_state(ctx, |state| Ok(state.own().is_some()))
}

/// Detaches an ArrayBuffer, or the buffer of a view (V8's `Detach(key)`). It stays detached,
/// and detaching it again changes nothing.
///
/// Its views then have length 0, and the store loses one reference. Native references keep the store.
///
/// # Errors
/// [`Error::NotAnArrayBuffer`]. [`Error::NotDetachable`] for a SharedArrayBuffer. [`Error::Immutable`].
/// [`Error::WrongDetachKey`] if this is not the key that was [set](crate::Scope::set_detach_key), which is possible
/// in an [`Isolate`](crate::Isolate), or if a key is given and none was set. [`Error::WrongIsolate`] for a value of
/// another runtime.
pub fn detach(ctx: &Ctx<'_>, value: &Value<'_>, key: Option<&str>) -> Result<(), Error> {
    crate::detach::detach(sys::same_runtime(ctx, value)?, value, key)
}

/// `transfer(byteLength)` of an ArrayBuffer, or of the buffer of a view: a new buffer with its memory, after which the old
/// one is detached. `None` keeps the length. Any other length shortens or extends the bytes; new ones are zero. A resizable
/// buffer stays resizable, and its length stays within its maximum. The memory of a store moves to a buffer of the same
/// length. For any other length script gets new memory, unless the store is resizable. No script runs, even if it replaced
/// `ArrayBuffer.prototype.transfer`.
///
/// # Errors
/// Those of [`Scope::transfer`](crate::Scope::transfer): [`Error::NotAnArrayBuffer`].
/// [`Error::NotDetachable`] for a SharedArrayBuffer. [`Error::Immutable`]. [`Error::Detached`].
/// [`Error::WrongDetachKey`]. [`Error::InvalidLength`] beyond the maximum, or 2 GiB - 1. [`Error::Unsupported`] for another
/// length, if another library's memory does not provide it. [`Error::LayoutChanged`]. [`Error::WrongIsolate`] for a value
/// of another runtime. [`Error::Memory`] if memory runs out. After an error the buffer is unchanged.
#[track_caller]
pub fn transfer<'js>(ctx: &Ctx<'_>, value: &Value<'js>, byte_length: Option<usize>) -> Result<ArrayBuffer<'js>, Error> {
    let ctx = sys::same_runtime(ctx, value)?;
    told(ctx, crate::detach::transfer(ctx, value, byte_length))
}

/// Copies the elements that script sees at this moment of any ArrayBuffer, SharedArrayBuffer or view, in the machine's
/// byte order. No script runs, and the buffer does not change. The type of a view does not matter: `u8` copies the bytes.
///
/// # Errors
/// [`Error::PartialElement`]. [`Error::NotAnArrayBuffer`]. [`Error::Detached`]. [`Error::OutOfBounds`].
/// [`Error::LayoutChanged`].
/// [`Error::WrongIsolate`] for a value of another runtime. [`Error::Unsupported`] for a SharedArrayBuffer over memory
/// of another library. [`Error::Memory`] if memory runs out, a guard of another thread writes the bytes, or they were
/// freed.
#[track_caller]
pub fn copy_of<T: Pod>(ctx: &Ctx<'_>, value: &Value<'_>) -> Result<Vec<T>, Error> {
    let ctx = sys::same_runtime(ctx, value)?;
    told(ctx, sys::copy_of(ctx, value))
}
