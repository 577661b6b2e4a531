//! Operations that change a buffer: detaching, transferring, resizing and growing. The checks have the same order
//! on every engine: shared, immutable, detached, then the detach key, then the length. Each operation makes only
//! the checks that concern it.

use offheap::{BackingStore, Site, UniqueStore, adapter};

use super::Scope;
use crate::checks::{check_attached, check_mutable, check_new_length, check_transferable, check_unshared};
use crate::host::Host;
use crate::take::{Takeable, take};
use crate::{Error, Handle, HasBytes, JsArrayBuffer, Local, Rooted, Window};

/// A buffer that is detached from here on is over no store, unless its adapter notes one.
fn forget_detached() {
    adapter::take_detached();
}

impl<'s, H: Host> Scope<'s, H> {
    /// Detaches a buffer (V8's `Detach(key)`). `key` must be the buffer's detach key, or `None` if it has none. A
    /// detached buffer stays detached: its views have length 0 from then on. The store loses one reference; native
    /// references keep it alive.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::NotDetachable`], [`Error::Immutable`], [`Error::WrongDetachKey`].
    #[track_caller]
    pub fn detach(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        const ATTEMPTED: &str = "detach";
        forget_detached();
        let detached = self.step_on(buffer, |host, buffer| {
            check_unshared(H::NAME, ATTEMPTED, host.is_shared(buffer)?)?;
            check_mutable(H::NAME, ATTEMPTED, host.is_immutable(buffer)?)?;
            host.detach(buffer, key, || Ok(()))
        });
        self.note_detach(buffer, detached)
    }

    /// Notes where the buffer of this handle was detached, if it was, and over which store it was.
    #[track_caller]
    fn note_detach<T, R>(&self, object: &Handle<T>, detached: Result<R, Error>) -> Result<R, Error> {
        if detached.is_ok() && adapter::is_observed() {
            self.table.detach_places.note(object.slot(), Site::here(), adapter::take_detached());
        }
        detached
    }

    /// Externalizes and detaches a buffer in one step. Nothing else has the memory then: it is a `&mut [u8]`, on any
    /// thread. `object` is the buffer, or a view that shows all of it. `key` is as for [`detach`](Self::detach).
    ///
    /// Nothing else may refer to the memory: no other buffer, no handle to the store, not even a weak one. After an
    /// error the buffer is as it was.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::NotDetachable`], [`Error::Immutable`], [`Error::Detached`],
    /// [`Error::OutOfBounds`], [`Error::WrongDetachKey`]; [`Error::Unsupported`] for a view of a part;
    /// [`Error::Memory`] with [`NotUnique`](offheap::Error::NotUnique) if something else refers to the memory, or if it
    /// is manual memory, a mapped file, or memory that V8 resizes; [`Error::NotLent`] on V8 if something else refers to
    /// the buffer's `v8::BackingStore`; and those of [`externalize`](Self::externalize).
    #[track_caller]
    pub fn take<T: HasBytes>(&mut self, object: &Handle<T>, key: Option<&str>) -> Result<UniqueStore, Error> {
        forget_detached();
        let taken = self.step_on(object, |host, object| take(&Taken { host, object, key }));
        let taken = self.told(object, taken);
        self.note_detach(object, taken)
    }

    /// Sets the key that detaching and transferring a buffer need; `None` removes it (V8's `SetDetachKey`). Script
    /// that transfers such a buffer gets a TypeError.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::NotDetachable`].
    pub fn set_detach_key(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        self.step_on(buffer, |host, buffer| {
            check_unshared(H::NAME, "set a detach key of", host.is_shared(buffer)?)?;
            host.set_detach_key(buffer, key)
        })
    }

