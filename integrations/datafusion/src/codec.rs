//! JavaScript functions in the plans of Ballista: their definition is written into the plan.

use std::sync::Arc;

use ballista_core::serde::{BallistaLogicalExtensionCodec, BallistaPhysicalExtensionCodec};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::{Result, TableReference, plan_err};
use datafusion::datasource::file_format::FileFormatFactory;
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{AggregateUDF, Extension, HigherOrderUDF, LogicalPlan, ScalarUDF, WindowUDF};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr_common::physical_expr::proto_decode::PhysicalExprDecodeCtx;
use datafusion::physical_expr_common::physical_expr::proto_encode::PhysicalExprEncodeCtx;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::logical_plan::LogicalExtensionCodec;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};

use crate::aggregate::Aggregate;
use crate::definition::Kind;
use crate::encode::{decode, encode, is_function};
use crate::function::Scalar;

/// Ballista's codec for logical plans, which also writes and reads JavaScript functions.
#[derive(Debug, Default)]
pub(crate) struct Logical(BallistaLogicalExtensionCodec);

/// Ballista's codec for physical plans, which also writes and reads JavaScript functions.
#[derive(Debug, Default)]
pub(crate) struct Physical(BallistaPhysicalExtensionCodec);

/// Returns whether the function was one of JavaScript.
fn encode_udf(function: &ScalarUDF, bytes: &mut Vec<u8>) -> Result<bool> {
    match Scalar::of(function) {
        Some(scalar) => bytes.extend(encode(scalar.function())?),
        None => return Ok(false),
    }
    Ok(true)
}

fn decode_udf(name: &str, bytes: &[u8]) -> Result<Arc<ScalarUDF>> {
    let function = decode(name, bytes)?;
    match function.definition.kind {
        Kind::Scalar => Ok(Arc::new(Scalar::in_plan(function).into())),
        Kind::Aggregate { .. } => plan_err!("JavaScript function {name}: the plan calls an aggregate for each row"),
    }
}

/// Returns whether the function was one of JavaScript.
fn encode_udaf(function: &AggregateUDF, bytes: &mut Vec<u8>) -> Result<bool> {
    match Aggregate::of(function) {
        Some(aggregate) => bytes.extend(encode(aggregate.function())?),
        None => return Ok(false),
    }
    Ok(true)
}

fn decode_udaf(name: &str, bytes: &[u8]) -> Result<Arc<AggregateUDF>> {
    let function = decode(name, bytes)?;
    match function.definition.kind {
        Kind::Aggregate { .. } => Ok(Arc::new(Aggregate::new(function).into())),
        Kind::Scalar => plan_err!("JavaScript function {name}: the plan aggregates with a scalar function"),
    }
}

impl LogicalExtensionCodec for Logical {
    fn try_encode_udf(&self, function: &ScalarUDF, bytes: &mut Vec<u8>) -> Result<()> {
        if encode_udf(function, bytes)? { Ok(()) } else { self.0.try_encode_udf(function, bytes) }
    }

    fn try_decode_udf(&self, name: &str, bytes: &[u8]) -> Result<Arc<ScalarUDF>> {
        if is_function(bytes) { decode_udf(name, bytes) } else { self.0.try_decode_udf(name, bytes) }
    }

    fn try_encode_udaf(&self, function: &AggregateUDF, bytes: &mut Vec<u8>) -> Result<()> {
        if encode_udaf(function, bytes)? { Ok(()) } else { self.0.try_encode_udaf(function, bytes) }
    }

    fn try_decode_udaf(&self, name: &str, bytes: &[u8]) -> Result<Arc<AggregateUDF>> {
        if is_function(bytes) { decode_udaf(name, bytes) } else { self.0.try_decode_udaf(name, bytes) }
    }

    // All else is Ballista's.

    fn try_decode(&self, bytes: &[u8], inputs: &[LogicalPlan], context: &TaskContext) -> Result<Extension> {
        self.0.try_decode(bytes, inputs, context)
    }

    fn try_encode(&self, node: &Extension, bytes: &mut Vec<u8>) -> Result<()> {
        self.0.try_encode(node, bytes)
    }

    fn try_decode_table_provider(
        &self,
        bytes: &[u8],
        table: &TableReference,
        schema: SchemaRef,
        context: &TaskContext,
    ) -> Result<Arc<dyn TableProvider>> {
        self.0.try_decode_table_provider(bytes, table, schema, context)
    }

    fn try_encode_table_provider(
        &self,
        table: &TableReference,
        node: Arc<dyn TableProvider>,
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        self.0.try_encode_table_provider(table, node, bytes)
    }

    fn try_decode_file_format(&self, bytes: &[u8], context: &TaskContext) -> Result<Arc<dyn FileFormatFactory>> {
        self.0.try_decode_file_format(bytes, context)
    }

    fn try_encode_file_format(&self, bytes: &mut Vec<u8>, node: Arc<dyn FileFormatFactory>) -> Result<()> {
        self.0.try_encode_file_format(bytes, node)
    }

    fn try_decode_higher_order_function(&self, name: &str, bytes: &[u8]) -> Result<Arc<HigherOrderUDF>> {
        self.0.try_decode_higher_order_function(name, bytes)
    }

    fn try_encode_higher_order_function(&self, node: &HigherOrderUDF, bytes: &mut Vec<u8>) -> Result<()> {
        self.0.try_encode_higher_order_function(node, bytes)
    }

