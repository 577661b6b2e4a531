//! [`sql`]: statements with the clauses that DataFusion's planner drops.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result, not_impl_err, plan_err};
use datafusion::config::ConfigExtension;
use datafusion::dataframe::DataFrame;
use datafusion::execution::SessionState;
use datafusion::execution::SessionStateDefaults;
use datafusion::execution::context::{RegisterFunction, SessionContext};
use datafusion::logical_expr::sqlparser::ast::{
    ArgMode, CreateFunction, CreateFunctionBody, FunctionCalledOnNull, ObjectName, ObjectNamePart, Statement,
};
use datafusion::logical_expr::{DdlStatement, Expr, LogicalPlan, LogicalPlanBuilder, Statement as PlanStatement};
use datafusion::optimizer::AnalyzerRule;
use datafusion::sql::parser::Statement as DataFusionStatement;

use crate::JavaScript;
use crate::definition::Nulls;
use crate::factory::{self, is_javascript};
use crate::function::Scalar;
use crate::settings::Limits;
use crate::stamp::Stamp;

/// Runs one statement, like [`SessionContext::sql`], and reads all of a `CREATE FUNCTION … LANGUAGE JAVASCRIPT`.
///
/// DataFusion parses several clauses and drops them, so `SessionContext::sql` makes a function that is not the one in
/// the statement. Here, these mean what they say:
///
/// - `STRICT` and `RETURNS NULL ON NULL INPUT`: a row with a NULL argument gives NULL without a call. This is so if
///   nothing is said, too.
/// - `CALLED ON NULL INPUT`: the function gets `null` for NULL.
/// - The name: `CREATE FUNCTION Twice …` makes `twice`, since `SELECT Twice(x)` calls that. Quotes keep it as it is.
///   `DROP FUNCTION` likewise.
///
/// These are errors: `PARALLEL`, `SECURITY`, `SET`, parameters that are `OUT`, `INOUT` or `VARIADIC`, a second string
/// after `AS`, and `DROP FUNCTION` of several functions, or of one that is built into DataFusion.
///
/// `RESET` of a setting `js.…` gives it its default value, which `SessionContext::sql` refuses. `PREPARE` and `EXECUTE` have the
/// limits of the session, and make a call of constants that fails once; `SessionContext::sql` tries it several times.
///
/// # Errors
/// Those of [`SessionContext::sql`]; mistakes in the function's text; a session without [`JavaScript::install`].
pub async fn sql(context: &SessionContext, text: &str) -> Result<DataFrame> {
    let state = context.state();
    let dialect = state.config().options().sql_parser.dialect;
    let mut statement = state.sql_to_statement(text, &dialect)?;
    let mut nulls = None;
    if let DataFusionStatement::Statement(statement) = &mut statement {
        match statement.as_mut() {
            Statement::CreateFunction(create) if create.language.as_ref().is_some_and(is_javascript) => {
                refuse_what_is_dropped(create)?;
                fold_case(&mut create.name);
                nulls = Some(match create.called_on_null {
                    Some(FunctionCalledOnNull::CalledOnNullInput) => Nulls::Called,
                    Some(FunctionCalledOnNull::Strict | FunctionCalledOnNull::ReturnsNullOnNullInput) | None => {
                        Nulls::Strict
                    }
                });
            }
            Statement::DropFunction(drop) => {
                let [function] = drop.func_desc.as_mut_slice() else {
                    return not_impl_err!("DROP FUNCTION of several functions: drop one after the other");
                };
                fold_case(&mut function.name);
            }
            _ => {}
        }
    }
    let plan = state.statement_to_plan(statement).await?;
    match (nulls, plan) {
        (Some(nulls), LogicalPlan::Ddl(DdlStatement::CreateFunction(create))) => {
            if !JavaScript::is_installed(&state) {
                return plan_err!(
                    "this SessionContext has no JavaScript: make its SessionState with JavaScript::install"
                );
            }
            match factory::create(&state, *create, nulls)? {
                RegisterFunction::Scalar(function) => context.register_udf((*function).clone()),
                RegisterFunction::Aggregate(function) => context.register_udaf((*function).clone()),
                _ => unreachable!("only these are made"),
            }
            Ok(DataFrame::new(context.state(), LogicalPlanBuilder::empty(false).build()?))
        }
        (_, LogicalPlan::Ddl(DdlStatement::DropFunction(drop))) if is_built_in(&state, &drop.name) => {
            plan_err!("DROP FUNCTION {0}: {0} is a function of DataFusion, which stays", drop.name)
        }
        (_, LogicalPlan::Statement(PlanStatement::ResetVariable(reset))) if is_setting(&reset.variable) => {
            let value = Limits::default_of(&reset.variable)?;
            context.state_ref().write().config_mut().options_mut().set(&reset.variable, &value)?;
            Ok(DataFrame::new(context.state(), LogicalPlanBuilder::empty(false).build()?))
        }
        // DataFusion optimizes this one without the rules for its analysis.
        (_, plan @ LogicalPlan::Statement(PlanStatement::Prepare(_))) => {
            context.execute_logical_plan(Stamp.analyze(plan, state.config_options())?).await
        }
        // DataFusion computes the parameters without these rules, and drops the error of a call.
        (_, plan @ LogicalPlan::Statement(PlanStatement::Execute(_))) => {
            let plan = Stamp.analyze(plan, state.config_options())?;
            let result = context.execute_logical_plan(plan.clone()).await;
            result.map_err(|error| failed_call(&plan).unwrap_or(error))
        }
        (_, plan) => context.execute_logical_plan(plan).await,
    }
}

