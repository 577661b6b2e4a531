//! Detects whether a source text is a module.

use std::ffi::{CStr, CString, c_int};

use rquickjs::context::intrinsic::{Eval, RegExpCompiler};
use rquickjs::{Context, Ctx, Runtime, qjs};

use super::stack::{DEFAULT_STACK_SIZE, limit_stack};

/// Whether the text parses as a module and not as a script.
pub(crate) fn detect_module(source: &str) -> bool {
    // QuickJS scans the text and expects it to end with NUL.
    let Ok(text) = CString::new(source) else { return false };
    detect(&text).unwrap_or_default()
}

fn detect(text: &CStr) -> rquickjs::Result<bool> {
    let context = Context::builder().with::<(Eval, RegExpCompiler)>().build(&Runtime::new()?)?;
    Ok(context.with(|ctx| {
        // Not `JS_DetectModule`, which assumes 1 MiB of stack.
        limit_stack(&ctx, DEFAULT_STACK_SIZE);
        // For QuickJS, every text that parses as a module is one, and most scripts parse as modules too.
        parses(&ctx, text, qjs::JS_EVAL_TYPE_MODULE) && !parses(&ctx, text, qjs::JS_EVAL_TYPE_GLOBAL)
    }))
}

/// Whether the text parses. `ctx` is a context without a module loader, in which nothing runs.
fn parses(ctx: &Ctx<'_>, text: &CStr, kind: u32) -> bool {
    let raw = ctx.as_raw().as_ptr();
    let byte_length = text.count_bytes() as qjs::size_t;
    let flags = (kind | qjs::JS_EVAL_FLAG_COMPILE_ONLY) as c_int;
    // SAFETY: a live context, and a text of this length that ends with NUL; it is compiled but not run.
    let compiled = unsafe { qjs::JS_Eval(raw, text.as_ptr(), byte_length, c"offheap".as_ptr(), flags) };
    // SAFETY: only reads the tag.
    let failed = unsafe { qjs::JS_IsException(compiled) };
    if failed {
        // QuickJS loads what a module imports once it has parsed the module.
        let message = ctx.catch().as_object().and_then(|error| error.get::<_, String>("message").ok());
        return message.is_some_and(|message| message.starts_with("could not load module"));
    }
    // SAFETY: the call above returned an owned value.
    unsafe { qjs::JS_FreeValue(raw, compiled) };
    true
}
