//! Puts the limits of the session into the functions of a plan, which carry them to every thread and machine.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use crate::function::Scalar;
use crate::settings::Limits;

/// The rule. It sees each plan with the settings that the session has then.
#[derive(Debug)]
pub(crate) struct Stamp;

impl AnalyzerRule for Stamp {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let limits = Limits::of(config);
        let stamped = plan.transform_up_with_subqueries(|node| {
            node.map_expressions(|expression| expression.transform_up(|expression| Ok(stamp(expression, limits))))
        })?;
        Ok(stamped.data)
    }

    fn name(&self) -> &str {
        "javascript_limits"
    }
}

fn stamp(mut expression: Expr, limits: Limits) -> Transformed<Expr> {
    if let Expr::ScalarFunction(call) = &mut expression
        && let Some(function) = Scalar::of(&call.func)
        && function.limits() != limits
    {
        call.func = Arc::new(function.with_limits(limits));
        return Transformed::yes(expression);
    }
    Transformed::no(expression)
}
