//! Stores for programs that use the crate `v8`: traits on the types of the core, over the program's own scope.
//!
//! None of this needs a guard: bytes are copied, or lent as cells, and lent as slices only if nothing writes them.
//! SAFETY.md lists the few things that the crate `v8` allows and a program must not do. For example, it must not access
//! the bytes of a `v8::BackingStore`, which the crate makes `Sync`, or take one to another isolate and then ask for
//! cells of it.

use bytemuck::{NoUninit, Pod};
use offheap::{BackingStore, Cells, FrozenStore, SharedStore, UniqueStore, adapter};
use offheap_engine::{copied_elements, element_count, is_aligned};

use crate::script::{told, with_script_stack};
use crate::sys::{self, Buffer};
use crate::typed::{expose_typed, view_of_all};
use crate::{CopyReason, ENGINE, Error, Exposure, ExternalizedView, TypedElement};

/// The functions of a [`BackingStore`] that need a scope of V8.
pub trait BackingStoreExt: Sized {
    /// Makes an ArrayBuffer over these bytes, without a copy. Over read-only memory it is immutable. From now on script
    /// may write other memory: until the last such buffer is detached or collected, Rust reads by copy or through
    /// [`cells`](Self::cells).
    ///
    /// A store may have several buffers in one isolate, but not buffers in two isolates at once. `transfer` to the same
    /// length moves the store to the new buffer; to any other length, script gets new memory (ECMAScript 25.1.3.5
    /// ArrayBufferCopyAndDetach allows both).
    ///
    /// A store that was externalized from a resizable ArrayBuffer of V8's own gets a resizable buffer again, once V8
    /// has released the first: it has one buffer at a time.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`] beyond 2^53 - 1 bytes, and from 32 GiB on if the program started V8 and a
    /// collection would free the memory. [`Error::Misaligned`] if the first byte is not at a multiple of 8.
    /// [`Error::AddressTaken`] if another store has the same memory. [`Error::Unsupported`] for read-only memory if V8
    /// was started without immutable buffers, for shared memory, which has [`SharedStoreExt::expose`], and for
    /// resizable memory of Rust. [`Error::Memory`] if another isolate has the store, a guard uses it, or it was freed.
    /// After an error nothing has changed.
    fn expose<'s>(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::ArrayBuffer>, Error>;

