//! Failures of a case: the expected and the actual result.

use std::fmt;
use std::panic::Location;

/// The reason why a case failed: the expected result, the actual result, and the place in the suite.
///
/// `?` turns any error into a failure, with the place of the `?`.
#[derive(Clone, Debug)]
pub struct Failure {
    message: String,
    place: &'static Location<'static>,
}

impl Failure {
    /// Makes a failure at the caller's place.
    #[track_caller]
    pub fn new(message: impl Into<String>) -> Self {
        Failure { message: message.into(), place: Location::caller() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{})", self.message, self.place.file(), self.place.line())
    }
}

impl<E: std::error::Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Failure::new(format!("expected no error, saw: {error}"))
    }
}

/// Fails the case unless the condition holds.
macro_rules! expect {
    ($condition:expr, $($expected:tt)+) => {
        if !$condition {
            return Err($crate::Failure::new(format!("expected that {}", format_args!($($expected)+))));
        }
    };
}

/// Fails the case unless the actual value equals the expected one.
macro_rules! expect_eq {
    ($seen:expr, $expected:expr, $($what:tt)+) => {
        match (&$seen, &$expected) {
            (seen, expected) => {
                if *seen != *expected {
                    let what = format!($($what)+);
                    return Err($crate::Failure::new(format!("{what}: expected {expected:?}, saw {seen:?}")));
                }
            }
        }
    };
}

/// Fails the case unless the result is an error of this pattern.
macro_rules! expect_error {
    ($result:expr, $pattern:pat $(if $guard:expr)?, $($what:tt)+) => {
        match $result {
            Err($pattern) $(if $guard)? => {}
            Err(other) => {
                let what = format!($($what)+);
                let expected = stringify!($pattern $(if $guard)?);
                return Err($crate::Failure::new(format!("{what}: expected {expected}, saw the error: {other}")));
            }
            Ok(_) => {
                let what = format!($($what)+);
                let expected = stringify!($pattern $(if $guard)?);
                return Err($crate::Failure::new(format!("{what}: expected {expected}, saw success")));
            }
        }
    };
}
