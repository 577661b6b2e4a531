//! JavaScript functions as scalar functions of DataFusion.

use std::any::Any;
use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue, not_impl_err};
use datafusion::execution::context::RegisterFunction;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use offheap_arrow::Reason;

use crate::Error;
use crate::aggregate::Aggregate;
use crate::coerce;
use crate::definition::{Definition, Kind, Nulls};
use crate::engine;
use crate::failures::Failures;
use crate::settings::Limits;

/// A definition, and what it may use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Function {
    pub(crate) definition: Arc<Definition>,
    pub(crate) limits: Limits,
}

/// Makes a scalar function, to register in a session or to use in an expression.
///
/// `text` is a function such as `(x, y) => x * y`, with as many parameters as there are `types`. It is VOLATILE, and gives
/// NULL for NULL. In a session with [`JavaScript::install`](crate::JavaScript::install), it has the session's limits.
///
/// ```
/// use datafusion::arrow::datatypes::DataType;
/// use datafusion::prelude::SessionContext;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> datafusion::common::Result<()> {
/// let context = SessionContext::new();
/// context.register_udf(offheap_datafusion::udf("twice", "x => x * 2", &[DataType::Float64], DataType::Float64)?);
/// let rows = context.sql("SELECT twice(21)").await?.to_string().await?;
/// assert!(rows.contains("42.0"), "{rows}");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error`](crate::Error) for a mistake in the text, with its line and column, and for a type that JavaScript functions do
/// not take; for a thread that is older than V8.
pub fn udf(name: &str, text: &str, types: &[DataType], result: DataType) -> Result<ScalarUDF> {
    let function = scalar(Definition::new(name, text, types, result), Limits::default())?;
    Ok(Scalar::new(function).into())
}

/// Makes what DataFusion registers. The text says whether it is a scalar function or an aggregate.
pub(crate) fn register(definition: Definition, limits: Limits) -> Result<RegisterFunction> {
    let not_a_function = match scalar(definition.clone(), limits) {
        Ok(function) => return Ok(RegisterFunction::Scalar(Arc::new(Scalar::new(function).into()))),
        Err(Error::Function(error)) if matches!(error.reason(), Reason::NotAFunction { .. }) => error,
        Err(error) => return Err(error.into()),
    };
    let called = definition.nulls == Nulls::Called;
    match aggregate(definition, limits) {
        Ok(function) if called => not_impl_err!(
            "JavaScript function {}: CALLED ON NULL INPUT of an aggregate; give the parameter of `step` a default value",
            function.definition.name
        ),
        Ok(function) => Ok(RegisterFunction::Aggregate(Arc::new(Aggregate::new(function).into()))),
        // Neither: a value such as a number.
        Err(Error::Function(error)) if matches!(error.reason(), Reason::NotAnAggregate { part, .. } if part == "text") => {
            Err(Error::Function(not_a_function).into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Compiles the text of a scalar function.
fn scalar(definition: Definition, limits: Limits) -> Result<Function, Error> {
    let function = Function { definition: Arc::new(definition), limits };
    engine::scalar(&function, |_, _| Ok(()))?;
    Ok(function)
}

/// Compiles the text of an aggregate, and finds out what its state is.
pub(crate) fn aggregate(mut definition: Definition, limits: Limits) -> Result<Function, Error> {
    if definition.parameters.is_empty() {
        return Err(Error::NoParameter { function: definition.name });
    }
    definition.kind = Kind::Aggregate { state: Vec::new() };
    let mut function = Function { definition: Arc::new(definition.clone()), limits };
    let state = engine::aggregate(&function, |_, compiled| {
        Ok(compiled.state().columns().map(|(name, data_type)| (name.to_owned(), data_type)).collect())
    })?;
    function.definition = Arc::new(Definition { kind: Kind::Aggregate { state }, ..definition });
    Ok(function)
}

/// A JavaScript function that gives a value for each row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scalar {
    function: Function,
    signature: Signature,
    /// For a function of one plan. One that is registered forgets its errors: the next query may have another result.
    failures: Failures,
}

impl Scalar {
    pub(crate) fn new(function: Function) -> Self {
        let signature = Signature::new(TypeSignature::UserDefined, function.definition.volatility);
        Scalar { function, signature, failures: Failures::default() }
    }

    /// Makes the function for one plan. All its calls in this plan share the memory of failures.
    pub(crate) fn in_plan(function: Function) -> Self {
        Scalar { failures: Failures::kept(), ..Scalar::new(function) }
    }

    /// The function in one of DataFusion's, if it is JavaScript.
    pub(crate) fn of(function: &ScalarUDF) -> Option<&Scalar> {
        (function.inner().as_ref() as &dyn Any).downcast_ref()
    }

    pub(crate) fn function(&self) -> &Function {
        &self.function
    }

    /// The error of a call of constants in this plan.
    pub(crate) fn failed_call(&self) -> Option<DataFusionError> {
        self.failures.any()
    }

    fn call(&self, columns: &[ArrayRef], row_count: usize) -> Result<ArrayRef> {
        Ok(engine::scalar(&self.function, |scope, function| function.call(scope, columns, row_count))?)
    }

    /// Calls with constants.
    fn call_once(&self, arguments: Vec<ScalarValue>) -> Result<ScalarValue> {
        let columns = arguments.iter().map(ScalarValue::to_array).collect::<Result<Vec<_>>>()?;
        self.failures.call(arguments, || ScalarValue::try_from_array(&self.call(&columns, 1)?, 0))
    }
}

impl ScalarUDFImpl for Scalar {
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

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = |value: &ColumnarValue| match value {
            ColumnarValue::Scalar(value) => Some(value.clone()),
            ColumnarValue::Array(_) => None,
        };
        if self.signature.volatility != Volatility::Volatile
            && let Some(arguments) = call.args.iter().map(constant).collect::<Option<Vec<_>>>()
        {
            return Ok(ColumnarValue::Scalar(self.call_once(arguments)?));
        }
        let columns = call.args.iter().map(|value| value.to_array(call.number_rows)).collect::<Result<Vec<_>>>()?;
        Ok(ColumnarValue::Array(self.call(&columns, call.number_rows)?))
    }
}
