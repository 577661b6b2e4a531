//! What a statement says of a function: all that a thread or a machine needs to run it.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::Volatility;
use offheap_arrow::{AggregateFunction, ScalarFunction};
use offheap_v8::v8::PinScope;

/// One parameter of a function. Its name is what a body calls it. A parameter of a function's text needs none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Parameter {
    pub(crate) name: Option<String>,
    pub(crate) data_type: DataType,
}

/// What a row with a NULL argument gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Nulls {
    /// NULL, without a call of the function: `STRICT`, and if nothing is said.
    Strict,
    /// What the function makes of `null`: `CALLED ON NULL INPUT`.
    Called,
}

/// What a function is called for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// For each row.
    Scalar,
    /// For groups of rows, with a state of these columns.
    Aggregate { state: Vec<(String, DataType)> },
}

/// A function that an isolate has.
#[derive(Debug)]
pub(crate) enum Compiled {
    Scalar(ScalarFunction),
    Aggregate(AggregateFunction),
}

/// The definition of a JavaScript function. Two equal definitions are one function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) result: DataType,
    pub(crate) volatility: Volatility,
    pub(crate) nulls: Nulls,
    pub(crate) text: Arc<str>,
}

impl Definition {
    /// The definition of a function whose text has names for its parameters, and with nothing else said.
    pub(crate) fn new(name: &str, text: &str, types: &[DataType], result: DataType) -> Self {
        Definition {
            name: name.to_owned(),
            kind: Kind::Scalar,
            parameters: types.iter().map(|data_type| Parameter { name: None, data_type: data_type.clone() }).collect(),
            result,
            volatility: Volatility::Volatile,
            nulls: Nulls::Strict,
            text: text.into(),
        }
    }

    pub(crate) fn types(&self) -> Vec<DataType> {
        self.parameters.iter().map(|parameter| parameter.data_type.clone()).collect()
    }

    /// Compiles the text in this isolate.
    pub(crate) fn compile(&self, scope: &mut PinScope<'_, '_>) -> Result<Compiled, offheap_arrow::Error> {
        let (types, result) = (self.types(), self.result.clone());
        if let Kind::Aggregate { .. } = self.kind {
            return Ok(Compiled::Aggregate(AggregateFunction::compile(scope, &self.name, &self.text, &types, result)?));
        }
        let mut builder = ScalarFunction::builder(&self.name, &self.text, &types, result);
        if self.nulls == Nulls::Called {
            builder = builder.called_on_null_input();
        }
        let names: Option<Vec<&str>> = self.parameters.iter().map(|parameter| parameter.name.as_deref()).collect();
        if let Some(names) = names {
            builder = builder.parameter_names(names);
        }
        Ok(Compiled::Scalar(builder.compile(scope)?))
    }
}
