//! An adapter for a small engine that passes the suite. `docs/porting.md` explains it step by step.
//!
//! The engine, Tin, has reference-counted buffers and no script. A real engine is a library in C or C++; its adapter
//! calls that library where this one has a few lines of Rust.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error as StdError;
use std::mem;
use std::rc::Rc;

use offheap_conformance::{Expectations, run};
use offheap_engine::offheap::adapter::{self, Hold, IsolateRegistration};
use offheap_engine::offheap::{BackingStore, IsolateId, Length, Sharing, UniqueStore};
use offheap_engine::{
    BufferState, ByIsolate, Capabilities, CopyReason, Element, Engine, Error, Exposure, Host, Rooted, ToScript,
    run_finalizer,
};

const MAX_BYTE_LENGTH: usize = 1 << 30;

/// An isolate of Tin.
struct Tin {
    globals: RefCell<HashMap<String, Rc<Buffer>>>,
    // Dropping this lets another isolate reuse the id, so it is dropped last.
    registration: IsolateRegistration,
}

/// An ArrayBuffer of Tin.
struct Buffer(RefCell<Memory>);

/// The memory of a buffer.
enum Memory {
    /// Tin's own memory.
    Own(Vec<u8>),
    /// These bytes of a store. The hold keeps the store alive, and counts as one live buffer.
    Store {
        hold: Hold,
        data: *const u8,
        byte_length: usize,
    },
    Detached,
}

impl Memory {
    fn of(bytes: Vec<u8>) -> Rc<Buffer> {
        Rc::new(Buffer(RefCell::new(Memory::Own(bytes))))
    }

    fn store(&self) -> Option<BackingStore> {
        match self {
            Memory::Store { hold, data, byte_length } => Some(hold.store(*data, *byte_length)),
            Memory::Own(_) | Memory::Detached => None,
        }
    }

    fn to_vec(&self) -> Result<Vec<u8>, Error> {
        match self {
            Memory::Own(bytes) => Ok(bytes.clone()),
            Memory::Store { .. } => Ok(self.store().map_or(Ok(Vec::new()), |store| store.to_vec())?),
            Memory::Detached => Ok(Vec::new()),
        }
    }

    fn byte_length(&self) -> usize {
        match self {
            Memory::Own(bytes) => bytes.len(),
            Memory::Store { byte_length, .. } => *byte_length,
            Memory::Detached => 0,
        }
    }
}

impl Buffer {
    /// Takes the memory away. Dropping a hold may drop an owner, so this must be done in a finalizer.
    fn free(&self) {
        let memory = mem::replace(&mut *self.0.borrow_mut(), Memory::Detached);
        run_finalizer(Tin::NAME, || drop(memory));
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.free();
    }
}

impl Tin {
    fn hold(&self, store: &BackingStore) -> Result<Memory, Error> {
        let hold = Hold::new(store, self.id())?;
        Ok(Memory::Store { hold, data: store.as_ptr().cast(), byte_length: store.byte_length() })
    }
}

fn unsupported<T>(what: &'static str) -> Result<T, Error> {
    Err(Error::Unsupported { engine: Tin::NAME, what, instead: "use an engine with script" })
}

/// Elements of a typed array are read through aligned pointers.
fn check_alignment(store: &BackingStore) -> Result<(), Error> {
    if store.byte_length() == 0 || store.as_ptr().cast::<u64>().is_aligned() {
        return Ok(());
    }
    let (store, byte_offset) = (store.id(), store.byte_offset());
    Err(Error::Misaligned { engine: Tin::NAME, store, byte_offset, alignment: 8 })
}

fn open(buffer: Rooted<'_, Rc<Buffer>>) -> Result<Rc<Buffer>, Error> {
    buffer.with(Rc::clone)
}

