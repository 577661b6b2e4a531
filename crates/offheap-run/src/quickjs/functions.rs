//! The primitives as functions of QuickJS.

use std::rc::Rc;

use offheap::observe::ScriptStack;
use offheap::{BackingStore, SharedStore, Site};
use offheap_quickjs::rquickjs::context::EvalOptions;
use offheap_quickjs::rquickjs::function::{Rest, This};
use offheap_quickjs::rquickjs::object::Property;
use offheap_quickjs::rquickjs::{self, Coerced, Ctx, FromJs, Function, Object, TypedArray, Value};
use offheap_quickjs::{BackingStoreExt, Error, SharedStoreExt, collect, copy_of, detach};

use super::columns::Columns;
use super::{LIMITS, frames};
use crate::NativeModule;
use crate::glue::{Argument, Call, INSPECT, Outcome, PRELUDE, Source, State, Thrown, primitives, unknown_site};

struct QuickJsCall<'a, 'js> {
    ctx: &'a Ctx<'js>,
    /// The prelude's object of this name.
    internals: &'a Object<'js>,
    state: &'a State,
    columns: &'a Columns,
    arguments: &'a [Value<'js>],
}

impl From<rquickjs::Error> for Thrown<rquickjs::Error> {
    fn from(error: rquickjs::Error) -> Self {
        Thrown::Pending(error)
    }
}

fn throw<'js>(ctx: &Ctx<'js>, internals: &Object<'js>, thrown: Thrown<rquickjs::Error>) -> rquickjs::Error {
    let failure = match thrown {
        Thrown::Failure(failure) => failure,
        Thrown::Pending(error) => return error,
    };
    let fail = internals.get::<_, Function<'js>>("fail");
    let made = fail.and_then(|fail| fail.call::<_, Value<'js>>((failure.class(), failure.message(), failure.code())));
    match made {
        Ok(error) => ctx.throw(error),
        Err(error) => error,
    }
}

