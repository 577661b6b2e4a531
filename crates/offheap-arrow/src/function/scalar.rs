//! A function of JavaScript that is called for each row of a batch.

use arrow_array::{ArrayRef, new_empty_array};
use arrow_schema::DataType;
use offheap_v8::v8;

use super::arguments::{Arguments, WhenNull};
use super::error::{Error, Reason};
use super::lent::{Batch, Copies};
use super::results::{Collected, ResultType};
use super::rows::{BuiltIns, Code, Loop, MAX_ROW_COUNT};
use super::source;

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
/// | type of the column | in script | a result may be |
/// |---|---|---|
/// | `Boolean` | a boolean | the same |
/// | `Int8`, `Int16`, `Int32`, `UInt8`, `UInt16`, `UInt32` | a Number | a whole Number in range |
/// | `Int64` | a Number, or a BigInt beyond 2^53 - 1 | a whole Number up to 2^53 - 1, or a BigInt of 64 bits |
/// | `Float32`, `Float64` | a Number | a Number, rounded for `Float32` |
/// | `Utf8`, `LargeUtf8`, `Utf8View` | a string | a string; half of a surrogate pair becomes U+FFFD |
/// | `Date32`, `Date64`, `Timestamp` | a Number, the milliseconds since 1970 | such a Number: of whole days, milliseconds, or seconds; rounded for finer units |
/// | `Binary`, `LargeBinary`, `BinaryView` | a `Uint8Array` over the column, read-only | a `Uint8Array` |
/// | `List`, `FixedSizeList` of numbers without NULLs | a typed array over the column, read-only; a `BigInt64Array` for `Int64` | an array or typed array of such numbers, not for `Int64` |
/// | `Dictionary` | what its values are | |
///
/// A typed array shows its row, and its `buffer` shows rows beside it, and up to 7 bytes of memory before the column. Script may keep
/// it, which keeps the column's memory.
///
/// A row with a NULL among its arguments has the result NULL, without a call: in JavaScript, `null * 2 + 1` is 1. If the parameter for
/// it, or one before that, has a default value, the function is called, and the argument is `undefined`, so that the default value
/// applies: `(x = 0) => x + 1`. A function that returns `null` or `undefined` makes a NULL too. Results are checked, and nothing is
/// converted: [`Reason::WrongResult`] names the row.
///
/// A `ScalarFunction` stays on the thread of its isolate, and is dropped before it.
#[derive(Debug)]
pub struct ScalarFunction {
    name: String,
    arguments: Arguments,
    result: ResultType,
    context: v8::Global<v8::Context>,
    rows: Loop,
    copies: Copies,
}

/// What a [`ScalarFunction`] is made of; see [`ScalarFunction::builder`].
#[derive(Clone, Debug)]
pub struct ScalarFunctionBuilder {
    name: String,
    text: String,
    arguments: Vec<DataType>,
    result: DataType,
    parameter_names: Option<Vec<String>>,
    called_on_null_input: bool,
}

impl ScalarFunctionBuilder {
    /// Names the parameters, one for each argument. The text may then be the body of a function, such as `return x * 2`. V8
    /// decides which it is: the text is compiled as an expression first. A body has a `return`; without one it is
    /// [`Reason::NoReturn`].
    pub fn parameter_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.parameter_names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Calls the function for rows with NULLs, too: the arguments are `null` then. This is `CALLED ON NULL INPUT` in SQL. Default
    /// values of parameters do not apply, since `null` is a value.
    pub fn called_on_null_input(mut self) -> Self {
        self.called_on_null_input = true;
        self
    }

    /// Makes the function. See [`ScalarFunction::compile`].
    ///
    /// # Errors
    /// Those of [`ScalarFunction::compile`]. [`Reason::ParameterName`] if V8 does not take a name. [`Reason::NoReturn`].
    pub fn compile(self, scope: &mut v8::PinScope<'_, '_>) -> Result<ScalarFunction, Error> {
        let name = self.name.clone();
        make(scope, self).map_err(|reason| Error::new(&name, reason))
    }
}

impl ScalarFunction {
    /// Makes a function of `text`, which is an expression whose value is a function, such as `(x, y) => x * y` or
    /// `function (x) { return Math.sqrt(x) }`, with or without a semicolon after it. The text is compiled and run in a
    /// new context of the scope's isolate. `name` is what errors call the function.
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

