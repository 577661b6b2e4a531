//! A function of JavaScript that is called for each row of a batch.

use arrow_array::{ArrayRef, new_empty_array};
use arrow_schema::DataType;
use offheap_v8::v8;

use super::arguments::Arguments;
use super::error::{Error, Reason};
use super::lent::Lender;
use super::results::{self, Results};
use super::rows::{self, MAX_ROW_COUNT};
use super::{script, text};

/// A function of JavaScript that is called for each row of a batch: columns in, a column out.
///
/// ```
/// use std::sync::Arc;
///
/// use offheap_arrow::arrow_array::{ArrayRef, Float64Array};
/// use offheap_arrow::arrow_schema::DataType::Float64;
/// use offheap_arrow::ScalarFunction;
/// use offheap_arrow::offheap_v8::{Isolate, ScopeExt};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut isolate = Isolate::new()?;
/// let result = isolate.enter(|scope| scope.with_v8(|scope| {
///     let double = ScalarFunction::compile(scope, "double", "x => x * 2 + 1", &[Float64], Float64)?;
///     let column: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(2.5)]));
///     double.call(scope, &[column], 3)
/// }))?;
/// assert_eq!(*result, *(Arc::new(Float64Array::from(vec![Some(3.0), None, Some(6.0)])) as ArrayRef));
/// # Ok(())
/// # }
/// ```
///
/// Script gets the numbers out of the column's own memory, and writes results into the memory of the new column. The function has
/// a context of its own in the scope's isolate, so it sees no other function, and none sees what it does to built-in objects. Its
/// globals live as long as it does.
///
/// A row with a NULL among its arguments has the result NULL, without a call. A function that returns `null` or `undefined` makes
/// a NULL too. Results are checked, and nothing is converted: [`Reason::WrongResult`] names the row.
///
/// A `ScalarFunction` stays on the thread of its isolate, and is dropped before it.
#[derive(Debug)]
pub struct ScalarFunction {
    name: String,
    arguments: Arguments,
    result: DataType,
    context: v8::Global<v8::Context>,
    run: v8::Global<v8::Function>,
    report: v8::Global<v8::Function>,
    lender: Lender,
}

/// What a [`ScalarFunction`] is made of; see [`ScalarFunction::builder`].
#[derive(Clone, Debug)]
pub struct ScalarFunctionBuilder {
    name: String,
    text: String,
    arguments: Vec<DataType>,
    result: DataType,
    parameter_names: Option<Vec<String>>,
}

impl ScalarFunctionBuilder {
    /// Names the parameters, one for each argument. The text may then be the body of a function, such as `return x * 2`. V8
    /// decides which it is: the text is compiled as an expression first.
    pub fn parameter_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.parameter_names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Makes the function. See [`ScalarFunction::compile`].
    ///
    /// # Errors
    /// Those of [`ScalarFunction::compile`]. [`Reason::ParameterName`] if V8 does not take a name.
    pub fn compile(self, scope: &mut v8::PinScope<'_, '_>) -> Result<ScalarFunction, Error> {
        let name = self.name.clone();
        make(scope, self).map_err(|reason| Error::new(&name, reason))
    }
}

impl ScalarFunction {
    /// Makes a function of `text`, which is an expression whose value is a function, such as `(x, y) => x * y` or
    /// `function (x) { return Math.sqrt(x) }`. The text is compiled and run in a new context of the scope's isolate. `name` is
    /// what errors call the function.
    ///
    /// # Errors
    /// [`Reason::UnsupportedType`] names a type that is not supported. [`Reason::Script`] for a mistake in the text, with its line
    /// and column, and for what the text throws. [`Reason::NotAFunction`]. [`Reason::ParameterCount`]. [`Reason::Terminated`].
    pub fn compile(
        scope: &mut v8::PinScope<'_, '_>,
        name: &str,
        text: &str,
        arguments: &[DataType],
        result: DataType,
    ) -> Result<ScalarFunction, Error> {
        Self::builder(name, text, arguments, result).compile(scope)
    }

    /// A function that has more to it than [`compile`](Self::compile) takes: names of its parameters.
    pub fn builder(name: &str, text: &str, arguments: &[DataType], result: DataType) -> ScalarFunctionBuilder {
        let (name, text, arguments) = (name.to_owned(), text.to_owned(), arguments.to_vec());
        ScalarFunctionBuilder { name, text, arguments, result, parameter_names: None }
    }

    /// Calls the function for each of `row_count` rows. A function without arguments is called as often, too.
    ///
    /// # Errors
    /// [`Reason::Script`] for what script throws, with its place in the text and the row. [`Reason::WrongResult`].
    /// [`Reason::Terminated`]. [`Reason::WrongColumns`]. [`Reason::TooLarge`]. The function can be called again after each of
    /// them.
    ///
    /// # Panics
    /// If the scope is not one of the isolate in which the function was made.
    pub fn call(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        columns: &[ArrayRef],
        row_count: usize,
    ) -> Result<ArrayRef, Error> {
        self.call_rows(scope, columns, row_count).map_err(|reason| Error::new(&self.name, reason))
    }

    /// The name of the function.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The types of the arguments.
    pub fn arguments(&self) -> &[DataType] {
        self.arguments.types()
    }

    /// The type of the result.
    pub fn result(&self) -> &DataType {
        &self.result
    }

