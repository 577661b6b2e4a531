//! The memory behind a manual store.

use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::{HeapMemory, Memory, RawStore};
use crate::Error;
use crate::budget::Charge;
use crate::sys::Pages;

mod handle;
mod heap;
mod owner;

pub(crate) use handle::ManualHandle;
pub use heap::Unfreed;
pub(crate) use heap::{free_address, freed_at, unfreed};
pub(super) use owner::{FreedAt, ManualOwner};

/// From this size on, memory comes as whole pages, which can be given back while the address stays taken.
const PAGES_FROM: usize = 64 << 10;

/// Memory that is freed when this value is dropped.
struct ManualBlock {
    memory: ManualBytes,
    // Given back after the memory, or with it.
    charge: Charge,
}

enum ManualBytes {
    Heap(HeapMemory),
    Pages(Pages),
    Adopted(Adopted),
    // What its owner has reserved, kept by a reference.
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
        let memory = if byte_length >= PAGES_FROM {
            ManualBytes::Pages(Pages::zeroed(byte_length)?)
        } else {
            // One byte at least: each memory has an address of its own.
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

    /// The memory of a store that has it reserved, kept until it is freed by hand.
    fn of_room(raw: RawStore) -> Self {
        // The store counts in the budget itself.
        ManualBlock { memory: ManualBytes::Room(raw), charge: Charge::of(0) }
    }

    /// Lets adopted memory go without freeing it.
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

    /// Gives back what can be given back without the address; returns how many bytes are kept.
    fn keep_address(&mut self) -> usize {
        match &mut self.memory {
            ManualBytes::Pages(pages) => pages.give_back_but_a_page(),
            ManualBytes::Room(raw) => raw.give_room_back(),
            // What is kept of these is less than `REMEMBERED * PAGES_FROM`, however much a program frees.
            ManualBytes::Heap(_) => {}
            // It is somebody else's, who was not told yet.
            ManualBytes::Adopted(adopted) => return adopted.byte_length,
        }
        self.charge = Charge::of(0);
        0
    }

    /// How many bytes of adopted memory the block holds back once it was freed by hand. Blocks of our own are small, or
    /// hold one page: they keep their address for as long as it is remembered.
    fn kept_bytes(&self) -> usize {
        match &self.memory {
            ManualBytes::Heap(_) | ManualBytes::Pages(_) | ManualBytes::Room(_) => 0,
            ManualBytes::Adopted(adopted) => adopted.byte_length,
        }
    }

    /// The length that the memory has at this moment, where that changes.
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