// SAFETY: I-BORROW: Tin has no script, and its isolates are not `Send`. The id is that of the registration, which ends
// with the isolate. Tin gives its memory to no other isolate; only the core does.
unsafe impl Host for Tin {
    const NAME: &'static str = "Tin";
    const RELEASING_RUNS_CODE: bool = true;
    type Root = Rc<Buffer>;
    type Builder = ();
    type Key = Infallible;

    fn build((): (), _: ByIsolate) -> Result<Self, Error> {
        Ok(Tin { globals: RefCell::default(), registration: IsolateRegistration::new(Self::NAME)? })
    }

    fn id(&self) -> IsolateId {
        self.registration.id()
    }

    fn version(&self) -> String {
        "1".to_owned()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::empty()
    }

    fn max_byte_length(&self) -> usize {
        MAX_BYTE_LENGTH
    }

    fn release(&self, root: Rc<Buffer>) {
        drop(root);
    }

    fn end(self, roots: impl Iterator<Item = Rc<Buffer>>) {
        roots.for_each(drop);
    }

    fn set_global(&self, name: &str, value: ToScript<'_, Rc<Buffer>>) -> Result<(), Error> {
        let ToScript::Object(object) = value else { return unsupported("keep a value that is not a buffer") };
        let replaced = self.globals.borrow_mut().insert(name.to_owned(), open(object)?);
        drop(replaced);
        Ok(())
    }

    fn allocate(&self, byte_length: usize, max_byte_length: Option<usize>, shared: bool) -> Result<Rc<Buffer>, Error> {
        if shared || max_byte_length.is_some() {
            return unsupported("make shared or resizable buffers");
        }
        Ok(Memory::of(vec![0; byte_length]))
    }

    fn expose(&self, store: &BackingStore, may_copy: bool) -> Result<(Rc<Buffer>, Exposure), Error> {
        let reason = match (store.kind().sharing(), store.kind().length()) {
            (Sharing::Shared, _) => return unsupported("expose shared memory"),
            (Sharing::ReadOnly, _) => CopyReason::ImmutableNotEnforced,
            (Sharing::Unshared, Length::Resizable) => CopyReason::Resizable,
            _ => {
                check_alignment(store)?;
                return Ok((Rc::new(Buffer(RefCell::new(self.hold(store)?))), Exposure::External));
            }
        };
        match may_copy {
            true => Ok((Memory::of(store.to_vec()?), Exposure::Copied { reason })),
            false => unsupported("expose this memory without a copy"),
        }
    }

    fn expose_typed(&self, _: &BackingStore, _: Element, _: usize, _: usize) -> Result<Rc<Buffer>, Error> {
        unsupported("make typed arrays")
    }

    #[track_caller]
    fn externalize(&self, buffer: Rooted<'_, Rc<Buffer>>) -> Result<BackingStore, Error> {
        let buffer = open(buffer)?;
        let memory = &mut *buffer.0.borrow_mut();
        if let Memory::Own(bytes) = memory {
            // Tin's memory is a `Vec`, so the store takes it without a copy.
            let store = UniqueStore::from_owner(mem::take(bytes)).map_err(|rejected| {
                let (error, back) = rejected.into_parts();
                *bytes = back;
                error
            })?;
            *memory = self.hold(&BackingStore::from(store))?;
        }
        let store = match memory.store() {
            Some(store) => store,
            None => BackingStore::from(UniqueStore::zeroed(0)?),
        };
        adapter::note_externalized(&store, self.id());
        Ok(store)
    }

    fn state(&self, buffer: Rooted<'_, Rc<Buffer>>) -> Result<BufferState, Error> {
        let buffer = open(buffer)?;
        let memory = buffer.0.borrow();
        let detached = matches!(*memory, Memory::Detached);
        let (byte_length, max_byte_length) = (memory.byte_length(), memory.byte_length());
        Ok(BufferState { byte_length, max_byte_length, detached, resizable: false, immutable: false, shared: false })
    }

