//! The calls of constants that failed in a query.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datafusion::common::{DataFusionError, Result, ScalarValue};

/// The errors of a function's calls of constants, while one query is planned and runs.
///
/// DataFusion computes such a call while it plans, drops an error, and tries again in each of its passes. So each error is
/// kept, and the same call gives it again without running script. By default none is kept: a function that is registered is
/// for many queries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failures(Option<Arc<Mutex<Errors>>>);

type Errors = HashMap<Vec<ScalarValue>, Arc<DataFusionError>>;

impl Failures {
    /// The memory of one query.
    pub(crate) fn kept() -> Self {
        Failures(Some(Arc::default()))
    }

    /// Calls with these arguments, unless such a call has failed.
    ///
    /// # Errors
    /// The error of the call, or of the one before it.
    pub(crate) fn call<R>(&self, arguments: Vec<ScalarValue>, call: impl FnOnce() -> Result<R>) -> Result<R> {
        let Some(errors) = &self.0 else { return call() };
        if let Some(error) = lock(errors).get(&arguments) {
            return Err(DataFusionError::Shared(Arc::clone(error)));
        }
        // Without the lock: threads call at the same time.
        call().map_err(|error| {
            let error = Arc::new(error);
            lock(errors).insert(arguments, Arc::clone(&error));
            DataFusionError::Shared(error)
        })
    }

    /// The error of a call that has failed.
    pub(crate) fn any(&self) -> Option<DataFusionError> {
        let errors = lock(self.0.as_ref()?);
        errors.values().next().map(|error| DataFusionError::Shared(Arc::clone(error)))
    }
}

fn lock(errors: &Mutex<Errors>) -> MutexGuard<'_, Errors> {
    errors.lock().unwrap_or_else(PoisonError::into_inner)
}

// What failed is no part of what a function is: DataFusion compares and hashes functions to find equal expressions.

impl PartialEq for Failures {
    fn eq(&self, _: &Failures) -> bool {
        true
    }
}

impl Eq for Failures {}

impl Hash for Failures {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[cfg(test)]
mod tests {
    use datafusion::common::exec_err;

    use super::*;

    #[test]
    fn keeps_errors_of_equal_arguments_and_no_results() {
        let failures = Failures::kept();
        let arguments = |number: f64| vec![ScalarValue::Float64(Some(number)), ScalarValue::Utf8(None)];
        assert_eq!(failures.call(arguments(1.0), || Ok(7)).unwrap(), 7);
        assert_eq!(failures.call(arguments(1.0), || Ok(8)).unwrap(), 8);
        let first = failures.call(arguments(1.0), || exec_err!("first") as Result<u32>).unwrap_err();
        let again = failures.clone().call(arguments(1.0), || Ok(9)).unwrap_err();
        assert!(first.to_string().contains("first") && again.to_string() == first.to_string(), "{again}");
        assert_eq!(failures.call(arguments(2.0), || Ok(10)).unwrap(), 10);
        let none = Failures::default();
        none.call(arguments(1.0), || exec_err!("forgotten") as Result<u32>).unwrap_err();
        assert_eq!(none.call(arguments(1.0), || Ok(11)).unwrap(), 11);
        assert_eq!(none, failures, "functions with either are equal");
    }
}