    /// `buffer.transfer(byteLength)`.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::NotDetachable`], [`Error::Immutable`], [`Error::Detached`],
    /// [`Error::WrongDetachKey`], [`Error::InvalidLength`]; [`Error::Memory`] on QuickJS or [`Error::Script`] on V8 if
    /// there is no memory. After an error the buffer is unchanged.
    #[track_caller]
    pub fn transfer(
        &mut self,
        buffer: &Handle<JsArrayBuffer>,
        byte_length: Option<usize>,
    ) -> Result<Local<'s, JsArrayBuffer>, Error> {
        self.table.check(buffer)?;
        let rooted = self.table.rooted(buffer.slot());
        forget_detached();
        let moved = self.make(|host| host.transfer(rooted, byte_length, |state| check_transferable(H::NAME, state)));
        let moved = self.told(buffer, moved);
        self.note_detach(buffer, moved)
    }

    /// `buffer.resize(byteLength)`, or `buffer.grow(byteLength)` for a SharedArrayBuffer. Native references to the
    /// buffer's store keep sharing its memory.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::Immutable`], [`Error::Detached`], [`Error::NotResizable`],
    /// [`Error::InvalidLength`]; [`Error::Memory`] or [`Error::Script`] if there is no memory;
    /// [`Error::TooLargeForEngine`] on V8 from 32 GiB on, if the program started V8.
    #[track_caller]
    pub fn resize(&mut self, buffer: &Handle<JsArrayBuffer>, byte_length: usize) -> Result<(), Error> {
        let resized = self.step_on(buffer, |host, buffer| {
            let mut attempted = "resize";
            let resized = host.resize(buffer, byte_length, |state| {
                attempted = if state.shared { "grow" } else { "resize" };
                check_mutable(H::NAME, attempted, state.immutable)?;
                // ECMAScript checks first whether the buffer is resizable. We check first whether it is detached,
                // because that error says more.
                check_attached(H::NAME, attempted, state.detached)?;
                if !state.resizable {
                    return Err(Error::NotResizable { engine: H::NAME, attempted });
                }
                check_new_length(H::NAME, attempted, state, byte_length)
            });
            match resized {
                // Another thread has grown the buffer since the check.
                Err(Error::Memory(offheap::Error::SharedShrink { byte_length: limit, requested, .. })) => {
                    Err(Error::InvalidLength { engine: H::NAME, attempted, requested, limit })
                }
                result => result,
            }
        });
        self.told(buffer, resized)
    }

    /// `new Uint8Array(buffer)[index]`.
    pub(crate) fn read(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize) -> Result<Option<u8>, Error> {
        self.step_on(buffer, |host, buffer| {
            check_attached(H::NAME, "read", host.state(buffer)?.detached)?;
            host.read(buffer, index)
        })
    }

    /// `new Uint8Array(buffer)[index] = value`.
    pub(crate) fn write(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize, value: u8) -> Result<(), Error> {
        self.step_on(buffer, |host, buffer| {
            let state = host.state(buffer)?;
            check_attached(H::NAME, "write", state.detached)?;
            check_mutable(H::NAME, "write", state.immutable)?;
            host.write(buffer, index, value)
        })
    }
}

/// A buffer whose memory a scope takes.
struct Taken<'a, H: Host> {
    host: &'a H,
    object: Rooted<'a, H::Root>,
    key: Option<&'a str>,
}

impl<H: Host> Takeable for Taken<'_, H> {
    const ENGINE: &'static str = H::NAME;

    fn is_shared(&self) -> Result<bool, Error> {
        self.host.is_shared(self.object)
    }

    fn is_immutable(&self) -> Result<bool, Error> {
        self.host.is_immutable(self.object)
    }

    fn window(&self) -> Result<Window, Error> {
        self.host.window(self.object)
    }

    #[track_caller]
    fn externalize(&self) -> Result<BackingStore, Error> {
        self.host.externalize(self.object)
    }

    fn check_only_buffer(&self, store: &BackingStore) -> Result<(), Error> {
        self.host.check_only_buffer(self.object, store)
    }

    fn detach(&self, check: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        self.host.detach(self.object, self.key, check)
    }
}
