//! A case, and what it is given.

use std::fmt;

use offheap_engine::{Engine, Error};

use crate::{Capabilities, Failure};

/// One behaviour that every engine with the needed capabilities has.
#[derive(Clone, Copy)]
pub struct Case {
    /// The number: V8's test in this project's list (`A22`), or one of the promises (`P-BORROW-1`).
    pub number: &'static str,
    /// The name, V8's in snake case where it has one.
    pub name: &'static str,
    /// What the engine must be able to do for the case to have a meaning.
    pub needs: Capabilities,
    /// What it checks.
    pub summary: &'static str,
    /// The case itself.
    pub run: fn(&Lab<'_>) -> Result<(), Failure>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("number", &self.number).field("name", &self.name).finish_non_exhaustive()
    }
}

/// What makes isolates of the engine that is tried. Cases make several, alive at once, some of them on other threads.
pub type Factory<'a> = dyn Fn() -> Result<Box<dyn Engine>, Error> + Sync + 'a;

/// Where a case gets its isolates.
pub struct Lab<'a> {
    factory: &'a Factory<'a>,
}

impl<'a> Lab<'a> {
    pub(crate) fn new(factory: &'a Factory<'a>) -> Self {
        Lab { factory }
    }

    /// A new isolate.
    ///
    /// # Errors
    /// What the factory says.
    pub fn isolate(&self) -> Result<Box<dyn Engine>, Failure> {
        Ok((self.factory)()?)
    }
}

impl fmt::Debug for Lab<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lab")
    }
}
