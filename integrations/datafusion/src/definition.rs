//! What a statement says of a function: all that a thread or a machine needs to run it.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::Volatility;
use offheap_arrow::ScalarFunction;
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

/// The definition of a JavaScript function. Two equal definitions are one function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) result: DataType,
    pub(crate) volatility: Volatility,
    pub(crate) nulls: Nulls,
    pub(crate) text: Arc<str>,
}

impl Definition {
    pub(crate) fn types(&self) -> Vec<DataType> {
        self.parameters.iter().map(|parameter| parameter.data_type.clone()).collect()
    }

    /// Compiles the text in this isolate.
    pub(crate) fn compile(&self, scope: &mut PinScope<'_, '_>) -> Result<ScalarFunction, offheap_arrow::Error> {
        let mut builder = ScalarFunction::builder(&self.name, &self.text, &self.types(), self.result.clone());
        if self.nulls == Nulls::Called {
            builder = builder.called_on_null_input();
        }
        let names: Option<Vec<&str>> = self.parameters.iter().map(|parameter| parameter.name.as_deref()).collect();
        match names {
            Some(names) => builder.parameter_names(names).compile(scope),
            None => builder.compile(scope),
        }
    }
}
