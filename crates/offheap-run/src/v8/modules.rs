//! How the texts of scripts and modules are compiled.

use offheap_v8::v8;

/// A classic script, compiled; `None` where it does not parse.
pub(super) fn compile_classic<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    text: &str,
) -> Option<v8::Local<'s, v8::Script>> {
    let text = v8::String::new(scope, text)?;
    let origin = origin(scope, name, false)?;
    v8::Script::compile(scope, text, Some(&origin))
}

/// Whether a text parses as a module.
pub(super) fn parses_as_module(scope: &mut v8::PinScope<'_, '_>, name: &str, text: &str) -> bool {
    let compiled = (|| {
        let text = v8::String::new(scope, text)?;
        let origin = origin(scope, name, true)?;
        v8::script_compiler::compile_module(scope, &mut v8::script_compiler::Source::new(text, Some(&origin)))
    })();
    compiled.is_some()
}

fn origin<'s>(scope: &mut v8::PinScope<'s, '_>, name: &str, is_module: bool) -> Option<v8::ScriptOrigin<'s>> {
    let name = v8::String::new(scope, name)?;
    Some(v8::ScriptOrigin::new(scope, name.into(), 0, 0, false, 0, None, false, false, is_module, None))
}
