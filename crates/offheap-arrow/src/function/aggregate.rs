//! An aggregate function of JavaScript.

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, BooleanArray, new_empty_array};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use offheap_v8::v8;

use super::arguments::{Arguments, WhenNull};
use super::error::{Count, Error, Reason};
use super::groups::{AggregateState, Groups, StateField};
use super::lent::{Batch, Copies, Lent};
use super::results::{Collected, ResultType};
use super::rows::{BuiltIns, Loop, MAX_ROW_COUNT};
use super::state::{self, Loops};
use super::{script, source};

/// An aggregate function of JavaScript: rows of columns in, a value for each group out.
///
/// ```
/// use std::sync::Arc;
///
/// use offheap_arrow::arrow_array::{ArrayRef, Float64Array};
/// use offheap_arrow::arrow_schema::DataType::Float64;
/// use offheap_arrow::AggregateFunction;
/// use offheap_arrow::offheap_v8::{Isolate, ScopeExt};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let text = "({
///     state: { n: 0, sum: 0 },
///     step(st, x) { st.n++; st.sum += x },
///     merge(st, other) { st.n += other.n; st.sum += other.sum },
///     finish(st) { return st.n === 0 ? null : st.sum / st.n },
/// })";
/// let mut isolate = Isolate::new()?;
/// let means = isolate.enter(|scope| scope.with_v8(|scope| {
///     let mean = AggregateFunction::compile(scope, "mean", text, &[Float64], Float64)?;
///     let mut groups = mean.state().groups();
///     let column: ArrayRef = Arc::new(Float64Array::from(vec![Some(2.0), Some(8.0), None, Some(5.0)]));
///     mean.update(scope, &mut groups, &[column], &[0, 0, 0, 2], None, 3)?;
///     mean.finish(scope, &mut groups, 3)
/// }))?;
/// assert_eq!(*means, *(Arc::new(Float64Array::from(vec![Some(5.0), None, Some(5.0)])) as ArrayRef));
/// # Ok(())
/// # }
/// ```
///
/// The text is an expression whose value is an object. `state` has a number or a `Float64Array` in each of up to 1000 fields:
/// what a new group begins with. `step(st, ...)` adds a row to a state, `merge(st, other)` adds another state, and `finish(st)`
/// returns the result.
///
/// Script gets a state as an object. When it returns, all numbers of the object are written back, or none if one of them is no
/// number any more ([`Reason::WrongState`]). A `Float64Array` is written to in place, not replaced. To set a field that is not in
/// `state` is a TypeError in `step` and `merge`. The object is of no use later:
/// the states are in [`Groups`], which belong to Rust, and script has nothing of them between two batches.
///
/// The function has a context of its own in the scope's isolate. A row with a NULL among its arguments is left out, unless `step`
/// has a default value for the argument. Results are checked as those of a [`ScalarFunction`](super::ScalarFunction).
///
/// An `AggregateFunction` stays on the thread of its isolate, and is dropped before it.
#[derive(Debug)]
pub struct AggregateFunction {
    name: String,
    arguments: Arguments,
    result: ResultType,
    state: AggregateState,
    context: v8::Global<v8::Context>,
    loops: Loops,
    copies: Copies,
}

