//! Functions of JavaScript over the rows of columns.

mod arguments;
mod bytes;
mod error;
mod kind;
mod lent;
mod lists;
mod results;
mod rows;
mod scalar;
mod script;
mod source;
mod strings;
mod wide;

pub use error::{Error, Place, Reason, Role};
pub use scalar::{ScalarFunction, ScalarFunctionBuilder};
