//! `Host` for the model.
#![allow(unsafe_code, reason = "implements `Host`, whose contract it keeps")]

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use offheap::adapter::{self, IsolateRegistration};
use offheap::{BackingStore, IsolateId};
use offheap_engine::{
    BufferState, ByIsolate, Capabilities, Element, Error, Exposure, Host, Isolate, PathStep, Retainers, RetainingPath,
    Rooted, Roots, Sought, ToScript, UseOfBytes, Window,
};

use crate::heap::{BufferId, Heap, Memory};
use crate::roots::Counts;
use crate::{ModelOptions, NAME};

/// An engine in plain Rust whose collector does, for some seed, anything that an engine may do.
///
/// It has buffers, with memory of its own or over stores, shared ones included, typed arrays over stores, and no script. The seed decides when it
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
/// The buffer of a dropped handle stays until a collection, and the store of a collected buffer stays until its
/// finalizer runs: [`collect`](offheap_engine::Engine::collect) and then
/// [`drain_finalizers`](offheap_engine::Engine::drain_finalizers) end both. Global variables are roots, though no
/// script reads them.
///
/// To write unshared memory of a store, the model takes it back for a moment. Other threads must not expose it elsewhere
/// during that moment: the model panics when it cannot expose it again.
///
/// # Examples
/// ```
/// use offheap_engine::offheap::BackingStore;
/// use offheap_engine::Engine;
/// use offheap_model::model;
///
/// let store = BackingStore::from_owner(vec![1_u8, 2, 3])?;
/// let mut engine = model(7)?;
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
pub type ModelEngine = Isolate<Model>;

/// What a [`ModelEngine`] drives.
pub struct Model {
    heap: RefCell<Heap>,
    roots: Rc<Counts>,
    options: ModelOptions,
    // The id is given out again after this, so it goes last.
    registration: IsolateRegistration,
}

/// A root for a buffer of the model's, or for a typed array over one.
pub struct Root {
    buffer: BufferId,
    array: Option<Array>,
}

/// The part of its buffer that a typed array shows.
#[derive(Clone, Copy)]
struct Array {
    element: Element,
    byte_offset: usize,
    byte_length: usize,
}

impl Model {
    /// Runs as many finalizers as `collect` says.
    fn run_finalizers(&self, collect: impl FnOnce(&mut Heap) -> usize) {
        let count = collect(&mut self.heap.borrow_mut());
        for _ in 0..count {
            // The heap is not borrowed while one runs: an owner drops there, and an observer may listen.
            let Some(released) = self.heap.borrow_mut().finalize() else { break };
            released.finish();
        }
    }

    fn root(&self, id: BufferId) -> Root {
        self.roots.add(id);
        Root { buffer: id, array: None }
    }

    /// A step on a buffer.
    fn with<R>(
        &self,
        buffer: Rooted<'_, Root>,
        step: impl FnOnce(&mut Heap, BufferId) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let id = buffer.with(|root| root.buffer)?;
        step(&mut self.heap.borrow_mut(), id)
    }
}

// SAFETY: I-BORROW: the model has no script; its buffers are read and written in the calls below only, and panic where a guard
// lives. The id is its own registration's.
unsafe impl Host for Model {
    const NAME: &'static str = NAME;
    const RELEASING_RUNS_CODE: bool = false;
    type Root = Root;
    type Builder = ModelOptions;
    type Key = Infallible;

    fn build(options: ModelOptions, _: ByIsolate) -> Result<Self, Error> {
        let missing = options.capabilities - ModelOptions::ALL;
        assert!(missing.is_empty(), "the model has no such abilities: {missing}");
        let registration = IsolateRegistration::new(NAME)?;
        if let Some(name) = options.name {
            registration.set_name(name)?;
        }
        let roots = Rc::<Counts>::default();
        let heap = RefCell::new(Heap::new(registration.id(), options, Rc::clone(&roots)));
        Ok(Model { heap, roots, options, registration })
    }

