//! What the functions of `nativeModule` do, on any engine. Memory and references have numbers.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;

use offheap::adapter::{InFinalizer, note_refused};
use offheap::observe::Refusal;
use offheap::{BackingStore, Error, Length, ManualMemory, ManualOptions, Mapped, SharedStore, Site};
use offheap_ledger::{Hold, Ledger};

use crate::Stream;
use crate::glue::arguments::Argument;
use crate::glue::failure::Failure;
use crate::glue::freed::{FreedMemory, Sites};
use crate::native_module::{NativeModule, Print};

/// What an engine asks of a buffer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The engine's name.
    pub engine: &'static str,
    /// The most bytes in one buffer.
    pub max_byte_length: usize,
    /// What the address of a buffer's first byte is a multiple of.
    pub alignment: usize,
    /// Whether the engine has resizable buffers over memory that is not its own.
    pub resizes_any_memory: bool,
}

/// The state behind a `nativeModule` that is installed in an engine.
///
/// It holds no value of an engine, and calls none: an engine's glue passes stores in and out.
pub struct State {
    ledger: &'static Ledger,
    limits: Limits,
    print: Box<Print>,
    arguments: Vec<String>,
    mapped: Vec<(String, Described)>,
    table: RefCell<Table>,
    sites: RefCell<Sites>,
}

/// What script can see of memory or a reference.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described {
    /// Its number.
    pub(crate) id: u64,
    pub(crate) byte_length: usize,
    /// The most bytes that it can have, where its length changes.
    pub(crate) max_byte_length: Option<usize>,
    pub(crate) is_shared: bool,
    pub(crate) address: usize,
}

/// Memory and references by number. A number is never used again; what was freed or released is not in the table.
#[derive(Default)]
struct Table {
    entries: HashMap<u64, Entry>,
    last: u64,
}

enum Entry {
    Manual(ManualMemory),
    Mapped(Mapped),
    External(BackingStore, Hold),
    /// Memory that was freed, until its object in script has the record.
    Freed(FreedMemory),
}

/// A value that script passed where memory is expected.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Memory {
    /// Something that is not memory.
    No,
    /// Memory that was not freed, with its number.
    Present(u64),
    /// Memory that was freed.
    Freed(FreedMemory),
}

/// The numbers of `stats()`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stats {
    pub(crate) stores: u64,
    pub(crate) resizable_stores: u64,
    pub(crate) shared_stores: u64,
    pub(crate) external_bytes: u64,
    pub(crate) live_stores: usize,
    pub(crate) live_bytes: u64,
    pub(crate) unreleased: usize,
    pub(crate) refused: u64,
}

impl State {
    /// The state of `module` in an engine with these limits.
    pub fn new(module: NativeModule, limits: Limits) -> Self {
        let NativeModule { ledger, mapped, arguments, print } = module;
        let mut table = Table::default();
        let mapped = mapped
            .into_iter()
            .map(|(name, mapped)| {
                let store = mapped.store().clone();
                (name, table.add(&store, Entry::Mapped(mapped)))
            })
            .collect();
        State { ledger, limits, print, arguments, mapped, table: RefCell::new(table), sites: RefCell::default() }
    }

