//! Stacks and places, from V8's call sites and messages.

use offheap_v8::v8;

use super::functions::evaluate_source;
use crate::glue::FRAMES;
use crate::visible;

/// Makes stacks from call sites, and returns what the description of values asks about them.
pub(super) fn install<'s>(scope: &mut v8::PinScope<'s, '_>) -> Option<v8::Local<'s, v8::Value>> {
    let host = v8::Object::new(scope);
    let name = v8::String::new(scope, "isProxy")?;
    let is_proxy = v8::Function::builder(is_proxy).build(scope)?;
    host.create_data_property(scope, name.into(), is_proxy.into())?;
    let frames = evaluate_source(scope, FRAMES)?;
    let nothing = v8::undefined(scope).into();
    frames.call(scope, nothing, &[host.into()])
}

fn is_proxy<'s>(
    _scope: &mut v8::PinScope<'s, '_>,
    arguments: v8::FunctionCallbackArguments<'s>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    result.set_bool(arguments.get(0).is_proxy());
}

/// Where V8 saw a value thrown.
pub(super) fn place_of<'s>(scope: &mut v8::PinScope<'s, '_>, message: v8::Local<'s, v8::Message>) -> Option<String> {
    let file = message.get_script_resource_name(scope)?;
    let file = v8::Local::<v8::String>::try_from(file).ok()?.to_rust_string_lossy(scope);
    let line = message.get_line_number(scope)?;
    Some(format!("    at {}:{line}:{}", visible::line(&file), message.get_start_column() + 1))
}
