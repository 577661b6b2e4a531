//! `CREATE FUNCTION … LANGUAGE JAVASCRIPT`, as DataFusion hands it over.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::execution::SessionState;
use datafusion::execution::context::{FunctionFactory, RegisterFunction};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::sqlparser::ast::Ident;
use datafusion::logical_expr::{CreateFunction, Expr, Volatility};

use crate::definition::{Definition, Kind, Nulls, Parameter};
use crate::function;
use crate::settings::Limits;
use crate::stamp::Stamp;

/// The language `JAVASCRIPT` of `CREATE FUNCTION`. `JS` is the same language.
///
/// ```sql
/// CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE LANGUAGE JAVASCRIPT IMMUTABLE AS 'x => x * 2 + 1'
/// ```
///
/// The text is a function, or the body of a function whose parameters SQL names, or the object of an aggregate (see
/// [`udaf`](crate::udaf)). A function is VOLATILE unless the
/// statement says IMMUTABLE or STABLE. `OR REPLACE` replaces a function of this name.
#[derive(Debug)]
pub struct JavaScript {
    /// The factory that was there before, for other languages.
    others: Option<Arc<dyn FunctionFactory>>,
}

impl JavaScript {
    /// Adds the language to a session, and the settings:
    ///
    /// | setting | default | limits |
    /// |---|---|---|
    /// | `js.time_limit_ms` | 10,000 | the time of one batch of rows |
    /// | `js.heap_limit_mb` | 256 | V8's heap in one thread |
    /// | `js.buffer_limit_mb` | 256 | the ArrayBuffers that script makes in one thread |
    ///
    /// Call it after `with_config`, which would replace the settings. A factory that the session has already is still
    /// asked for functions in other languages.
    pub fn install(mut builder: SessionStateBuilder) -> SessionStateBuilder {
        let config = builder.config().take().unwrap_or_default();
        let others = builder.function_factory().take();
        builder
            .with_config(config.with_option_extension(Limits::default()))
            .with_analyzer_rule(Arc::new(Stamp))
            .with_function_factory(Some(Arc::new(JavaScript { others })))
    }

    pub(crate) fn is_installed(state: &SessionState) -> bool {
        state.config_options().extensions.get::<Limits>().is_some()
    }
}

#[async_trait]
impl FunctionFactory for JavaScript {
    async fn create(&self, state: &SessionState, statement: CreateFunction) -> Result<RegisterFunction> {
        match (&statement.params.language, &self.others) {
            (Some(language), _) if is_javascript(language) => create(state, statement, Nulls::Strict),
            (_, Some(others)) => others.create(state, statement).await,
            (Some(language), None) => {
                plan_err!(
                    "CREATE FUNCTION {}: LANGUAGE {language} is not known, only JAVASCRIPT (or JS)",
                    statement.name
                )
            }
            (None, None) => plan_err!("CREATE FUNCTION {}: say LANGUAGE JAVASCRIPT", statement.name),
        }
    }
}

pub(crate) fn is_javascript(language: &Ident) -> bool {
    ["javascript", "js"].iter().any(|name| language.value.eq_ignore_ascii_case(name))
}

/// Makes the function of a statement.
pub(crate) fn create(state: &SessionState, statement: CreateFunction, nulls: Nulls) -> Result<RegisterFunction> {
    let name = &statement.name;
    let exists = state.scalar_functions().contains_key(name)
        || state.aggregate_functions().contains_key(name)
        || state.window_functions().contains_key(name);
    if exists && !statement.or_replace {
        return plan_err!("CREATE FUNCTION {name}: a function of this name exists; say CREATE OR REPLACE FUNCTION");
    }
    let Some(result) = statement.return_type else {
        return plan_err!("CREATE FUNCTION {name}: RETURNS is missing");
    };
    let text = match statement.params.function_body {
        Some(Expr::Literal(ScalarValue::Utf8(Some(text)), _)) if text.trim().is_empty() => {
            return plan_err!("CREATE FUNCTION {name}: the text after AS is empty");
        }
        Some(Expr::Literal(ScalarValue::Utf8(Some(text)), _)) => text,
        Some(_) => return plan_err!("CREATE FUNCTION {name}: the text after AS must be a string, such as $$ … $$"),
        None => return plan_err!("CREATE FUNCTION {name}: AS is missing"),
    };
    let mut parameters = Vec::new();
    for parameter in statement.args.into_iter().flatten() {
        let parameter_name = parameter.name.map(|name| unquoted(&name.value));
        if parameter.default_expr.is_some() {
            return plan_err!(
                "CREATE FUNCTION {name}: DEFAULT of a parameter is not supported; a default value in the text, such as \
                 (x = 0) => x + 1, stands for NULL"
            );
        }
        parameters.push(Parameter { name: parameter_name, data_type: parameter.data_type });
    }
    let volatility = statement.params.behavior.unwrap_or(Volatility::Volatile);
    let (name, text) = (name.clone(), text.into());
    let definition = Definition { name, kind: Kind::Scalar, parameters, result, volatility, nulls, text };
    let made = function::register(definition, Limits::of(state.config_options()))?;
    let name = &statement.name;
    let replaces_another_kind = match &made {
        RegisterFunction::Scalar(_) => !state.scalar_functions().contains_key(name),
        _ => !state.aggregate_functions().contains_key(name),
    };
    if exists && replaces_another_kind {
        return plan_err!(
            "CREATE FUNCTION {name}: a function of another kind has this name; choose another name, or drop that \
             function first"
        );
    }
    Ok(made)
}

/// The parser hands names of parameters over with their quotes.
fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => name.to_owned(),
    }
}