    /// The script's arguments.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// The names of the mapped files.
    pub fn mapped_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.mapped.iter().map(|(name, _)| name.as_str())
    }

    /// The mapped file in this place of the [names](Self::mapped_names).
    pub(crate) fn mapped(&self, index: usize) -> Option<Described> {
        self.mapped.get(index).map(|&(_, described)| described)
    }

    /// What the engine asks of a buffer.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Prints a line of `console`.
    pub(crate) fn print(&self, stream: Stream, text: &str) -> io::Result<()> {
        (self.print)(stream, text)
    }

    /// `allocateMemory(byteLength, { shared, maxByteLength })`
    pub(crate) fn allocate(
        &self,
        byte_length: Argument,
        shared: bool,
        max_byte_length: Argument,
        site: Site,
    ) -> Result<Described, Failure> {
        let byte_length = byte_length.byte_count("byteLength")?;
        let max_byte_length = match max_byte_length {
            Argument::Absent => None,
            given => Some(given.byte_count("maxByteLength")?),
        };
        let Limits { engine, resizes_any_memory, .. } = self.limits;
        if max_byte_length.is_some() && !resizes_any_memory {
            return Err(Failure::type_error(format!(
                "allocateMemory: {engine} resizes only its own memory; leave out maxByteLength, or externalize \
                 a buffer that script makes: new ArrayBuffer(byteLength, {{ maxByteLength }})"
            )));
        }
        if let Some(max_byte_length) = max_byte_length.filter(|&max_byte_length| max_byte_length < byte_length) {
            return Err(Failure::range_error(format!(
                "maxByteLength is {max_byte_length}, less than byteLength, which is {byte_length}; ask for at \
                 least {byte_length}"
            )));
        }
        let options = ManualOptions { shared, max_byte_length, site: Some(site) };
        let memory = ManualMemory::allocate_with(byte_length, options)?;
        let store = memory.store().clone();
        Ok(self.table.borrow_mut().add(&store, Entry::Manual(memory)))
    }

    /// The present length of memory or a reference; `None` once it was freed or released.
    pub(crate) fn byte_length(&self, id: u64) -> Option<usize> {
        match self.table.borrow().entries.get(&id)? {
            Entry::Manual(memory) => Some(memory.byte_length()),
            Entry::Mapped(mapped) => Some(mapped.store().byte_length()),
            Entry::External(store, _) => Some(store.byte_length()),
            Entry::Freed(_) => None,
        }
    }

    /// `free(memory)`. The result is for script to keep; then [`forget`](Self::forget) drops what is kept here.
    pub(crate) fn free(&self, id: u64, site: Site) -> Result<FreedMemory, Failure> {
        let memory = match self.table.borrow().entries.get(&id) {
            Some(Entry::Manual(memory)) => memory.clone(),
            Some(Entry::Mapped(_)) => {
                return Err(Failure::type_error("a mapped file is not freed: it is unmapped when the run ends"));
            }
            _ => return Err(not_memory("free")),
        };
        let byte_length = memory.byte_length();
        memory.free_at(site)?;
        let freed = FreedMemory::new(memory.store(), byte_length, site);
        let entry = self.table.borrow_mut().entries.insert(id, Entry::Freed(freed));
        // The table is not borrowed while a store may go.
        drop((entry, memory));
        Ok(freed)
    }

    /// The error of `free(memory)` for memory that was freed, or for something that is not memory.
    pub(crate) fn refuse_free(&self, memory: Memory, site: Site) -> Failure {
        match memory {
            Memory::Freed(freed) => {
                let error = freed.again(site);
                note_second_free(&error, &freed, site);
                error.into()
            }
            _ => not_memory("free"),
        }
    }

    /// The memory with this number; `None` once [`forget`](Self::forget) was called for it.
    pub(crate) fn memory(&self, id: u64) -> Option<Memory> {
        match self.table.borrow().entries.get(&id)? {
            Entry::Freed(freed) => Some(Memory::Freed(*freed)),
            _ => Some(Memory::Present(id)),
        }
    }

    /// Drops the record of memory that was freed: script has it now.
    pub(crate) fn forget(&self, id: u64) {
        let entry = self.table.borrow_mut().entries.remove(&id);
        debug_assert!(matches!(entry, Some(Entry::Freed(_))), "only what was freed is forgotten");
    }

    /// A record as numbers, for script to keep.
    pub(crate) fn to_numbers(&self, freed: &FreedMemory) -> [f64; FreedMemory::NUMBERS] {
        freed.to_numbers(&mut self.sites.borrow_mut())
    }

    /// A record that script kept.
    pub(crate) fn freed_memory(&self, numbers: [f64; FreedMemory::NUMBERS]) -> FreedMemory {
        FreedMemory::from_numbers(numbers, &self.sites.borrow())
    }

    /// The store of memory that script passed to `function`, to make a buffer over it.
    pub(crate) fn store_of(&self, memory: Memory, function: &str) -> Result<BackingStore, Failure> {
        match (self.table.borrow().find(memory), memory) {
            (Some(Entry::Manual(memory)), _) => Ok(memory.store().clone()),
            (Some(Entry::Mapped(mapped)), _) => Ok(mapped.store().clone()),
            (_, Memory::Freed(freed)) => Err(freed.used("expose").into()),
            _ => Err(not_memory(function)),
        }
    }

    /// `externalizeBuffer(buffer)`, with the buffer's store: a reference that script must release.
    pub(crate) fn externalize(&self, store: BackingStore, site: Site) -> Described {
        let hold = self.ledger.hold(&store, site);
        self.table.borrow_mut().add(&store.clone(), Entry::External(store, hold))
    }

    /// The store of a reference.
    pub(crate) fn external(&self, id: u64, attempted: &str) -> Result<BackingStore, Failure> {
        match self.table.borrow().entries.get(&id) {
            Some(Entry::External(store, _)) => Ok(store.clone()),
            _ => Err(Failure::memory(
                "RELEASED",
                format!("cannot {attempted}: this reference was released; release it once, after its last use"),
            )),
        }
    }

    /// `external.release()`
    pub(crate) fn release(&self, id: u64) -> Result<(), Failure> {
        self.external(id, "release")?;
        let entry = self.table.borrow_mut().entries.remove(&id);
        if let Some(Entry::External(store, hold)) = entry {
            self.ledger.release(hold);
            drop(store);
        }
        Ok(())
    }

    /// `stats()`
    pub(crate) fn stats(&self) -> Stats {
        let balance = self.ledger.balance();
        let live = self.ledger.live();
        Stats {
            stores: balance.stores,
            resizable_stores: balance.resizable,
            shared_stores: balance.shared,
            external_bytes: balance.external_bytes,
            live_stores: live.len(),
            live_bytes: live.iter().map(|record| record.byte_length as u64).sum(),
            unreleased: self.ledger.unreleased_count(),
            refused: balance.refused,
        }
    }
}