impl<'js> Call for QuickJsCall<'_, 'js> {
    type Value = Value<'js>;
    type Pending = rquickjs::Error;

    fn state(&self) -> &State {
        self.state
    }

    fn value(&mut self, index: usize) -> Value<'js> {
        self.arguments.get(index).cloned().unwrap_or_else(|| Value::new_undefined(self.ctx.clone()))
    }

    fn as_argument(&mut self, value: &Value<'js>) -> Argument {
        match value.as_number() {
            Some(number) => Argument::Number(number),
            None if value.is_undefined() => Argument::Absent,
            None => Argument::other(value.type_name()),
        }
    }

    fn as_boolean(&mut self, value: &Value<'js>) -> bool {
        value.get::<Coerced<bool>>().is_ok_and(|boolean| boolean.0)
    }

    fn as_text(&mut self, value: &Value<'js>) -> Outcome<String, Self> {
        Ok(Coerced::<String>::from_js(self.ctx, value.clone())?.0)
    }

    fn property(&mut self, value: &Value<'js>, name: &str) -> Outcome<Value<'js>, Self> {
        match value.as_object() {
            Some(object) => Ok(object.get(name)?),
            None => Ok(self.undefined()),
        }
    }

    fn copy_of(&mut self, bytes: &Value<'js>) -> Outcome<Option<Vec<u8>>, Self> {
        match copy_of(self.ctx, bytes) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotAnArrayBuffer { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn undefined(&mut self) -> Value<'js> {
        Value::new_undefined(self.ctx.clone())
    }

    fn boolean(&mut self, boolean: bool) -> Value<'js> {
        Value::new_bool(self.ctx.clone(), boolean)
    }

    fn number(&mut self, number: f64) -> Value<'js> {
        Value::new_number(self.ctx.clone(), number)
    }

    fn object(&mut self, properties: &[(&str, f64)]) -> Outcome<Value<'js>, Self> {
        let object = Object::new(self.ctx.clone())?;
        for &(name, number) in properties {
            // Not `set`, which calls a setter that script put into `Object.prototype`.
            object.prop(name, Property::from(number).writable().enumerable().configurable())?;
        }
        Ok(object.into_value())
    }

    fn bytes(&mut self, bytes: Vec<u8>) -> Outcome<Value<'js>, Self> {
        Ok(TypedArray::<u8>::new(self.ctx.clone(), bytes)?.into_value())
    }

    fn internal(&mut self, name: &str, arguments: &[Value<'js>]) -> Outcome<Value<'js>, Self> {
        let function: Function<'js> = self.internals.get(name)?;
        Ok(function.call((Rest(arguments.to_vec()),))?)
    }

    fn site(&mut self) -> Site {
        // Only near the end of its stack can QuickJS not tell.
        frames::site(self.ctx, self.columns).unwrap_or_else(unknown_site)
    }

    fn script_stack(&mut self) -> ScriptStack {
        frames::script_stack(self.ctx, self.columns)
    }

    fn expose(&mut self, store: &BackingStore) -> Outcome<Value<'js>, Self> {
        match SharedStore::try_from(store.clone()) {
            Ok(shared) => Ok(shared.expose(self.ctx)?.into_value()),
            Err(_) => Ok(store.expose(self.ctx)?.into_value()),
        }
    }

    fn externalize(&mut self, buffer: &Value<'js>) -> Result<BackingStore, Error> {
        BackingStore::externalize_buffer(self.ctx, buffer)
    }

    fn detach(&mut self, buffer: &Value<'js>, key: Option<&str>) -> Result<(), Error> {
        detach(self.ctx, buffer, key)
    }

    fn copy_out(&mut self, store: &BackingStore) -> Outcome<Vec<u8>, Self> {
        Ok(store.to_vec()?)
    }

    fn copy_in(&mut self, store: &BackingStore, byte_offset: usize, bytes: &[u8]) -> Outcome<(), Self> {
        Ok(store.copy_in(self.ctx, byte_offset, bytes)?)
    }

    fn collect(&mut self) {
        collect(self.ctx);
    }
}

/// Defines `nativeModule` and `console` in `ctx`; returns the function that describes a thrown value.
pub(super) fn install<'js>(
    ctx: &Ctx<'js>,
    module: NativeModule,
    columns: &Rc<Columns>,
) -> rquickjs::Result<Function<'js>> {
    let state = Rc::new(State::new(module, LIMITS));
    let engine = frames::install(ctx, columns)?;
    let functions = Object::new(ctx.clone())?;
    for (index, primitive) in primitives::<QuickJsCall<'_, 'js>>().iter().enumerate() {
        let (state, columns) = (Rc::clone(&state), Rc::clone(columns));
        let call = move |ctx: Ctx<'js>, This(internals): This<Object<'js>>, Rest(arguments): Rest<Value<'js>>| {
            let mut call = QuickJsCall {
                ctx: &ctx,
                internals: &internals,
                state: &state,
                columns: &columns,
                arguments: &arguments,
            };
            let run = primitives()[index].run;
            run(&mut call).map_err(|thrown| throw(&ctx, &internals, thrown))
        };
        let function = Function::new(ctx.clone(), call)?.with_name(primitive.name)?.with_length(primitive.length)?;
        functions.set(primitive.name, function)?;
    }
    let mapped: Vec<&str> = state.mapped_names().collect();
    let prelude = evaluate_source(ctx, PRELUDE)?;
    let given: Object<'js> = prelude.call((functions, mapped, state.arguments().to_vec()))?;
    evaluate_source(ctx, INSPECT)?.call((given, engine))
}

/// The function that is the value of a script of this crate.
pub(super) fn evaluate_source<'js>(ctx: &Ctx<'js>, source: Source) -> rquickjs::Result<Function<'js>> {
    let mut options = EvalOptions::default();
    options.filename = Some(source.name.to_owned());
    ctx.eval_with_options(source.text, options)
}
