//! Detaching, and detach keys, which QuickJS does not have. A map that script cannot reach keeps the keys. `detach`
//! checks them, and so do the three transfer functions, which an isolate replaces before any user code runs.

use offheap::{BackingStore, UniqueStore, adapter};
use offheap_engine::{Takeable, Window, check_mutable, check_transferable, check_unshared};
use rquickjs::{ArrayBuffer, Ctx, Value};

use crate::script::from_rquickjs;
use crate::sys::{self, SetUpFunction, Transfer, with_state};
use crate::{BufferState, ENGINE, Error};

/// Detaches the buffer `value`, or the buffer of the view `value`.
pub(crate) fn detach<'js>(ctx: &Ctx<'js>, value: &Value<'js>, key: Option<&str>) -> Result<(), Error> {
    let buffer = sys::view_buffer(ctx, value)?;
    check_unshared(ENGINE, ATTEMPTED, sys::is_shared(ctx, &buffer)?)?;
    check_mutable(ENGINE, ATTEMPTED, sys::is_immutable(buffer.as_raw()))?;
    detach_with_key(ctx, &buffer, key, || Ok(()))
}

/// Detaches an ArrayBuffer that is not immutable, if `key` is its key and `check` agrees.
pub(crate) fn detach_with_key<'js>(
    ctx: &Ctx<'js>,
    buffer: &Value<'js>,
    key: Option<&str>,
    check: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    check_key(ctx, buffer, key, ATTEMPTED)?;
    check()?;
    sys::note_detached(ctx, buffer)?;
    sys::detach(ctx, buffer);
    Ok(())
}

/// Takes the memory of the buffer `value`, or of the buffer of the view `value`.
#[track_caller]
pub(crate) fn take<'js>(ctx: &Ctx<'js>, value: &Value<'js>, key: Option<&str>) -> Result<UniqueStore, Error> {
    let buffer = sys::view_buffer(ctx, value)?;
    offheap_engine::take(&Taken { ctx, value, buffer, key })
}

/// A buffer whose memory a program takes.
struct Taken<'a, 'js> {
    ctx: &'a Ctx<'js>,
    value: &'a Value<'js>,
    buffer: Value<'js>,
    key: Option<&'a str>,
}

impl Takeable for Taken<'_, '_> {
    const ENGINE: &'static str = ENGINE;

    fn is_shared(&self) -> Result<bool, Error> {
        sys::is_shared(self.ctx, &self.buffer)
    }

    fn is_immutable(&self) -> Result<bool, Error> {
        Ok(sys::is_immutable(self.buffer.as_raw()))
    }

    fn window(&self) -> Result<Window, Error> {
        sys::window(self.ctx, self.value)
    }

    #[track_caller]
    fn externalize(&self) -> Result<BackingStore, Error> {
        sys::externalize(self.ctx, &self.buffer, false)
    }

    fn check_only_buffer(&self, store: &BackingStore) -> Result<(), Error> {
        Ok(adapter::check_only_buffer(store, sys::isolate_id(self.ctx)?, 0)?)
    }

    fn detach(&self, check: impl FnOnce() -> Result<(), Error>) -> Result<(), Error> {
        detach_with_key(self.ctx, &self.buffer, self.key, check)
    }
}

const ATTEMPTED: &str = "detach";

/// `transfer(byteLength)` of the buffer `value`, or of the buffer of the view `value`.
pub(crate) fn transfer<'js>(
    ctx: &Ctx<'js>,
    value: &Value<'js>,
    byte_length: Option<usize>,
) -> Result<ArrayBuffer<'js>, Error> {
    let buffer = sys::view_buffer(ctx, value)?;
    let moved = transfer_if(ctx, &buffer, byte_length, |state| check_transferable(ENGINE, state))?;
    let not_made = Error::EngineFailed { engine: ENGINE, attempted: "transfer a buffer" };
    ArrayBuffer::from_value(moved).ok_or(not_made)
}

/// `transfer(byteLength)` of a buffer that `check` accepts and that has no key.
pub(crate) fn transfer_if<'js>(
    ctx: &Ctx<'js>,
    buffer: &Value<'js>,
    byte_length: Option<usize>,
    check: impl FnOnce(&BufferState) -> Result<(), Error>,
) -> Result<Value<'js>, Error> {
    check(&sys::state_of(ctx, buffer)?)?;
    check_key(ctx, buffer, None, "transfer")?;
    sys::transfer(ctx, buffer, byte_length, Transfer::KeepMaximum)
}

/// The results of the set-up script's function `checkKey`.
const NO_KEY: i32 = 0;
const THIS_KEY: i32 = 1;

/// Compares `given` with the key of `buffer`. If the buffer has no key, `given` must be `None`.
pub(crate) fn check_key<'js>(
    ctx: &Ctx<'js>,
    buffer: &Value<'js>,
    given: Option<&str>,
    attempted: &'static str,
) -> Result<(), Error> {
    let check = with_state(ctx, |state| Ok(state.own().map(|own| own.function(ctx, SetUpFunction::CheckKey))))?;
    let check = match check {
        Some(check) => check.call((buffer.clone(), given)).map_err(|error| from_rquickjs(ctx, error))?,
        None => NO_KEY,
    };
    let given = match (check, given) {
        (NO_KEY, None) | (THIS_KEY, _) => return Ok(()),
        (NO_KEY, Some(_)) => "it has none",
        (_, Some(_)) => "another was given",
        (_, None) => "no key was given",
    };
    Err(Error::WrongDetachKey { engine: ENGINE, attempted, given })
}
