//! The allocator of an isolate. A store can be over the memory of a buffer that script makes, without a copy and
//! without asking V8.
//!
//! ```text
//!   alignment bytes before the data                    byte_length bytes
//! +------------------------------+-------------------+------------------
//! | (only if alignment > 16)     | hold, byte_length | data
//! +------------------------------+-------------------+------------------
//! ```
//!
//! Most buffers are never externalized, and cost as much as with V8's own allocator: the store is made on first
//! request, and its hold is written before the bytes. If an observer or a budget needs to know of each buffer, the
//! store is made at once. V8 does not tell which memory came from its allocator; the [`AddressSet`] does.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::cell::Cell;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, LazyLock};

use offheap::adapter::{self, Hold, IsolateRegistration, with_script_stack};
use offheap::observe::script_stack;
use offheap::{BackingStore, Budget, IsolateId, Owner, Site, StoreId};
use offheap_engine::memory::{AddressSet, GRANULE};
use offheap_engine::run_finalizer;

use super::buffer_limit::BufferLimit;
use super::counted::COUNTED;
use super::facts::Facts;
use super::running::script_that_allocates;
use crate::ENGINE;

/// The default alignment of `new ArrayBuffer`, equal to that of V8's own allocator.
pub(crate) const ALIGNMENT: usize = GRANULE;

/// V8 can keep small typed arrays on its heap until script asks for their buffer, and then ends the process if there is
/// no memory for the buffer. This build of V8 never keeps them there, so script gets an exception for each refusal.
const _: () = assert!(v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP == 0);

/// The data addresses of all live allocations. An address is removed before V8 gives up the allocation.
static ADDRESSES: AddressSet = AddressSet::new();

/// V8's part of the allocator: one for each isolate. V8 keeps it until the last of its allocations is freed.
struct ScriptAllocator {
    alignment: usize,
    /// Keeps the isolate's id in use for as long as holds on its stores are counted.
    registration: Arc<IsolateRegistration>,
    limit: Option<BufferLimit>,
}

static CALLS: v8::RustAllocatorVtable<ScriptAllocator> = v8::RustAllocatorVtable {
    allocate,
    // V8 writes these bytes before script sees them. They are zeroed because Rust may not read uninitialized bytes.
    allocate_uninitialized: allocate,
    free,
    drop: drop_allocator,
};

/// Makes an allocator for the isolate with this registration.
///
/// # Panics
/// Unless `alignment` is a power of two and at least [`ALIGNMENT`].
pub(super) fn new_allocator(
    registration: Arc<IsolateRegistration>,
    alignment: usize,
    limit: Option<BufferLimit>,
) -> v8::UniqueRef<v8::Allocator> {
    assert!(alignment.is_power_of_two() && alignment >= ALIGNMENT, "checked by the builder");
    let allocator = Box::into_raw(Box::new(ScriptAllocator { alignment, registration, limit }));
    // SAFETY: I-FREE-ONCE: the functions are for this type, and the last one frees it.
    unsafe { v8::new_rust_allocator(allocator.cast_const(), &CALLS) }
}

/// The words directly before the data of an allocation.
#[repr(C)]
struct Prefix {
    /// V8's hold on the store, or null if there is none. The lowest bit is set until the sort of buffer is known
    /// (`settle`); until then only V8 has the store. The bit without a hold means that a thread is settling.
    hold: AtomicPtr<c_void>,
    /// The length, with the base-2 logarithm of the alignment in the upper byte.
    size: usize,
}

impl Prefix {
    const LOGARITHM_SHIFT: u32 = usize::BITS - 8;

    /// Returns `None` if no buffer has this length.
    #[inline]
    fn new(byte_length: usize, alignment: usize) -> Option<Self> {
        let logarithm = (alignment.trailing_zeros() as usize) << Self::LOGARITHM_SHIFT;
        let hold = AtomicPtr::new(ptr::null_mut());
        (byte_length >> Self::LOGARITHM_SHIFT == 0).then_some(Prefix { hold, size: byte_length | logarithm })
    }

