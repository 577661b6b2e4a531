//! The control block: one allocation with the counts, the access word, the address and length of the memory, and its owner.

use std::alloc::Layout;
use std::any::TypeId;
use std::cell::Cell;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::access::{AccessWord, Denied};
use super::counts::Counts;
use super::packed_site::PackedSite;
use crate::budget::{self, Charge};
use crate::event::{self, BlockKey, Event, EventKind, Part};
use crate::sync::{AtomicBool, AtomicUsize, Ordering, Witness, alloc, dealloc};
use crate::{Error, IsolateId, Site, StoreId, StoreKind};

/// The bytes of a control block before its owner.
pub const CONTROL_BLOCK_BYTES: usize = size_of::<Header>();

#[cfg(not(loom))]
const _: () = assert!(CONTROL_BLOCK_BYTES <= 64);

mod holders;
mod life;
mod telling;
mod unique;
mod weak;

pub use holders::Holders;
pub(crate) use unique::NotTaken;

/// The memory of a store: its address and its length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) data: NonNull<u8>,
    pub(super) byte_length: usize,
}

/// The length in a block of engine memory. No memory is as long, so one comparison tells such a block from others.
pub(super) const OF_ENGINE: usize = usize::MAX;

// The part that all blocks have. The owner follows it.
struct Header {
    counts: Counts,
    access: AccessWord,
    data: NonNull<u8>,
    byte_length: AtomicUsize,
    owner: &'static OwnerType,
    site: PackedSite,
    id: StoreId,
    // Changes only while there is no other reference, which might read it. An observer that looks at the block does not.
    kind: Cell<StoreKind>,
    // Whether its bytes count in the budget.
    charged: bool,
    // Whether each claim of an isolate has a strong reference too (`Claim`).
    claims_have_references: AtomicBool,
    part: Part,
    witness: Witness,
}

#[repr(C)]
struct Block<O> {
    header: Header,
    owner: O,
}

/// The facts about an owner whose type was erased.
struct OwnerType {
    layout: Layout,
    offset: usize,
    needs_drop: bool,
    type_id: fn() -> TypeId,
    drop: unsafe fn(*mut c_void),
}

struct OwnerTypeOf<O>(PhantomData<O>);

impl<O: 'static> OwnerTypeOf<O> {
    const OWNER_TYPE: OwnerType = OwnerType {
        layout: Layout::new::<Block<O>>(),
        offset: std::mem::offset_of!(Block<O>, owner),
        needs_drop: std::mem::needs_drop::<O>(),
        type_id: TypeId::of::<O>,
        drop: drop_owner::<O>,
    };
}

/// # Safety
/// `owner` points to an owned `O` that nobody uses afterwards.
unsafe fn drop_owner<O>(owner: *mut c_void) {
    // SAFETY: I-FREE-ONCE: the caller hands over the owner.
    unsafe { owner.cast::<O>().drop_in_place() }
}

/// A block with an owner and without a header. It is dropped if the owner panics in [`memory`](super::Owner::memory).
struct Unfinished<O> {
    block: NonNull<Block<O>>,
    owner: NonNull<O>,
}

impl<O> Unfinished<O> {
    fn into_owner(self) -> O {
        let unfinished = ManuallyDrop::new(self);
        // SAFETY: I-FREE-ONCE: the owner was written, and only this reads it out.
        let owner = unsafe { unfinished.owner.read() };
        // SAFETY: I-LAYOUT: as in `drop`, which does not run.
        unsafe { dealloc(unfinished.block.as_ptr().cast(), Layout::new::<Block<O>>()) };
        owner
    }
}

impl<O> Drop for Unfinished<O> {
    fn drop(&mut self) {
        // SAFETY: I-FREE-ONCE: the owner was written, and only this drops it.
        unsafe { self.owner.drop_in_place() };
        // SAFETY: I-LAYOUT: allocated with this layout, and no reference to it was made.
        unsafe { dealloc(self.block.as_ptr().cast(), Layout::new::<Block<O>>()) };
    }
}

/// One strong reference to a block.
pub(crate) struct RawStore(NonNull<Header>);

/// One weak reference to a block.
pub(crate) struct RawWeak(NonNull<Header>);

// SAFETY: I-OWNER-SEND: owners are `Send` (a bound of `RawStore::new`); everything else in a block is atomic or never
// changes.
unsafe impl Send for RawStore {}
// SAFETY: I-OWNER-SEND: `&RawStore` reaches atomics and plain numbers, and only an owner that is `Sync` (`owner`).
unsafe impl Sync for RawStore {}
// SAFETY: I-OWNER-SEND: a weak reference reaches the owner only by becoming a strong one.
unsafe impl Send for RawWeak {}
// SAFETY: I-OWNER-SEND: as above.
unsafe impl Sync for RawWeak {}