    fn is_shared(&self, _: Rooted<'_, Rc<Buffer>>) -> Result<bool, Error> {
        Ok(false)
    }

    fn is_immutable(&self, _: Rooted<'_, Rc<Buffer>>) -> Result<bool, Error> {
        Ok(false)
    }

    fn set_detach_key(&self, _: Rooted<'_, Rc<Buffer>>, _: Option<&str>) -> Result<(), Error> {
        unsupported("set a detach key")
    }

    fn detach(
        &self,
        buffer: Rooted<'_, Rc<Buffer>>,
        key: Option<&str>,
        check: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        check()?;
        let buffer = open(buffer)?;
        if key.is_some() {
            return Err(Error::WrongDetachKey { engine: Self::NAME, attempted: "detach", given: "it has none" });
        }
        let store = buffer.0.borrow().store();
        if let Some(store) = store {
            adapter::note_detached(&store, self.id());
        }
        buffer.free();
        Ok(())
    }

    fn transfer(
        &self,
        buffer: Rooted<'_, Rc<Buffer>>,
        byte_length: Option<usize>,
        check: impl FnOnce(&BufferState) -> Result<(), Error>,
    ) -> Result<Rc<Buffer>, Error> {
        check(&self.state(buffer)?)?;
        let buffer = open(buffer)?;
        let before = buffer.0.borrow().byte_length();
        let requested = byte_length.unwrap_or(before);
        if requested > MAX_BYTE_LENGTH {
            let limit = MAX_BYTE_LENGTH;
            return Err(Error::InvalidLength { engine: Self::NAME, attempted: "transfer", requested, limit });
        }
        if requested == before {
            let memory = mem::replace(&mut *buffer.0.borrow_mut(), Memory::Detached);
            return Ok(Rc::new(Buffer(RefCell::new(memory))));
        }
        let mut bytes = buffer.0.borrow().to_vec()?;
        bytes.resize(requested, 0);
        buffer.free();
        Ok(Memory::of(bytes))
    }

    fn resize(
        &self,
        buffer: Rooted<'_, Rc<Buffer>>,
        _byte_length: usize,
        check: impl FnOnce(&BufferState) -> Result<(), Error>,
    ) -> Result<(), Error> {
        // No buffer of Tin is resizable, so the check fails.
        check(&self.state(buffer)?)
    }

    fn read(&self, buffer: Rooted<'_, Rc<Buffer>>, index: usize) -> Result<Option<u8>, Error> {
        Ok(open(buffer)?.0.borrow().to_vec()?.get(index).copied())
    }

    fn write(&self, buffer: Rooted<'_, Rc<Buffer>>, index: usize, value: u8) -> Result<(), Error> {
        let buffer = open(buffer)?;
        let memory = &mut *buffer.0.borrow_mut();
        match memory {
            Memory::Own(bytes) => bytes.get_mut(index).into_iter().for_each(|byte| *byte = value),
            Memory::Store { byte_length, .. } if index < *byte_length => {
                let store = memory.store().expect("a store is behind it");
                // SAFETY: I-BORROW: this thread has the isolate, and Tin runs no script.
                unsafe { adapter::copy_from_slice_in(&store, self.id(), index, &[value]) }?;
            }
            Memory::Store { .. } | Memory::Detached => {}
        }
        Ok(())
    }

    fn collect(&self) {}
}

fn main() -> Result<(), Box<dyn StdError>> {
    let make = || -> Result<Box<dyn Engine>, Error> { Ok(Box::new(offheap_engine::Isolate::<Tin>::new()?)) };
    let expectations = Expectations::parse(
        r#"
        [Tin]
        lacks = ["script", "resizable", "immutable", "detach_keys", "shared", "wasm", "generations"]
        "#,
    )?;
    let report = run(&make, "Tin");
    let counts = report.to_string().lines().last().unwrap_or_default().to_owned();
    report.check(&expectations)?;
    println!("{counts}");
    Ok(())
}
