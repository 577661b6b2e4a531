//! Puts the limits of the session into the functions of a plan, which carry them to every thread and machine.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{AggregateUDF, Expr, LogicalPlan, WindowFunctionDefinition};
use datafusion::optimizer::AnalyzerRule;

use crate::aggregate::Aggregate;
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
    let is_stamped = match &mut expression {
        Expr::ScalarFunction(call) => {
            match Scalar::of(&call.func).filter(|scalar| scalar.function().limits != limits) {
                Some(scalar) => {
                    call.func = Arc::new(scalar.with_limits(limits));
                    true
                }
                None => false,
            }
        }
        Expr::AggregateFunction(call) => stamp_aggregate(&mut call.func, limits),
        Expr::WindowFunction(call) => match &mut call.fun {
            WindowFunctionDefinition::AggregateUDF(function) => stamp_aggregate(function, limits),
            WindowFunctionDefinition::WindowUDF(_) => false,
        },
        _ => false,
    };
    if is_stamped { Transformed::yes(expression) } else { Transformed::no(expression) }
}

fn stamp_aggregate(function: &mut Arc<AggregateUDF>, limits: Limits) -> bool {
    let Some(aggregate) = Aggregate::of(function).filter(|aggregate| aggregate.function().limits != limits) else {
        return false;
    };
    *function = Arc::new(aggregate.with_limits(limits));
    true
}
