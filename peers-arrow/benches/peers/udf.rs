//! arrow-udf-runtime, with its own version of Arrow.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use arrow_array_58::{Array, ArrayRef, Float64Array, Int32Array, RecordBatch, StringArray};
use arrow_schema_58::{DataType, Field, Schema};
use arrow_udf_runtime::javascript::{FunctionOptions, Runtime};
use offheap_arrow::arrow_array::cast::AsArray;
use offheap_arrow::arrow_array::types::{Float64Type, Int32Type};
use offheap_arrow::{arrow_array as ours, arrow_schema};

pub(crate) struct Peer {
    runtime: Runtime,
    batch: RecordBatch,
}

impl Peer {
    pub(crate) fn new(text: &str, columns: &[ours::ArrayRef], result: &arrow_schema::DataType) -> Self {
        let result = match result {
            arrow_schema::DataType::Float64 => DataType::Float64,
            arrow_schema::DataType::Int32 => DataType::Int32,
            _ => DataType::Utf8,
        };
        let runtime = ready(async {
            let mut runtime = Runtime::new().await.expect("a runtime");
            let options = FunctionOptions::default().return_null_on_null_input();
            let text = format!("export const f = {text}");
            runtime.add_function("f", result, &text, options).await.expect("a function");
            runtime
        });
        let columns: Vec<ArrayRef> = columns.iter().map(copied).collect();
        let field = |column: &ArrayRef| Field::new("x", column.data_type().clone(), true);
        let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
        Peer { runtime, batch: RecordBatch::try_new(Arc::new(schema), columns).expect("columns of one length") }
    }

    pub(crate) fn call(&self) -> RecordBatch {
        ready(self.runtime.call("f", &self.batch)).expect("it does not throw")
    }
}

/// The result of a future that does not wait.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return result;
        }
    }
}

fn copied(column: &ours::ArrayRef) -> ArrayRef {
    match column.data_type() {
        arrow_schema::DataType::Float64 => {
            Arc::new(column.as_primitive::<Float64Type>().iter().collect::<Float64Array>())
        }
        arrow_schema::DataType::Int32 => Arc::new(column.as_primitive::<Int32Type>().iter().collect::<Int32Array>()),
        _ => Arc::new(column.as_string::<i32>().iter().collect::<StringArray>()),
    }
}