    /// Returns the hold once it is settled. Otherwise returns the previous hold as an error: then this thread must
    /// settle it and write the new one. Two threads may call this at once, because V8 has one allocation in several
    /// isolates if it is shared, or if a program moved its block from one isolate to another.
    #[inline]
    fn begin_settling(&self) -> Result<NonNull<c_void>, Option<NonNull<c_void>>> {
        let mut hold = self.hold.load(Ordering::Acquire);
        loop {
            if !is_unsettled_hold(hold) {
                return Ok(NonNull::new(hold).expect("not null"));
            }
            if hold == SETTLING {
                // The other thread only makes a store, so it is done soon.
                std::thread::yield_now();
                hold = self.hold.load(Ordering::Acquire);
                continue;
            }
            match self.hold.compare_exchange_weak(hold, SETTLING, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => return Err(NonNull::new(hold.map_addr(|address| address & !UNSETTLED))),
                Err(now) => hold = now,
            }
        }
    }

    /// The owner of the allocation at `data`, which this prefix belongs to.
    #[inline]
    fn owner(&self, data: NonNull<u8>) -> ScriptBytes {
        let byte_length = self.size & ((1 << Self::LOGARITHM_SHIFT) - 1);
        ScriptBytes { data, byte_length, alignment: 1 << (self.size >> Self::LOGARITHM_SHIFT) }
    }
}

const _: () = assert!(size_of::<Prefix>() == GRANULE);
const UNSETTLED: usize = 1;
const SETTLING: *mut c_void = ptr::without_provenance_mut(UNSETTLED);

/// Returns the prefix of an allocation.
///
/// # Safety
/// `data` is that of a live allocation, which lives for `'a`.
#[inline]
unsafe fn prefix<'a>(data: NonNull<u8>) -> &'a Prefix {
    // SAFETY: I-LAYOUT: an allocation has a prefix before its data.
    let prefix = unsafe { data.byte_sub(size_of::<Prefix>()) }.cast::<Prefix>();
    // SAFETY: I-LAYOUT: it was written when the allocation was made, and changes only through an atomic.
    unsafe { prefix.as_ref() }
}

/// The owner of an allocation.
struct ScriptBytes {
    data: NonNull<u8>,
    byte_length: usize,
    alignment: usize,
}

impl ScriptBytes {
    /// Allocates zeroed bytes with a prefix without a hold. Returns `None` if there is no memory.
    #[inline]
    fn new(byte_length: usize, alignment: usize) -> Option<Self> {
        let fresh = Prefix::new(byte_length, alignment)?;
        let layout = layout(byte_length, alignment)?;
        let start = match alignment {
            // SAFETY: I-LAYOUT: the size is not zero: it is at least that of the prefix.
            ALIGNMENT => unsafe { alloc_zeroed(layout) },
            // SAFETY: I-LAYOUT: the size is not zero: it is at least that of the prefix.
            _ => unsafe { alloc(layout) },
        };
        let start = NonNull::new(start)?;
        // SAFETY: I-LAYOUT: this is inside the allocation, which begins with `alignment` bytes before the data.
        let data = unsafe { start.byte_add(alignment) };
        if alignment != ALIGNMENT {
            // `alloc_zeroed` would write the whole allocation here. The part before the data may be large, and stays
            // untouched.
            // SAFETY: I-LAYOUT: the allocation has `byte_length` bytes from `data` on, and no other code has it yet.
            unsafe { data.write_bytes(0, byte_length) };
        }
        // SAFETY: I-LAYOUT: this is between the start and the data, and aligned as both are.
        let prefix = unsafe { data.byte_sub(size_of::<Prefix>()) }.cast::<Prefix>();
        // SAFETY: I-LAYOUT: no other code has the allocation yet.
        unsafe { prefix.write(fresh) };
        Some(ScriptBytes { data, byte_length, alignment })
    }
}

