//! What changes a buffer: detaching, transferring, resizing and growing.

use super::{Local, Scope, local};
use crate::detach::{resize, set_key, transfer};
use crate::{Error, Handle, JsArrayBuffer};

impl<'s> Scope<'s> {
    /// Detaches a buffer, with its key where it has one; see [`detach`](crate::detach).
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], and those of [`detach`](crate::detach).
    pub fn detach(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        self.with_buffer(buffer, |scope, roots, buffer, facts| {
            crate::detach::detach(scope, roots.state(), buffer, facts, key)
        })
    }

    /// Sets the key that detaching and transferring a buffer need, or takes it away (V8's `SetDetachKey`). Script that
    /// transfers such a buffer gets a TypeError.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::NotDetachable`] for a shared buffer, and for one of a `WebAssembly.Memory`.
    pub fn set_detach_key(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        self.with_buffer(buffer, |scope, _, buffer, _| set_key(scope, buffer, key))
    }

    /// `buffer.transfer(byteLength)`.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::WrongDetachKey`], [`Error::Immutable`], [`Error::Detached`],
    /// [`Error::NotDetachable`], [`Error::InvalidLength`], and [`Error::Script`] where there is no memory.
    pub fn transfer(
        &mut self,
        buffer: &Handle<JsArrayBuffer>,
        byte_length: Option<usize>,
    ) -> Result<Local<'s, JsArrayBuffer>, Error> {
        self.with_buffer(buffer, |scope, roots, buffer, facts| {
            let moved = transfer(scope, roots.state(), buffer, facts, byte_length)?;
            local(roots, scope, &moved, facts)
        })
    }

    /// `buffer.resize(byteLength)`, or `grow` of a shared one.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::Immutable`], [`Error::Detached`], [`Error::NotResizable`],
    /// [`Error::InvalidLength`], [`Error::TooLargeForEngine`] from 32 GiB on where the program started V8.
    pub fn resize(&mut self, buffer: &Handle<JsArrayBuffer>, byte_length: usize) -> Result<(), Error> {
        self.with_buffer(buffer, |scope, roots, buffer, facts| resize(scope, roots.state(), buffer, facts, byte_length))
    }
}
