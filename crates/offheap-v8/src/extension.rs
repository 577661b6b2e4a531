//! Stores for programs that use the crate `v8`: traits on the types of the core, over the program's own scope.
//!
//! No guard is needed for any of it: bytes are copied, or lent as cells, and as slices where nobody writes. SAFETY.md lists
//! the few things that the crate `v8` allows and a program must not do: among them to touch the bytes of a
//! `v8::BackingStore`, which the crate makes `Sync`, and to take one to another isolate and ask for cells of it.

use bytemuck::NoUninit;
use offheap::{BackingStore, Cells, FrozenStore, SharedStore, UniqueStore};

use crate::sys::{self, Buffer};
use crate::typed::expose_typed;
use crate::{CopyReason, ENGINE, Error, Exposure, TypedElement};

/// What a [`BackingStore`] can do with a scope of V8.
pub trait BackingStoreExt: Sized {
    /// An ArrayBuffer over these bytes, without a copy; read-only memory gets an immutable one. Script owns the bytes
    /// from now on: Rust reads by copy or through [`cells`](Self::cells) until the last such buffer is detached or
    /// collected.
    ///
    /// A store may have several buffers in one isolate, and none in another meanwhile. `transfer` to the same length
    /// moves the store to the new buffer, to any other length script gets new memory (ECMAScript 25.1.3.5
    /// ArrayBufferCopyAndDetach leaves it open).
    ///
    /// A store that was taken from a resizable ArrayBuffer of V8's own gets a resizable one again, where V8 has let go of the
    /// first: it has one buffer at a time.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`] beyond 2^53 - 1 bytes, and from 32 GiB on where the program started V8 and letting go
    /// frees the memory; [`Error::Misaligned`] where the first byte is not at a
    /// multiple of 8; [`Error::AddressTaken`] where another store has the same memory; [`Error::Unsupported`] for
    /// read-only memory where V8 was started without immutable buffers, for shared memory
    /// ([`SharedStoreExt::expose`]), and for resizable memory of Rust; [`Error::Memory`] where another isolate has the store, a
    /// guard uses it, or it was freed. Nothing changes then.
    fn expose<'s>(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::ArrayBuffer>, Error>;

    /// A typed array over `element_count` elements from `byte_offset` on, without a copy: what script would get of
    /// `new Float32Array(buffer, byteOffset, length)` with the buffer of [`expose`](Self::expose), which is that of all these
    /// bytes. `T` is a [`TypedElement`]: `f32` makes a `Float32Array`, `i64` a `BigInt64Array`.
    ///
    /// # Errors
    /// As for [`expose`](Self::expose); [`Error::Misaligned`] where the offset is no multiple of the element's size, and
    /// [`Error::Memory`] with [`OutOfRange`](offheap::Error::OutOfRange) where the elements do not lie in these bytes.
    fn expose_typed<'s, T: TypedElement>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<v8::Local<'s, v8::TypedArray>, Error>;

    /// The store of an ArrayBuffer or SharedArrayBuffer, or of the buffer of a view, whoever made it (V8's
    /// `GetBackingStore`). Its memory outlives the object, and the isolate. The same memory gives equal stores each time.
    /// Of a detached buffer: a new, empty store each time.
    ///
    /// A store of memory that V8 allocated by itself counts as exposed in this isolate until V8 let go of it. That of a
    /// resizable buffer ([`EngineResizable`](offheap::StoreKind::ENGINE_RESIZABLE)) has the length that script gave it last;
    /// it is read in the isolate's scope, since V8 unmaps what shrinking takes. That of a `WebAssembly.Memory`
    /// ([`EngineGrowable`](offheap::StoreKind::ENGINE_GROWABLE)) gets longer as that grows in place; where V8 moves the memory
    /// to grow it, it is left with the old one.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`]; [`Error::Memory`] where there is no memory.
    ///
    /// Where the program moved a buffer to another isolate by V8's own means (`get_backing_store`, `detach`, and
    /// `with_backing_store` there), this gives the same store there, which counts as exposed where it was until V8 lets go of
    /// the memory. Until then its bytes are copied. What moves a store is [`detach`] here and [`expose`](Self::expose) there.
    #[track_caller]
    fn externalize<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> Result<Self, Error>;

    /// Copies elements in, from `byte_offset` on, in the machine's byte order.
    ///
    /// # Errors
    /// [`Error::Memory`]: out of range, a guard uses the store, another isolate has it, it is read-only or was freed.
    /// [`Error::NotLent`] as for [`copy_to`](Self::copy_to).
    fn copy_in<T: NoUninit>(&self, scope: &v8::PinScope<'_, '_>, byte_offset: usize, from: &[T]) -> Result<(), Error>;

