//! What a scope tells about the objects that keep buffers alive.

use super::Scope;
use crate::host::Host;
use crate::{Error, Handle, HasBytes, Retainers, Sought, SoughtStore};

impl<H: Host> Scope<'_, H> {
    /// What keeps the buffer of this handle alive, or the buffer of this view: the handles of Rust, and a path of objects from
    /// a root of script, such as `globalThis.frames[3].pixels`. `object` itself counts as a handle.
    ///
    /// This is for people who look for a leak. It looks at all objects of the isolate, which takes a second for some hundred
    /// megabytes of them, and memory in proportion. No script runs: no getter and no proxy is asked.
    ///
    /// On V8 the path comes from a heap snapshot, and everything is seen. On QuickJS the walk begins at the global object and
    /// at the `let` and `const` of scripts. It sees properties, elements, captured variables, bound functions, promises,
    /// proxies, `Map` and `Set`. It does not see what only a suspended generator or async function keeps, a module whose
    /// functions script cannot reach, the namespace of a module, or Rust code; [`Retainers::unseen`] says so.
    ///
    /// # Errors
    /// [`Error::WrongIsolate`]; [`Error::LayoutChanged`]; [`Error::Unsupported`] on an engine that cannot tell;
    /// [`Error::EngineFailed`] if there is no memory.
    pub fn retainers<T: HasBytes>(&mut self, object: &Handle<T>) -> Result<Retainers, Error> {
        self.table.check(object)?;
        let (rooted, roots) = (self.table.rooted(object.slot()), self.table.roots());
        let found = self.run(|host| host.retainers(&[Sought::Object(rooted)], roots))?;
        Ok(found.into_iter().next().expect("one for each buffer"))
    }

    /// What keeps the buffers over each of these stores alive in this isolate, in the same order; see
    /// [`retainers`](Self::retainers). All stores are looked for at once. If a store has several buffers, the path is that of
    /// one of them, and the handles of all count.
    ///
    /// # Errors
    /// Those of [`retainers`](Self::retainers).
    pub fn retainers_of(&mut self, stores: &[SoughtStore]) -> Result<Vec<Retainers>, Error> {
        let roots = self.table.roots();
        let sought: Vec<_> = stores.iter().map(|store| Sought::Store(*store)).collect();
        self.run(|host| host.retainers(&sought, roots))
    }
}
