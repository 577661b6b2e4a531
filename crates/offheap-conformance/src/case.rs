//! A case, and what it is given.

use std::fmt;

use offheap_engine::{Capabilities, Engine, Error};

use crate::Failure;

/// One behaviour that every engine with the needed capabilities has.
#[derive(Clone, Copy)]
pub struct Case {
    /// The number: V8's test in this project's list (`A22`), or one of the promises (`P-BORROW-1`).
    pub number: &'static str,
    /// The name, V8's in snake case where it has one.
    pub name: &'static str,
    /// What the engine must be able to do for the case to have a meaning.
    pub needs: &'static [Capability],
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

/// What a case may need of an engine; one for each flag of [`Capabilities`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Capability {
    /// It runs script.
    Script,
    /// It makes resizable buffers.
    Resizable,
    /// It has immutable buffers that script cannot write.
    Immutable,
    /// It has detach keys.
    DetachKeys,
    /// It has SharedArrayBuffers.
    Shared,
    /// It has `WebAssembly`.
    Wasm,
    /// It collects young objects apart from old ones.
    Generations,
}

impl Capability {
    const ALL: [Capability; 7] = [
        Capability::Script,
        Capability::Resizable,
        Capability::Immutable,
        Capability::DetachKeys,
        Capability::Shared,
        Capability::Wasm,
        Capability::Generations,
    ];

    /// Whether an engine has it.
    pub fn is_in(self, capabilities: &Capabilities) -> bool {
        match self {
            Capability::Script => capabilities.script,
            Capability::Resizable => capabilities.resizable,
            Capability::Immutable => capabilities.immutable,
            Capability::DetachKeys => capabilities.detach_keys,
            Capability::Shared => capabilities.shared,
            Capability::Wasm => capabilities.wasm,
            Capability::Generations => capabilities.generations,
        }
    }

    /// Its name, as in [`Capabilities`].
    pub fn name(self) -> &'static str {
        match self {
            Capability::Script => "script",
            Capability::Resizable => "resizable",
            Capability::Immutable => "immutable",
            Capability::DetachKeys => "detach_keys",
            Capability::Shared => "shared",
            Capability::Wasm => "wasm",
            Capability::Generations => "generations",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Capability> {
        Capability::ALL.into_iter().find(|capability| capability.name() == name)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
