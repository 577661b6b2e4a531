//! The allocator of an isolate: what script makes buffers of is memory that a store can be over, without a copy and
//! without V8.
//!
//! ```text
//!   alignment bytes before the data                    byte_length bytes
//! +------------------------------+-------------------+------------------
//! | (only where more is asked)   | hold, byte_length | data
//! +------------------------------+-------------------+------------------
//! ```
//!
//! Most buffers are never externalized, and cost what they cost with V8's own allocator: the store is made when it is first
//! asked for, and its hold is noted before the bytes. Where an observer or a budget wants to know each buffer it is made
//! at once. V8 does not tell what came from its allocator; the [`AddressSet`] does.

use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, LazyLock};

use offheap::adapter::{self, Hold, IsolateRegistration};
use offheap::{BackingStore, Budget, IsolateId, Owner, Site, StoreId};
use offheap_engine::memory::{AddressSet, GRANULE};
use offheap_engine::run_finalizer;

use super::counted::COUNTED;
use super::facts::Facts;
use crate::ENGINE;

/// The alignment of `new ArrayBuffer` where nobody asks for more, as with V8's own allocator.
pub(crate) const ALIGNMENT: usize = GRANULE;

/// V8 can keep small typed arrays on its heap until script asks for their buffer, and ends the process where there is no
/// memory for that. This one never does, so that each refusal is an exception of script's.
const _: () = assert!(v8::TYPED_ARRAY_MAX_SIZE_IN_HEAP == 0);

/// The data of all living allocations; out of it before V8's part of them ends.
static ADDRESSES: AddressSet = AddressSet::new();

/// What V8 has of the allocator: one for each isolate, which V8 keeps until the last of its allocations is freed.
struct ScriptAllocator {
    alignment: usize,
    /// The id of the isolate is in use as long as holds on its stores are counted.
    registration: Arc<IsolateRegistration>,
}

static CALLS: v8::RustAllocatorVtable<ScriptAllocator> = v8::RustAllocatorVtable {
    allocate,
    // V8 writes these bytes before script sees them; zeros are what makes them bytes to Rust.
    allocate_uninitialized: allocate,
    free,
    drop: drop_allocator,
};

/// An allocator for the isolate with this registration.
///
/// # Panics
/// Unless `alignment` is a power of two, and not less than [`ALIGNMENT`].
pub(crate) fn new_allocator(registration: Arc<IsolateRegistration>, alignment: usize) -> v8::UniqueRef<v8::Allocator> {
    assert!(alignment.is_power_of_two() && alignment >= ALIGNMENT, "checked by the builder");
    let allocator = Box::into_raw(Box::new(ScriptAllocator { alignment, registration }));
    // SAFETY: I-FREE-ONCE: the functions are for this type, and the last one frees it.
    unsafe { v8::new_rust_allocator(allocator.cast_const(), &CALLS) }
}

/// What stands right before the data of an allocation.
#[repr(C)]
struct Prefix {
    /// V8's hold on the store, null where there is none. Its lowest bit is set until it is known what sort of buffer script
    /// made (`settle`); nobody but V8 has the store until then. That bit without a hold: a thread is settling.
    hold: AtomicPtr<c_void>,
    /// The length, and in the upper byte the logarithm of the alignment.
    size: usize,
}

impl Prefix {
    const LOGARITHM_SHIFT: u32 = usize::BITS - 8;

    /// `None` for a length that no buffer has.
    #[inline]
    fn new(byte_length: usize, alignment: usize) -> Option<Self> {
        let logarithm = (alignment.trailing_zeros() as usize) << Self::LOGARITHM_SHIFT;
        let hold = AtomicPtr::new(ptr::null_mut());
        (byte_length >> Self::LOGARITHM_SHIFT == 0).then_some(Prefix { hold, size: byte_length | logarithm })
    }

