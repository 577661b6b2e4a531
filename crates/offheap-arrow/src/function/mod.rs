//! Functions of JavaScript over the rows of columns.

#[cfg(test)]
mod addresses;
mod aggregate;
mod arguments;
mod bytes;
mod error;
mod groups;
mod items;
mod kind;
mod lent;
mod lists;
mod results;
mod rows;
mod scalar;
mod script;
mod source;
mod state;
mod strings;
mod wide;

pub use aggregate::AggregateFunction;
pub use error::{Error, Place, Reason, Role};
pub use groups::{AggregateState, Groups};
pub use scalar::{ScalarFunction, ScalarFunctionBuilder};
