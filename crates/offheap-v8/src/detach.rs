//! Detaching, transferring and resizing. In some cases where script gets an error, V8's API ends the process. All of
//! these cases are checked first.

use std::cell::RefCell;

use offheap::{BackingStore, UniqueStore, adapter};
use offheap_engine::{Takeable, Window, check_mutable, check_transferable, check_unshared};

use crate::script::{told, with_script_stack};
use crate::sys::{self, Buffer, Facts, Function, State};
use crate::{ENGINE, Error};

const DETACH: &str = "detach";
const TRANSFER: &str = "transfer";

/// Refuses a buffer that no program can detach. `buffer` must not be shared.
fn check_detachable<'s>(buffer: &Buffer<'s>, attempted: &'static str) -> Result<v8::Local<'s, v8::ArrayBuffer>, Error> {
    match *buffer {
        Buffer::Unshared(unshared) if unshared.is_detachable() => Ok(unshared),
        // V8 ends the process if such a memory grows while its buffer has a key: growing detaches the buffer without a
        // key.
        Buffer::Unshared(_) => {
            let why = "it belongs to a WebAssembly memory, which detaches it when it grows; grow the memory instead";
            Err(Error::NotDetachable { engine: ENGINE, attempted, why })
        }
        Buffer::Shared(_) => unreachable!("asked before"),
    }
}

/// Detaches an ArrayBuffer, or the buffer of a view, in a program's own scope.
pub(crate) fn detach_value<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    key: Option<&str>,
) -> Result<(), Error> {
    let state = sys::state(scope)?;
    let buffer = Buffer::of(scope, value)?;
    let facts = buffer.facts();
    check_unshared(ENGINE, DETACH, facts.shared)?;
    check_mutable(ENGINE, DETACH, facts.immutable)?;
    detach(scope, &state, &buffer, key)
}

/// Transfers an ArrayBuffer, or the buffer of a view, in a program's own scope.
#[track_caller]
pub(crate) fn transfer_value<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    byte_length: Option<usize>,
) -> Result<v8::Local<'s, v8::ArrayBuffer>, Error> {
    let state = sys::state(scope)?;
    let buffer = Buffer::of(scope, value)?;
    let facts = buffer.facts();
    told(scope, check_transferable(ENGINE, &buffer.state(facts)))?;
    let moved = transfer(scope, &state, &buffer, facts, byte_length)?;
    sys::in_entered_context(scope, moved)
}

/// Detaches a buffer that is neither shared nor immutable.
pub(crate) fn detach<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &State,
    buffer: &Buffer<'s>,
    key: Option<&str>,
) -> Result<(), Error> {
    let unshared = check_detachable(buffer, DETACH)?;
    // V8 does not tell these two reasons apart.
    let given = if key.is_some() { "another was given, or it has none" } else { "no key was given" };
    let key = key.map(|key| key_value(scope, key)).transpose()?;
    // This reference keeps the store's owner from being dropped inside V8's call. It is dropped after V8 has returned.
    let store = sys::find(buffer);
    v8::tc_scope!(let caught, scope);
    if unshared.detach(key) != Some(true) {
        caught.reset();
        return Err(Error::WrongDetachKey { engine: ENGINE, attempted: DETACH, given });
    }
    if let Some(store) = store {
        adapter::note_detached(&store, state.isolate());
        sys::drop_released(state);
    }
    Ok(())
}

/// Takes the memory of an ArrayBuffer, or of the buffer of a view, in a program's own scope.
#[track_caller]
pub(crate) fn take_value<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    value: v8::Local<'s, v8::Value>,
    key: Option<&str>,
) -> Result<UniqueStore, Error> {
    let state = sys::state(scope)?;
    let buffer = Buffer::of(scope, value)?;
    let facts = buffer.facts();
    let taken = offheap_engine::take(&Taken { scope: RefCell::new(scope), state: &state, value, buffer, facts, key });
    told(scope, taken)
}

/// A buffer whose memory a program takes.
struct Taken<'a, 's, 'i> {
    scope: RefCell<&'a mut v8::PinScope<'s, 'i>>,
    state: &'a State,
    value: v8::Local<'s, v8::Value>,
    buffer: Buffer<'s>,
    facts: Facts,
    key: Option<&'a str>,
}

