//! [`ModelEngine`]: an engine in plain Rust, for tests and tools.
#![forbid(unsafe_code)]

mod bytes;
mod heap;
mod roots;
mod shared;

use std::cell::RefCell;
use std::ptr;
use std::rc::Rc;

use offheap::adapter::{self, IsolateRegistration, in_finalizer};
use offheap::{BackingStore, IsolateId};

use heap::{BufferId, Heap, Memory};
use offheap_engine::{
    BufferState, Capabilities, Engine, Error, Exposure, Handle, JsArrayBuffer, RootTable, ScriptValue, ViewState,
    refused_in_finalizer,
};
use roots::Roots;

const NAME: &str = "Model";

/// An engine in plain Rust whose collector does, for some seed, anything that an engine may do.
///
/// It has buffers, with memory of its own or over stores, shared ones included, and no script. The seed decides when it
/// collects (at any call, not only when asked), in which order the finalizers of collected buffers run, how long they are
/// put off, and which of them run on another thread. Equal seeds give equal runs. Code that is right for every seed does
/// not rely on what one engine happens to do.
///
/// Each access is checked. The model keeps a shadow of the bytes of every store that it has buffers over (except mapped
/// files and shared memory, which others may write), and knows which buffers it collected. It panics, and names the store
/// or the buffer, where
/// - bytes changed that nobody was allowed to write,
/// - a store is exposed in another way than the model exposed it,
/// - a guard lives while script reads or writes,
/// - a root leads to a buffer that was collected.
///
/// # What this engine does
/// The buffer of a dropped handle stays until a collection, and the store of a collected buffer stays until its finalizer
/// runs: [`collect`](Engine::collect) and then [`drain_finalizers`](Engine::drain_finalizers) end both. Global variables
/// are roots, though no script reads them.
///
/// To write unshared memory of a store, the model takes it back for a moment. Other threads must not expose it elsewhere
/// during that moment: the model panics when it cannot expose it again.
///
/// # Examples
/// ```
/// use offheap_engine::offheap::{BackingStore, UniqueStore};
/// use offheap_engine::Engine;
/// use offheap_model::ModelEngine;
///
/// let store = BackingStore::from(UniqueStore::from_owner(vec![1_u8, 2, 3])?);
/// let mut engine = ModelEngine::new(7)?;
/// let (buffer, exposure) = engine.expose(&store)?;
/// assert!(exposure.is_external());
/// engine.write(&buffer, 0, 9)?;
/// assert_eq!(store.to_vec()?, [9, 2, 3]);
///
/// drop(buffer);
/// engine.collect();
/// engine.drain_finalizers();
/// assert_eq!(store.exposure(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ModelEngine {
    isolate: Rc<Isolate>,
    options: ModelOptions,
    // The id is given out again after this, so it goes last.
    _registration: IsolateRegistration,
}

/// What a [`ModelEngine`] is able to do.
#[derive(Clone, Copy, Debug)]
pub struct ModelOptions {
    /// Its abilities, of those in [`ModelOptions::ALL`]. Without [`Capabilities::IMMUTABLE`], read-only memory is exposed as a
    /// copy.
    pub capabilities: Capabilities,
    /// The most bytes in one buffer.
    pub max_byte_length: usize,
}

impl ModelOptions {
    /// All abilities that the model has: it runs no script, and has no generations.
    pub const ALL: Capabilities = Capabilities::RESIZABLE
        .union(Capabilities::IMMUTABLE)
        .union(Capabilities::DETACH_KEYS)
        .union(Capabilities::SHARED);
}

impl Default for ModelOptions {
    /// All abilities, and buffers of up to 1 GiB.
    fn default() -> Self {
        ModelOptions { capabilities: ModelOptions::ALL, max_byte_length: 1 << 30 }
    }
}

impl ModelOptions {
    fn has(&self, capability: Capabilities) -> bool {
        self.capabilities.contains(capability)
    }
}

/// The heap, and the table of its roots, that handles keep.
struct Isolate {
    id: IsolateId,
    // `None` when it has ended.
    heap: RefCell<Option<Heap>>,
    roots: Rc<Roots>,
}