    fn try_decode_udwf(&self, name: &str, bytes: &[u8]) -> Result<Arc<WindowUDF>> {
        self.0.try_decode_udwf(name, bytes)
    }

    fn try_encode_udwf(&self, node: &WindowUDF, bytes: &mut Vec<u8>) -> Result<()> {
        self.0.try_encode_udwf(node, bytes)
    }
}

impl PhysicalExtensionCodec for Physical {
    fn try_encode_udf(&self, function: &ScalarUDF, bytes: &mut Vec<u8>) -> Result<()> {
        if encode_udf(function, bytes)? { Ok(()) } else { self.0.try_encode_udf(function, bytes) }
    }

    fn try_decode_udf(&self, name: &str, bytes: &[u8]) -> Result<Arc<ScalarUDF>> {
        if is_function(bytes) { decode_udf(name, bytes) } else { self.0.try_decode_udf(name, bytes) }
    }

    fn try_encode_udaf(&self, function: &AggregateUDF, bytes: &mut Vec<u8>) -> Result<()> {
        if encode_udaf(function, bytes)? { Ok(()) } else { self.0.try_encode_udaf(function, bytes) }
    }

    fn try_decode_udaf(&self, name: &str, bytes: &[u8]) -> Result<Arc<AggregateUDF>> {
        if is_function(bytes) { decode_udaf(name, bytes) } else { self.0.try_decode_udaf(name, bytes) }
    }

    // All else is Ballista's.

    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.0.try_decode(bytes, inputs, context, converter)
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> Result<()> {
        self.0.try_encode(node, bytes, converter)
    }

    fn try_decode_higher_order_function(&self, name: &str, bytes: &[u8]) -> Result<Arc<HigherOrderUDF>> {
        self.0.try_decode_higher_order_function(name, bytes)
    }

    fn try_encode_higher_order_function(&self, node: &HigherOrderUDF, bytes: &mut Vec<u8>) -> Result<()> {
        self.0.try_encode_higher_order_function(node, bytes)
    }

    fn try_decode_expr(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn PhysicalExpr>],
        context: &PhysicalExprDecodeCtx<'_>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        self.0.try_decode_expr(bytes, inputs, context)
    }

    fn try_encode_expr(
        &self,
        node: &Arc<dyn PhysicalExpr>,
        bytes: &mut Vec<u8>,
        context: &PhysicalExprEncodeCtx<'_>,
    ) -> Result<()> {
        self.0.try_encode_expr(node, bytes, context)
    }

    fn try_decode_udwf(&self, name: &str, bytes: &[u8]) -> Result<Arc<WindowUDF>> {
        self.0.try_decode_udwf(name, bytes)
    }

    fn try_encode_udwf(&self, node: &WindowUDF, bytes: &mut Vec<u8>) -> Result<()> {
        self.0.try_encode_udwf(node, bytes)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::DataType::Float64;

    use super::*;

    fn encoded() -> (Vec<u8>, Vec<u8>) {
        let scalar = crate::udf("f", "x => x", &[Float64], Float64).unwrap();
        let text = "{ state: { n: 0 }, step(st, x) {}, merge(st, other) {}, finish: st => st.n }";
        let aggregate = crate::udaf("a", text, &[Float64], Float64).unwrap();
        let (mut of_scalar, mut of_aggregate) = (Vec::new(), Vec::new());
        Physical::default().try_encode_udf(&scalar, &mut of_scalar).unwrap();
        Logical::default().try_encode_udaf(&aggregate, &mut of_aggregate).unwrap();
        assert_eq!(*Logical::default().try_decode_udf("f", &of_scalar).unwrap(), scalar);
        assert_eq!(*Physical::default().try_decode_udaf("a", &of_aggregate).unwrap(), aggregate);
        (of_scalar, of_aggregate)
    }

    #[test]
    fn a_function_of_the_other_kind_is_an_error() {
        let (scalar, aggregate) = encoded();
        let error = Physical::default().try_decode_udaf("f", &scalar).unwrap_err().to_string();
        assert!(error.contains("JavaScript function f: the plan aggregates with a scalar function"), "{error}");
        let error = Logical::default().try_decode_udf("a", &aggregate).unwrap_err().to_string();
        assert!(error.contains("JavaScript function a: the plan calls an aggregate for each row"), "{error}");
    }

    #[test]
    fn a_plan_that_was_cut_short_is_an_error() {
        let (scalar, aggregate) = encoded();
        for (bytes, is_scalar) in [(&scalar, true), (&aggregate, false)] {
            let half = &bytes[..bytes.len() / 2];
            let error = match is_scalar {
                true => Physical::default().try_decode_udf("f", half).unwrap_err(),
                false => Physical::default().try_decode_udaf("f", half).unwrap_err(),
            };
            assert!(error.to_string().contains("its definition in the plan was cut short"), "{error}");
        }
    }

    #[test]
    fn other_functions_are_ballistas() {
        let mut bytes = Vec::new();
        let upper = datafusion::functions::string::upper();
        Physical::default().try_encode_udf(&upper, &mut bytes).unwrap();
        Logical::default().try_encode_udf(&upper, &mut bytes).unwrap();
        assert_eq!(bytes, b"");
        assert!(Physical::default().try_decode_udf("upper", b"").is_err());
    }
}