impl AggregateFunction {
    /// Makes a function of `text`. `name` is what errors call the function.
    ///
    /// # Errors
    /// [`Reason::UnsupportedType`] names a type that is not supported. [`Reason::Script`] for a mistake in the text, with its line
    /// and column, and for what the text throws. [`Reason::NotAnAggregate`] if its value is not such an object.
    /// [`Reason::ParameterCount`] if `step` has other parameters than a state and the arguments. [`Reason::Terminated`].
    pub fn compile(
        scope: &mut v8::PinScope<'_, '_>,
        name: &str,
        text: &str,
        arguments: &[DataType],
        result: DataType,
    ) -> Result<AggregateFunction, Error> {
        make(scope, name, text, arguments, result).map_err(|reason| Error::new(name, reason))
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

    /// The state, of which [`Groups`] are made.
    pub fn state(&self) -> &AggregateState {
        &self.state
    }

    /// The number of bytes of columns that all calls had to copy, as
    /// [`ScalarFunction::copied_bytes`](super::ScalarFunction::copied_bytes) counts them.
    pub fn copied_bytes(&self) -> u64 {
        self.copies.bytes()
    }

    /// Calls `step` for rows, each with the state of its group. `group_indices` has the group of each row. `filter` is true for
    /// the rows that take part, if these are not all. There are at least `group_count` groups afterwards, also without rows.
    ///
    /// # Errors
    /// [`Reason::Script`] for what script throws, with its place in the text and the row. [`Reason::WrongState`].
    /// [`Reason::WrongColumns`], also for a group that is not less than the number of groups. [`Reason::TooLarge`].
    /// After these, the rows before the one that is named have been added, and no others; the groups can be used again. After
    /// [`Reason::Terminated`] the groups are lost, and each later use is [`Reason::StateLost`].
    ///
    /// # Panics
    /// If the scope is not one of the isolate in which the function was made.
    pub fn update(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        groups: &mut Groups,
        columns: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<(), Error> {
        self.named(self.update_rows(scope, groups, columns, (group_indices, group_count), filter))
    }

    /// Calls `merge` for states that other [`Groups`] gave away by [`take`](Groups::take), each with the state of its group.
    ///
    /// # Errors
    /// Those of [`update`](Self::update).
    ///
    /// # Panics
    /// If the scope is not one of the isolate in which the function was made.
    pub fn merge(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        groups: &mut Groups,
        states: &[ArrayRef],
        group_indices: &[usize],
        group_count: usize,
    ) -> Result<(), Error> {
        self.named(self.merge_rows(scope, groups, states, (group_indices, group_count)))
    }

    /// Calls `finish` for the first `count` groups, and removes them: the group that came after them is then the first.
    ///
    /// # Errors
    /// [`Reason::Script`] and [`Reason::WrongResult`] have the index of the group as the row. [`Reason::WrongColumns`] if there are
    /// fewer groups. All groups are still there then. [`Reason::Terminated`], after which they are lost.
    ///
    /// # Panics
    /// If the scope is not one of the isolate in which the function was made.
    pub fn finish(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        groups: &mut Groups,
        count: usize,
    ) -> Result<ArrayRef, Error> {
        self.named(self.finish_groups(scope, groups, count))
    }

    fn named<T>(&self, result: Result<T, Reason>) -> Result<T, Error> {
        result.map_err(|reason| Error::new(&self.name, reason))
    }

    fn update_rows(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        groups: &mut Groups,
        columns: &[ArrayRef],
        (group_indices, group_count): (&[usize], usize),
        filter: Option<&BooleanArray>,
    ) -> Result<(), Reason> {
        let row_count = group_indices.len();
        self.arguments.check(columns, row_count)?;
        if let Some(filter) = filter.filter(|filter| filter.len() != row_count) {
            let [expected, given] =
                [row_count, filter.len()].map(|count| format!("a filter with {}", Count(count, "row")));
            return Err(Reason::WrongColumns { expected, given });
        }
        self.prepare(groups, row_count, group_count)?;
        let indices = groups.checked(group_indices)?;
        if row_count == 0 {
            return Ok(());
        }
        v8::scope!(let scope, scope);
        let context = v8::Local::new(scope, &self.context);
        let scope = &mut v8::ContextScope::new(scope, context);
        let columns = self.arguments.decoded(columns)?;
        let called = NullBuffer::union(self.arguments.called_rows(&columns).as_ref(), filter.map(passed).as_ref());
        let mut batch = Batch::new(&self.copies);
        batch.called(scope, called.as_ref())?;
        self.with_states(scope, groups, batch, |scope, batch| {
            batch.vec(scope, indices)?;
            scratch(scope, batch, self.state.fields())?;
            self.arguments.lend(scope, &columns, batch)?;
            self.run(scope, &self.loops.step, (batch, row_count), "step")
        })
    }

    fn merge_rows(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        groups: &mut Groups,
        states: &[ArrayRef],
        (group_indices, group_count): (&[usize], usize),
    ) -> Result<(), Reason> {
        let row_count = group_indices.len();
        self.state.check(states, row_count)?;
        self.prepare(groups, row_count, group_count)?;
        let indices = groups.checked(group_indices)?;
        if row_count == 0 {
            return Ok(());
        }
        v8::scope!(let scope, scope);
        let context = v8::Local::new(scope, &self.context);
        let scope = &mut v8::ContextScope::new(scope, context);
        let mut batch = Batch::new(&self.copies);
        batch.called(scope, None)?;
        self.with_states(scope, groups, batch, |scope, batch| {
            batch.vec(scope, indices)?;
            scratch(scope, batch, self.state.fields())?;
            for (column, field) in states.iter().zip(self.state.fields()) {
                let numbers = if field.is_array { column.as_fixed_size_list().values() } else { column };
                batch.elements::<f64>(scope, numbers.as_primitive::<Float64Type>().values().inner())?;
            }
            scratch(scope, batch, self.state.fields())?;
            self.run(scope, &self.loops.merge, (batch, row_count), "merge")
        })
    }

    fn finish_groups(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        groups: &mut Groups,
        count: usize,
    ) -> Result<ArrayRef, Reason> {
        groups.check_count(count)?;
        self.prepare(groups, count, 0)?;
        if count == 0 {
            return Ok(new_empty_array(self.result.data_type()));
        }
        v8::scope!(let scope, scope);
        let context = v8::Local::new(scope, &self.context);
        let scope = &mut v8::ContextScope::new(scope, context);
        let mut batch = Batch::new(&self.copies);
        batch.called(scope, None)?;
        let column = self.with_states(scope, groups, batch, |scope, batch| {
            scratch(scope, batch, self.state.fields())?;
            let results = self.result.lend(scope, count, None, &mut batch.arguments)?;
            let arguments = batch.piece(scope, (0, count))?;
            let outcome = self.loops.finish.run(scope, &self.name, &arguments);
            results.end(scope)?;
            match outcome? {
                Ok(extra) => {
                    let mut collected = Collected::default();
                    self.result.collect(scope, extra, (count, count), &mut collected)?;
                    self.result.column(scope, results, collected)
                }
                Err(wrong) => Err(self.result.wrong_value(scope, &wrong)),
            }
        })?;
        groups.forget(count);
        Ok(column)
    }

    fn run<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        rows: &Loop,
        (batch, row_count): (&Batch<'_, 's>, usize),
        method: &'static str,
    ) -> Result<(), Reason> {
        let arguments = batch.piece(scope, (0, row_count))?;
        match rows.run(scope, &self.name, &arguments)? {
            Ok(_) => Ok(()),
            Err(wrong) => Err(state::wrong(scope, &self.state, method, &wrong)),
        }
    }

    /// Lends the states to script while `work` runs, as the next arguments of a loop.
    fn with_states<'a, 's, 'i, R>(
        &self,
        scope: &mut v8::PinScope<'s, 'i>,
        groups: &mut Groups,
        mut batch: Batch<'a, 's>,
        work: impl FnOnce(&mut v8::PinScope<'s, 'i>, &mut Batch<'a, 's>) -> Result<R, Reason>,
    ) -> Result<R, Reason> {
        groups.lend(|columns| {
            let mut states = Vec::with_capacity(columns.len());
            let mut result = Ok(());
            for column in columns.iter_mut() {
                match Lent::of(scope, column) {
                    Ok(lent) => states.push(lent),
                    Err(reason) => {
                        result = Err(reason);
                        break;
                    }
                }
            }
            let result = result.and_then(|()| {
                for lent in &states {
                    batch.arguments.push(lent.array::<f64>(scope)?);
                }
                work(scope, &mut batch)
            });
            let ended = batch.end(scope);
            let mut back = Ok(());
            for (lent, column) in states.into_iter().zip(columns) {
                match lent.end(scope).and_then(|()| lent.into_vec()) {
                    Ok(vec) => *column = vec,
                    Err(reason) => back = Err(reason),
                }
            }
            // Script may have been stopped in the middle of a state.
            let is_back = back.is_ok() && !result.as_ref().is_err_and(Reason::is_terminated);
            (is_back, result.and_then(|done| ended.and(back).map(|()| done)))
        })
    }

