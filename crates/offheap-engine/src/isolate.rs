//! `Isolate`: an isolate of any engine, whose scopes know when script runs.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use offheap::IsolateId;

use crate::host::{ByIsolate, Host};
use crate::table::Table;
use crate::{Error, Scope, in_finalizer};

/// One isolate of an engine with one context, which only its [scopes](Scope) run.
///
/// That is the proof that guards ask for: while a slice of a store lives, its scope is borrowed, and nothing else runs
/// script.
///
/// It stays on its thread; the isolates of one thread may end in any order. Dropping it frees the objects of its handles, its
/// buffers, and what only they kept alive; stores that native code holds live on. In an observer, and in an owner's `Drop` that
/// an engine is waiting for, dropping it panics, and the engine's isolate is never ended.
///
/// It is an [`Engine`](crate::Engine) for tools.
pub struct Isolate<H: Host> {
    table: Rc<Table<H>>,
}

impl<H: Host> Isolate<H> {
    /// An isolate with the engine's default settings.
    ///
    /// # Errors
    /// As for the `build` of its builder.
    pub fn new() -> Result<Self, Error> {
        Self::build(H::Builder::default())
    }

    /// A builder, to change the engine's settings first.
    pub fn builder() -> H::Builder {
        H::Builder::default()
    }

    /// The isolate with these settings. For adapters, whose builders call it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] in an owner's `Drop` or an observer, and those of the engine.
    pub fn build(builder: H::Builder) -> Result<Self, Error> {
        if in_finalizer() {
            return Err(crate::refused_in_finalizer(H::NAME));
        }
        Ok(Isolate { table: Rc::new(Table::new(H::build(builder, ByIsolate::new())?)) })
    }

    /// Enters the isolate. Only `work`, through the scope, runs script.
    ///
    /// # Panics
    /// In an observer, and in an owner's `Drop` that an engine is waiting for: neither may call an engine. Where an engine is
    /// waiting the process ends, since nothing may unwind into it. So it does where QuickJS is freeing a value of script whose
    /// drop enters the isolate.
    pub fn enter<R>(&mut self, work: impl for<'s> FnOnce(&mut Scope<'s, H>) -> R) -> R {
        assert!(!in_finalizer(), "an owner's drop or an observer entered an isolate that lets go of a buffer");
        let table = &self.table;
        let host = table.host().expect("an isolate lives as long as this value");
        let host: &H = &host;
        host.enter(|| {
            let _entered = table.enter(host);
            table.relieve(host);
            work(&mut Scope { table, brand: PhantomData::<Cell<&()>> })
        })
    }

    /// This isolate's id.
    pub fn id(&self) -> IsolateId {
        self.table.id()
    }

    /// The host of the engine, for its adapter: only the adapter has a key.
    ///
    /// # Panics
    /// In an observer, and in an owner's `Drop` that an engine is waiting for.
    pub fn host<R>(&self, _key: H::Key, use_host: impl FnOnce(&H) -> R) -> R {
        assert!(!in_finalizer(), "an owner's drop or an observer called an isolate that lets go of a buffer");
        use_host(&self.table.host().expect("an isolate lives as long as this value"))
    }

    /// What may be asked in a finalizer, too, since it is no call into the engine.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&H) -> R) -> R {
        self.table.look(look).expect("an isolate lives as long as this value")
    }
}

impl<H: Host> Drop for Isolate<H> {
    fn drop(&mut self) {
        assert!(!in_finalizer(), "an owner's drop or an observer ended an isolate that lets go of a buffer");
        self.table.end();
    }
}

impl<H: Host> fmt::Debug for Isolate<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Isolate").field("engine", &H::NAME).field("id", &self.id()).finish()
    }
}
