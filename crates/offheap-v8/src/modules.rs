//! ES modules of an isolate of this crate. Functions of the program find them and read them.

use std::collections::HashMap;
use std::fmt::Display;
use std::num::NonZeroI32;
use std::rc::Rc;

use crate::sys;

type Resolve = dyn Fn(&str, &str) -> Result<String, String>;
type Load = dyn Fn(&str) -> Result<String, String>;

/// The modules of an isolate, in a slot of it. Script is on the stack when V8 asks for a module, so the program's functions
/// get no scope.
pub(crate) struct Modules {
    /// The isolate's own context. A module belongs to one context.
    context: v8::Global<v8::Context>,
    resolve: Rc<Resolve>,
    load: Rc<Load>,
    compiled: Vec<Compiled>,
    /// The index of the newest module of each name.
    names: HashMap<String, usize>,
    /// How many of them have everything that they import. More are there only while a graph is loaded, or after a panic in
    /// one of the functions.
    complete: usize,
}

struct Compiled {
    name: String,
    module: v8::Global<v8::Module>,
    hash: NonZeroI32,
    /// The specifiers of its imports, and the names of the modules that they are.
    imports: Vec<(String, String)>,
}

impl Modules {
    pub(crate) fn new<E: Display, F: Display>(
        context: &v8::Global<v8::Context>,
        resolver: impl Fn(&str, &str) -> Result<String, E> + 'static,
        loader: impl Fn(&str) -> Result<String, F> + 'static,
    ) -> Self {
        Modules {
            context: context.clone(),
            resolve: Rc::new(move |importer, specifier| {
                resolver(importer, specifier)
                    .map_err(|why| format!("Error resolving module '{specifier}' from '{importer}': {why}"))
            }),
            load: Rc::new(move |name| loader(name).map_err(|why| format!("Error loading module '{name}': {why}"))),
            compiled: Vec::new(),
            names: HashMap::new(),
            complete: 0,
        }
    }

    /// Makes the isolate load its modules with these functions.
    pub(crate) fn install(self, isolate: &mut v8::Isolate) {
        isolate.set_slot(self);
        isolate.set_host_import_module_dynamically_callback(import_dynamically);
        sys::watch_import_meta(isolate);
    }

    fn forget_incomplete(&mut self) {
        if self.compiled.len() > self.complete {
            self.compiled.truncate(self.complete);
            self.names = self.compiled.iter().map(|compiled| compiled.name.clone()).zip(0..).collect();
        }
    }

    fn add(&mut self, compiled: Compiled) {
        self.names.insert(compiled.name.clone(), self.compiled.len());
        self.compiled.push(compiled);
    }

    fn named(&self, name: &str) -> Option<&Compiled> {
        self.names.get(name).map(|&index| &self.compiled[index])
    }

    fn of(&self, module: v8::Local<'_, v8::Module>) -> Option<&Compiled> {
        let hash = module.get_identity_hash();
        self.compiled.iter().find(|compiled| compiled.hash == hash && compiled.module == module)
    }
}

/// The modules of the entered context. Otherwise throws.
fn modules<'a>(scope: &'a mut v8::PinScope<'_, '_>) -> Option<&'a mut Modules> {
    let context = scope.get_current_context();
    match scope.get_slot::<Modules>() {
        Some(modules) if modules.context == context => scope.get_slot_mut::<Modules>(),
        Some(_) => throw(scope, "modules are loaded only in the isolate's own context; this script is in another one"),
        None => throw(scope, "there is no module loader; set one with `IsolateBuilder::loader`"),
    }
}

/// Runs an ES module with this text, in a scope that [`with_v8`](crate::ScopeExt::with_v8) lends. The result is a promise of
/// the module's end, or `None` if the module or one that it imports cannot be loaded; then an exception is pending.
///
/// `name` is for stack traces, for [`import.meta.url`](crate::IsolateBuilder::loader), and for the resolver. Later imports
/// of this name find this module. [`ScopeExt::evaluate_module`](crate::ScopeExt::evaluate_module) needs no scope of the crate
/// `v8`.
pub fn evaluate_module<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    name: &str,
    source: &str,
) -> Option<v8::Local<'s, v8::Promise>> {
    let _entered = sys::enter(scope);
    let module = keeping_whole_graphs(scope, |scope| {
        let module = compile(scope, name, source)?;
        load_imports(scope, name)?;
        Some(module)
    })?;
    evaluate(scope, module)
}