    /// The number of bytes of columns that all calls had to copy, because their memory could not be lent to script: it begins at
    /// no multiple of 8, or V8 was started without immutable buffers. It stays 0 for the memory of Arrow's own arrays, however
    /// they are sliced.
    pub fn copied_bytes(&self) -> u64 {
        self.lender.copied_bytes()
    }

    fn call_rows(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        columns: &[ArrayRef],
        row_count: usize,
    ) -> Result<ArrayRef, Reason> {
        self.arguments.check(columns, row_count)?;
        if row_count == 0 {
            return Ok(new_empty_array(&self.result));
        }
        if row_count > MAX_ROW_COUNT {
            return Err(Reason::TooLarge { unit: "rows", given: row_count, limit: MAX_ROW_COUNT });
        }
        v8::scope!(let scope, scope);
        let context = v8::Local::new(scope, &self.context);
        let scope = &mut v8::ContextScope::new(scope, context);
        let called = self.arguments.called_rows(columns);
        let undefined: v8::Local<v8::Value> = v8::undefined(scope).into();
        let mut arguments: Vec<v8::Local<v8::Value>> = vec![v8::Number::new(scope, row_count as f64).into()];
        match &called {
            None => arguments.extend([undefined; 2]),
            Some(called) => arguments.extend(self.lender.bits(scope, called.inner())?),
        }
        let results = Results::lend(scope, &self.result, row_count, called.as_ref(), &mut arguments)?;
        let lent = self.arguments.lend(scope, &self.lender, columns, &mut arguments);
        let outcome = lent.and_then(|()| self.run(scope, &arguments));
        // Also after an error, script has none of the memory.
        let ended = results.end(scope);
        outcome?;
        ended?;
        results.into_array(&self.result, row_count)
    }

    /// Calls the loop.
    fn run<'s>(&self, scope: &mut v8::PinScope<'s, '_>, arguments: &[v8::Local<'s, v8::Value>]) -> Result<(), Reason> {
        let run = v8::Local::new(scope, &self.run);
        let undefined = v8::undefined(scope).into();
        match script::catching(scope, &self.name, |scope| run.call(scope, undefined, arguments)) {
            Ok(done) if done.is_true() => Ok(()),
            Ok(_) => {
                let (row, wrong) = self.report(scope)?;
                let (value, value_type) = (script::described(scope, wrong), type_of(scope, wrong));
                Err(Reason::WrongResult { row, value, value_type, expected: self.result.clone() })
            }
            Err(Reason::Script { message, place, .. }) => {
                let row = Some(self.report(scope)?.0);
                Err(Reason::Script { message, place, row })
            }
            Err(reason) => Err(reason),
        }
    }

    /// The row that the loop ended at, and what the function returned for it if that is the reason.
    fn report<'s>(&self, scope: &mut v8::PinScope<'s, '_>) -> Result<(usize, v8::Local<'s, v8::Value>), Reason> {
        let report = v8::Local::new(scope, &self.report);
        let undefined = v8::undefined(scope).into();
        script::catching(scope, &self.name, |scope| {
            let list = v8::Local::<v8::Object>::try_from(report.call(scope, undefined, &[])?).ok()?;
            let row = list.get_index(scope, 0)?.integer_value(scope)?;
            Some((usize::try_from(row).ok()?, list.get_index(scope, 1)?))
        })
    }
}

fn type_of<'s>(scope: &mut v8::PinScope<'s, '_>, value: v8::Local<'s, v8::Value>) -> String {
    value.type_of(scope).to_rust_string_lossy(scope)
}

fn make(scope: &mut v8::PinScope<'_, '_>, from: ScalarFunctionBuilder) -> Result<ScalarFunction, Reason> {
    let arguments = Arguments::new(&from.arguments)?;
    results::check_type(&from.result)?;
    v8::scope!(let scope, scope);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    let body = format!("const r = f({}); {}", arguments.values(), results::store(&from.result));
    let parameters = format!("{}{}", results::PARAMETERS, arguments.parameters());
    // Before the user's text, which may replace built-in functions.
    let make_loop = function(script::run_own(scope, &rows::script(&parameters, &body))?)?;
    let user = text::function_of(scope, &from.name, &from.text, from.parameter_names.as_deref())?;
    text::check_parameters(scope, user, from.arguments.len())?;
    let undefined = v8::undefined(scope).into();
    let made = script::catching(scope, &from.name, |scope| make_loop.call(scope, undefined, &[user.into()]))?;
    let part = |index| -> Result<v8::Global<v8::Function>, Reason> {
        let list = v8::Local::<v8::Object>::try_from(made).map_err(|_| FAILED)?;
        let part = function(list.get_index(scope, index).ok_or(FAILED)?)?;
        Ok(v8::Global::new(scope, part))
    };
    let (run, report) = (part(0)?, part(1)?);
    let context = v8::Global::new(scope, context);
    let (name, result, lender) = (from.name, from.result, Lender::default());
    Ok(ScalarFunction { name, arguments, result, context, run, report, lender })
}

const FAILED: offheap_v8::Error = offheap_v8::Error::EngineFailed { engine: "V8", attempted: "make a loop" };

fn function(value: v8::Local<'_, v8::Value>) -> Result<v8::Local<'_, v8::Function>, Reason> {
    v8::Local::try_from(value).map_err(|_| FAILED.into())
}