impl Isolate {
    /// Runs a step on the heap, after the collections and finalizers that the seed puts before it.
    fn step<R>(&self, step: impl FnOnce(&mut Heap) -> R) -> Result<R, Error> {
        if in_finalizer() {
            return Err(refused_in_finalizer(NAME));
        }
        self.collect(Heap::turn);
        Ok(step(self.heap.borrow_mut().as_mut().ok_or(Error::IsolateGone)?))
    }

    /// Runs as many finalizers as `collect` says.
    fn collect(&self, collect: impl FnOnce(&mut Heap) -> usize) {
        let count = self.heap.borrow_mut().as_mut().map_or(0, collect);
        for _ in 0..count {
            // The heap is not borrowed while one runs: an owner drops there, and an observer may listen.
            let Some(let_go) = self.heap.borrow_mut().as_mut().and_then(Heap::finalize) else { break };
            let_go.finish();
        }
    }
}

impl RootTable for Isolate {
    fn isolate(&self) -> IsolateId {
        self.id
    }

    fn duplicate(&self, slot: usize) -> usize {
        self.roots.duplicate(slot)
    }

    fn release(&self, slot: usize) {
        self.roots.release(slot);
    }

    fn externalize(&self, slot: usize) -> Result<BackingStore, Error> {
        self.step(|heap| heap.externalize(heap.rooted(slot)))?
    }
}

impl ModelEngine {
    /// An isolate with all that the model is able to do.
    ///
    /// # Errors
    /// [`Error::Memory`] when too many isolates are alive.
    pub fn new(seed: u64) -> Result<Self, Error> {
        Self::with_options(seed, ModelOptions::default())
    }

    /// An isolate that is able to do less.
    ///
    /// # Errors
    /// [`Error::Memory`] when too many isolates are alive.
    ///
    /// # Panics
    /// If the options ask for an ability that the model does not have.
    pub fn with_options(seed: u64, options: ModelOptions) -> Result<Self, Error> {
        let missing = options.capabilities - ModelOptions::ALL;
        assert!(missing.is_empty(), "the model has no such abilities: {missing}");
        let registration = IsolateRegistration::new(NAME)?;
        let id = registration.id();
        let roots = Rc::new(Roots::new());
        let heap = RefCell::new(Some(Heap::new(id, seed, options, Rc::clone(&roots))));
        Ok(ModelEngine { isolate: Rc::new(Isolate { id, heap, roots }), options, _registration: registration })
    }

    fn handle(&self, slot: usize) -> Handle<JsArrayBuffer> {
        Handle::new(Rc::clone(&self.isolate) as Rc<dyn RootTable>, slot)
    }

    /// Runs a step on the buffer of a handle.
    fn step<R>(
        &self,
        buffer: &Handle<JsArrayBuffer>,
        step: impl FnOnce(&mut Heap, BufferId) -> Result<R, Error>,
    ) -> Result<R, Error> {
        // Ids of isolates are given out again, tables are not while a handle keeps them.
        if !ptr::addr_eq(Rc::as_ptr(buffer.table()), Rc::as_ptr(&self.isolate)) {
            return Err(Error::WrongIsolate { handle: buffer.isolate(), here: self.isolate.id });
        }
        self.isolate.step(|heap| {
            let id = heap.rooted(buffer.slot());
            step(heap, id)
        })?
    }
}