impl Takeable for Taken<'_, '_, '_> {
    const ENGINE: &'static str = ENGINE;

    fn is_shared(&self) -> Result<bool, Error> {
        Ok(self.facts.shared)
    }

    fn is_immutable(&self) -> Result<bool, Error> {
        Ok(self.facts.immutable)
    }

    fn window(&self) -> Result<Window, Error> {
        Ok(sys::window(self.value, &self.buffer))
    }

    #[track_caller]
    fn externalize(&self) -> Result<BackingStore, Error> {
        sys::locate(&self.buffer, self.facts).into_store(self.state)
    }

    fn check_only_buffer(&self, store: &BackingStore) -> Result<(), Error> {
        sys::check_only_buffer(self.state, &self.buffer, store)
    }

    fn detach(&self, check: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        // V8 compares the keys itself, and runs no code of the program.
        check()?;
        detach(&mut self.scope.borrow_mut(), self.state, &self.buffer, self.key)
    }
}

/// Sets the key of `buffer`, or removes it if `None`.
pub(crate) fn set_key<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    buffer: &Buffer<'s>,
    key: Option<&str>,
) -> Result<(), Error> {
    let unshared = check_detachable(buffer, "set a detach key of")?;
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

/// The largest integer that a JavaScript number represents exactly, together with its successor.
const MAX_SAFE_INTEGER: usize = (1 << 53) - 1;

/// `buffer.transfer(byteLength)` of a buffer that is not shared, immutable or detached.
pub(crate) fn transfer<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &State,
    buffer: &Buffer<'s>,
    facts: Facts,
    byte_length: Option<usize>,
) -> Result<Buffer<'s>, Error> {
    check_detachable(buffer, TRANSFER)?;
    let limit = facts.max_byte_length.unwrap_or(sys::max_byte_length());
    let too_long = byte_length.filter(|&requested| requested > limit);
    // V8 refuses larger numbers before it compares the key.
    let number = |byte_length: usize| v8::Number::new(scope, byte_length.min(MAX_SAFE_INTEGER) as f64).into();
    let length = byte_length.map(number);
    let object = buffer.object().into();
    let moved = state.realm(scope)?.call(scope, Function::Transfer, object, length.as_slice());
    let moved = moved.map_err(|error| match error {
        // Every other reason for a TypeError was checked above, so only the key remains.
        Error::Script(error) if error.message().starts_with("TypeError") => {
            Error::WrongDetachKey { engine: ENGINE, attempted: TRANSFER, given: "no key was given" }
        }
        other => match too_long {
            Some(requested) => Error::InvalidLength { engine: ENGINE, attempted: TRANSFER, requested, limit },
            None => other,
        },
    })?;
    let moved = Buffer::of_object(scope, moved)?;
    if adapter::is_observed()
        && let Some(store) = sys::find(&moved)
    {
        let _script = with_script_stack(scope, adapter::wants_script_stack_of(&store));
        adapter::note_transferred(&store, state.isolate());
    }
    Ok(moved)
}

/// Calls `buffer.resize(byteLength)`, or `grow` if the buffer is shared. It fails if the buffer cannot have that
/// length.
pub(crate) fn resize<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &State,
    buffer: &Buffer<'s>,
    is_shared: bool,
    byte_length: usize,
) -> Result<(), Error> {
    // V8 does not count shared memory, so the limit on counted memory does not apply to it.
    let limit = sys::max_byte_length();
    if byte_length > limit && !is_shared {
        return Err(Error::TooLargeForEngine { engine: ENGINE, store: None, byte_length, limit });
    }
    let (function, attempted) = if is_shared { (Function::Grow, "grow") } else { (Function::Resize, "resize") };
    let length = v8::Number::new(scope, byte_length as f64).into();
    let done = state.realm(scope)?.call(scope, function, buffer.object().into(), &[length]);
    done.map(drop).map_err(|error| match buffer.byte_length() {
        // Another thread has grown it since it was checked.
        limit if is_shared && byte_length < limit => {
            Error::InvalidLength { engine: ENGINE, attempted, requested: byte_length, limit }
        }
        _ => error,
    })
}