    /// The hold, once it is settled; or the one before, where this thread is to settle it now, and note it. Two threads may
    /// come here at once: V8 has one allocation in several isolates where it is shared, and where a program took its block
    /// from one to another.
    #[inline]
    fn begin_settling(&self) -> Result<NonNull<c_void>, Option<NonNull<c_void>>> {
        let mut hold = self.hold.load(Ordering::Acquire);
        loop {
            if !hold.is_null() && hold.addr() & UNSETTLED == 0 {
                return Ok(NonNull::new(hold).expect("not null"));
            }
            if hold == SETTLING {
                // The other thread needs no more than to make a store.
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

    /// The owner of the allocation at `data`, whose prefix this is.
    #[inline]
    fn owner(&self, data: NonNull<u8>) -> ScriptBytes {
        let byte_length = self.size & ((1 << Self::LOGARITHM_SHIFT) - 1);
        ScriptBytes { data, byte_length, alignment: 1 << (self.size >> Self::LOGARITHM_SHIFT) }
    }
}

const _: () = assert!(size_of::<Prefix>() == GRANULE);
const UNSETTLED: usize = 1;
const SETTLING: *mut c_void = ptr::without_provenance_mut(UNSETTLED);

/// The prefix of an allocation.
///
/// # Safety
/// `data` is that of a living allocation, which lives for `'a`.
#[inline]
unsafe fn prefix<'a>(data: NonNull<u8>) -> &'a Prefix {
    // SAFETY: I-LAYOUT: an allocation has a prefix before its data.
    let prefix = unsafe { data.byte_sub(size_of::<Prefix>()) }.cast::<Prefix>();
    // SAFETY: I-LAYOUT: written when the allocation was made; it changes only through an atomic.
    unsafe { prefix.as_ref() }
}

/// The owner of an allocation.
struct ScriptBytes {
    data: NonNull<u8>,
    byte_length: usize,
    alignment: usize,
}

impl ScriptBytes {
    /// Zeroed bytes with a prefix that has no hold; `None` where there is no memory.
    #[inline]
    fn new(byte_length: usize, alignment: usize) -> Option<Self> {
        let fresh = Prefix::new(byte_length, alignment)?;
        let layout = layout(byte_length, alignment)?;
        let start = match alignment {
            // SAFETY: I-LAYOUT: the size is at least that of the prefix.
            ALIGNMENT => unsafe { alloc_zeroed(layout) },
            // SAFETY: I-LAYOUT: as above.
            _ => unsafe { alloc(layout) },
        };
        let start = NonNull::new(start)?;
        // SAFETY: I-LAYOUT: inside the allocation, which begins with that many bytes.
        let data = unsafe { start.byte_add(alignment) };
        if alignment != ALIGNMENT {
            // `alloc_zeroed` would write all of it then; what is before the data may be large, and stays untouched.
            // SAFETY: I-LAYOUT: the allocation has so many bytes there, and nobody else has it yet.
            unsafe { data.write_bytes(0, byte_length) };
        }
        // SAFETY: I-LAYOUT: between the start and the data, and aligned as both are.
        let prefix = unsafe { data.byte_sub(size_of::<Prefix>()) }.cast::<Prefix>();
        // SAFETY: I-LAYOUT: nobody else has the allocation yet.
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
        // SAFETY: I-LAYOUT: the allocation begins that much before its data.
        let start = unsafe { self.data.byte_sub(self.alignment) };
        // SAFETY: I-FREE-ONCE: allocated with this layout by `new`, and this is its one owner.
        unsafe { dealloc(start.as_ptr(), layout) };
    }
}

// SAFETY: I-OWNER-SEND: an address that only this value frees.
unsafe impl Send for ScriptBytes {}
// SAFETY: I-OWNER-SEND: zeroed bytes of Rust's allocator, which stay where they are. Script writes them too, which the
// exposure of the store says: it ends when V8 calls `free`.
unsafe impl Owner for ScriptBytes {
    fn memory(&mut self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.data, self.byte_length)
    }
}

unsafe extern "C" fn allocate(allocator: &ScriptAllocator, byte_length: usize) -> *mut c_void {
    if !COUNTED.take(byte_length) {
        return ptr::null_mut();
    }
    let data = match adapter::is_observed() || Budget::limit().is_some() {
        false => allocator.allocate(byte_length),
        true => run_finalizer(ENGINE, || allocator.allocate_store(byte_length)),
    };
    if data.is_none() {
        COUNTED.give_back(byte_length);
    }
    data.map_or(ptr::null_mut(), |data| data.as_ptr().cast())
}

impl ScriptAllocator {
    /// Where it fails V8 collects and tries again, and script gets a `RangeError` in the end.
    #[inline]
    fn allocate(&self, byte_length: usize) -> Option<NonNull<u8>> {
        let bytes = ScriptBytes::new(byte_length, self.alignment)?;
        let data = bytes.data;
        ADDRESSES.insert(data.as_ptr().addr()).then(|| {
            // From here on the prefix stands for the owner.
            std::mem::forget(bytes);
            data
        })
    }

    /// The same with a store from the beginning.
    #[cold]
    fn allocate_store(&self, byte_length: usize) -> Option<NonNull<u8>> {
        let bytes = ScriptBytes::new(byte_length, self.alignment)?;
        let data = bytes.data;
        // V8 must not be asked where script is.
        static SITE: LazyLock<Site> = LazyLock::new(|| adapter::script_site("script", 0, 0));
        let isolate = self.registration.id();
        let hold = Hold::of_owner(bytes, isolate, *SITE).ok()?;
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

/// V8 calls it once for each allocation, when the last buffer over it goes: on any thread, inside of a detach too.
unsafe extern "C" fn free(_: &ScriptAllocator, data: *mut c_void, byte_length: usize) {
    let Some(data) = NonNull::new(data.cast::<u8>()) else { return };
    COUNTED.give_back(byte_length);
    // Before the memory can go, and be allocated again.
    ADDRESSES.remove(data.as_ptr().addr());
    // SAFETY: I-LAYOUT: V8 gives back what `allocate` gave it.
    let prefix = unsafe { prefix(data) };
    let bytes = ManuallyDrop::new(prefix.owner(data));
    assert_eq!(bytes.byte_length, byte_length, "V8 gives back the length that it asked for");
    let hold = prefix.hold.load(Ordering::Acquire).map_addr(|address| address & !UNSETTLED);
    match NonNull::new(hold) {
        // SAFETY: I-FREE-ONCE: V8's hold, which ends with its last buffer.
        Some(hold) => run_finalizer(ENGINE, || drop(unsafe { Hold::from_raw(hold) })),
        None => drop(ManuallyDrop::into_inner(bytes)),
    }
}

unsafe extern "C" fn drop_allocator(allocator: *const ScriptAllocator) {
    // SAFETY: I-FREE-ONCE: made by `new_allocator`, and V8 calls this once, after the last `free`.
    drop(unsafe { Box::from_raw(allocator.cast_mut()) });
}

/// What is known of the memory of a buffer.
pub(super) enum Made {
    /// It did not come from an allocator of this file.
    Elsewhere,
    /// There is no store yet that native code may have.
    Unsettled,
    Store(BackingStore),
}

/// The store of the memory at `data`, `byte_length` bytes long.
///
/// # Safety
/// The bytes are those of a living buffer, which is not let go of during the call.
#[inline]
pub(super) unsafe fn find(data: NonNull<c_void>, byte_length: usize) -> Made {
    if !ADDRESSES.contains(data.as_ptr().addr()) {
        return Made::Elsewhere;
    }
    // SAFETY: I-LAYOUT: in the set, and the memory stays: the buffer keeps V8 from calling `free`, or is one more over the
    // same store, whose own hold keeps it whatever V8 calls at this moment.
    let hold = unsafe { prefix(data.cast()) }.hold.load(Ordering::Acquire);
    let Some(hold) = NonNull::new(hold).filter(|hold| hold.addr().get() & UNSETTLED == 0) else {
        return Made::Unsettled;
    };
    // SAFETY: I-FREE-ONCE: a hold on the store that the buffer is over, which lives as above; looking at it resizes nothing.
    Made::Store(unsafe { Hold::with_raw(hold, |hold| hold.store(data.as_ptr().cast(), byte_length)) })
}

/// The store of memory that script has, where another one is said to have it, too: a mistake of whoever made that one.
pub(super) fn other_store(store: &BackingStore) -> Option<StoreId> {
    let data = NonNull::new(store.as_ptr().cast::<u8>())?;
    if store.byte_length() == 0 || !ADDRESSES.contains(data.as_ptr().addr()) {
        return None;
    }
    // SAFETY: I-LAYOUT: in the set, and `store` keeps the memory at this address, or would have to (`from_raw_parts`): so
    // that it stays although V8 may call `free` at this moment.
    let hold = unsafe { prefix(data) }.hold.load(Ordering::Acquire).map_addr(|address| address & !UNSETTLED);
    // SAFETY: I-FREE-ONCE: as above; the hold is looked at and not dropped.
    let there = unsafe { Hold::with_raw(NonNull::new(hold)?, |hold| hold.store(data.as_ptr(), 0).id()) };
    Some(there).filter(|&there| there != store.id())
}

/// Makes the store where there is none, and gives it the kind that the sort of buffer asks for. `isolate` has the buffer.
///
/// # Safety
/// As for [`find`], which found it unsettled; `facts` are the buffer's.
#[track_caller]
pub(super) unsafe fn settle(
    data: NonNull<c_void>,
    byte_length: usize,
    facts: Facts,
    isolate: IsolateId,
) -> Result<BackingStore, offheap::Error> {
    // SAFETY: I-LAYOUT: the caller's promise.
    let prefix = unsafe { prefix(data.cast()) };
    let hold = settle_hold(prefix, data.cast(), facts, isolate)?;
    // SAFETY: I-FREE-ONCE: V8's hold, as in `find`.
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
        // SAFETY: I-FREE-ONCE: V8's hold, taken back by the one thread that settles, and noted again below.
        Some(hold) => (unsafe { Hold::from_raw(hold) }, false),
        None => match Hold::of_owner(prefix.owner(data), isolate, Site::here()) {
            Ok(hold) => (hold, true),
            Err(rejected) => {
                let (error, bytes) = rejected.into_parts();
                // The prefix stands for the owner as before.
                std::mem::forget(bytes);
                prefix.hold.store(ptr::null_mut(), Ordering::Release);
                return Err(error);
            }
        },
    };
    // Where native code has the store it keeps its kind: the buffer became immutable afterwards.
    let (Ok(hold) | Err(hold)) = match (facts.shared, facts.immutable) {
        (true, _) => hold.into_shared(),
        // SAFETY: I-BORROW: V8 keeps script from writing, and nobody else has the bytes.
        (false, true) => unsafe { hold.into_frozen() },
        (false, false) => Ok(hold),
    };
    let kind = hold.kind();
    let hold = hold.into_raw();
    prefix.hold.store(hold.as_ptr(), Ordering::Release);
    assert!(!facts.shared || kind.is_shared(), "nobody has a store before it is settled");
    if is_new {
        // A panic of the observer passes: all is noted.
        // SAFETY: I-FREE-ONCE: V8's hold, as above.
        unsafe { Hold::with_raw(hold, |hold| hold.tell_made(isolate)) };
    }
    Ok(hold)
}
