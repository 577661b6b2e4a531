//! What a scope runs: scripts, functions and microtasks.

use std::fmt;
use std::rc::Rc;

use super::Scope;
use crate::function::{in_table, named};
use crate::host::Host;
use crate::table::Table;
use crate::value::Parts;
use crate::{
    Arguments, Error, FromJs, FromScript, Handle, IntoArguments, JsArrayBuffer, JsFunction, JsObject, Local,
    ObjectSort, ScriptError, Source, Value, ViewState,
};

impl<'s, H: Host> Scope<'s, H> {
    /// Runs a script and returns its value. Microtasks run only when [asked](Self::run_microtasks). A [`Source`] has the
    /// name of a file, which stack traces show.
    ///
    /// # Errors
    /// [`Error::Script`] if the script throws, does not parse, or its value is of another type; see [`FromJs`].
    pub fn eval<'a, T: FromJs<'s>>(&mut self, source: impl Into<Source<'a>>) -> Result<T, Error> {
        let source = source.into();
        self.take_value(|host| host.evaluate(source), |value| convert::<H, T>("the script's value", value))
    }

    /// Runs a script whose value is an ArrayBuffer, a SharedArrayBuffer or a view, and returns that buffer or the
    /// view's buffer.
    ///
    /// # Errors
    /// [`Error::NotAnArrayBuffer`] if the value is none of these, [`Error::Script`] if the script throws or does
    /// not parse.
    pub fn eval_buffer<'a>(&mut self, source: impl Into<Source<'a>>) -> Result<Local<'s, JsArrayBuffer>, Error> {
        let source = source.into();
        self.make(|host| host.evaluate_buffer(source))
    }

    pub(crate) fn eval_view(&mut self, source: &str) -> Result<ViewState, Error> {
        self.run(|host| host.evaluate_view(source.into()))
    }

    /// Runs the microtasks that are due, and those that they queue.
    ///
    /// # Errors
    /// [`Error::Script`]. On QuickJS, if a microtask throws; the microtasks after it stay queued. On V8, if
    /// execution was terminated; an exception that a microtask throws is lost. Promises that reject are reported to
    /// the engine's own rejection callback.
    pub fn run_microtasks(&mut self) -> Result<(), Error> {
        self.run(H::run_microtasks)
    }

    /// Makes a value a global variable of script: a number, a text, or `&` of a [`Local`] or a [`Handle`].
    ///
    /// # Errors
    /// [`Error::WrongIsolate`], [`Error::Script`] if a setter throws.
    pub fn set_global(&mut self, name: &str, value: impl Into<Value<'s>>) -> Result<(), Error> {
        let value = value.into().into_parts();
        let value = value.to_script(self.table)?;
        self.run(|host| host.set_global(name, value))
    }

    /// The value of a global variable of script: a property of `globalThis`. A variable that script declared with
    /// `let`, `const` or `class` is none. If there is no such variable, the value is `undefined`.
    ///
    /// # Errors
    /// [`Error::Script`] if a getter throws, or the value is of another type; see [`FromJs`].
    pub fn global<T: FromJs<'s>>(&mut self, name: &str) -> Result<T, Error> {
        self.take_value(|host| host.global(name), |value| convert::<H, T>(format_args!("the global `{name}`"), value))
    }

    /// Calls a function of script with `undefined` as `this`, and returns its value. `arguments` is a tuple, such as
    /// `(&buffer, 3)`, or a vector of [`Value`]s.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`]; [`Error::Script`] if the function throws, or its value is of another type; see
    /// [`FromJs`].
    pub fn call<T: FromJs<'s>>(
        &mut self,
        function: &Handle<JsFunction>,
        arguments: impl IntoArguments<'s>,
    ) -> Result<T, Error> {
        self.table.check(function)?;
        let function = self.table.rooted(function.slot());
        let arguments: Vec<Parts> = arguments.into_arguments().into_iter().map(Value::into_parts).collect();
        let arguments: Vec<_> = arguments.iter().map(|value| value.to_script(self.table)).collect::<Result<_, _>>()?;
        self.take_value(|host| host.call(function, &arguments), |value| convert::<H, T>("the function's value", value))
    }

    /// Makes a function that script can call. `call` gets a scope of its own, so it can borrow bytes, make buffers and
    /// call script; and the [`Arguments`], which it converts one by one:
    ///
    /// ```
    /// # use offheap_engine::{Error, Host, Isolate, JsArrayBuffer, Local};
    /// fn define<H: Host>(isolate: &mut Isolate<H>) -> Result<(), Error> {
    ///     isolate.enter(|scope| {
    ///         let sum = scope.function("sum", |scope, arguments| {
    ///             let buffer: Local<JsArrayBuffer> = arguments.get(scope, 0)?;
    ///             let bytes = scope.bytes(&buffer)?;
    ///             Ok(bytes.iter().map(|&byte| f64::from(byte)).sum::<f64>().into())
    ///         })?;
    ///         scope.set_global("sum", &sum)
    ///     })
    /// }
    /// ```
    ///
    /// An error is thrown into script as an error of its [class](Error::class), with its [code](Error::code) as `code`.
    /// If `call` returns the error of script that it called itself, the exception goes on unchanged. A panic in `call`
    /// goes on in Rust when the engine has returned; until then, script sees an error.
    ///
    /// Script may call the function recursively, so `call` is an `Fn`: state is in cells. A value that `call` captures
    /// is dropped some time after the engine collected the function: before a later step of a scope, or at the end of
    /// the isolate. A captured [`Handle`] keeps its object, so a function that captures a handle to something that
    /// refers to the function is collected only at the end.
    ///
    /// # Errors
    /// [`Error::Unsupported`] on an engine without script, [`Error::Script`] or [`Error::EngineFailed`] if there is no
    /// memory.
    pub fn function<F>(&mut self, name: &str, call: F) -> Result<Local<'s, JsFunction>, Error>
    where
        F: for<'c> Fn(&mut Scope<'c, H>, Arguments<'c, H>) -> Result<Value<'c>, Error> + 'static,
    {
        let table = self.table;
        let slot = table.insert_function(named(name, call))?;
        let native = in_table(table, slot);
        self.make(|host| host.function(name, native))
    }

    /// Runs a step that gives a value, and converts the value.
    #[inline]
    pub(crate) fn take_value<T>(
        &mut self,
        step: impl FnOnce(&H) -> Result<FromScript<H::Root>, Error>,
        convert: impl FnOnce(Value<'s>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let table: &Rc<_> = self.table;
        self.run(|host| convert_given(table, host, step(host)?, convert))
    }

    /// Converts a value that the engine gives without running script.
    #[inline]
    pub(crate) fn take_given<T>(
        &mut self,
        give: impl FnOnce() -> Result<FromScript<H::Root>, Error>,
        convert: impl FnOnce(Value<'s>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.relieve();
        let host = self.table.entered_host();
        convert_given(self.table, &host, give()?, convert)
    }
}

#[inline]
fn convert_given<'s, H: Host, T>(
    table: &Rc<Table<H>>,
    host: &H,
    given: FromScript<H::Root>,
    convert: impl FnOnce(Value<'s>) -> Result<T, Error>,
) -> Result<T, Error> {
    let (sort, root) = match given {
        FromScript::Data(data) => return convert(Value::new(data)),
        FromScript::Object(sort, root) => (sort, root),
    };
    let object = Local::<JsObject>::new(table.handle_or_release(host, root)?);
    // A call for each variant, so that `convert` knows the variant and the object is not moved through the memory of a
    // `Value`.
    match sort {
        ObjectSort::ArrayBuffer => convert(Value::ArrayBuffer(object.cast())),
        ObjectSort::View => convert(Value::View(object.cast())),
        ObjectSort::Function => convert(Value::Function(object.cast())),
        ObjectSort::Other => convert(Value::Object(object)),
    }
}

/// The value as a `T`. `what` names it in the error.
#[inline]
fn convert<'s, H: Host, T: FromJs<'s>>(what: impl fmt::Display, value: Value<'s>) -> Result<T, Error> {
    T::from_js(value).map_err(|found| {
        let expected = T::expected();
        let message =
            format!("{what} is {found}, but {expected} was expected; ask for its own type, or convert it in script");
        ScriptError::new(H::NAME, message, String::new()).into()
    })
}