    /// Makes an ArrayBuffer over these bytes as [`expose`](Self::expose) does, or else over a copy of them. The
    /// [`Exposure`] says which. Read-only memory is copied if V8 was started without immutable buffers, or if it does not
    /// begin at a multiple of 8. So this is the way to show a read-only [`Mapped`](offheap::Mapped) file, or a part of one,
    /// to script on any V8. [`Scope::expose_or_copy`](crate::Scope::expose_or_copy) copies resizable memory of Rust too.
    ///
    /// # Errors
    /// Those of [`expose`](Self::expose), except for read-only memory that is copied.
    fn expose_or_copy<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<(v8::Local<'s, v8::ArrayBuffer>, Exposure), Error>;

    /// Makes a typed array over all of these bytes, without a copy: `new Float32Array(buffer)` in script, with a buffer as
    /// [`expose`](Self::expose) makes it. `T` is a [`TypedElement`]: `f32` makes a `Float32Array`, `i64` a
    /// `BigInt64Array`. The length of the array never changes.
    ///
    /// # Errors
    /// Those of [`expose`](Self::expose). [`Error::Memory`] with [`PartialElement`](offheap::Error::PartialElement) if
    /// the length is not a multiple of the element's size.
    fn expose_as<'s, T: TypedElement>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<v8::Local<'s, v8::TypedArray>, Error>;

    /// Makes a typed array over `element_count` elements from `byte_offset` on, without a copy. It is the result of
    /// `new Float32Array(buffer, byteOffset, length)` in script, with a buffer over all these bytes, as
    /// [`expose`](Self::expose) makes it. `T` is a [`TypedElement`]: `f32` makes a `Float32Array`, `i64` a
    /// `BigInt64Array`.
    ///
    /// # Errors
    /// Those of [`expose`](Self::expose). [`Error::Misaligned`] if the offset is not a multiple of the element's size.
    /// [`Error::Memory`] with [`OutOfRange`](offheap::Error::OutOfRange) if the elements are not all within these
    /// bytes.
    fn expose_typed<'s, T: TypedElement>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<v8::Local<'s, v8::TypedArray>, Error>;

    /// Returns the store of any ArrayBuffer or SharedArrayBuffer, or of the part of it that a typed array or DataView
    /// shows. The store outlives the object and the isolate. Each call returns equal stores for the same memory. A view
    /// that shows a whole buffer of fixed length gives the whole store.
    ///
    /// What a view shows is read from V8's own slots, so script cannot replace it. A view whose length follows that of
    /// its buffer gives the bytes that it shows now.
    ///
    /// A store of memory that V8 itself allocated counts as exposed in this isolate until V8 has released the memory.
    /// The store of a resizable buffer ([`ENGINE_RESIZABLE`](offheap::StoreKind::ENGINE_RESIZABLE)) has the length that
    /// script gave it last. It is read in the isolate's scope, because V8 unmaps pages when the buffer shrinks. The
    /// store of a `WebAssembly.Memory` ([`ENGINE_GROWABLE`](offheap::StoreKind::ENGINE_GROWABLE)) grows with the memory
    /// in place. If V8 moves the memory to grow it, the store keeps the old memory.
    ///
    /// To move a store to another isolate, call [`detach`] here and [`expose`](Self::expose) there. If a program moves
    /// a buffer by V8's own functions (`get_backing_store`, `detach`, and `with_backing_store` there), this function
    /// returns the same store in the other isolate. The store counts as exposed in the first isolate until V8 releases
    /// the memory, and until then its bytes can only be copied.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`]. [`Error::Detached`]. [`Error::OutOfBounds`] for a view that does not lie in its
    /// buffer any more. Buffers and views without bytes give a store without bytes. [`Error::Memory`] if memory runs
    /// out.
    #[track_caller]
    fn externalize<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> Result<Self, Error>;

    /// Returns what [`externalize`](Self::externalize) returns, with the type of the elements and the offset in the
    /// buffer.
    ///
    /// # Errors
    /// Those of [`externalize`](Self::externalize).
    #[track_caller]
    fn externalize_view<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        value: v8::Local<'s, v8::Value>,
    ) -> Result<ExternalizedView, Error>;

    /// Returns the store of a whole buffer, or of the whole buffer of a view (V8's `GetBackingStore`), also if the view
    /// is out of bounds.
    ///
    /// # Errors
    /// Those of [`externalize`](Self::externalize), except for [`Error::OutOfBounds`].
    #[track_caller]
    fn externalize_buffer<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>)
    -> Result<Self, Error>;

    /// Copies elements in, from `byte_offset` on, in the machine's byte order.
    ///
    /// # Errors
    /// [`Error::Memory`] if the range is not within the store, a guard uses the store, another isolate has it, or it is
    /// read-only or was freed. [`Error::NotLent`] in the cases of [`copy_to`](Self::copy_to).
    fn copy_in<T: NoUninit>(&self, scope: &v8::PinScope<'_, '_>, byte_offset: usize, from: &[T]) -> Result<(), Error>;

    /// Copies bytes out, from `byte_offset` on, on the isolate's thread. This also works for resizable buffers of V8's
    /// own. While script may shrink those, no other thread may read their bytes; other memory can be copied on any
    /// thread ([`BackingStore::copy_to_slice`](offheap::BackingStore::copy_to_slice)).
    ///
    /// # Errors
    /// [`Error::Memory`] if the range is not within the store, a guard writes the store, another isolate has it, or it
    /// was freed. [`Error::NotLent`] for memory that script may shrink, if anything except one buffer refers to its
    /// `v8::BackingStore`.
    fn copy_to(&self, scope: &v8::PinScope<'_, '_>, byte_offset: usize, into: &mut [u8]) -> Result<(), Error>;

    /// Lends the bytes as cells. The view stays valid even if script runs while it lives. Other threads and other
    /// guards are refused until it is dropped.
    ///
    /// # Errors
    /// [`Error::Memory`] if the store is in use, another isolate has it, or it is read-only, shared, a mapped file, or
    /// was freed. [`Error::NotLent`] if V8 made the memory and more than one reference to its `v8::BackingStore` is not
    /// ours, because one of them may be another isolate's buffer.
    ///
    /// V8 does not say who holds a single reference, does not report references that are taken later, and reports
    /// nothing about memory that it did not make. So a program must not give the `v8::BackingStore` of these bytes to
    /// another isolate before it asks for cells, or while they live.
    fn cells<'a>(&'a self, scope: &'a v8::PinScope<'_, '_>) -> Result<Cells<'a>, Error>;
}

