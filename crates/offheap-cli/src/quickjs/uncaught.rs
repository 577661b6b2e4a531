//! What a script threw and did not catch, in words.

use offheap_quickjs::rquickjs::{Coerced, Ctx, Error, Function, Value};

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
    with_advice(&text)
}

/// The same, before there is anything that describes values.
pub(super) fn describe_unaided(ctx: &Ctx<'_>, error: Error) -> String {
    match error {
        Error::Exception => {
            let thrown = ctx.catch();
            with_advice(&plainly(ctx, &thrown))
        }
        other => format!("uncaught {other}"),
    }
}

fn plainly<'js>(ctx: &Ctx<'js>, thrown: &Value<'js>) -> String {
    let text = thrown.get::<Coerced<String>>();
    text.map_or_else(
        |_| {
            ctx.catch();
            "an error that cannot be described; the engine may be out of memory".to_owned()
        },
        |text| text.0,
    )
}

fn with_advice(text: &str) -> String {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let mut described = format!("uncaught {first}");
    if let Some(advice) = advice(first) {
        described.push_str("; ");
        described.push_str(advice);
    }
    if !rest.is_empty() {
        described.push('\n');
        described.push_str(rest);
    }
    described
}

/// What to do about errors of QuickJS that do not say it.
fn advice(error: &str) -> Option<&'static str> {
    match error {
        "RangeError: invalid array buffer length" | "RangeError: invalid array index" => Some(
            "QuickJS takes at most 2147483647 bytes in one ArrayBuffer: ask for less, or use windows of \
             nativeModule.allocateMemory(byteLength)",
        ),
        "InternalError: out of memory" => Some("keep less alive, or ask for less"),
        "InternalError: stack overflow" | "RangeError: Maximum call stack size exceeded" => {
            Some("something calls itself without end")
        }
        _ => None,
    }
}