impl Engine for ModelEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        self.options.capabilities
    }

    fn max_byte_length(&self) -> usize {
        self.options.max_byte_length
    }

    fn isolate(&self) -> IsolateId {
        self.isolate.id
    }

    fn evaluate(&mut self, _source: &str) -> Result<ScriptValue, Error> {
        Err(no_script())
    }

    fn evaluate_buffer(&mut self, _source: &str) -> Result<Handle<JsArrayBuffer>, Error> {
        Err(no_script())
    }

    fn set_global(&mut self, name: &str, buffer: &Handle<JsArrayBuffer>) -> Result<(), Error> {
        self.step(buffer, |heap, id| {
            heap.set_global(name, id);
            Ok(())
        })
    }

    fn allocate(&mut self, byte_length: usize, max_byte_length: Option<usize>) -> Result<Handle<JsArrayBuffer>, Error> {
        let slot = self.isolate.step(|heap| heap.allocate(byte_length, max_byte_length))??;
        Ok(self.handle(slot))
    }

    #[track_caller]
    fn allocate_shared(
        &mut self,
        byte_length: usize,
        max_byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error> {
        let allocate = || self.isolate.step(|heap| heap.allocate_shared(byte_length, max_byte_length));
        let slot = adapter::on_behalf_of_caller(allocate)??;
        Ok(self.handle(slot))
    }

    fn expose(&mut self, store: &BackingStore) -> Result<(Handle<JsArrayBuffer>, Exposure), Error> {
        let (slot, exposure) = self.isolate.step(|heap| heap.expose(store))??;
        Ok((self.handle(slot), exposure))
    }

    #[track_caller]
    fn externalize(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BackingStore, Error> {
        adapter::on_behalf_of_caller(|| self.step(buffer, Heap::externalize))
    }

    fn detach(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        const ATTEMPTED: &str = "detach";
        let let_go = self.step(buffer, |heap, id| {
            heap.check_detachable(id, ATTEMPTED)?;
            heap.check_mutable(id, ATTEMPTED)?;
            let expected = heap.buffer(id).detach_key.as_deref();
            if expected != key {
                let given = match (expected, key) {
                    (None, _) => "it has none",
                    (_, Some(_)) => "another was given",
                    (_, None) => "no key was given",
                };
                return Err(Error::WrongDetachKey { engine: NAME, attempted: ATTEMPTED, given });
            }
            if let Some(store) = heap.buffer(id).memory.store() {
                adapter::note_detached(&heap.shared(store).store(), heap.isolate);
            }
            Ok(heap.detach(id))
        })?;
        let_go.finish();
        Ok(())
    }

    fn set_detach_key(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        if !self.options.has(Capabilities::DETACH_KEYS) {
            let instead = "keep the handle to yourself";
            return Err(Error::Unsupported { engine: NAME, what: "set a detach key", instead });
        }
        self.step(buffer, |heap, id| {
            heap.check_detachable(id, "set a detach key of")?;
            heap.buffer_mut(id).detach_key = key.map(str::to_owned);
            Ok(())
        })
    }

    fn transfer(
        &mut self,
        buffer: &Handle<JsArrayBuffer>,
        byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error> {
        let (slot, let_go) = self.step(buffer, |heap, id| heap.transfer(id, byte_length))?;
        let_go.finish();
        Ok(self.handle(slot))
    }

    fn resize(&mut self, buffer: &Handle<JsArrayBuffer>, byte_length: usize) -> Result<(), Error> {
        self.step(buffer, |heap, id| heap.resize(id, byte_length))
    }

    fn state(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BufferState, Error> {
        self.step(buffer, |heap, id| {
            let buffer = heap.buffer(id);
            let detached = matches!(buffer.memory, Memory::Detached);
            let byte_length = heap.byte_length(id);
            Ok(BufferState {
                byte_length,
                max_byte_length: if detached { 0 } else { buffer.max_byte_length.unwrap_or(byte_length) },
                detached,
                resizable: buffer.max_byte_length.is_some(),
                immutable: buffer.immutable,
                shared: heap.is_shared(id),
            })
        })
    }

    fn read(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize) -> Result<Option<u8>, Error> {
        self.step(buffer, |heap, id| heap.read(id, index))
    }

    fn write(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize, value: u8) -> Result<(), Error> {
        self.step(buffer, |heap, id| heap.write(id, index, value))
    }

    fn evaluate_view(&mut self, _source: &str) -> Result<ViewState, Error> {
        Err(no_script())
    }

    fn collect_young(&mut self) {}

    fn collect(&mut self) {
        self.isolate.collect(Heap::collect_now);
    }

    fn drain_finalizers(&mut self) {
        self.isolate.collect(|_| usize::MAX);
    }

    fn external_bytes(&self) -> usize {
        self.isolate.heap.borrow().as_ref().map_or(0, Heap::external_bytes)
    }

    fn shut_down(self: Box<Self>) {}
}

impl Drop for ModelEngine {
    fn drop(&mut self) {
        let heap = self.isolate.heap.borrow_mut().take();
        if let Some(mut heap) = heap {
            heap.end();
            while let Some(let_go) = heap.finalize() {
                let_go.finish();
            }
        }
    }
}

fn no_script() -> Error {
    let instead = "use the verbs of `Engine`, or an engine with script";
    Error::Unsupported { engine: NAME, what: "run script", instead }
}
