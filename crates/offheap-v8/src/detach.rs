//! Detaching, transferring and resizing: V8 ends the process for some of what script gets an error for, so all of it is
//! asked first.

use crate::sys::{self, Buffer, Facts, Function, State};
use crate::{BufferState, ENGINE, Error};
use offheap::adapter;

const DETACH: &str = "detach";
const TRANSFER: &str = "transfer";

fn check_detachable(buffer: &Buffer<'_>, attempted: &'static str) -> Result<(), Error> {
    let why = match buffer {
        Buffer::Shared(_) => "shared memory stays with all who have it; drop the references to it",
        Buffer::Unshared(buffer) if buffer.is_detachable() => return Ok(()),
        Buffer::Unshared(_) => "it is a WebAssembly memory's; growing the memory detaches it",
    };
    Err(Error::NotDetachable { engine: ENGINE, attempted, why })
}

fn check_mutable(facts: Facts, attempted: &'static str) -> Result<(), Error> {
    match facts.immutable {
        true => Err(Error::Immutable { engine: ENGINE, attempted }),
        false => Ok(()),
    }
}

fn attached_state(buffer: &Buffer<'_>, facts: Facts, attempted: &'static str) -> Result<BufferState, Error> {
    match buffer.is_detached() {
        true => Err(Error::Detached { engine: ENGINE, attempted }),
        false => Ok(buffer.state(facts)),
    }
}

pub(crate) fn detach<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &State,
    buffer: &Buffer<'s>,
    facts: Facts,
    key: Option<&str>,
) -> Result<(), Error> {
    check_detachable(buffer, DETACH)?;
    let Buffer::Unshared(unshared) = buffer else { unreachable!("shared buffers are not detachable") };
    // Without bytes it is immutable for us only: see `expose_immutable`.
    check_mutable(facts, DETACH)?;
    // V8 does not tell which of the two it is.
    let given = if key.is_some() { "another was given, or it has none" } else { "no key was given" };
    let key = key.map(|key| key_value(scope, key)).transpose()?;
    // The store's owner is dropped after V8 is done, not inside of it.
    let store = sys::find(buffer);
    v8::tc_scope!(let caught, scope);
    if unshared.detach(key) != Some(true) {
        // Everything else was checked.
        caught.reset();
        return Err(Error::WrongDetachKey { engine: ENGINE, attempted: DETACH, given });
    }
    if let Some(store) = store {
        adapter::note_detached(&store, state.isolate());
        sys::release_let_go(state);
    }
    Ok(())
}

/// Sets or, with `None`, takes away the key of `buffer`.
pub(crate) fn set_key<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    buffer: &Buffer<'s>,
    key: Option<&str>,
) -> Result<(), Error> {
    const ATTEMPTED: &str = "set a detach key of";
    let unshared = match buffer {
        Buffer::Unshared(unshared) if unshared.is_detachable() => unshared,
        // V8 ends the process where such a memory grows: it detaches the buffer without a key.
        Buffer::Unshared(_) => {
            let why = "it is a WebAssembly memory's, which detaches it without a key as it grows";
            return Err(Error::NotDetachable { engine: ENGINE, attempted: ATTEMPTED, why });
        }
        Buffer::Shared(_) => {
            let why = "shared memory is never detached, and needs no key";
            return Err(Error::NotDetachable { engine: ENGINE, attempted: ATTEMPTED, why });
        }
    };
    let key = match key {
        Some(key) => key_value(scope, key)?,
        None => v8::undefined(scope).into(),
    };
    unshared.set_detach_key(key);
    Ok(())
}

fn key_value<'s>(scope: &mut v8::PinScope<'s, '_>, key: &str) -> Result<v8::Local<'s, v8::Value>, Error> {
    let too_long = Error::EngineFailed { engine: ENGINE, attempted: "make a string of the key" };
    v8::String::new(scope, key).map(Into::into).ok_or(too_long)
}

/// `buffer.transfer(byteLength)`, which throws for a buffer with a detach key.
pub(crate) fn transfer<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &State,
    buffer: &Buffer<'s>,
    facts: Facts,
    byte_length: Option<usize>,
) -> Result<Buffer<'s>, Error> {
    check_detachable(buffer, TRANSFER)?;
    check_mutable(facts, TRANSFER)?;
    attached_state(buffer, facts, TRANSFER)?;
    let limit = facts.max_byte_length.unwrap_or(sys::max_byte_length());
    let too_long = byte_length.filter(|&requested| requested > limit);
    // V8 throws for a number above this before it asks for the key.
    const MAX_SAFE_INTEGER: usize = (1 << 53) - 1;
    let length = byte_length.map(|byte_length| byte_length.min(MAX_SAFE_INTEGER) as f64);
    let length = length.map(|length| v8::Number::new(scope, length).into());
    let object = buffer.object().into();
    let moved = state.realm(scope)?.call(scope, Function::Transfer, object, length.as_slice());
    let moved = moved.map_err(|error| match error {
        // The one TypeError that is left: all else was asked.
        Error::Script { message, .. } if message.starts_with("TypeError") => {
            Error::WrongDetachKey { engine: ENGINE, attempted: TRANSFER, given: "no key was given" }
        }
        // V8 asks for the key first, as ECMAScript does.
        other => match too_long {
            Some(requested) => Error::InvalidLength { engine: ENGINE, attempted: TRANSFER, requested, limit },
            None => other,
        },
    })?;
    Buffer::of(scope, moved)
}

/// `buffer.resize(byteLength)`, or `grow` of a shared one.
pub(crate) fn resize<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &State,
    buffer: &Buffer<'s>,
    facts: Facts,
    byte_length: usize,
) -> Result<(), Error> {
    let attempted = if facts.shared { "grow" } else { "resize" };
    check_mutable(facts, attempted)?;
    // That it is detached says more than that it never was resizable, which ECMAScript asks first.
    let present = attached_state(buffer, facts, attempted)?;
    if facts.max_byte_length.is_none() {
        return Err(Error::NotResizable { engine: ENGINE, attempted });
    }
    let requested = byte_length;
    let beyond = |limit| Error::InvalidLength { engine: ENGINE, attempted, requested, limit };
    // The length that shared memory has at this moment, where it is more.
    let shorter = || Some(buffer.byte_length()).filter(|&present| facts.shared && requested < present);
    if let Some(limit) = shorter() {
        return Err(beyond(limit));
    }
    if requested > present.max_byte_length {
        return Err(beyond(present.max_byte_length));
    }
    // Shared memory is not counted.
    let limit = sys::max_byte_length();
    if requested > limit && !facts.shared {
        return Err(Error::TooLargeForEngine { engine: ENGINE, store: None, byte_length, limit });
    }
    let function = if facts.shared { Function::Grow } else { Function::Resize };
    let length = v8::Number::new(scope, byte_length as f64).into();
    let done = state.realm(scope)?.call(scope, function, buffer.object().into(), &[length]);
    // Another thread may have grown it meanwhile.
    done.map(drop).map_err(|error| shorter().map_or(error, beyond))
}