#[inline]
fn layout(byte_length: usize, alignment: usize) -> Option<Layout> {
    Layout::from_size_align(byte_length.checked_add(alignment)?, alignment).ok()
}

impl Drop for ScriptBytes {
    #[inline]
    fn drop(&mut self) {
        let layout = layout(self.byte_length, self.alignment).expect("as it was allocated");
        // SAFETY: I-LAYOUT: the allocation begins `alignment` bytes before its data.
        let start = unsafe { self.data.byte_sub(self.alignment) };
        // SAFETY: I-FREE-ONCE: `new` allocated it with this layout, and this is its only owner.
        unsafe { dealloc(start.as_ptr(), layout) };
    }
}

// SAFETY: I-OWNER-SEND: this is an address that only this value frees.
unsafe impl Send for ScriptBytes {}
// SAFETY: I-OWNER-SEND: these are zeroed bytes of Rust's allocator, which do not move. Script also writes them; the
// exposure of the store records that, and ends when V8 calls `free`.
unsafe impl Owner for ScriptBytes {
    fn memory(&mut self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.data, self.byte_length)
    }
}

thread_local!(static IS_OURS: Cell<bool> = const { Cell::new(false) });

/// Makes a call of V8 that allocates buffers for this crate itself. They are no stores from the beginning, so no observer hears
/// of them.
pub(super) fn for_this_crate<R>(call: impl FnOnce() -> R) -> R {
    let outer = IS_OURS.replace(true);
    let result = call();
    IS_OURS.set(outer);
    result
}

/// Whether V8 allocates for this crate itself on this thread.
pub(super) fn is_for_this_crate() -> bool {
    IS_OURS.get()
}

unsafe extern "C" fn allocate(allocator: &ScriptAllocator, byte_length: usize) -> *mut c_void {
    if !COUNTED.take(byte_length) {
        return ptr::null_mut();
    }
    if let Some(limit) = &allocator.limit
        && !limit.take(byte_length, !is_for_this_crate())
    {
        COUNTED.give_back(byte_length);
        return ptr::null_mut();
    }
    let has_store = (adapter::is_observed() || Budget::limit().is_some()) && !is_for_this_crate();
    let data = match has_store {
        false => allocator.allocate(byte_length),
        true => {
            // Outside of the finalizer, in which nothing asks V8.
            let wants = adapter::wants_script_stack(byte_length);
            let _script = wants.then(|| with_script_stack(script_that_allocates(allocator.registration.id())));
            run_finalizer(ENGINE, || allocator.allocate_store(byte_length))
        }
    };
    if data.is_none() {
        allocator.give_back(byte_length);
    }
    data.map_or(ptr::null_mut(), |data| data.as_ptr().cast())
}

impl ScriptAllocator {
    #[inline]
    fn give_back(&self, byte_length: usize) {
        COUNTED.give_back(byte_length);
        if let Some(limit) = &self.limit {
            limit.give_back(byte_length);
        }
    }

    /// If it fails, V8 collects and tries again. If that fails too, script gets a `RangeError`.
    #[inline]
    fn allocate(&self, byte_length: usize) -> Option<NonNull<u8>> {
        let bytes = ScriptBytes::new(byte_length, self.alignment)?;
        let data = bytes.data;
        ADDRESSES.insert(data.as_ptr().addr()).then(|| {
            // From here on the prefix represents the owner.
            std::mem::forget(bytes);
            data
        })
    }

    /// Allocates memory with a store from the beginning.
    #[cold]
    fn allocate_store(&self, byte_length: usize) -> Option<NonNull<u8>> {
        let bytes = ScriptBytes::new(byte_length, self.alignment)?;
        let data = bytes.data;
        static UNKNOWN: LazyLock<Site> = LazyLock::new(|| adapter::script_site("script", 0, 0));
        let site = script_stack().and_then(|script| script.site()).unwrap_or_else(|| *UNKNOWN);
        let isolate = self.registration.id();
        let hold = Hold::of_owner(bytes, isolate, site).ok()?;
        if !ADDRESSES.insert(data.as_ptr().addr()) {
            return None;
        }
        hold.tell_made(isolate);
        // SAFETY: I-LAYOUT: the hold keeps the allocation, and V8 does not have it yet.
        let prefix = unsafe { prefix(data) };
        let hold = hold.into_raw().as_ptr();
        prefix.hold.store(hold.map_addr(|address| address | UNSETTLED), Ordering::Release);
        Some(data)
    }
}