impl BackingStoreExt for BackingStore {
    #[inline]
    fn expose<'s>(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::ArrayBuffer>, Error> {
        if !self.kind().is_read_only() {
            return sys::expose(scope, self);
        }
        sys::expose_immutable(scope, self)?.ok_or(Error::Unsupported {
            engine: ENGINE,
            what: "keep script from writing to read-only memory, since it was started without immutable buffers",
            instead: "let `offheap_v8::start` start it, or let `expose_or_copy` make a copy of its bytes",
        })
    }

    fn expose_or_copy<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<(v8::Local<'s, v8::ArrayBuffer>, Exposure), Error> {
        match self.kind().is_read_only() {
            true => expose_read_only(scope, self),
            false => Ok((sys::expose(scope, self)?, Exposure::External)),
        }
    }

    fn expose_as<'s, T: TypedElement>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<v8::Local<'s, v8::TypedArray>, Error> {
        self.expose_typed::<T>(scope, 0, element_count::<T>(self)?)
    }

    fn expose_typed<'s, T: TypedElement>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<v8::Local<'s, v8::TypedArray>, Error> {
        T::ELEMENT.check(ENGINE, self, byte_offset, element_count)?;
        expose_typed(scope, self, T::ELEMENT, byte_offset, element_count)
    }

    #[inline]
    fn externalize<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> Result<Self, Error> {
        // The fast path: most values are ArrayBuffers over stores.
        let _places = adapter::handles_of_caller();
        match sys::store_of(scope, value) {
            Some(store) => Ok(store),
            None => Ok(externalize(scope, value)?.store),
        }
    }

    fn externalize_view<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        value: v8::Local<'s, v8::Value>,
    ) -> Result<ExternalizedView, Error> {
        let _places = adapter::handles_of_caller();
        externalize(scope, value)
    }

    fn externalize_buffer<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        value: v8::Local<'s, v8::Value>,
    ) -> Result<Self, Error> {
        // Before V8 is asked for anything, as every function that takes a scope.
        sys::state(scope)?;
        let buffer = Buffer::of(scope, value)?.object();
        Self::externalize(scope, buffer.into())
    }

    fn copy_in<T: NoUninit>(&self, scope: &v8::PinScope<'_, '_>, byte_offset: usize, from: &[T]) -> Result<(), Error> {
        sys::copy_in(scope, self, byte_offset, from)
    }

    fn copy_to(&self, scope: &v8::PinScope<'_, '_>, byte_offset: usize, into: &mut [u8]) -> Result<(), Error> {
        sys::copy_to(scope, self, byte_offset, into)
    }

    fn cells<'a>(&'a self, scope: &'a v8::PinScope<'_, '_>) -> Result<Cells<'a>, Error> {
        sys::cells(scope, self)
    }
}

#[track_caller]
#[inline(never)]
fn externalize<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
) -> Result<ExternalizedView, Error> {
    let state = sys::state(scope)?;
    let buffer = Buffer::of(scope, value)?;
    let window = sys::window(value, &buffer).check(ENGINE, "externalize");
    let window = told(scope, window)?;
    let facts = buffer.facts();
    let located = sys::locate(&buffer, facts);
    let _script = with_script_stack(scope, located.wants_script_stack());
    window.of(located.into_store(&state)?)
}

/// The functions of a [`SharedStore`] that need a scope of V8.
pub trait SharedStoreExt {
    /// Makes a SharedArrayBuffer over these bytes, without a copy. Any number of isolates may have such buffers.
    ///
    /// V8 makes growable buffers only over its own memory. If the store was externalized from a growable
    /// SharedArrayBuffer that V8 made, and is all of its memory, the new buffer is growable too, and all of them grow
    /// together. A buffer over a [growable store](SharedStore::growable) of Rust keeps the length that the store has
    /// now; once the store grew, the next call makes a longer buffer. A buffer over memory of a `WebAssembly.Memory`
    /// keeps its length, too.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`], [`Error::Misaligned`], [`Error::AddressTaken`].
    fn expose<'s>(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::SharedArrayBuffer>, Error>;