fn evaluate<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    module: v8::Local<'s, v8::Module>,
) -> Option<v8::Local<'s, v8::Promise>> {
    sys::instantiate_module(scope, module)?;
    module.evaluate(scope)?.try_into().ok()
}

/// Keeps nothing of a graph that cannot be loaded, so that script may try the import again.
fn keeping_whole_graphs<'s, 'i, T>(
    scope: &mut v8::PinScope<'s, 'i>,
    load: impl FnOnce(&mut v8::PinScope<'s, 'i>) -> Option<T>,
) -> Option<T> {
    modules(scope)?.forget_incomplete();
    let loaded = load(scope);
    if let Some(modules) = scope.get_slot_mut::<Modules>() {
        match &loaded {
            Some(_) => modules.complete = modules.compiled.len(),
            None => modules.forget_incomplete(),
        }
    }
    loaded
}

/// Compiles everything that a compiled module imports, in the order of its imports. There may be long chains, so this does
/// not call itself.
fn load_imports(scope: &mut v8::PinScope<'_, '_>, name: &str) -> Option<()> {
    let mut wanted = Vec::new();
    let mut last = name.to_owned();
    loop {
        let compiled = modules(scope)?.named(&last)?;
        wanted.extend(compiled.imports.iter().rev().map(|(_, imported)| imported.clone()));
        last = loop {
            let Some(next) = wanted.pop() else { return Some(()) };
            if modules(scope)?.named(&next).is_none() {
                break next;
            }
        };
        read(scope, &last)?;
    }
}

/// Reads and compiles a module.
fn read<'s>(scope: &mut v8::PinScope<'s, '_>, name: &str) -> Option<v8::Local<'s, v8::Module>> {
    let load = Rc::clone(&modules(scope)?.load);
    match load(name) {
        Ok(source) => compile(scope, name, &source),
        Err(message) => throw(scope, &message),
    }
}

fn compile<'s>(scope: &mut v8::PinScope<'s, '_>, name: &str, source: &str) -> Option<v8::Local<'s, v8::Module>> {
    let source = v8::String::new(scope, source)?;
    let resource = v8::String::new(scope, name)?;
    let origin = v8::ScriptOrigin::new(scope, resource.into(), 0, 0, false, 0, None, false, false, true, None);
    let mut source = v8::script_compiler::Source::new(source, Some(&origin));
    let module = v8::script_compiler::compile_module(scope, &mut source)?;
    let mut imports = Vec::new();
    let requests = module.get_module_requests();
    for index in 0..requests.length() {
        let request: v8::Local<'_, v8::ModuleRequest> = requests.get(scope, index)?.try_into().ok()?;
        let specifier = request.get_specifier().to_rust_string_lossy(scope);
        let imported = resolve(scope, name, &specifier, request.get_import_attributes())?;
        imports.push((specifier, imported));
    }
    let kept = v8::Global::new(scope, module);
    let compiled = Compiled { name: name.to_owned(), module: kept, hash: module.get_identity_hash(), imports };
    modules(scope)?.add(compiled);
    Some(module)
}

/// The name of the module that `specifier` names in the module or script `importer`.
fn resolve(
    scope: &mut v8::PinScope<'_, '_>,
    importer: &str,
    specifier: &str,
    attributes: v8::Local<'_, v8::FixedArray>,
) -> Option<String> {
    if attributes.length() > 0 {
        let why = "import attributes are not supported; leave `with` out";
        return throw(scope, &format!("Error resolving module '{specifier}' from '{importer}': {why}"));
    }
    let resolve = Rc::clone(&modules(scope)?.resolve);
    resolve(importer, specifier).map_or_else(|message| throw(scope, &message), Some)
}

/// The module that `specifier` names in `referrer`. V8 asks this for the modules of a graph that was loaded.
pub(crate) fn imported_by<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    specifier: v8::Local<'s, v8::String>,
    referrer: v8::Local<'s, v8::Module>,
) -> Option<v8::Local<'s, v8::Module>> {
    let specifier = specifier.to_rust_string_lossy(scope);
    let modules = modules(scope)?;
    let imports = &modules.of(referrer)?.imports;
    let (_, name) = imports.iter().find(|(imported, _)| *imported == specifier)?;
    let module = modules.named(name)?.module.clone();
    Some(v8::Local::new(scope, module))
}

