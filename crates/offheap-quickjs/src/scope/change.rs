//! What changes a buffer: detaching, transferring, resizing and growing.

use rquickjs::Value;

use super::{Local, Scope};
use crate::detach::{check_key, check_unshared, set_key};
use crate::isolate::TRANSFER;
use crate::script::from_rquickjs;
use crate::sys;
use crate::{BufferState, ENGINE, Error, Handle, JsArrayBuffer};

impl<'s> Scope<'s> {
    /// Detaches a buffer, with its key where it has one; see [`detach`](crate::detach).
    ///
    /// # Errors
    /// As there, and [`Error::WrongIsolate`].
    pub fn detach(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        self.roots.free_released();
        let value = self.value(buffer)?;
        crate::detach(&self.ctx, &value, key)
    }

    /// Sets the key that detaching and transferring a buffer need, or takes it away (V8's `SetDetachKey`). Script that
    /// transfers such a buffer gets a TypeError.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::NotDetachable`] of shared memory.
    pub fn set_detach_key(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        self.roots.free_released();
        let value = self.value(buffer)?;
        check_unshared(&self.ctx, &value, "set a detach key of")?;
        set_key(&self.ctx, &value, key)
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
        self.roots.free_released();
        const ATTEMPTED: &str = "transfer";
        let value = self.value(buffer)?;
        check_unshared(&self.ctx, &value, ATTEMPTED)?;
        self.check_mutable(buffer, ATTEMPTED)?;
        let state = self.attached_state(buffer, ATTEMPTED)?;
        check_key(&self.ctx, &value, None, ATTEMPTED)?;
        let limit = if state.resizable { state.max_byte_length } else { sys::MAX_BYTE_LENGTH };
        if let Some(requested) = byte_length.filter(|&requested| requested > limit) {
            return Err(Error::InvalidLength { engine: ENGINE, attempted: ATTEMPTED, requested, limit });
        }
        let transfer = self.roots.function(&self.ctx, TRANSFER)?;
        let moved = match byte_length {
            Some(byte_length) => transfer.call((value, byte_length)),
            None => transfer.call((value,)),
        };
        let moved: Value<'s> = moved.map_err(|error| from_rquickjs(&self.ctx, error))?;
        self.local(moved)
    }

    /// `buffer.resize(byteLength)`, or of a SharedArrayBuffer `buffer.grow(byteLength)`. Native references to its store
    /// keep sharing its memory.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::Immutable`], [`Error::Detached`], [`Error::NotResizable`],
    /// [`Error::InvalidLength`]; [`Error::Memory`] and [`Error::Script`] where there is no memory.
    pub fn resize(&mut self, buffer: &Handle<JsArrayBuffer>, byte_length: usize) -> Result<(), Error> {
        self.roots.free_released();
        let value = self.value(buffer)?;
        let is_shared = sys::is_shared(&self.ctx, &value)?;
        let attempted = if is_shared { "grow" } else { "resize" };
        self.check_mutable(buffer, attempted)?;
        // In ECMAScript's order: a buffer without maximum has no `resize` to be detached for.
        if !self.state(buffer)?.resizable {
            return Err(Error::NotResizable { engine: ENGINE });
        }
        let state = self.attached_state(buffer, attempted)?;
        let (requested, limit) = (byte_length, state.max_byte_length);
        if requested > limit {
            return Err(Error::InvalidLength { engine: ENGINE, attempted, requested, limit });
        }
        if !is_shared {
            return sys::resize(&self.ctx, &value, byte_length);
        }
        let limit = state.byte_length;
        if requested < limit {
            return Err(Error::InvalidLength { engine: ENGINE, attempted, requested, limit });
        }
        match sys::grow_shared(&self.ctx, &value, byte_length) {
            // Others grow it too.
            Err(Error::Memory(offheap::Error::SharedShrink { byte_length: limit, .. })) => {
                Err(Error::InvalidLength { engine: ENGINE, attempted, requested, limit })
            }
            result => result,
        }
    }

    fn attached_state(&self, buffer: &Handle<JsArrayBuffer>, attempted: &'static str) -> Result<BufferState, Error> {
        let state = self.state(buffer)?;
        if state.detached {
            return Err(Error::Detached { engine: ENGINE, attempted });
        }
        Ok(state)
    }
}