impl Drop for State {
    /// An engine may be what drops the state, with the last function that has it. So an owner of memory that ends here must
    /// not call an adapter, and is refused.
    fn drop(&mut self) {
        let _no_engine = InFinalizer::enter();
        self.table.take();
    }
}

impl Table {
    fn add(&mut self, store: &BackingStore, entry: Entry) -> Described {
        self.last += 1;
        let id = self.last;
        self.entries.insert(id, entry);
        Described {
            id,
            byte_length: store.byte_length(),
            max_byte_length: length_changes(store).then(|| store.max_byte_length()),
            is_shared: store.kind().is_shared(),
            address: store.as_ptr().addr(),
        }
    }

    fn find(&self, memory: Memory) -> Option<&Entry> {
        match memory {
            Memory::Present(id) => self.entries.get(&id),
            _ => None,
        }
    }
}

/// Whether the length of the store can change. That of a part of a store cannot.
pub(crate) fn length_changes(store: &BackingStore) -> bool {
    match SharedStore::try_from(store.clone()) {
        Ok(shared) => shared.is_growable(),
        Err(_) => store.kind().length() != Length::Fixed,
    }
}

/// Tells the ledger of a free of memory whose record script has, so that the core is not asked.
fn note_second_free(error: &Error, freed: &FreedMemory, site: Site) {
    let mut refusal = Refusal::new(error.code(), site, error);
    refusal.store = Some(freed.store());
    refusal.earlier = Some(freed.freed());
    refusal.created = Some(freed.allocated());
    note_refused(&refusal);
}

fn not_memory(function: &str) -> Failure {
    Failure::type_error(format!(
        "{function}: expected memory, as allocateMemory returns it and nativeModule.mapped has it"
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use bytes::Bytes;
    use offheap::FrozenStore;
    use offheap::adapter::{in_finalizer, script_site};
    use offheap_ledger::Level;

    use super::*;

    #[test]
    fn an_owner_that_ends_with_the_state_is_in_a_finalizer() {
        struct Memory(Arc<AtomicBool>);
        impl AsRef<[u8]> for Memory {
            fn as_ref(&self) -> &[u8] {
                &[1, 2]
            }
        }
        impl Drop for Memory {
            fn drop(&mut self) {
                self.0.store(in_finalizer(), Ordering::Relaxed);
            }
        }
        let is_refused = Arc::new(AtomicBool::new(false));
        let memory = Bytes::from_owner(Memory(Arc::clone(&is_refused)));
        let store = FrozenStore::from_owner(memory).expect("a store");
        let ledger = offheap_ledger::install(Level::Sites).expect("no other observer is installed");
        let limits = Limits { engine: "none", max_byte_length: 2, alignment: 8, resizes_any_memory: false };
        let state = State::new(NativeModule::new(ledger), limits);
        state.externalize(store.into(), script_site("a.js", 1, 1));
        drop(state);
        assert!(is_refused.load(Ordering::Relaxed));
    }
}
