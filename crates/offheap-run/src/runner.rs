//! `Runner`: an isolate of any engine of this crate, with everything that scripts are given.

use offheap_engine::{Host, Isolate, Scope};

use crate::{Error, NativeModule, Script, Uncaught};

/// An isolate whose scripts have `nativeModule`, `console`, and ES modules from files.
///
/// Each engine has a name for its runner, [`quickjs::Runner`](crate::quickjs::Runner) for example, and an example there.
pub struct Runner<H: Scripts> {
    // Before the isolate, which has the last reference: no value of an engine may outlive the engine.
    kept: H::Kept,
    isolate: Isolate<H>,
}

/// An engine that a [`Runner`] runs scripts on: `QuickJs` or `V8`, by the crate's features.
pub trait Scripts: engine::Scripts {}

impl<H: engine::Scripts> Scripts for H {}

/// For the engines of this crate only.
pub(crate) mod engine {
    use super::*;

    pub trait Scripts: Host {
        /// What is kept from one script to the next, beside the isolate.
        type Kept;

        /// Adds to the settings of an isolate whatever the engine can be given only while the isolate is built.
        fn prepare(builder: Self::Builder) -> (Self::Builder, Self::Kept);

        /// Gives scripts of the isolate `nativeModule`, `console` and modules.
        fn install(isolate: &mut Isolate<Self>, kept: &Self::Kept, module: NativeModule) -> Result<(), Uncaught>;

        /// Runs a script to its end.
        fn run(isolate: &mut Isolate<Self>, kept: &Self::Kept, script: &Script) -> Result<(), Uncaught>;
    }
}

impl<H: Scripts> Runner<H> {
    /// Builds an isolate with these settings, and gives its scripts `module`.
    ///
    /// The runner sets the isolate's module loader and the callback for rejected promises. On V8 it adds a message listener.
    ///
    /// # Errors
    /// [`Error::Isolate`] where the engine does not start, and [`Error::Uncaught`] where it has no memory for the functions.
    pub fn new(module: NativeModule, builder: H::Builder) -> Result<Self, Error> {
        let (builder, kept) = H::prepare(builder);
        let mut isolate = Isolate::build(builder).map_err(Error::Isolate)?;
        H::install(&mut isolate, &kept, module)?;
        Ok(Runner { kept, isolate })
    }

    /// Runs a script to its end, with its microtasks and everything that it awaits.
    ///
    /// Later scripts see the globals that it leaves. After a failure the rest of what it queued runs with the next script.
    ///
    /// # Errors
    /// The first error that the script, or what it queued, does not catch; a top-level `await` that cannot end; on V8 a full
    /// heap.
    pub fn run(&mut self, script: &Script) -> Result<(), Uncaught> {
        H::run(&mut self.isolate, &self.kept, script)
    }

    /// Enters the isolate, for anything else. Only `work`, through the scope, runs script.
    ///
    /// # Panics
    /// As [`Isolate::enter`].
    pub fn enter<R>(&mut self, work: impl for<'s> FnOnce(&mut Scope<'s, H>) -> R) -> R {
        self.isolate.enter(work)
    }

    /// The isolate. It stays where it is, since what is kept beside it is its own: a program cannot put another in its place.
    /// ```compile_fail,E0594
    /// # fn replace<H: offheap_run::Scripts>(mut runner: offheap_run::Runner<H>, other: offheap_engine::Isolate<H>) {
    /// assert_ne!(runner.isolate().id(), other.id());
    /// *runner.isolate() = other;
    /// # }
    /// ```
    /// The first of these lines is fine:
    /// ```
    /// # fn replace<H: offheap_run::Scripts>(mut runner: offheap_run::Runner<H>, other: offheap_engine::Isolate<H>) {
    /// assert_ne!(runner.isolate().id(), other.id());
    /// runner.enter(|scope| scope.collect());
    /// # }
    /// ```
    pub fn isolate(&self) -> &Isolate<H> {
        &self.isolate
    }
}
