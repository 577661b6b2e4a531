//! Native functions that script calls, with a scope of their own.
//!
//! The table of an isolate keeps the closures, and the engine's function has a [`NativeFunction`], which names one. The
//! engine may drop it in the middle of a collection; the closure itself is dropped between two steps of a scope, or
//! after the isolate's end. So the drop of a captured value may do anything.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::host::Host;
use crate::table::Table;
use crate::value::Parts;

use crate::{Error, FromJs, FromScript, Scope, ToScript, Value};

/// A native function of a program, as an engine keeps it: for as long as script can call it. For adapters.
///
/// It may be dropped anywhere, also in a finalizer.
pub struct NativeFunction<R> {
    table: Rc<dyn FunctionTable<R>>,
    slot: usize,
}

/// The arguments of a call, as an engine has them. For adapters.
pub trait PassedArguments<R> {
    /// The number of arguments.
    fn count(&self) -> usize;

    /// The argument at `index`, which is less than the count. Runs no script, but may collect garbage.
    ///
    /// # Errors
    /// Those of an engine without memory.
    fn get(&self, index: usize) -> Result<FromScript<R>, Error>;
}

/// What is done with the value or the error that a function returned.
type Answer<'a, R> = dyn FnMut(Result<ToScript<'_, R>, Error>) + 'a;

/// The functions of one isolate of any engine.
pub(crate) trait FunctionTable<R> {
    fn call(self: Rc<Self>, slot: usize, passed: &dyn PassedArguments<R>, answer: &mut Answer<'_, R>);

    /// Removes a function, which is dropped later.
    fn remove(&self, slot: usize);
}

impl<R> NativeFunction<R> {
    /// Calls the function. Call it where script called the function, while no guard lives. `answer` gets the value or
    /// the error that the function returned, before anything that the value needs is released.
    ///
    /// A panic of the function does not leave this call: it goes on when the engine has returned to Rust. Until then
    /// script sees an error.
    pub fn call<A>(
        &self,
        passed: &dyn PassedArguments<R>,
        answer: impl FnOnce(Result<ToScript<'_, R>, Error>) -> A,
    ) -> A {
        let (mut answer, mut answered) = (Some(answer), None);
        Rc::clone(&self.table).call(self.slot, passed, &mut |returned| {
            answered = answer.take().map(|answer| answer(returned));
        });
        answered.expect("a call is answered once")
    }
}

impl<R> Drop for NativeFunction<R> {
    fn drop(&mut self) {
        self.table.remove(self.slot);
    }
}

impl<R> fmt::Debug for NativeFunction<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeFunction").field("slot", &self.slot).finish()
    }
}

/// The arguments with which script called a [function](Scope::function). They end with the call.
pub struct Arguments<'s, H: Host> {
    function: &'s str,
    passed: &'s dyn PassedArguments<H::Root>,
}

impl<'s, H: Host> Arguments<'s, H> {
    /// The number of arguments.
    pub fn len(&self) -> usize {
        self.passed.count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Converts the argument at `index`, from 0; see [`FromJs`]. A missing argument is `undefined`. Nothing is done for
    /// arguments that are not asked for. `scope` is that of the call.
    ///
    /// # Errors
    /// [`Error::Argument`] if the argument is of another type.
    #[inline]
    pub fn get<T: FromJs<'s>>(&self, scope: &mut Scope<'s, H>, index: usize) -> Result<T, Error> {
        let convert = |value| T::from_js(value).map_err(|found| self.unexpected::<T>(index, &found));
        match index < self.len() {
            true => scope.take_given(|| self.passed.get(index), convert),
            false => convert(Value::Undefined),
        }
    }

    #[cold]
    fn unexpected<T: FromJs<'s>>(&self, index: usize, found: &Value<'_>) -> Error {
        Error::Argument {
            engine: H::NAME,
            function: self.function.into(),
            index,
            expected: T::expected().into(),
            found: found.to_string().into(),
        }
    }
}

impl<H: Host> fmt::Debug for Arguments<'_, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arguments").field("function", &self.function).field("count", &self.len()).finish()
    }
}

/// A function of the program with its name.
pub(crate) struct Named<F: ?Sized> {
    name: Box<str>,
    call: F,
}

type Call<H> = dyn for<'s> Fn(&mut Scope<'s, H>, Arguments<'s, H>) -> Result<Parts, Error>;

/// A function in the table of its isolate.
pub(crate) type InTable<H> = Rc<Named<Call<H>>>;

/// A panic that goes on when the engine has returned to Rust.
pub(crate) type Panic = Box<dyn Any + Send>;

pub(crate) fn named<H, F>(name: &str, call: F) -> InTable<H>
where
    H: Host,
    F: for<'s> Fn(&mut Scope<'s, H>, Arguments<'s, H>) -> Result<Value<'s>, Error> + 'static,
{
    let call = returning_parts(move |scope, arguments| call(scope, arguments).map(Value::into_parts));
    Rc::new(Named { name: name.into(), call })
}

/// The closure itself, whose type the compiler would not infer for every `'s`.
fn returning_parts<H, F>(call: F) -> F
where
    H: Host,
    F: for<'s> Fn(&mut Scope<'s, H>, Arguments<'s, H>) -> Result<Parts, Error>,
{
    call
}

pub(crate) fn in_table<H: Host>(table: &Rc<Table<H>>, slot: usize) -> NativeFunction<H::Root> {
    NativeFunction { table: Rc::clone(table) as Rc<dyn FunctionTable<H::Root>>, slot }
}

impl<H: Host> FunctionTable<H::Root> for Table<H> {
    fn call(self: Rc<Self>, slot: usize, passed: &dyn PassedArguments<H::Root>, answer: &mut Answer<'_, H::Root>) {
        let table = &self;
        let host = match table.host() {
            Ok(host) => host,
            Err(error) => return answer(Err(error)),
        };
        let Some(function) = table.function(slot) else { return answer(Err(Error::IsolateGone)) };
        // Roots that are dropped from here on are released when the function is done.
        let _entered = table.enter(&host);
        // Whoever runs script has a scope's `&mut`, so this one is the only scope that can be used until the call ends.
        let called = catch_unwind(AssertUnwindSafe(|| {
            let scope = &mut Scope { table, brand: PhantomData };
            match (function.call)(scope, Arguments { function: &function.name, passed }) {
                Ok(ref value) => answer(value.to_script(table)),
                Err(error) => answer(Err(error)),
            }
        }));
        if let Err(panic) = called {
            table.put_off(panic);
            answer(Err(Error::Function { message: format!("the native function `{}` panicked", function.name) }));
        }
    }

    fn remove(&self, slot: usize) {
        self.release_function(slot);
    }
}