impl RawStore {
    /// A new block for `owner`, with one strong reference. `memory` is called once the owner is in its place.
    ///
    /// The owner comes back on failure.
    #[inline]
    pub(super) fn new<O: Send + 'static>(
        owner: O,
        kind: StoreKind,
        site: Site,
        memory: impl FnOnce(&mut O) -> Memory,
    ) -> Result<Self, (Error, O)> {
        let store = Self::untold(owner, kind, site, memory)?;
        store.tell_created();
        Ok(store)
    }

    /// A new block, as by [`new`](Self::new), of which the observer is told later, by [`tell_created`](Self::tell_created).
    #[inline]
    pub(super) fn untold<O: Send + 'static>(
        owner: O,
        kind: StoreKind,
        site: Site,
        memory: impl FnOnce(&mut O) -> Memory,
    ) -> Result<Self, (Error, O)> {
        const { assert!(size_of::<Block<O>>() != 0) };
        let layout = Layout::new::<Block<O>>();
        // SAFETY: I-LAYOUT: the size is not zero, as asserted.
        let block = unsafe { alloc(layout) };
        let Some(block) = NonNull::new(block.cast::<Block<O>>()) else {
            return Err((Error::OutOfMemory { requested: layout.size() }, owner));
        };
        // SAFETY: I-LAYOUT: the offset lies inside the block, which was allocated with the layout of a `Block<O>`.
        let mut place = unsafe { block.byte_add(std::mem::offset_of!(Block<O>, owner)) }.cast::<O>();
        // SAFETY: I-LAYOUT: the block has room for an `O` there, and nobody else has the block.
        unsafe { place.write(owner) };
        let unfinished = Unfinished { block, owner: place };
        // SAFETY: I-FREE-ONCE: the owner was just written, and nobody else has the block.
        let Memory { data, byte_length } = memory(unsafe { place.as_mut() });
        let charged = if budget::counts(kind) { budget::take(byte_length) } else { Ok(false) };
        let charged = match charged {
            Ok(charged) => charged,
            Err(error) => return Err((error, unfinished.into_owner())),
        };
        // Returned if the observer panics.
        let charge = Charge::of(if charged { byte_length } else { 0 });
        let part = if event::is_off() {
            Part::default()
        } else {
            let byte_length = match byte_length {
                // SAFETY: I-LAYOUT: an owner with this length is an `EngineOwned`, which was just written.
                OF_ENGINE => unsafe { RawStore::engine_byte_length_of(place.cast()) },
                byte_length => byte_length,
            };
            let part = Part::of_new(byte_length, kind);
            // The list of manual memory may refuse it. It counts there.
            if part.counted && !kind.is_manual() {
                event::count_made(byte_length, kind);
            }
            part
        };
        std::mem::forget(charge);
        let header = Header {
            counts: Counts::new(),
            access: AccessWord::new(),
            data,
            byte_length: AtomicUsize::new(byte_length),
            owner: &OwnerTypeOf::<O>::OWNER_TYPE,
            site: PackedSite::new(site),
            id: StoreId::next(),
            kind: Cell::new(kind),
            charged,
            claims_have_references: AtomicBool::new(false),
            part,
            witness: Witness::new(),
        };
        let block = ManuallyDrop::new(unfinished).block.cast::<Header>();
        // SAFETY: I-LAYOUT: a block begins with its header, and nobody else has the block.
        unsafe { block.write(header) };
        Ok(RawStore(block))
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: I-FREE-ONCE: this strong reference keeps the block alive.
        let header = unsafe { self.0.as_ref() };
        header.witness.used();
        header
    }

    /// For the marks in this folder. Each of them removes itself.
    #[inline]
    pub(super) fn access(&self) -> &AccessWord {
        &self.header().access
    }

    #[inline]
    pub(crate) fn data(&self) -> NonNull<u8> {
        self.header().data
    }

    #[inline]
    pub(crate) fn byte_length(&self) -> usize {
        match self.stored_byte_length() {
            OF_ENGINE => self.engine_byte_length(),
            byte_length => byte_length,
        }
    }

    /// The length, or `OF_ENGINE` if an engine determines it.
    #[inline]
    pub(super) fn stored_byte_length(&self) -> usize {
        self.header().byte_length.load(Ordering::Acquire)
    }

    /// Publishes a new length. The caller has committed the memory up to it (I-MAPPED).
    pub(super) fn set_byte_length(&self, byte_length: usize) {
        self.header().byte_length.store(byte_length, Ordering::Release);
    }

    /// The length, read in one total order with every [`replace_byte_length`](Self::replace_byte_length).
    #[inline]
    pub(crate) fn byte_length_in_order(&self) -> usize {
        match self.header().byte_length.load(Ordering::SeqCst) {
            OF_ENGINE => self.engine_byte_length(),
            byte_length => byte_length,
        }
    }

    /// Publishes a new length if the present one is `before`; otherwise returns the present one. The caller has committed
    /// the memory up to the new length (I-MAPPED).
    pub(super) fn replace_byte_length(&self, before: usize, byte_length: usize) -> Result<(), usize> {
        let replaced =
            self.header().byte_length.compare_exchange(before, byte_length, Ordering::SeqCst, Ordering::SeqCst);
        replaced.map(drop)
    }

    /// Publishes length 0, and returns the length before.
    pub(super) fn take_byte_length(&self) -> usize {
        self.header().byte_length.swap(0, Ordering::SeqCst)
    }

    #[inline]
    pub(crate) fn id(&self) -> StoreId {
        self.header().id
    }

    #[inline]
    pub(crate) fn kind(&self) -> StoreKind {
        self.header().kind.get()
    }

    pub(crate) fn site(&self) -> Site {
        self.header().site.get()
    }

    /// The isolate that has the store, and the number of its live buffers.
    #[inline]
    pub(crate) fn exposure(&self) -> Option<(IsolateId, u16)> {
        self.access().exposure()
    }

    /// The host that has the store, or had it and may still write it.
    pub(crate) fn host(&self) -> Option<IsolateId> {
        self.access().host()
    }

    /// Takes the mark of a host away. Refused while the host has live buffers.
    ///
    /// # Safety
    /// No call of the host is pending on the memory.
    pub(crate) unsafe fn end_host(&self) -> Result<(), Denied> {
        self.access().end_host()
    }

    /// The number of references: of handles, and of live buffers.
    pub(crate) fn reference_count(&self) -> u32 {
        let buffers = match self.claims_have_references() {
            true => 0,
            false => self.exposure().map_or(0, |(_, buffers)| buffers),
        };
        self.header().counts.strong() + u32::from(buffers)
    }

    #[inline]
    pub(super) fn claims_have_references(&self) -> bool {
        self.header().claims_have_references.load(Ordering::Relaxed)
    }

    /// The number of references, weak ones included, besides this one, those of `buffers` live buffers, and `own_weak` weak
    /// ones.
    pub(crate) fn others(&self, buffers: u16, own_weak: u32) -> u32 {
        let of_buffers = if self.claims_have_references() { u32::from(buffers) } else { 0 };
        self.header().counts.others(1 + of_buffers, own_weak)
    }

    /// Marks shared manual memory as freed; see `Counts::close`.
    pub(super) fn close(&self, own: u32) -> Result<(), Option<u32>> {
        self.header().counts.close(own)
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.header().counts.is_closed()
    }

    pub(crate) fn same_block(&self, other: &RawStore) -> bool {
        self.0 == other.0
    }

    /// An event of this store.
    // Cold, so that an operation that tells one stays short.
    #[cold]
    pub(crate) fn event(&self, kind: EventKind) -> Event {
        let header = self.header();
        Event {
            kind,
            store: header.id,
            store_kind: header.kind.get(),
            byte_length: self.byte_length(),
            address: header.data.as_ptr().addr(),
            created: header.site.get(),
            block: BlockKey::new(self.0.as_ptr().expose_provenance()),
        }
    }

    /// The owner, if it is an `O`. Other threads may look at it at the same time, hence `Sync`.
    pub(super) fn owner<O: Sync + 'static>(&self) -> Option<&O> {
        self.is_from::<O>().then(|| {
            // SAFETY: I-LAYOUT: the owner is an `O`, at its offset in the block, and lives as long as this reference.
            unsafe { self.owner_ptr().cast::<O>().as_ref() }
        })
    }

    pub(super) fn is_from<O: 'static>(&self) -> bool {
        (self.header().owner.type_id)() == TypeId::of::<O>()
    }

    /// Whether dropping the owner does anything.
    #[inline]
    pub(crate) fn owner_needs_drop(&self) -> bool {
        self.header().owner.needs_drop
    }

    pub(super) fn owner_ptr(&self) -> NonNull<c_void> {
        let offset = self.header().owner.offset;
        // SAFETY: I-LAYOUT: the offset lies inside the block, which the pointer was made for.
        unsafe { self.0.cast::<c_void>().byte_add(offset) }
    }

    pub(crate) fn downgrade(&self) -> RawWeak {
        self.header().counts.add_weak();
        RawWeak(self.0)
    }

    /// The block's charge to the budget, to be returned once.
    fn charge(&self) -> Charge {
        Charge::of(if self.header().charged { self.byte_length() } else { 0 })
    }

    /// Whether the block's bytes count in the budget.
    pub(super) fn is_charged(&self) -> bool {
        self.header().charged
    }

    /// The reference as a pointer, for an engine to keep.
    #[inline]
    pub(super) fn into_raw(self) -> NonNull<c_void> {
        ManuallyDrop::new(self).0.cast()
    }

    /// # Safety
    /// `raw` came from [`into_raw`](Self::into_raw), and is given back once.
    #[inline]
    pub(super) unsafe fn from_raw(raw: NonNull<c_void>) -> Self {
        RawStore(raw.cast())
    }
}
