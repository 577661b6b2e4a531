//! JavaScript functions as aggregate functions of DataFusion. The states of groups are columns that Rust owns.

use std::any::Any;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, BooleanArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, not_impl_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, TypeSignature,
};
use offheap_arrow::Groups;

use crate::coerce;
use crate::definition::{Definition, Kind};
use crate::engine;
use crate::function::{self, Function};
use crate::settings::Limits;

/// Makes an aggregate function, to register in a session or to use in an expression.
///
/// `text` is an object with a `state`, and the methods `step(st, x)`, `merge(st, other)` and `finish(st)`. A `step` has a
/// parameter for the state and one for each of the `types`. In a session with
/// [`JavaScript::install`](crate::JavaScript::install), the function has the session's limits.
///
/// ```
/// use datafusion::arrow::datatypes::DataType;
/// use datafusion::prelude::SessionContext;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> datafusion::common::Result<()> {
/// let text = "{
///     state: { n: 0, logs: 0 },
///     step(st, x) { st.n++; st.logs += Math.log(x) },
///     merge(st, other) { st.n += other.n; st.logs += other.logs },
///     finish(st) { return st.n === 0 ? null : Math.exp(st.logs / st.n) },
/// }";
/// let context = SessionContext::new();
/// context.register_udaf(offheap_datafusion::udaf("geomean", text, &[DataType::Float64], DataType::Float64)?);
/// let rows = context.sql("SELECT geomean(x) FROM (VALUES (1.0), (4.0), (16.0)) AS t(x)").await?.to_string().await?;
/// assert!(rows.contains("| 4.0"), "{rows}");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error`](crate::Error) for a mistake in the text, with its line and column, and for a type that JavaScript functions do
/// not take; for a thread that is older than V8.
pub fn udaf(name: &str, text: &str, types: &[DataType], result: DataType) -> Result<AggregateUDF> {
    let definition = Definition::new(name, text, types, result);
    let function = function::aggregate(definition, Limits::default())?;
    Ok(Aggregate::new(function).into())
}

/// A JavaScript function that gives a value for each group of rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Aggregate {
    function: Function,
    signature: Signature,
}

impl Aggregate {
    pub(crate) fn new(function: Function) -> Self {
        let signature = Signature::new(TypeSignature::UserDefined, function.definition.volatility);
        Aggregate { function, signature }
    }

    /// The function in one of DataFusion's, if it is JavaScript.
    pub(crate) fn of(function: &AggregateUDF) -> Option<&Aggregate> {
        (function.inner().as_ref() as &dyn Any).downcast_ref()
    }

    pub(crate) fn function(&self) -> &Function {
        &self.function
    }

    pub(crate) fn with_limits(&self, limits: Limits) -> AggregateUDF {
        Aggregate::new(Function { definition: Arc::clone(&self.function.definition), limits }).into()
    }

    fn states(&self, arguments: &AccumulatorArgs<'_>) -> Result<States> {
        let name = &self.function.definition.name;
        if arguments.is_distinct {
            return not_impl_err!("JavaScript function {name}: DISTINCT; aggregate over a query with SELECT DISTINCT");
        }
        if !arguments.order_bys.is_empty() {
            return not_impl_err!(
                "JavaScript function {name}: ORDER BY in its arguments; leave it out, since an aggregate gets rows in any order"
            );
        }
        let groups = engine::aggregate(&self.function, |_, function| Ok(function.state().groups()))?;
        Ok(States { function: self.function.clone(), groups })
    }
}

impl AggregateUDFImpl for Aggregate {
    fn name(&self) -> &str {
        &self.function.definition.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.function.definition.result.clone())
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        coerce::arguments(&self.function.definition, types)
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let Kind::Aggregate { state } = &self.function.definition.kind else { unreachable!("made of an aggregate") };
        let field = |(name, data_type): &(String, DataType)| {
            Arc::new(Field::new(format_state_name(arguments.name, name), data_type.clone(), true))
        };
        Ok(state.iter().map(field).collect())
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(self.states(&arguments)?))
    }

    fn create_sliding_accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        not_impl_err!(
            "JavaScript function {}: a window frame that loses rows; begin it with UNBOUNDED PRECEDING, or join the table with itself",
            self.function.definition.name
        )
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs<'_>) -> bool {
        // `accumulator` refuses the others.
        !arguments.is_distinct && arguments.order_bys.is_empty()
    }

    fn create_groups_accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.states(&arguments)?))
    }
}

/// The states of all groups of a part of a query, or of one group that is all rows.
#[derive(Debug)]
struct States {
    function: Function,
    groups: Groups,
}

impl States {
    fn update(
        &mut self,
        columns: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<()> {
        let groups = &mut self.groups;
        Ok(engine::aggregate(&self.function, |scope, function| {
            function.update(scope, groups, columns, group_indices, filter, group_count)
        })?)
    }

    fn merge(&mut self, states: &[ArrayRef], group_indices: &[usize], group_count: usize) -> Result<()> {
        let groups = &mut self.groups;
        Ok(engine::aggregate(&self.function, |scope, function| {
            function.merge(scope, groups, states, group_indices, group_count)
        })?)
    }

    fn count(&self, emit: EmitTo) -> usize {
        match emit {
            EmitTo::All => self.groups.len(),
            EmitTo::First(count) => count,
        }
    }

    /// The state of the only group, as a copy: a window function goes on with the state.
    fn only(&mut self) -> Result<Groups> {
        if self.groups.is_empty() {
            let nothing: Vec<ArrayRef> =
                self.function.definition.types().iter().map(datafusion::arrow::array::new_empty_array).collect();
            self.update(&nothing, &[], None, 1)?;
        }
        Ok(self.groups.clone())
    }
}

impl GroupsAccumulator for States {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        group_count: usize,
    ) -> Result<()> {
        self.update(values, group_indices, filter, group_count)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], group_indices: &[usize], group_count: usize) -> Result<()> {
        self.merge(states, group_indices, group_count)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let count = self.count(emit);
        let groups = &mut self.groups;
        Ok(engine::aggregate(&self.function, |scope, function| function.finish(scope, groups, count))?)
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let count = self.count(emit);
        Ok(self.groups.take(count).map_err(crate::Error::from)?)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let row_count = values.first().map_or(0, |column| column.len());
        let mut each = States { function: self.function.clone(), groups: self.groups.state().groups() };
        let group_indices: Vec<usize> = (0..row_count).collect();
        each.update(values, &group_indices, filter, row_count)?;
        GroupsAccumulator::state(&mut each, EmitTo::All)
    }

    fn size(&self) -> usize {
        self.groups.byte_size()
    }
}

impl Accumulator for States {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let row_count = values.first().map_or(0, |column| column.len());
        self.update(values, &vec![0; row_count], None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let row_count = states.first().map_or(0, |column| column.len());
        self.merge(states, &vec![0; row_count], 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut group = self.only()?;
        let result = engine::aggregate(&self.function, |scope, function| function.finish(scope, &mut group, 1))?;
        ScalarValue::try_from_array(&result, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let mut group = self.only()?;
        let columns = group.take(1).map_err(crate::Error::from)?;
        columns.iter().map(|column| ScalarValue::try_from_array(column, 0)).collect()
    }

    fn size(&self) -> usize {
        self.groups.byte_size()
    }
}
