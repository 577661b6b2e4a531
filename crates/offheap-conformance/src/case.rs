//! A case, and the isolates it runs on.

use std::fmt;

use offheap_engine::{Engine, Error};

use crate::{Capabilities, Failure};

/// A behaviour that every engine with the needed capabilities must have.
#[derive(Clone, Copy)]
pub struct Case {
    /// The number: that of V8's test in this project's list (`A22`), or of a promise of this project (`P-BORROW-1`).
    pub number: &'static str,
    /// The name. Cases that mirror a test of V8 have its name in snake case.
    pub name: &'static str,
    /// The capabilities that an engine needs to run the case.
    pub needs: Capabilities,
    /// A summary of the behaviour.
    pub summary: &'static str,
    /// The function that runs the case.
    pub run: fn(&Lab<'_>) -> Result<(), Failure>,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("number", &self.number).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Makes isolates of the tested engine. Cases make several that are alive at once, some of them on other threads.
pub type Factory<'a> = dyn Fn() -> Result<Box<dyn Engine>, Error> + Sync + 'a;

/// The source of a case's isolates.
pub struct Lab<'a> {
    factory: &'a Factory<'a>,
}

impl<'a> Lab<'a> {
    pub(crate) fn new(factory: &'a Factory<'a>) -> Self {
        Lab { factory }
    }

    /// Makes a new isolate.
    ///
    /// # Errors
    /// The error of the factory.
    pub fn isolate(&self) -> Result<Box<dyn Engine>, Failure> {
        Ok((self.factory)()?)
    }
}

impl fmt::Debug for Lab<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lab")
    }
}
