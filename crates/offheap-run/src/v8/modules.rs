//! Scripts, and ES modules: files, and the module "offheap".

use offheap_v8::v8;

use super::hooks::{ResolveModule, instantiate_module};
use crate::files;
use crate::glue::OFFHEAP_MODULE;

/// The modules of an isolate, by name.
#[derive(Default)]
pub(super) struct Modules {
    compiled: Vec<(String, v8::Global<v8::Module>)>,
}

impl Modules {
    fn name_of(&self, module: v8::Local<'_, v8::Module>) -> String {
        let named = self.compiled.iter().find(|(_, compiled)| *compiled == module);
        named.map_or_else(String::new, |(name, _)| name.clone())
    }
}

impl ResolveModule for Modules {
    fn resolve<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        specifier: v8::Local<'s, v8::String>,
        referrer: v8::Local<'s, v8::Module>,
    ) -> Option<v8::Local<'s, v8::Module>> {
        let importer = modules(scope).name_of(referrer);
        let name = resolve(scope, &importer, specifier)?;
        load(scope, &name, None)
    }
}

fn modules<'a>(scope: &'a mut v8::PinScope<'_, '_>) -> &'a mut Modules {
    scope.get_slot_mut::<Modules>().expect("set before any script runs")
}

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

/// A module, compiled; `None` where it does not parse.
pub(super) fn compile<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    text: &str,
) -> Option<v8::Local<'s, v8::Module>> {
    let text = v8::String::new(scope, text)?;
    let origin = origin(scope, name, true)?;
    v8::script_compiler::compile_module(scope, &mut v8::script_compiler::Source::new(text, Some(&origin)))
}

fn origin<'s>(scope: &mut v8::PinScope<'s, '_>, name: &str, is_module: bool) -> Option<v8::ScriptOrigin<'s>> {
    let name = v8::String::new(scope, name)?;
    Some(v8::ScriptOrigin::new(scope, name.into(), 0, 0, false, 0, None, false, false, is_module, None))
}

/// Evaluates a module. Its text is read from its file unless it is given. The result is the promise of the module's
/// end, or `None` where an exception is pending.
pub(super) fn evaluate<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    text: Option<&str>,
) -> Option<v8::Local<'s, v8::Promise>> {
    let module = load(scope, name, text)?;
    evaluate_module(scope, module)
}

fn evaluate_module<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    module: v8::Local<'s, v8::Module>,
) -> Option<v8::Local<'s, v8::Promise>> {
    instantiate_module::<Modules>(scope, module)?;
    module.evaluate(scope)?.try_into().ok()
}

/// Evaluates the module "offheap" before script can change the globals that it reads. Later imports find it by its
/// name.
pub(super) fn evaluate_offheap(scope: &mut v8::PinScope<'_, '_>) -> Option<()> {
    evaluate(scope, OFFHEAP_MODULE.name, Some(OFFHEAP_MODULE.text)).map(drop)
}

/// A module and all that it imports, compiled.
fn load<'s>(scope: &mut v8::PinScope<'s, '_>, name: &str, text: Option<&str>) -> Option<v8::Local<'s, v8::Module>> {
    let known = modules(scope).compiled.iter().find(|(compiled, _)| compiled == name).map(|(_, module)| module.clone());
    if let Some(module) = known {
        return Some(v8::Local::new(scope, module));
    }
    let before = modules(scope).compiled.len();
    let module = load_new(scope, name, text);
    if module.is_none() {
        // Nothing is kept of an incomplete graph: script may try the import again.
        modules(scope).compiled.truncate(before);
    }
    module
}

fn load_new<'s>(scope: &mut v8::PinScope<'s, '_>, name: &str, text: Option<&str>) -> Option<v8::Local<'s, v8::Module>> {
    let module = match text {
        Some(text) => compile(scope, name, text)?,
        None => match files::read_module(name) {
            Ok(text) => compile(scope, name, &text)?,
            Err(why) => return throw(scope, &format!("Error loading module '{name}': {why}")),
        },
    };
    let compiled = v8::Global::new(scope, module);
    modules(scope).compiled.push((name.to_owned(), compiled));
    let requests = module.get_module_requests();
    for index in 0..requests.length() {
        let request: v8::Local<'_, v8::ModuleRequest> = requests.get(scope, index)?.try_into().ok()?;
        let imported = resolve(scope, name, request.get_specifier())?;
        load(scope, &imported, None)?;
    }
    Some(module)
}

/// The name of the module that `specifier` names in the module or script `importer`.
fn resolve(scope: &mut v8::PinScope<'_, '_>, importer: &str, specifier: v8::Local<'_, v8::String>) -> Option<String> {
    let specifier = specifier.to_rust_string_lossy(scope);
    match files::resolve(importer, &specifier) {
        Ok(name) => Some(name),
        Err(why) => throw(scope, &format!("Error resolving module '{specifier}' from '{importer}': {why}")),
    }
}

/// Throws a ReferenceError, whose message is in the words that QuickJS has for it.
fn throw<T>(scope: &mut v8::PinScope<'_, '_>, message: &str) -> Option<T> {
    let message = v8::String::new(scope, message)?;
    let error = v8::Exception::reference_error(scope, message);
    scope.throw_exception(error);
    None
}

/// Makes `import(specifier)` work.
pub(super) fn allow_dynamic_imports(isolate: &mut v8::Isolate) {
    isolate.set_host_import_module_dynamically_callback(import_dynamically);
}

fn import_dynamically<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _options: v8::Local<'s, v8::Data>,
    importer: v8::Local<'s, v8::Value>,
    specifier: v8::Local<'s, v8::String>,
    _attributes: v8::Local<'s, v8::FixedArray>,
) -> Option<v8::Local<'s, v8::Promise>> {
    let thrown = {
        v8::tc_scope!(let caught, scope);
        let importer = importer.to_rust_string_lossy(caught);
        if let Some(namespace) = import(caught, &importer, specifier) {
            return Some(namespace);
        }
        caught.exception()?
    };
    let resolver = v8::PromiseResolver::new(scope)?;
    resolver.reject(scope, thrown)?;
    Some(resolver.get_promise(scope))
}

/// A promise of the module's namespace.
fn import<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    importer: &str,
    specifier: v8::Local<'s, v8::String>,
) -> Option<v8::Local<'s, v8::Promise>> {
    let name = resolve(scope, importer, specifier)?;
    let module = load(scope, &name, None)?;
    let ended = evaluate_module(scope, module)?;
    let give_namespace =
        |_: &mut v8::PinScope<'_, '_>,
         arguments: v8::FunctionCallbackArguments<'_>,
         mut result: v8::ReturnValue<'_, v8::Value>| result.set(arguments.data());
    let namespace = module.get_module_namespace();
    let then = v8::Function::builder(give_namespace).data(namespace).build(scope)?;
    ended.then(scope, then)
}
