//! What a control block says about the holders of its store, for the observer.

use std::ptr::{self, NonNull};

use super::Header;
use crate::IsolateId;
use crate::event::BlockKey;
use crate::sync::Ordering;

/// Who has a store at one moment, as [`holders`](crate::observe::holders) reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holders {
    /// The number of native references: handles to the store and to parts of it, and guards, each of which has one. All
    /// handles to manual memory are one. Frozen and shared memory counts its live buffers here too, because they are
    /// counted nowhere else.
    pub references: u32,
    /// The number of weak handles. Manual memory has one more, until it is freed, for the list of it.
    pub weak: u32,
    /// The number of guards that read, and of copies that are being made.
    pub readers: u32,
    /// Whether there is a guard that writes.
    pub writer: bool,
    /// The isolate that has the store, and the number of its live buffers. `None` also for shared and read-only memory,
    /// which any number of isolates may have.
    pub exposure: Option<(IsolateId, u16)>,
    /// The address of the store's first byte. It identifies the memory, and must not be read through.
    pub address: usize,
}

impl Holders {
    /// # Safety
    /// As for [`holders`](crate::observe::holders).
    pub(crate) unsafe fn read(block: BlockKey) -> Self {
        let header =
            NonNull::new(ptr::with_exposed_provenance_mut::<Header>(block.address())).expect("a block's address");
        // SAFETY: I-OBSERVED: the caller's promise. The block is freed after the observer was told so.
        let header = unsafe { header.as_ref() };
        let (readers, writer) = header.access.guards();
        let exposure = header.access.exposure();
        let of_buffers = match exposure {
            Some((_, buffers)) if header.claims_have_references.load(Ordering::Relaxed) => u32::from(buffers),
            _ => 0,
        };
        Holders {
            references: header.counts.strong().saturating_sub(of_buffers),
            weak: header.counts.weak(),
            readers,
            writer,
            exposure,
            address: header.data.as_ptr().addr(),
        }
    }
}
