//! Detects whether a source text is a module.

use std::ffi::{CStr, CString, c_int};

use rquickjs::context::intrinsic::{Eval, RegExpCompiler};
use rquickjs::{Context, Runtime, qjs};

/// Whether the text parses as a module and not as a script.
pub(crate) fn detect_module(source: &str) -> bool {
    // QuickJS scans the text and expects it to end with NUL.
    let Ok(text) = CString::new(source) else { return false };
    // SAFETY: the text has this length, ends with NUL, and is only read.
    let is_module = unsafe { qjs::JS_DetectModule(text.as_ptr(), source.len() as qjs::size_t) };
    // For QuickJS, every text that parses as a module is one, and most scripts parse as modules too.
    is_module && !is_script(&text).unwrap_or_default()
}

fn is_script(text: &CStr) -> rquickjs::Result<bool> {
    let context = Context::builder().with::<(Eval, RegExpCompiler)>().build(&Runtime::new()?)?;
    let flags = (qjs::JS_EVAL_TYPE_GLOBAL | qjs::JS_EVAL_FLAG_COMPILE_ONLY) as c_int;
    Ok(context.with(|ctx| {
        let raw = ctx.as_raw().as_ptr();
        let byte_length = text.count_bytes() as qjs::size_t;
        // SAFETY: a live context, and a text of this length that ends with NUL; it is compiled but not run.
        let compiled = unsafe { qjs::JS_Eval(raw, text.as_ptr(), byte_length, c"offheap".as_ptr(), flags) };
        // SAFETY: only reads the tag.
        let failed = unsafe { qjs::JS_IsException(compiled) };
        // SAFETY: the call above returned an owned value. After a failure there is nothing to free: the exception
        // is in the runtime.
        unsafe { qjs::JS_FreeValue(raw, compiled) };
        !failed
    }))
}
