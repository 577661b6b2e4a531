//! Which bytes a call of `nativeModule` is about: the arguments for offsets and lengths, checked against the memory.

use offheap::{BackingStore, Error, StoreKind};

use super::arguments::Argument;
use super::failure::Failure;
use super::state::{Limits, Memory, State, length_changes};

impl State {
    /// `arrayBuffer(memory, offset, length)`: the part of the memory that the buffer is to show.
    pub(crate) fn window(&self, memory: Memory, offset: Argument, length: Argument) -> Result<BackingStore, Failure> {
        let store = self.store_of(memory, "arrayBuffer")?;
        if length_changes(&store) {
            return self.whole(store, offset, length);
        }
        let offset = offset.byte_count_or("offset", 0)?;
        let rest =
            store.byte_length().checked_sub(offset).ok_or_else(|| past_the_end(&store, "offset", offset, None))?;
        let length = length.byte_count_or("length", rest)?;
        if length > rest {
            return Err(past_the_end(&store, "offset", offset, Some(length)));
        }
        let Limits { engine, max_byte_length, alignment, .. } = self.limits();
        if length > max_byte_length {
            return Err(Failure::range_error(format!(
                "{engine} takes at most {max_byte_length} bytes in one ArrayBuffer, and this window has {length}; use \
                 smaller ones: nativeModule.arrayBuffer(memory, offset, length)"
            )));
        }
        let excess = offset % alignment;
        if excess != 0 && length != 0 {
            let before = offset - excess;
            return Err(Failure::range_error(format!(
                "a window begins at a multiple of {alignment}, and {offset} is not one; make one at {before}, and \
                 new Uint8Array(buffer, {excess}) over it"
            )));
        }
        Ok(store.slice(offset..offset + length)?)
    }

    /// All of the memory, for a buffer whose length follows that of the memory.
    fn whole(&self, store: BackingStore, offset: Argument, length: Argument) -> Result<BackingStore, Failure> {
        if offset.byte_count_or("offset", 0)? != 0 || length != Argument::Absent {
            return Err(Failure::range_error(
                "a buffer over memory with a maxByteLength is over all of it; call nativeModule.arrayBuffer(memory), and \
                 make a view: new Uint8Array(buffer, offset, length)",
            ));
        }
        let Limits { engine, max_byte_length, .. } = self.limits();
        if store.max_byte_length() > max_byte_length {
            return Err(Failure::range_error(format!(
                "{engine} takes at most {max_byte_length} bytes in one ArrayBuffer, and the maxByteLength of this memory \
                 is {}; allocate it with less",
                store.max_byte_length()
            )));
        }
        Ok(store)
    }

    /// The store of a reference, to read or write it. An error where its memory was freed: no range of it would be
    /// valid.
    fn present(&self, id: u64, attempted: &'static str) -> Result<BackingStore, Failure> {
        let store = self.external(id, attempted)?;
        // Any other error is one of memory that the engine owns: nobody frees that by hand.
        match store.copy_to_slice(0, &mut []) {
            Err(Error::Freed { store, freed, .. }) => Err(Error::Freed { store, attempted, freed }.into()),
            _ => Ok(store),
        }
    }

    /// The store of a reference, to write to it. An error where its memory is read-only.
    fn writable(&self, id: u64, attempted: &'static str) -> Result<BackingStore, Failure> {
        let store = self.present(id, attempted)?;
        match store.kind() {
            StoreKind::MAPPED => Err(Failure::memory(
                "READ_ONLY",
                format!("cannot {attempted} a file that is mapped :ro; map the file with :cow or :rw"),
            )),
            _ => Ok(store),
        }
    }

    /// `external.fill(value, from, to)`: the bytes to set.
    pub(crate) fn fill_range(&self, id: u64, from: Argument, to: Argument) -> Result<BackingStore, Failure> {
        range(&self.writable(id, "fill")?, from, to)
    }

    /// `external.read(from, to)`: the bytes to copy.
    pub(crate) fn read_range(&self, id: u64, from: Argument, to: Argument) -> Result<BackingStore, Failure> {
        let range = range(&self.present(id, "read")?, from, to)?;
        let Limits { engine, max_byte_length, .. } = self.limits();
        let length = range.byte_length();
        if length > max_byte_length {
            return Err(Failure::range_error(format!(
                "{engine} takes at most {max_byte_length} bytes in one Uint8Array, and {length} were asked for; read \
                 them in parts"
            )));
        }
        Ok(range)
    }

    /// `external.write(from, bytes)`: the place for `byte_length` bytes.
    pub(crate) fn write_range(&self, id: u64, from: Argument, byte_length: usize) -> Result<BackingStore, Failure> {
        let store = self.writable(id, "write")?;
        let from = from.byte_count("from")?;
        match from.checked_add(byte_length) {
            Some(to) if to <= store.byte_length() => Ok(store.slice(from..to)?),
            _ => Err(past_the_end(&store, "from", from, Some(byte_length))),
        }
    }
}

/// The bytes `from..to` of a store.
fn range(store: &BackingStore, from: Argument, to: Argument) -> Result<BackingStore, Failure> {
    let from = from.byte_count_or("from", 0)?;
    let to = to.byte_count_or("to", store.byte_length())?;
    if from > store.byte_length() {
        return Err(past_the_end(store, "from", from, None));
    }
    if from > to {
        return Err(Failure::range_error(format!("the range {from}..{to} ends before it begins; swap its ends")));
    }
    if to > store.byte_length() {
        return Err(past_the_end(store, "from", from, Some(to - from)));
    }
    Ok(store.slice(from..to)?)
}

/// `name` is the name of the argument `offset`.
fn past_the_end(store: &BackingStore, name: &str, offset: usize, length: Option<usize>) -> Failure {
    let asked = match length {
        Some(1) => format!("1 byte from {offset} on ends past the memory"),
        Some(length) => format!("{length} bytes from {offset} on end past the memory"),
        None => format!("{name} {offset} is past the end of the memory"),
    };
    let has = match store.byte_length() {
        1 => "1 byte".to_owned(),
        byte_length => format!("{byte_length} bytes"),
    };
    Failure::range_error(format!("{asked}, which has {has}; ask for less"))
}
