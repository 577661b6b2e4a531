//! What a script threw and did not catch, in words.

use offheap_quickjs::rquickjs::{Coerced, Ctx, Error, Function, Value};

use crate::uncaught::{ENDLESS, INDESCRIBABLE, with_advice};

/// The first line says what was thrown, and where QuickJS does not say it, what to do; the others are the stack.
pub(super) fn describe<'js>(ctx: &Ctx<'js>, inspect: &Function<'js>, error: Error) -> String {
    match error {
        Error::Exception => describe_value(ctx, inspect, ctx.catch()),
        other => format!("uncaught {other}"),
    }
}

pub(super) fn describe_value<'js>(ctx: &Ctx<'js>, inspect: &Function<'js>, thrown: Value<'js>) -> String {
    let described: Result<String, Error> = inspect.call((thrown.clone(),));
    let text = described.unwrap_or_else(|_| {
        // The script broke what describes it, or there is no memory or stack left to do it.
        ctx.catch();
        plainly(ctx, &thrown)
    });
    with_advice(&text, advice)
}

/// The same, before there is anything that describes values.
pub(super) fn describe_unaided(ctx: &Ctx<'_>, error: Error) -> String {
    match error {
        Error::Exception => {
            let thrown = ctx.catch();
            with_advice(&plainly(ctx, &thrown), advice)
        }
        other => format!("uncaught {other}"),
    }
}

fn plainly<'js>(ctx: &Ctx<'js>, thrown: &Value<'js>) -> String {
    let text = thrown.get::<Coerced<String>>();
    text.map_or_else(
        |_| {
            ctx.catch();
            INDESCRIBABLE.to_owned()
        },
        |text| text.0,
    )
}

/// What to do about errors of QuickJS that do not say it.
fn advice(error: &str) -> Option<&'static str> {
    match error {
        "RangeError: invalid array buffer length" | "RangeError: invalid array index" => Some(
            "QuickJS takes at most 2147483647 bytes in one ArrayBuffer: ask for less, or use windows of \
             nativeModule.allocateMemory(byteLength)",
        ),
        "InternalError: out of memory" => Some("keep less alive, or ask for less"),
        "InternalError: stack overflow" | "RangeError: Maximum call stack size exceeded" => Some(ENDLESS),
        _ => None,
    }
}
