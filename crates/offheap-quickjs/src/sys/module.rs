//! Whether a source text is a module.

use std::ffi::{CStr, CString, c_int};

use rquickjs::context::intrinsic::{Eval, RegExpCompiler};
use rquickjs::{Context, Runtime, qjs};

/// Whether the text parses as a module and not as a script.
pub(crate) fn detect_module(source: &str) -> bool {
    // QuickJS scans the text and expects it to end with NUL.
    let Ok(text) = CString::new(source) else { return false };
    // SAFETY: text of this length that ends with NUL; it is only read.
    let is_module = unsafe { qjs::JS_DetectModule(text.as_ptr(), source.len() as qjs::size_t) };
    // Whatever parses as a module is one for QuickJS, and so do most scripts.
    is_module && !is_script(&text).unwrap_or_default()
}

fn is_script(text: &CStr) -> rquickjs::Result<bool> {
    let context = Context::builder().with::<(Eval, RegExpCompiler)>().build(&Runtime::new()?)?;
    let flags = (qjs::JS_EVAL_TYPE_GLOBAL | qjs::JS_EVAL_FLAG_COMPILE_ONLY) as c_int;
    Ok(context.with(|ctx| {
        let raw = ctx.as_raw().as_ptr();
        let byte_length = text.count_bytes() as qjs::size_t;
        // SAFETY: a live context and text of this length that ends with NUL; it is compiled and not run.
        let compiled = unsafe { qjs::JS_Eval(raw, text.as_ptr(), byte_length, c"offheap".as_ptr(), flags) };
        // SAFETY: looks only at the tag.
        let failed = unsafe { qjs::JS_IsException(compiled) };
        // SAFETY: owned by the call above; nothing where it failed, and the exception is the runtime's.
        unsafe { qjs::JS_FreeValue(raw, compiled) };
        !failed
    }))
}
