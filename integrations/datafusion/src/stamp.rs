//! Puts the limits of the session into the functions of a plan, which carry them to every thread and machine. Each scalar
//! function of a plan gets its own memory for calls that fail.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{AggregateUDF, Expr, LogicalPlan, ScalarUDF, WindowFunctionDefinition};
use datafusion::optimizer::AnalyzerRule;

use crate::aggregate::Aggregate;
use crate::definition::Definition;
use crate::function::{Function, Scalar};
use crate::settings::Limits;

/// The rule. It sees each plan with the settings that the session has then.
#[derive(Debug)]
pub(crate) struct Stamp;

impl AnalyzerRule for Stamp {
    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        let mut functions = Functions { limits: Limits::of(config), scalars: Vec::new() };
        let stamped = plan.transform_up_with_subqueries(|node| {
            node.map_expressions(|expression| expression.transform_up(|expression| Ok(functions.stamp(expression))))
        })?;
        Ok(stamped.data)
    }

    fn name(&self) -> &str {
        "javascript_limits"
    }
}

/// The functions of one plan.
struct Functions {
    limits: Limits,
    scalars: Vec<(Arc<Definition>, Arc<ScalarUDF>)>,
}

impl Functions {
    fn stamp(&mut self, mut expression: Expr) -> Transformed<Expr> {
        let limits = self.limits;
        let is_stamped = match &mut expression {
            Expr::ScalarFunction(call) => match Scalar::of(&call.func) {
                Some(scalar) => {
                    call.func = self.scalar(&scalar.function().definition);
                    true
                }
                None => false,
            },
            Expr::AggregateFunction(call) => stamp_aggregate(&mut call.func, limits),
            Expr::WindowFunction(call) => match &mut call.fun {
                WindowFunctionDefinition::AggregateUDF(function) => stamp_aggregate(function, limits),
                WindowFunctionDefinition::WindowUDF(_) => false,
            },
            _ => false,
        };
        if is_stamped { Transformed::yes(expression) } else { Transformed::no(expression) }
    }

    fn scalar(&mut self, definition: &Arc<Definition>) -> Arc<ScalarUDF> {
        if let Some((_, found)) = self.scalars.iter().find(|(each, _)| Arc::ptr_eq(each, definition)) {
            return Arc::clone(found);
        }
        let definition = Arc::clone(definition);
        let function = Function { definition: Arc::clone(&definition), limits: self.limits };
        let stamped = Arc::new(ScalarUDF::from(Scalar::in_plan(function)));
        self.scalars.push((definition, Arc::clone(&stamped)));
        stamped
    }
}

fn stamp_aggregate(function: &mut Arc<AggregateUDF>, limits: Limits) -> bool {
    let Some(aggregate) = Aggregate::of(function).filter(|aggregate| aggregate.function().limits != limits) else {
        return false;
    };
    *function = Arc::new(aggregate.with_limits(limits));
    true
}
