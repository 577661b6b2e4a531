//! What changes a buffer: detaching, transferring, resizing and growing.

use super::{Local, Scope};
use crate::detach::{check_key, check_unshared, set_key};
use crate::sys::{self, Transfer};
use crate::{BufferState, ENGINE, Error, Handle, JsArrayBuffer};

impl<'s> Scope<'s> {
    /// Detaches a buffer, with its key where it has one; see [`detach`](crate::detach).
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], and those of [`detach`](crate::detach).
    pub fn detach(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        let value = self.value(buffer)?;
        crate::detach(&self.engine.call(), &value, key)
    }

    /// Sets the key that detaching and transferring a buffer need, or takes it away (V8's `SetDetachKey`). Script that
    /// transfers such a buffer gets a TypeError.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::NotDetachable`] of shared memory.
    pub fn set_detach_key(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        let value = self.value(buffer)?;
        let ctx = self.engine.call();
        check_unshared(&ctx, &value, "set a detach key of")?;
        set_key(&ctx, &value, key)
    }

    /// `buffer.transfer(byteLength)`.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::WrongDetachKey`], [`Error::Immutable`], [`Error::Detached`],
    /// [`Error::NotDetachable`], [`Error::InvalidLength`], and [`Error::Memory`] where there is no memory; the buffer is as it
    /// was then.
    pub fn transfer(
        &mut self,
        buffer: &Handle<JsArrayBuffer>,
        byte_length: Option<usize>,
    ) -> Result<Local<'s, JsArrayBuffer>, Error> {
        const ATTEMPTED: &str = "transfer";
        let value = self.value(buffer)?;
        let ctx = self.engine.call();
        check_unshared(&ctx, &value, ATTEMPTED)?;
        self.check_mutable(buffer, ATTEMPTED)?;
        self.attached_state(buffer, ATTEMPTED)?;
        check_key(&ctx, &value, None, ATTEMPTED)?;
        let moved = sys::transfer(&ctx, &value, byte_length, Transfer::KeepMaximum)?;
        drop(ctx);
        self.local(moved)
    }

    /// `buffer.resize(byteLength)`, or of a SharedArrayBuffer `buffer.grow(byteLength)`. Native references to its store
    /// keep sharing its memory.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::Immutable`], [`Error::Detached`], [`Error::NotResizable`],
    /// [`Error::InvalidLength`]; [`Error::Memory`] and [`Error::Script`] where there is no memory.
    pub fn resize(&mut self, buffer: &Handle<JsArrayBuffer>, byte_length: usize) -> Result<(), Error> {
        let value = self.value(buffer)?;
        let ctx = self.engine.call();
        let is_shared = sys::is_shared(&ctx, &value)?;
        let attempted = if is_shared { "grow" } else { "resize" };
        self.check_mutable(buffer, attempted)?;
        // That it is detached says more than that it never was resizable, which ECMAScript asks first.
        let state = self.attached_state(buffer, attempted)?;
        if !state.resizable {
            return Err(Error::NotResizable { engine: ENGINE, attempted });
        }
        let (requested, limit) = (byte_length, state.max_byte_length);
        if requested > limit {
            return Err(Error::InvalidLength { engine: ENGINE, attempted, requested, limit });
        }
        if !is_shared {
            if limit == 0 {
                // QuickJS would ask for one byte.
                return Ok(());
            }
            return sys::resize(&ctx, &value, byte_length);
        }
        let limit = state.byte_length;
        if requested < limit {
            return Err(Error::InvalidLength { engine: ENGINE, attempted, requested, limit });
        }
        match sys::grow_shared(&ctx, &value, byte_length) {
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
