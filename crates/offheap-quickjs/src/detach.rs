//! Detaching, and detach keys, which QuickJS does not have. A map that script cannot reach keeps the keys. `detach`
//! checks them, and so do the three transfer functions, which an isolate replaces before any user code runs.

use offheap_engine::{check_mutable, check_unshared};
use rquickjs::{Ctx, Value};

use crate::script::from_rquickjs;
use crate::sys::{self, SetUpFunction, with_state};
use crate::{ENGINE, Error};

/// Detaches the buffer `value`, or the buffer of the view `value`.
pub(crate) fn detach<'js>(ctx: &Ctx<'js>, value: &Value<'js>, key: Option<&str>) -> Result<(), Error> {
    let buffer = sys::view_buffer(ctx, value)?;
    check_unshared(ENGINE, ATTEMPTED, sys::is_shared(ctx, &buffer)?)?;
    check_mutable(ENGINE, ATTEMPTED, sys::is_immutable(&buffer))?;
    detach_with_key(ctx, &buffer, key)
}

/// Detaches an ArrayBuffer that is not immutable, if `key` is its key.
pub(crate) fn detach_with_key<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>, key: Option<&str>) -> Result<(), Error> {
    check_key(ctx, buffer, key, ATTEMPTED)?;
    sys::note_detached(ctx, buffer)?;
    sys::detach(ctx, buffer);
    Ok(())
}

const ATTEMPTED: &str = "detach";

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