/// Gives `import.meta` of a module its `url`: the module's name.
pub(crate) fn fill_import_meta(
    scope: &mut v8::PinScope<'_, '_>,
    module: v8::Local<'_, v8::Module>,
    meta: v8::Local<'_, v8::Object>,
) {
    let name = scope.get_slot::<Modules>().and_then(|modules| Some(modules.of(module)?.name.clone()));
    let name = name.and_then(|name| v8::String::new(scope, &name));
    if let (Some(url), Some(name)) = (v8::String::new(scope, "url"), name) {
        meta.create_data_property(scope, url.into(), name.into());
    }
}

/// Throws a ReferenceError, as QuickJS does.
fn throw<T>(scope: &mut v8::PinScope<'_, '_>, message: &str) -> Option<T> {
    let message = v8::String::new(scope, message)?;
    let error = v8::Exception::reference_error(scope, message);
    scope.throw_exception(error);
    None
}

fn import_dynamically<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _options: v8::Local<'s, v8::Data>,
    importer: v8::Local<'s, v8::Value>,
    specifier: v8::Local<'s, v8::String>,
    attributes: v8::Local<'s, v8::FixedArray>,
) -> Option<v8::Local<'s, v8::Promise>> {
    let thrown = {
        v8::tc_scope!(let caught, scope);
        // The code of `eval` has no name.
        let importer = v8::Local::<v8::String>::try_from(importer).ok();
        let importer = importer.map_or_else(String::new, |importer| importer.to_rust_string_lossy(caught));
        if let Some(namespace) = import(caught, &importer, specifier, attributes) {
            return Some(namespace);
        }
        caught.exception()?
    };
    let resolver = v8::PromiseResolver::new(scope)?;
    resolver.reject(scope, thrown)?;
    Some(resolver.get_promise(scope))
}

/// A promise of the module's namespace. What it imports is loaded now. The module runs in a microtask, as ECMAScript 16.2.1.8
/// (ContinueDynamicImport) says: script that runs may be that of the module itself.
fn import<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    importer: &str,
    specifier: v8::Local<'s, v8::String>,
    attributes: v8::Local<'s, v8::FixedArray>,
) -> Option<v8::Local<'s, v8::Promise>> {
    // Nothing is loading while script runs, so what is incomplete is left from a panic.
    modules(scope)?.forget_incomplete();
    let specifier = specifier.to_rust_string_lossy(scope);
    let name = resolve(scope, importer, &specifier, attributes)?;
    if modules(scope)?.named(&name).is_none() {
        keeping_whole_graphs(scope, |scope| {
            read(scope, &name)?;
            load_imports(scope, &name)
        })?;
    }
    let index = *modules(scope)?.names.get(&name)?;
    let index = v8::Number::new(scope, index as f64);
    let run = v8::Function::builder(run_imported).data(index.into()).build(scope)?;
    let resolver = v8::PromiseResolver::new(scope)?;
    let undefined = v8::undefined(scope).into();
    resolver.resolve(scope, undefined)?;
    resolver.get_promise(scope).then(scope, run)
}

/// Runs the module at an index, and returns a promise of its namespace, or throws.
fn run_imported(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let mut run = || {
        let index = v8::Local::<v8::Number>::try_from(arguments.data()).ok()?.value() as usize;
        let compiled = &modules(scope)?.compiled[index];
        let (name, module) = (compiled.name.clone(), compiled.module.clone());
        let module = v8::Local::new(scope, module);
        if module.get_status() == v8::ModuleStatus::Evaluating {
            // V8 ends the process if it is asked to evaluate the module now.
            return throw(scope, &format!("Error importing module '{name}': microtasks ran in the middle of its code"));
        }
        let ended = evaluate(scope, module)?;
        let give_namespace =
            |_: &mut v8::PinScope<'_, '_>,
             arguments: v8::FunctionCallbackArguments<'_>,
             mut result: v8::ReturnValue<'_, v8::Value>| result.set(arguments.data());
        let namespace = module.get_module_namespace();
        let then = v8::Function::builder(give_namespace).data(namespace).build(scope)?;
        ended.then(scope, then)
    };
    if let Some(namespace) = run() {
        result.set(namespace.into());
    }
}
