//! Detaching, and the keys that QuickJS does not have: kept in a map that script cannot reach, asked by `detach` here
//! and by the three transfer functions, which an isolate replaces before any user code runs.

use rquickjs::{Ctx, Function, Value};

use crate::script::from_rquickjs;
use crate::sys::{self, KeyFunctions, with_state};
use crate::{ENGINE, Error};

pub(crate) fn detach<'js>(ctx: &Ctx<'js>, value: &Value<'js>, key: Option<&str>) -> Result<(), Error> {
    const ATTEMPTED: &str = "detach";
    let buffer = sys::view_buffer(ctx, value)?;
    check_unshared(ctx, &buffer, ATTEMPTED)?;
    if sys::is_immutable(&buffer) {
        return Err(Error::Immutable { engine: ENGINE, attempted: ATTEMPTED });
    }
    check_key(ctx, &buffer, key, ATTEMPTED)?;
    sys::note_detached(ctx, &buffer)?;
    sys::detach(ctx, &buffer);
    Ok(())
}

/// Shared memory cannot be taken away from those who share it.
pub(crate) fn check_unshared(ctx: &Ctx<'_>, buffer: &Value<'_>, attempted: &'static str) -> Result<(), Error> {
    match sys::is_shared(ctx, buffer)? {
        false => Ok(()),
        true => Err(Error::NotDetachable { engine: ENGINE, attempted, why: "it is shared; copy it to an ArrayBuffer" }),
    }
}

/// What the set-up script's function answers.
const NO_KEY: i32 = 0;
const THIS_KEY: i32 = 1;

/// Compares `given` with the key of `buffer`; without one, nothing may be given.
pub(crate) fn check_key<'js>(
    ctx: &Ctx<'js>,
    buffer: &Value<'js>,
    given: Option<&str>,
    attempted: &'static str,
) -> Result<(), Error> {
    let check = match keys(ctx)? {
        Some(keys) => keys.check.call((buffer.clone(), given)).map_err(|error| from_rquickjs(ctx, error))?,
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

/// Sets or, with `None`, takes away the key of `buffer`.
pub(crate) fn set_key<'js>(ctx: &Ctx<'js>, buffer: &Value<'js>, key: Option<&str>) -> Result<(), Error> {
    let keys = keys(ctx)?.expect("an isolate has keys");
    keys.set.call((buffer.clone(), key)).map_err(|error| from_rquickjs(ctx, error))
}

fn keys<'js>(ctx: &Ctx<'js>) -> Result<Option<KeyFunctions<Function<'js>>>, Error> {
    with_state(ctx, |state| Ok(state.roots().map(|roots| roots.key_functions(ctx))))
}