/// The error of a call of constants in a plan.
fn failed_call(plan: &LogicalPlan) -> Option<DataFusionError> {
    let mut found = None;
    let walked = plan.apply_expressions(|expression| {
        expression.apply(|each| {
            if let Expr::ScalarFunction(call) = each {
                found = found.take().or(Scalar::of(&call.func).and_then(Scalar::failed_call));
            }
            Ok(TreeNodeRecursion::Continue)
        })
    });
    walked.is_ok().then_some(found).flatten()
}

fn is_setting(variable: &str) -> bool {
    variable.strip_prefix(Limits::PREFIX).is_some_and(|rest| rest.starts_with('.'))
}

/// Whether the session has a function of this name that came with DataFusion.
fn is_built_in(state: &SessionState, name: &str) -> bool {
    let scalar = state.scalar_functions().get(name);
    let aggregate = state.aggregate_functions().get(name);
    let window = state.window_functions().get(name);
    let higher_order = state.higher_order_functions().get(name);
    // Functions that give tables cannot be compared, but their names can.
    state.table_functions().contains_key(name)
        && SessionStateDefaults::default_table_functions().iter().any(|each| each.name() == name)
        || scalar.is_some_and(|found| SessionStateDefaults::default_scalar_functions().contains(found))
        || aggregate.is_some_and(|found| SessionStateDefaults::default_aggregate_functions().contains(found))
        || window.is_some_and(|found| SessionStateDefaults::default_window_functions().contains(found))
        || higher_order.is_some_and(|found| SessionStateDefaults::default_higher_order_functions().contains(found))
}

/// Gives a function the name that a call of it without quotes looks for.
fn fold_case(name: &mut ObjectName) {
    for part in &mut name.0 {
        if let ObjectNamePart::Identifier(ident) = part
            && ident.quote_style.is_none()
        {
            ident.value.make_ascii_lowercase();
        }
    }
}

fn refuse_what_is_dropped(create: &CreateFunction) -> Result<()> {
    let refused = [
        (create.parallel.is_some(), "PARALLEL"),
        (create.security.is_some(), "SECURITY"),
        (!create.set_params.is_empty(), "SET"),
        (create.determinism_specifier.is_some(), "DETERMINISTIC"),
        (create.options.is_some(), "OPTIONS"),
        (create.using.is_some(), "USING"),
        (create.remote_connection.is_some(), "REMOTE"),
        (
            matches!(create.function_body, Some(CreateFunctionBody::AsBeforeOptions { link_symbol: Some(_), .. })),
            "a second string after AS",
        ),
    ];
    for (is_there, clause) in refused {
        if is_there {
            return plan_err!("CREATE FUNCTION {}: {clause} is not supported for a JavaScript function", create.name);
        }
    }
    for parameter in create.args.iter().flatten() {
        if !matches!(parameter.mode, None | Some(ArgMode::In)) {
            return plan_err!(
                "CREATE FUNCTION {}: parameters of a JavaScript function are IN only: {parameter}",
                create.name
            );
        }
    }
    Ok(())
}
