//! Functions of JavaScript over the rows of columns.

mod arguments;
mod error;
mod lent;
mod results;
mod rows;
mod scalar;
mod script;
#[cfg(test)]
mod tests;
mod text;

pub use error::{Error, Place, Reason, Role};
pub use scalar::{ScalarFunction, ScalarFunctionBuilder};