    /// Copies bytes out, from `byte_offset` on, on the isolate's thread: that of resizable buffers of V8's own too, whose
    /// bytes nobody reads elsewhere while script may take them away
    /// ([`BackingStore::copy_to_slice`](offheap::BackingStore::copy_to_slice) is for any thread).
    ///
    /// # Errors
    /// [`Error::Memory`]: out of range, a guard writes the store, another isolate has it, it was freed. [`Error::NotLent`]
    /// for memory that script may take away, where something beside one buffer refers to its `v8::BackingStore`.
    fn copy_to(&self, scope: &v8::PinScope<'_, '_>, byte_offset: usize, into: &mut [u8]) -> Result<(), Error>;

    /// The bytes as cells: a view that stays valid whatever script does meanwhile. Other threads, and other guards, are
    /// refused while it lives.
    ///
    /// # Errors
    /// [`Error::Memory`]: somebody uses the store, another isolate has it, it is read-only, shared, a mapped file, or was
    /// freed. [`Error::NotLent`] where V8 made the memory and more than one reference to its `v8::BackingStore` is not ours:
    /// one may be another isolate's buffer. V8 does not say of a single one whose it is, nor of one that is taken later, and
    /// nothing of memory that it did not make: a program gives the blocks of these bytes to no other isolate, before it asks
    /// for cells and while they live.
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
            instead: "let `offheap_v8::start` start it, or expose a copy of its bytes (`to_vec`)",
        })
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
        // Most are buffers over stores.
        match sys::store_of(scope, value) {
            Some(store) => Ok(store),
            None => externalize(scope, value),
        }
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
fn externalize<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> Result<BackingStore, Error> {
    let state = sys::state(scope)?;
    let buffer = Buffer::of(scope, value)?;
    let facts = buffer.facts();
    sys::locate(&buffer, facts).into_store(&state)
}

/// What a [`SharedStore`] can do with a scope of V8.
pub trait SharedStoreExt {
    /// A SharedArrayBuffer over these bytes, without a copy, in any number of isolates.
    ///
    /// V8 makes growable buffers over its own memory alone. Over all of a growable SharedArrayBuffer's memory that V8 made,
    /// and that was taken from one, this is one more such buffer, and all of them grow together. Over a
    /// [growable store](SharedStore::growable) of Rust it has the length that the store has now, for good: once the store
    /// grew, the next call makes a longer one. So has that over memory of a `WebAssembly.Memory`.
    ///
    /// # Errors
    /// [`Error::TooLargeForEngine`], [`Error::Misaligned`], [`Error::AddressTaken`].
    fn expose<'s>(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<v8::Local<'s, v8::SharedArrayBuffer>, Error>;

    /// A typed array over `element_count` elements from `byte_offset` on, without a copy; see
    /// [`BackingStoreExt::expose_typed`].
    ///
    /// # Errors
    /// As for [`expose`](Self::expose); [`Error::Misaligned`] where the offset is no multiple of the element's size, and
    /// [`Error::Memory`] with [`OutOfRange`](offheap::Error::OutOfRange) where the elements do not lie in these bytes.
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

/// What a [`FrozenStore`] can do with a scope of V8.
pub trait FrozenStoreExt {
    /// An immutable ArrayBuffer with these bytes: over the store's own memory where V8 was started with immutable buffers,
    /// as [`start`](crate::start) does, otherwise a plain one over a copy, which is reported. Memory that does not begin
    /// at a multiple of 8 is copied too: `include_bytes!` aligns to 1.
    ///
    /// Of several frozen stores over the same memory, as of one `static`, any comes back of such a buffer.
    ///
    /// # Errors
    /// As for [`BackingStoreExt::expose`], and [`Error::Memory`] where there is no memory for a copy.
    fn expose<'s>(&self, scope: &mut v8::PinScope<'s, '_>)
    -> Result<(v8::Local<'s, v8::ArrayBuffer>, Exposure), Error>;
}

impl FrozenStoreExt for FrozenStore {
    fn expose<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
    ) -> Result<(v8::Local<'s, v8::ArrayBuffer>, Exposure), Error> {
        let reason = if sys::is_aligned(self) {
            match sys::expose_immutable(scope, &BackingStore::from(self.clone()))? {
                Some(buffer) => return Ok((buffer, Exposure::External)),
                None => CopyReason::ImmutableNotEnforced,
            }
        } else {
            CopyReason::Misaligned
        };
        // In Rust's memory: V8 ends the process where it has none of its own.
        let copy = UniqueStore::filled(self.byte_length(), |bytes| bytes.copy_from_slice(self))?;
        Ok((sys::expose(scope, &copy.into())?, Exposure::Copied { reason }))
    }
}

/// Detaches the ArrayBuffer that `value` is, or is a view of (V8's `Detach(key)`). A detached buffer stays so.
///
/// Its views have length 0 from then on, and the store loses one reference; native references keep it.
///
/// # Errors
/// [`Error::NotAnArrayBuffer`]; [`Error::NotDetachable`] for shared buffers, and those of `WebAssembly.Memory`;
/// [`Error::Immutable`]; [`Error::WrongDetachKey`].
pub fn detach<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    key: Option<&str>,
) -> Result<(), Error> {
    crate::detach::detach_value(scope, value, key)
}