/// V8 calls this once for each allocation, when it drops the last buffer over it: on any thread, also inside a detach.
unsafe extern "C" fn free(allocator: &ScriptAllocator, data: *mut c_void, byte_length: usize) {
    let Some(data) = NonNull::new(data.cast::<u8>()) else { return };
    allocator.give_back(byte_length);
    // Remove the address before the memory can be freed and allocated again.
    ADDRESSES.remove(data.as_ptr().addr());
    // SAFETY: I-LAYOUT: `allocate` gave V8 this address.
    let prefix = unsafe { prefix(data) };
    let bytes = ManuallyDrop::new(prefix.owner(data));
    assert_eq!(bytes.byte_length, byte_length, "V8 gives back the length that it asked for");
    let hold = prefix.hold.load(Ordering::Acquire).map_addr(|address| address & !UNSETTLED);
    match NonNull::new(hold) {
        // SAFETY: I-FREE-ONCE: this is V8's hold, which ends with its last buffer.
        Some(hold) => run_finalizer(ENGINE, || drop(unsafe { Hold::from_raw(hold) })),
        None => drop(ManuallyDrop::into_inner(bytes)),
    }
}

unsafe extern "C" fn drop_allocator(allocator: *const ScriptAllocator) {
    // SAFETY: I-FREE-ONCE: `new_allocator` made it, and V8 calls this once, after the last `free`.
    drop(unsafe { Box::from_raw(allocator.cast_mut()) });
}

/// The result of a search for the store of a buffer's memory.
pub(super) enum Made {
    /// The memory did not come from this allocator.
    Elsewhere,
    /// There is no store yet that native code may have.
    Unsettled,
    Store(BackingStore),
}

/// Returns the store of the memory at `data`, `byte_length` bytes long.
///
/// # Safety
/// The bytes are those of a live buffer, which V8 does not release during the call.
#[inline]
pub(super) unsafe fn find(data: NonNull<c_void>, byte_length: usize) -> Made {
    if !ADDRESSES.contains(data.as_ptr().addr()) {
        return Made::Elsewhere;
    }
    // SAFETY: I-LAYOUT: the address is in the set, and the memory stays. Either the buffer keeps V8 from calling
    // `free`, or it is another buffer over the same store: then its own hold keeps the store even if V8 calls `free`
    // now.
    let hold = unsafe { prefix(data.cast()) }.hold.load(Ordering::Acquire);
    let Some(hold) = NonNull::new(hold).filter(|hold| !is_unsettled_hold(hold.as_ptr())) else {
        return Made::Unsettled;
    };
    // SAFETY: I-FREE-ONCE: this is a hold on the store of the buffer, which lives as above. Reading it resizes nothing.
    Made::Store(unsafe { Hold::with_raw(hold, |hold| hold.store(data.as_ptr().cast(), byte_length)) })
}

/// Whether the memory at `data` came from this allocator, and there is no store of it that native code may have.
///
/// # Safety
/// The contract of [`find`] holds.
#[inline]
pub(super) unsafe fn is_unsettled(data: NonNull<c_void>) -> bool {
    if !ADDRESSES.contains(data.as_ptr().addr()) {
        return false;
    }
    // SAFETY: I-LAYOUT: the address is in the set, and the memory stays, as in `find`.
    let hold = unsafe { prefix(data.cast()) }.hold.load(Ordering::Acquire);
    is_unsettled_hold(hold)
}