    /// Makes a typed array over all of these bytes, without a copy; see [`BackingStoreExt::expose_as`]. It has the
    /// elements that the store has now, and its length never changes.
    ///
    /// # Errors
    /// Those of [`expose`](Self::expose). [`Error::Memory`] with [`PartialElement`](offheap::Error::PartialElement) if
    /// the length is not a multiple of the element's size.
    fn expose_as<'s, T: TypedElement>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<v8::Local<'s, v8::TypedArray>, Error>;

    /// Makes a typed array over `element_count` elements from `byte_offset` on, without a copy; see
    /// [`BackingStoreExt::expose_typed`].
    ///
    /// # Errors
    /// Those of [`expose`](Self::expose). [`Error::Misaligned`] if the offset is not a multiple of the element's size.
    /// [`Error::Memory`] with [`OutOfRange`](offheap::Error::OutOfRange) if the elements are not all within these
    /// bytes.
    fn expose_typed<'s, T: TypedElement>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<v8::Local<'s, v8::TypedArray>, Error>;
}

impl SharedStoreExt for SharedStore {
    fn expose<'s>(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::SharedArrayBuffer>, Error> {
        sys::expose_shared(scope, self.as_store())
    }

    fn expose_as<'s, T: TypedElement>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<v8::Local<'s, v8::TypedArray>, Error> {
        self.expose_typed::<T>(scope, 0, element_count::<T>(self.as_store())?)
    }

    fn expose_typed<'s, T: TypedElement>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<v8::Local<'s, v8::TypedArray>, Error> {
        T::ELEMENT.check(ENGINE, self.as_store(), byte_offset, element_count)?;
        expose_typed(scope, self.as_store(), T::ELEMENT, byte_offset, element_count)
    }
}

/// The functions of a [`FrozenStore`] that need a scope of V8.
pub trait FrozenStoreExt {
    /// Makes an immutable ArrayBuffer over the store's own memory, if V8 was started with immutable buffers, as
    /// [`start`](crate::start) does. Otherwise it makes a plain ArrayBuffer over a copy, as the result says. Memory
    /// that does not begin at a multiple of 8 is copied too, into an immutable buffer; `include_bytes!` aligns to 1.
    ///
    /// If several frozen stores are over the same memory, for example of one `static`, externalizing such a buffer
    /// returns any of them.
    ///
    /// # Errors
    /// Those of [`BackingStoreExt::expose`], and [`Error::Memory`] if there is no memory for a copy.
    fn expose<'s>(&self, scope: &mut v8::PinScope<'s, '_>)
    -> Result<(v8::Local<'s, v8::ArrayBuffer>, Exposure), Error>;
}

impl FrozenStoreExt for FrozenStore {
    fn expose<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<(v8::Local<'s, v8::ArrayBuffer>, Exposure), Error> {
        expose_read_only(scope, self.as_store())
    }
}

/// Makes an immutable buffer over read-only memory, or a buffer over a copy of it.
fn expose_read_only<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    store: &BackingStore,
) -> Result<(v8::Local<'s, v8::ArrayBuffer>, Exposure), Error> {
    let reason = if is_aligned(store) {
        match sys::expose_immutable(scope, store)? {
            Some(buffer) => return Ok((buffer, Exposure::External)),
            None => CopyReason::ImmutableNotEnforced,
        }
    } else {
        let copy = FrozenStore::from_owner(copied(store)?).map_err(|rejected| rejected.into_parts().0)?;
        if let Some(buffer) = sys::expose_immutable(scope, copy.as_store())? {
            return Ok((buffer, Exposure::Copied { reason: CopyReason::Misaligned }));
        }
        CopyReason::Misaligned
    };
    Ok((sys::expose(scope, &copied(store)?.into())?, Exposure::Copied { reason }))
}

/// A copy of a store's bytes, aligned to 16. It is in Rust's memory, because V8 ends the process when its own allocation
/// fails.
fn copied(store: &BackingStore) -> Result<UniqueStore, Error> {
    let mut copy = UniqueStore::zeroed(store.byte_length())?;
    store.copy_to_slice(0, &mut copy)?;
    Ok(copy)
}