    fn id(&self) -> IsolateId {
        self.registration.id()
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

    /// The collections and finalizers that the seed puts before a step.
    fn relieve(&self) {
        self.run_finalizers(Heap::turn);
    }

    fn release(&self, root: Root) {
        self.roots.release(root.buffer);
    }

    fn end(self, roots: impl Iterator<Item = Root>) {
        roots.for_each(|root| self.release(root));
        self.heap.borrow_mut().end();
        self.run_finalizers(|_| usize::MAX);
    }

    fn set_global(&self, name: &str, value: ToScript<'_, Root>) -> Result<(), Error> {
        let ToScript::Object(object) = value else {
            let instead = "keep it in a variable of Rust";
            return Err(Error::Unsupported { engine: NAME, what: "keep a value that is not a buffer", instead });
        };
        self.with(object, |heap, id| {
            heap.set_global(name, id);
            Ok(())
        })
    }

    fn allocate(&self, byte_length: usize, max_byte_length: Option<usize>, shared: bool) -> Result<Root, Error> {
        let mut heap = self.heap.borrow_mut();
        let id = match shared {
            true => heap.allocate_shared(byte_length, max_byte_length),
            false => heap.allocate(byte_length, max_byte_length),
        };
        Ok(self.root(id?))
    }

    fn expose(&self, store: &BackingStore, may_copy: bool) -> Result<(Root, Exposure), Error> {
        let (id, exposure) = self.heap.borrow_mut().expose(store, may_copy)?;
        Ok((self.root(id), exposure))
    }

    fn expose_typed(
        &self,
        store: &BackingStore,
        element: Element,
        byte_offset: usize,
        element_count: usize,
    ) -> Result<Root, Error> {
        let (root, _) = self.expose(store, false)?;
        let array = Array { element, byte_offset, byte_length: element_count * element.byte_length() };
        Ok(Root { array: Some(array), ..root })
    }

    fn window(&self, object: Rooted<'_, Root>) -> Result<Window, Error> {
        let array = object.with(|root| root.array)?;
        self.with(object, |heap, id| {
            Ok(match array {
                _ if matches!(heap.buffer(id).memory, Memory::Detached) => Window::Detached,
                None => Window::Buffer,
                Some(array) if array.byte_offset + array.byte_length > heap.byte_length(id) => Window::OutOfBounds,
                Some(Array { element, byte_offset, byte_length }) => {
                    Window::View { element: Some(element), byte_offset, byte_length }
                }
            })
        })
    }

    fn externalize(&self, buffer: Rooted<'_, Root>) -> Result<BackingStore, Error> {
        self.with(buffer, Heap::externalize)
    }

    fn check_lendable(
        &self,
        store: &BackingStore,
        use_of_bytes: UseOfBytes,
        _buffer: Option<Rooted<'_, Root>>,
        _all: Roots<'_, Root>,
    ) -> Result<(), Error> {
        if use_of_bytes != UseOfBytes::Read {
            self.heap.borrow().lend(store.id());
        }
        Ok(())
    }

    fn state(&self, buffer: Rooted<'_, Root>) -> Result<BufferState, Error> {
        self.with(buffer, |heap, id| {
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

    fn is_shared(&self, buffer: Rooted<'_, Root>) -> Result<bool, Error> {
        self.with(buffer, |heap, id| Ok(heap.is_shared(id)))
    }

    fn is_immutable(&self, buffer: Rooted<'_, Root>) -> Result<bool, Error> {
        self.with(buffer, |heap, id| Ok(heap.buffer(id).immutable))
    }

    fn set_detach_key(&self, buffer: Rooted<'_, Root>, key: Option<&str>) -> Result<(), Error> {
        if !self.options.has(Capabilities::DETACH_KEYS) {
            let instead = "keep the handle private";
            return Err(Error::Unsupported { engine: NAME, what: "set a detach key", instead });
        }
        self.with(buffer, |heap, id| {
            heap.buffer_mut(id).detach_key = key.map(str::to_owned);
            Ok(())
        })
    }

    fn detach(
        &self,
        buffer: Rooted<'_, Root>,
        key: Option<&str>,
        check: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        check()?;
        let released = self.with(buffer, |heap, id| {
            heap.check_key(id, key, "detach")?;
            if let Some(store) = heap.buffer(id).memory.store() {
                adapter::note_detached(&heap.shared(store).store(), heap.isolate);
            }
            Ok(heap.detach(id))
        })?;
        released.finish();
        Ok(())
    }

    fn transfer(
        &self,
        buffer: Rooted<'_, Root>,
        byte_length: Option<usize>,
        check: impl FnOnce(&BufferState) -> Result<(), Error>,
    ) -> Result<Root, Error> {
        check(&self.state(buffer)?)?;
        let (id, released) = self.with(buffer, |heap, id| heap.transfer(id, byte_length))?;
        let root = self.root(id);
        released.finish();
        Ok(root)
    }

    fn resize(
        &self,
        buffer: Rooted<'_, Root>,
        byte_length: usize,
        check: impl FnOnce(&BufferState) -> Result<(), Error>,
    ) -> Result<(), Error> {
        check(&self.state(buffer)?)?;
        self.with(buffer, |heap, id| heap.set_byte_length(id, byte_length))
    }

    fn read(&self, buffer: Rooted<'_, Root>, index: usize) -> Result<Option<u8>, Error> {
        self.with(buffer, |heap, id| Ok(heap.read(id, index)))
    }

    fn write(&self, buffer: Rooted<'_, Root>, index: usize, value: u8) -> Result<(), Error> {
        self.with(buffer, |heap, id| heap.write(id, index, value))
    }

    fn retainers(&self, sought: &[Sought<'_, Root>], roots: Roots<'_, Root>) -> Result<Vec<Retainers>, Error> {
        let heap = self.heap.borrow();
        let mut retainers = Vec::new();
        for sought in sought {
            let object = match sought {
                Sought::Object(buffer) => Some(buffer.with(|root| root.buffer)?),
                Sought::Store(_) => None,
            };
            let is_it = |id| match sought {
                Sought::Object(_) => Some(id) == object,
                Sought::Store(store) => heap.buffer(id).memory.store() == Some(store.store),
            };
            let (mut handles, mut from) = (0, 0);
            while let Some((slot, id)) = roots.next(from, |root| root.buffer) {
                handles += if is_it(id) { roots.handles(slot) } else { 0 };
                from = slot + 1;
            }
            let name = heap.globals().find(|(_, id)| is_it(*id)).map(|(name, _)| PathStep::Property(name.to_owned()));
            let path = name.map(|name| RetainingPath::new("globalThis", vec![name]));
            retainers.push(Retainers::new(handles, path, None));
        }
        Ok(retainers)
    }

    fn collect(&self) {
        self.run_finalizers(Heap::collect_now);
    }

    fn drain_finalizers(&self) {
        self.run_finalizers(|_| usize::MAX);
    }
}
