//! What a ledger says of an engine with script: the lines of script, and stores that a program forgot. A process has one observer,
//! so each of these functions needs a test program of its own.

mod by_script;
mod forgotten;

pub use by_script::{check_lines_of_script, find, last, named, refused_at};
pub use forgotten::check_forgotten_stores;