    /// Checks the groups, and makes new ones.
    fn prepare(&self, groups: &mut Groups, row_count: usize, group_count: usize) -> Result<(), Reason> {
        if row_count > MAX_ROW_COUNT {
            return Err(Reason::TooLarge { unit: "rows", given: row_count, limit: MAX_ROW_COUNT });
        }
        let [expected, given] = [&self.state, groups.state()];
        if !expected.columns().eq(given.columns()) {
            let [expected, given] = [expected, given].map(|state| format!("groups with {}", state::described(state)));
            return Err(Reason::WrongColumns { expected, given });
        }
        groups.grow(group_count)
    }
}

/// The rows for which a filter is true.
fn passed(filter: &BooleanArray) -> NullBuffer {
    match filter.nulls() {
        None => NullBuffer::new(filter.values().clone()),
        Some(nulls) => NullBuffer::new(filter.values() & nulls.inner()),
    }
}

/// An array for each field of the state that is one: script gets the numbers of a group in it.
fn scratch<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    batch: &mut Batch<'_, 's>,
    fields: &[StateField],
) -> Result<(), Reason> {
    fields.iter().filter(|field| field.is_array).try_for_each(|field| batch.scratch(scope, vec![0.0; field.width()]))
}

fn make(
    scope: &mut v8::PinScope<'_, '_>,
    name: &str,
    text: &str,
    arguments: &[DataType],
    result: DataType,
) -> Result<AggregateFunction, Reason> {
    let mut arguments = Arguments::new(arguments)?;
    let result = ResultType::new(result)?;
    v8::scope!(let scope, scope);
    let context = v8::Context::new(scope, v8::ContextOptions::default());
    let scope = &mut v8::ContextScope::new(scope, context);
    let built_ins = BuiltIns::take(scope)?;
    let value = source::value_of(scope, name, text)?;
    let (object, state) = state::of_object(scope, name, value)?;
    let step = state::property(scope, name, object, "step")?;
    let step = v8::Local::<v8::Function>::try_from(step).map_err(|_| script::FAILED)?;
    let has_default =
        source::defaults(scope, &built_ins, step, arguments.types().len() + 1).map_err(|reason| match reason {
            Reason::ParameterCount { declared, expected } => state::parameters("step", declared, expected),
            other => other,
        })?;
    arguments.when_null(has_default.into_iter().skip(1).map(|has_default| match has_default {
        true => WhenNull::Undefined,
        false => WhenNull::NoCall,
    }));
    let loops = Loops::around(scope, &built_ins, object, &state, (&arguments, &result))?;
    let context = v8::Global::new(scope, context);
    let (name, copies) = (name.to_owned(), Copies::default());
    Ok(AggregateFunction { name, arguments, result, state, context, loops, copies })
}