    /// A function that has more to it than [`compile`](Self::compile) takes: names of its parameters, or calls with NULLs.
    pub fn builder(name: &str, text: &str, arguments: &[DataType], result: DataType) -> ScalarFunctionBuilder {
        let (name, text, arguments) = (name.to_owned(), text.to_owned(), arguments.to_vec());
        ScalarFunctionBuilder { name, text, arguments, result, parameter_names: None, called_on_null_input: false }
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
        self.result.data_type()
    }

    /// The number of bytes of columns that all calls had to copy, because their memory could not be lent to script: it begins at
    /// no multiple of 8, or V8 was started without immutable buffers. It stays 0 for the memory of Arrow's own arrays, however
    /// they are sliced.
    pub fn copied_bytes(&self) -> u64 {
        self.copies.bytes()
    }

    fn call_rows(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        columns: &[ArrayRef],
        row_count: usize,
    ) -> Result<ArrayRef, Reason> {
        self.arguments.check(columns, row_count)?;
        if row_count == 0 {
            return Ok(new_empty_array(self.result.data_type()));
        }
        if row_count > MAX_ROW_COUNT {
            return Err(Reason::TooLarge { unit: "rows", given: row_count, limit: MAX_ROW_COUNT });
        }
        v8::scope!(let scope, scope);
        let context = v8::Local::new(scope, &self.context);
        let scope = &mut v8::ContextScope::new(scope, context);
        let columns = self.arguments.decoded(columns)?;
        let called = self.arguments.called_rows(&columns);
        let mut batch = Batch::new(&self.copies);
        batch.called(scope, called.as_ref())?;
        let results = self.result.lend(scope, row_count, called.as_ref(), &mut batch.arguments)?;
        let lent = self.arguments.lend(scope, &columns, &mut batch);
        let outcome = lent.and_then(|()| self.run(scope, &batch, row_count));
        // Also after an error, script has none of the memory.
        let ended = batch.end(scope).and(results.end(scope));
        let collected = outcome?;
        ended?;
        self.result.column(scope, results, collected)
    }

    /// Runs over all rows of a batch, a piece at a time.
    fn run<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        batch: &Batch<'_, 's>,
        row_count: usize,
    ) -> Result<Collected, Reason> {
        let mut collected = Collected::default();
        let piece_row_count = self.result.piece_row_count(batch, row_count);
        for begin in (0..row_count).step_by(piece_row_count) {
            // V8 forgets the strings of a piece with this scope.
            v8::scope!(let scope, scope);
            let end = row_count.min(begin + piece_row_count);
            let arguments = batch.piece(scope, (begin, end))?;
            match self.rows.run(scope, &self.name, &arguments)? {
                Ok(extra) => self.result.collect(scope, extra, (end, row_count), &mut collected)?,
                Err(wrong) => return Err(self.result.wrong_value(scope, &wrong)),
            }
        }
        Ok(collected)
    }
}

fn make(scope: &mut v8::PinScope<'_, '_>, from: ScalarFunctionBuilder) -> Result<ScalarFunction, Reason> {
    let mut arguments = Arguments::new(&from.arguments)?;
    let result = ResultType::new(from.result)?;
    v8::scope!(let scope, scope);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    let built_ins = BuiltIns::take(scope)?;
    let user =
        source::function_of(scope, &from.name, &from.text, from.parameter_names.as_deref(), from.arguments.len())?;
    let has_default = source::defaults(scope, &built_ins, user, from.arguments.len())?;
    arguments.when_null(has_default.into_iter().map(|has_default| match (from.called_on_null_input, has_default) {
        (true, _) => WhenNull::Null,
        (false, true) => WhenNull::Undefined,
        (false, false) => WhenNull::NoCall,
    }));
    let body = format!("const r = f({}); {}", arguments.values(), result.store());
    let parameters = format!("{}{}", result.parameters(), arguments.parameters());
    let is_in_pieces = arguments.have_text() || result.is_text();
    let code = Code { is_in_pieces, before: "", parameters: &parameters, extra: &result.extra(), body: &body };
    let rows = Loop::around(scope, &built_ins, user.into(), code)?;
    let context = v8::Global::new(scope, context);
    let copies = Copies::default();
    Ok(ScalarFunction { name: from.name, arguments, result, context, rows, copies })
}
