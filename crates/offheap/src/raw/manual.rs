//! The memory behind a manual store.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::{HeapMemory, Memory, RawStore};
use crate::Error;
use crate::budget::Charge;
use crate::sys::{Freed, Pages, is_quarantine_on};

mod handle;
mod heap;
mod owner;

pub(crate) use handle::ManualHandle;
pub use heap::Unfreed;
pub(super) use heap::note_host;
pub(crate) use heap::{end_host_at, free_address, freed_at, unfreed};
pub(super) use owner::{FreedAt, ManualOwner};

/// From this size on, memory is allocated as whole pages. These can be given back while the address stays taken.
const PAGES_FROM: usize = 64 << 10;

/// Memory that is freed when this value is dropped.
struct ManualBlock {
    memory: ManualBytes,
    // Returned after the memory is freed, or with it.
    charge: Charge,
}

enum ManualBytes {
    Heap(HeapMemory),
    Pages(Pages),
    Adopted(Adopted),
    // Memory that its store's owner has reserved, kept alive by a reference.
    Room(RawStore),
}

struct Adopted {
    data: NonNull<c_void>,
    byte_length: usize,
    free_fn: unsafe extern "C" fn(*mut c_void),
}

impl ManualBlock {
    fn zeroed(byte_length: usize) -> Result<Self, Error> {
        let limit = isize::MAX as usize;
        if byte_length > limit {
            return Err(Error::TooLarge { requested: byte_length, limit });
        }
        let charge = Charge::new(byte_length)?;
        // In quarantine, pages of its own for each memory, so that a fault in it names it.
        let memory = if byte_length >= PAGES_FROM || is_quarantine_on() {
            ManualBytes::Pages(Pages::zeroed(byte_length.max(1))?)
        } else {
            // At least one byte, so that each memory has an address of its own.
            ManualBytes::Heap(HeapMemory::zeroed(byte_length.max(1))?)
        };
        Ok(ManualBlock { memory, charge })
    }

    /// # Safety
    /// Until `free_fn` is called, the `byte_length` bytes at `data` are initialised, mapped for reading and writing, and
    /// used by nobody else; `free_fn` may be called with the address on any thread, and does not unwind.
    unsafe fn adopt(
        data: *mut c_void,
        byte_length: usize,
        free_fn: unsafe extern "C" fn(*mut c_void),
    ) -> Result<Self, Error> {
        let data = NonNull::new(data).ok_or(Error::NullData { byte_length })?;
        let limit = isize::MAX as usize;
        if byte_length > limit {
            return Err(Error::TooLarge { requested: byte_length, limit });
        }
        let charge = Charge::new(byte_length)?;
        Ok(ManualBlock { memory: ManualBytes::Adopted(Adopted { data, byte_length, free_fn }), charge })
    }

    /// Memory that the store itself has reserved, kept alive until it is freed by hand.
    fn of_room(raw: RawStore) -> Self {
        // The store counts in the budget itself.
        ManualBlock { memory: ManualBytes::Room(raw), charge: Charge::of(0) }
    }

    /// Drops the block without freeing adopted memory.
    fn disown(self) {
        if let ManualBytes::Adopted(adopted) = self.memory {
            let _ = ManuallyDrop::new(adopted);
        }
    }

    fn address(&self) -> usize {
        self.data().as_ptr().addr()
    }

    fn data(&self) -> NonNull<u8> {
        match &self.memory {
            ManualBytes::Heap(heap) => heap.data(),
            ManualBytes::Pages(pages) => pages.start(),
            ManualBytes::Adopted(adopted) => adopted.data.cast(),
            ManualBytes::Room(raw) => raw.data(),
        }
    }

    fn memory(&self, byte_length: usize) -> Memory {
        Memory { data: self.data(), byte_length }
    }

    /// Gives the memory back as far as the address can stay taken. Returns how many bytes are kept.
    fn keep_address(&mut self, freed: &Freed) -> usize {
        match &mut self.memory {
            ManualBytes::Pages(pages) => pages.give_back_but_a_page(freed),
            ManualBytes::Room(raw) => raw.give_room_back(freed),
            // Kept whole. All of these together are less than `REMEMBERED * PAGES_FROM`, however much a program frees.
            ManualBytes::Heap(_) => {}
            // Kept until its `free_fn` is called.
            ManualBytes::Adopted(adopted) => return adopted.byte_length,
        }
        self.charge = Charge::of(0);
        0
    }

    /// How many bytes of adopted memory the block keeps after it was freed by hand. Memory that was allocated here keeps
    /// its address for as long as that is remembered: it is small, or only one page of it is kept.
    fn kept_bytes(&self) -> usize {
        match &self.memory {
            ManualBytes::Heap(_) | ManualBytes::Pages(_) | ManualBytes::Room(_) => 0,
            ManualBytes::Adopted(adopted) => adopted.byte_length,
        }
    }

    /// The present length of memory whose length changes.
    fn present_byte_length(&self) -> Option<usize> {
        match &self.memory {
            ManualBytes::Room(raw) => Some(raw.byte_length()),
            _ => None,
        }
    }

    fn is_adopted(&self) -> bool {
        matches!(self.memory, ManualBytes::Adopted(_))
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        // SAFETY: I-FREE-ONCE: `ManualBlock::adopt`'s caller said that this frees the memory, on any thread; this block
        // is dropped once.
        unsafe { (self.free_fn)(self.data.as_ptr()) }
    }
}

// SAFETY: I-OWNER-SEND: as `ManualBlock::adopt`'s caller said.
unsafe impl Send for Adopted {}