/// The functions of a [`UniqueStore`] that need a scope of V8.
pub trait UniqueStoreExt: Sized {
    /// Externalizes and detaches an ArrayBuffer in one step. Nothing else has the memory then: it is a `&mut [u8]`, on
    /// any thread. `value` is the buffer, or a view that shows all of it. `key` is as for [`detach`].
    ///
    /// Nothing else may refer to the memory: no other buffer, no handle to the store, not even a weak one, and no other
    /// reference to the buffer's `v8::BackingStore`. Then V8 releases the block of the buffer in the call, and no copy
    /// is made, no matter who made the buffer. After an error the buffer is as it was.
    ///
    /// # Errors
    /// Those of [`externalize`](BackingStoreExt::externalize) and of [`detach`]. [`Error::Unsupported`] for a view that
    /// shows a part. [`Error::Memory`] with [`NotUnique`](offheap::Error::NotUnique) if something else refers to the
    /// memory, or if it is manual memory, a mapped file, or memory that V8 resizes. [`Error::NotLent`] if something else
    /// refers to the `v8::BackingStore`.
    #[track_caller]
    fn take<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        value: v8::Local<'s, v8::Value>,
        key: Option<&str>,
    ) -> Result<Self, Error>;
}

impl UniqueStoreExt for UniqueStore {
    fn take<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        value: v8::Local<'s, v8::Value>,
        key: Option<&str>,
    ) -> Result<Self, Error> {
        crate::detach::take_value(scope, value, key)
    }
}

/// Copies the elements that script sees at this moment of any ArrayBuffer, SharedArrayBuffer or view, in the machine's
/// byte order. No script runs, no store is made, and the buffer does not change. The type of a view does not matter: `u8`
/// copies the bytes.
///
/// # Errors
/// [`Error::PartialElement`]. [`Error::NotAnArrayBuffer`]. [`Error::Detached`]. [`Error::OutOfBounds`].
/// [`Error::TooLargeForEngine`] for a buffer with more bytes than a `Uint8Array` of V8 may have. [`Error::Memory`] if
/// memory runs out.
#[track_caller]
pub fn copy_of<'s, T: Pod>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> Result<Vec<T>, Error> {
    // The checks that every function makes which takes a scope.
    sys::state(scope)?;
    let buffer = Buffer::of(scope, value)?;
    let window = sys::window(value, &buffer).check(ENGINE, "copy");
    told(scope, window)?;
    let view = match v8::Local::<v8::ArrayBufferView>::try_from(value) {
        Ok(view) => view,
        Err(_) => view_of_all(scope, &buffer)?,
    };
    copied_elements(ENGINE, view.byte_length(), |into| {
        let copied = view.copy_contents(into);
        assert_eq!(copied, into.len(), "no script ran in between");
        Ok(())
    })
}

/// Detaches an ArrayBuffer, or the buffer of a view (V8's `Detach(key)`). It stays detached.
///
/// Its views then have length 0, and the store loses one reference. Native references keep the store.
///
/// # Errors
/// [`Error::NotAnArrayBuffer`]. [`Error::NotDetachable`] for a SharedArrayBuffer, and for the buffer of a
/// `WebAssembly.Memory`. [`Error::Immutable`]. [`Error::WrongDetachKey`].
pub fn detach<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    key: Option<&str>,
) -> Result<(), Error> {
    crate::detach::detach_value(scope, value, key)
}

/// `transfer(byteLength)` of an ArrayBuffer, or of the buffer of a view: a new buffer with its memory, after which the old
/// one is detached. `None` keeps the length. Any other length shortens or extends the bytes; new ones are zero. A resizable
/// buffer stays resizable, and its length stays within its maximum. The memory of a store moves to a buffer of the same
/// length. For any other length, and for a resizable buffer, V8 makes new memory. No script runs, even if it replaced
/// `ArrayBuffer.prototype.transfer`. The new buffer belongs to the context that is entered.
///
/// # Errors
/// Those of [`Scope::transfer`](crate::Scope::transfer), except `WrongIsolate`: [`Error::NotAnArrayBuffer`].
/// [`Error::NotDetachable`] for a SharedArrayBuffer, and for the buffer of a `WebAssembly.Memory`. [`Error::Immutable`].
/// [`Error::Detached`]. [`Error::WrongDetachKey`]. [`Error::InvalidLength`]. [`Error::Script`] if there is no memory. After
/// an error the buffer is unchanged.
#[track_caller]
pub fn transfer<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    byte_length: Option<usize>,
) -> Result<v8::Local<'s, v8::ArrayBuffer>, Error> {
    crate::detach::transfer_value(scope, value, byte_length)
}
