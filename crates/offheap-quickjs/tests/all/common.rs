//! Helpers that several tests use.
#![allow(dead_code, reason = "each test file uses some of it")]

pub(crate) use offheap_conformance::stores::{Count, counted, numbered};
use offheap_quickjs::rquickjs::{Context, Ctx, Runtime};

/// Calls `work` with a context that belongs to no `Isolate`.
pub(crate) fn in_own_context<R>(work: impl FnOnce(&Ctx<'_>) -> R) -> R {
    let runtime = Runtime::new().unwrap();
    let context = Context::full(&runtime).unwrap();
    context.with(|ctx| work(&ctx))
}

/// Runs a script, and panics with its exception if it throws.
pub(crate) fn run(ctx: &Ctx<'_>, source: &str) {
    let wrapped = format!("{{{source}\n}}\n;undefined");
    if ctx.eval::<(), _>(wrapped).is_err() {
        let thrown = ctx.catch();
        let text = thrown.get::<offheap_quickjs::rquickjs::Coerced<String>>().unwrap().0;
        let stack = thrown.as_exception().and_then(|exception| exception.stack()).unwrap_or_default();
        panic!("{text}\n{stack}\nin {source}");
    }
}
