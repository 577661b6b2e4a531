//! `Isolate`: an isolate of any engine, in which only scopes run script.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;

use offheap::IsolateId;

use crate::host::{ByIsolate, Host};
use crate::table::Table;
use crate::{Error, Scope, in_finalizer};

/// One isolate of an engine with one context. Only its [scopes](Scope) run script in it.
///
/// That is the proof that guards need: while a slice of a store lives, it borrows the scope, so no script can run.
///
/// An isolate stays on its thread. The isolates of one thread may end in any order. Dropping an isolate frees its
/// buffers, the objects of its handles, and everything that only those kept alive; stores that native code holds
/// live on. Dropping it in an observer, or in an owner's `Drop` that an engine is waiting for, panics, and the
/// engine's isolate is then never ended.
///
/// Tools use an isolate as an [`Engine`](crate::Engine).
pub struct Isolate<H: Host> {
    table: Rc<Table<H>>,
}

impl<H: Host> Isolate<H> {
    /// An isolate with the engine's default settings.
    ///
    /// # Errors
    /// Those of the builder's `build`.
    pub fn new() -> Result<Self, Error> {
        Self::build(H::Builder::default())
    }

    /// A builder, which can change the engine's settings.
    pub fn builder() -> H::Builder {
        H::Builder::default()
    }

    /// Starts an isolate with these settings. For adapters, whose builders call it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] in an owner's `Drop` or an observer, and the errors of the engine.
    pub fn build(builder: H::Builder) -> Result<Self, Error> {
        if in_finalizer() {
            return Err(crate::refused_in_finalizer(H::NAME));
        }
        Ok(Isolate { table: Rc::new(Table::new(H::build(builder, ByIsolate::new())?)) })
    }

    /// Enters the isolate. Only `work` runs script, through the scope that it gets.
    ///
    /// # Panics
    /// In an observer, and in an owner's `Drop` that an engine is waiting for: neither may call an engine. While an
    /// engine is waiting, the panic ends the process, because nothing may unwind into the engine. The same happens when
    /// QuickJS frees a script value whose drop enters the isolate.
    pub fn enter<R>(&mut self, work: impl for<'s> FnOnce(&mut Scope<'s, H>) -> R) -> R {
        assert!(!in_finalizer(), "an owner's drop or an observer entered an isolate that is freeing a buffer");
        let table = &self.table;
        let host = table.host().expect("an isolate lives as long as this value");
        let host: &H = &host;
        // An entered isolate is mutably borrowed, so this is the drop of a value that a dropped handle freed.
        assert!(!table.is_entered(), "an isolate was entered during a call into it");
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

    /// Lends the host of the engine to its adapter. Only the adapter has a key.
    ///
    /// # Panics
    /// In an observer, and in an owner's `Drop` that an engine is waiting for.
    pub fn host<R>(&self, _key: H::Key, use_host: impl FnOnce(&H) -> R) -> R {
        assert!(!in_finalizer(), "an owner's drop or an observer called an isolate that is freeing a buffer");
        use_host(&self.table.host().expect("an isolate lives as long as this value"))
    }

    /// Lends the host for a call that does not enter the engine, which is allowed in a finalizer too.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&H) -> R) -> R {
        self.table.look(look).expect("an isolate lives as long as this value")
    }
}

impl<H: Host> Drop for Isolate<H> {
    fn drop(&mut self) {
        assert!(!in_finalizer(), "an owner's drop or an observer ended an isolate that is freeing a buffer");
        self.table.end();
    }
}

impl<H: Host> fmt::Debug for Isolate<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Isolate").field("engine", &H::NAME).field("id", &self.id()).finish()
    }
}
