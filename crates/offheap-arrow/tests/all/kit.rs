//! What the tests of functions share.

use std::sync::{Arc, Once};

use offheap_arrow::arrow_array::{Array, ArrayRef, Float64Array};
use offheap_arrow::arrow_schema::DataType;
use offheap_arrow::offheap_v8::{Isolate, IsolateBuilder, ScopeExt, v8};
use offheap_arrow::{Error, Reason, ScalarFunction};

/// Starts V8 with the flags that `.ci/valgrind-arrow` sets.
pub(crate) fn isolate_builder() -> IsolateBuilder {
    static START: Once = Once::new();
    START.call_once(|| {
        let flags = std::env::var("OFFHEAP_V8_FLAGS").unwrap_or_default();
        offheap_arrow::offheap_v8::start(&flags).expect("V8 starts");
    });
    Isolate::builder()
}

/// Runs `work` in an isolate of its own.
pub(crate) fn in_v8<R>(work: impl FnOnce(&mut v8::PinScope<'_, '_>) -> R) -> R {
    let mut isolate = isolate_builder().build().unwrap();
    isolate.enter(|scope| scope.with_v8(|scope| work(scope)))
}

/// Makes a function of one text, and calls it with columns.
pub(crate) fn call(text: &str, columns: &[ArrayRef], result: DataType) -> Result<ArrayRef, Error> {
    let types: Vec<_> = columns.iter().map(|column| column.data_type().clone()).collect();
    let row_count = columns.first().map_or(3, |column| column.len());
    in_v8(|scope| ScalarFunction::compile(scope, "f", text, &types, result)?.call(scope, columns, row_count))
}

/// The reason why a call fails.
pub(crate) fn reason(text: &str, columns: &[ArrayRef], result: DataType) -> String {
    call(text, columns, result).unwrap_err().to_string()
}

/// The reason why a function with one argument of DOUBLE cannot be made.
pub(crate) fn refused(text: &str) -> String {
    in_v8(|scope| {
        let made = ScalarFunction::compile(scope, "f", text, &[DataType::Float64], DataType::Float64);
        made.map(|_| ()).unwrap_err().to_string()
    })
}

pub(crate) fn doubles(values: impl IntoIterator<Item = impl Into<Option<f64>>>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<Float64Array>())
}

pub(crate) fn is_script(error: &Error) -> bool {
    matches!(error.reason(), Reason::Script { .. })
}

/// Numbers that look random, the same for each seed (xorshift64*).
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number less than `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}