/// Whether native code has no store yet of memory whose prefix has this hold.
#[inline]
fn is_unsettled_hold(hold: *mut c_void) -> bool {
    hold.is_null() || hold.addr() & UNSETTLED != 0
}

/// Returns the store of this script memory if it is not `store`. Then the code that made `store` over it has made a
/// mistake.
pub(super) fn other_store(store: &BackingStore) -> Option<StoreId> {
    let data = NonNull::new(store.as_ptr().cast::<u8>())?;
    if store.byte_length() == 0 || !ADDRESSES.contains(data.as_ptr().addr()) {
        return None;
    }
    // SAFETY: I-LAYOUT: the address is in the set, and `store` keeps the memory there (the contract of `from_raw_parts`
    // requires it), even if V8 calls `free` now.
    let hold = unsafe { prefix(data) }.hold.load(Ordering::Acquire).map_addr(|address| address & !UNSETTLED);
    // SAFETY: I-FREE-ONCE: the memory stays, as above. The hold is read and not dropped.
    let there = unsafe { Hold::with_raw(NonNull::new(hold)?, |hold| hold.store(data.as_ptr(), 0).id()) };
    Some(there).filter(|&there| there != store.id())
}

/// Makes the store if there is none, and gives it the kind of the buffer. `isolate` has the buffer.
///
/// # Safety
/// The contract of [`find`] holds, [`find`] found the store unsettled, and `facts` are those of the buffer.
#[track_caller]
pub(super) unsafe fn settle(
    data: NonNull<c_void>,
    byte_length: usize,
    facts: Facts,
    isolate: IsolateId,
) -> Result<BackingStore, offheap::Error> {
    // SAFETY: I-LAYOUT: the caller promises that the allocation lives.
    let prefix = unsafe { prefix(data.cast()) };
    let hold = settle_hold(prefix, data.cast(), facts, isolate)?;
    // SAFETY: I-FREE-ONCE: this is V8's hold, which the live buffer keeps, as in `find`.
    Ok(unsafe { Hold::with_raw(hold, |hold| hold.store(data.as_ptr().cast(), byte_length)) })
}

#[track_caller]
fn settle_hold(
    prefix: &Prefix,
    data: NonNull<u8>,
    facts: Facts,
    isolate: IsolateId,
) -> Result<NonNull<c_void>, offheap::Error> {
    let before = match prefix.begin_settling() {
        Ok(hold) => return Ok(hold),
        Err(before) => before,
    };
    let (hold, is_new) = match before {
        // SAFETY: I-FREE-ONCE: this is V8's hold. Only one thread settles: it takes the hold here, and writes it back
        // below.
        Some(hold) => (unsafe { Hold::from_raw(hold) }, false),
        None => match Hold::of_owner(prefix.owner(data), isolate, Site::here()) {
            Ok(hold) => (hold, true),
            Err(rejected) => {
                let (error, bytes) = rejected.into_parts();
                // The prefix represents the owner, as before.
                std::mem::forget(bytes);
                prefix.hold.store(ptr::null_mut(), Ordering::Release);
                return Err(error);
            }
        },
    };
    // If native code has the store, the store keeps its kind: the buffer became immutable later.
    let (Ok(hold) | Err(hold)) = match (facts.shared, facts.immutable) {
        (true, _) => hold.into_shared(),
        // SAFETY: I-BORROW: V8 keeps script from writing, and no other code has the bytes.
        (false, true) => unsafe { hold.into_frozen() },
        (false, false) => Ok(hold),
    };
    let kind = hold.kind();
    let hold = hold.into_raw();
    prefix.hold.store(hold.as_ptr(), Ordering::Release);
    assert!(!facts.shared || kind.is_shared(), "native code cannot have a store before it is settled");
    if is_new {
        // A panic of the observer may pass through: the state is already written.
        // SAFETY: I-FREE-ONCE: this is V8's hold, as above.
        unsafe { Hold::with_raw(hold, |hold| hold.tell_made(isolate)) };
    }
    Ok(hold)
}
