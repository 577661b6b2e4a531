//! What a script threw and did not catch, in words.

use offheap_quickjs::rquickjs::{Coerced, Ctx, Error, Function, Value};

use crate::Uncaught;

/// The first line says what was thrown; the others are the stack.
pub(super) fn describe<'js>(ctx: &Ctx<'js>, inspect: &Function<'js>, error: Error) -> Uncaught {
    match error {
        Error::Exception => describe_value(ctx, inspect, ctx.catch(), true),
        other => Uncaught::thrown(&other.to_string()),
    }
}

/// `is_thrown` says whether it was thrown just now, so that QuickJS knows where, whatever it is.
pub(super) fn describe_value<'js>(
    ctx: &Ctx<'js>,
    inspect: &Function<'js>,
    thrown: Value<'js>,
    is_thrown: bool,
) -> Uncaught {
    let text: Result<String, Error> = inspect.call((thrown, is_thrown.then_some(true)));
    text.map_or_else(
        |_| {
            // There is no memory to do it.
            ctx.catch();
            Uncaught::indescribable()
        },
        |text| Uncaught::thrown(&text),
    )
}

/// Says an error that was met before any script ran, when nothing describes values yet.
pub(super) fn describe_unaided(ctx: &Ctx<'_>, error: Error) -> Uncaught {
    match error {
        Error::Exception => {
            let text = ctx.catch().get::<Coerced<String>>();
            text.map_or_else(|_| Uncaught::indescribable(), |text| Uncaught::thrown(&text.0))
        }
        other => Uncaught::thrown(&other.to_string()),
    }
}
