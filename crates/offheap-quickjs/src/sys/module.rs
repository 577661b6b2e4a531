//! Whether a source text is a module.

use rquickjs::qjs;

pub(crate) fn detect_module(source: &str) -> bool {
    // QuickJS scans the text and expects it to end with NUL.
    let Ok(text) = std::ffi::CString::new(source) else { return false };
    // SAFETY: text of this length that ends with NUL; it is only read.
    unsafe { qjs::JS_DetectModule(text.as_ptr(), source.len() as qjs::size_t) }
}
