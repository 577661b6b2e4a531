//! Describes what a script threw and did not catch.

use offheap_quickjs::rquickjs::{Coerced, Ctx, Error, Function, Value};

use crate::Uncaught;

/// Describes an error of rquickjs: where it stands for an exception, the one that is pending.
pub(super) fn describe<'js>(ctx: &Ctx<'js>, inspect: &Function<'js>, error: Error) -> Uncaught {
    match error {
        Error::Exception => describe_value(ctx, inspect, ctx.catch(), true),
        other => Uncaught::thrown(&other.to_string()),
    }
}

/// Describes a value. `is_thrown` says whether it was thrown just now: then QuickJS knows the place, also of a value
/// that is not an error.
pub(super) fn describe_value<'js>(
    ctx: &Ctx<'js>,
    inspect: &Function<'js>,
    thrown: Value<'js>,
    is_thrown: bool,
) -> Uncaught {
    let text: Result<String, Error> = inspect.call((thrown, is_thrown.then_some(true)));
    text.map_or_else(
        |_| {
            // There is not enough memory.
            ctx.catch();
            Uncaught::indescribable()
        },
        |text| Uncaught::thrown(&text),
    )
}

/// Describes an error from before any script ran, when `inspect` is not there yet.
pub(super) fn describe_unaided(ctx: &Ctx<'_>, error: Error) -> Uncaught {
    match error {
        Error::Exception => {
            let text = ctx.catch().get::<Coerced<String>>();
            text.map_or_else(|_| Uncaught::indescribable(), |text| Uncaught::thrown(&text.0))
        }
        other => Uncaught::thrown(&other.to_string()),
    }
}
