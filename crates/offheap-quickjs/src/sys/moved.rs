//! The holds of buffers whose memory moved.

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use offheap::adapter::Hold;
use rustc_hash::FxBuildHasher;

/// The holds, as pointers, of buffers that have another opaque, by the address of their memory.
///
/// Such memory was made for one buffer, whose `resize` or `transfer` needed more room than there was (`callback`).
/// Other buffers may have been made over the memory since. Their opaque is the pointer in this table, because all
/// holds on one store are the same pointer.
static MOVED: Mutex<Moved> = Mutex::new(HashMap::with_hasher(FxBuildHasher));
type Moved = HashMap<usize, HoldPointer, FxBuildHasher>;

struct HoldPointer(NonNull<c_void>);
// SAFETY: I-OWNER-SEND: a hold is a reference to a store, and references to stores may be sent.
unsafe impl Send for HoldPointer {}
/// The number of entries. It is usually 0, and then no thread takes the lock.
static MOVED_COUNT: AtomicUsize = AtomicUsize::new(0);

fn lock_moved() -> MutexGuard<'static, Moved> {
    MOVED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reserves memory for one more entry, so that noting it cannot fail. Returns false if there is no memory.
pub(super) fn make_room_to_note() -> bool {
    lock_moved().try_reserve(1).is_ok()
}

/// Notes the hold of a buffer whose memory is at `data` from now on.
pub(super) fn note_moved(data: *mut u8, hold: NonNull<c_void>) {
    let before = lock_moved().insert(data.addr(), HoldPointer(hold));
    assert!(before.is_none(), "two living stores have two addresses");
    MOVED_COUNT.fetch_add(1, Ordering::Release);
}

/// Whether the memory of any buffer has moved.
#[inline]
pub(super) fn has_moved() -> bool {
    MOVED_COUNT.load(Ordering::Acquire) != 0
}

/// The hold of the buffer with this opaque, if its memory at `data` has moved.
fn moved_hold(moved: &Moved, opaque: NonNull<c_void>, data: *mut u8) -> Option<NonNull<c_void>> {
    let hold = moved.get(&data.addr())?.0;
    Some(hold).filter(|&hold| hold != opaque)
}

/// Takes back the hold of a buffer.
///
/// # Safety
/// `opaque` came from a hold for the buffer with the memory `data`, and QuickJS is freeing that memory now, once.
pub(super) unsafe fn take_hold(opaque: NonNull<c_void>, data: *mut u8) -> Hold {
    let moved = if has_moved() { take_moved_hold(opaque, data) } else { None };
    // SAFETY: I-FREE-ONCE: the buffer's hold, as the caller promises; its entry in `MOVED`, if there was one, is
    // removed.
    unsafe { Hold::from_raw(moved.unwrap_or(opaque)) }
}

/// The hold of the buffer with this opaque, if its memory at `data` has moved. Removes its entry.
#[inline(never)]
fn take_moved_hold(opaque: NonNull<c_void>, data: *mut u8) -> Option<NonNull<c_void>> {
    let mut moved = lock_moved();
    let hold = moved_hold(&moved, opaque, data)?;
    moved.remove(&data.addr());
    MOVED_COUNT.fetch_sub(1, Ordering::Release);
    Some(hold)
}

/// Calls `look` with the hold of a buffer and the address at which the buffer begins in its store.
///
/// # Safety
/// `opaque` came from a hold for the buffer with the memory `data`, which QuickJS has not freed.
#[inline]
pub(super) unsafe fn with_hold<R>(
    opaque: NonNull<c_void>,
    data: *mut u8,
    look: impl FnOnce(&Hold, *const u8) -> R,
) -> R {
    let raw = if has_moved() { present_hold(opaque, data) } else { opaque };
    // SAFETY: I-FREE-ONCE: the buffer's hold, which is taken back only on this thread, and not by `look`.
    unsafe { Hold::with_raw(raw, |hold| look(hold, position(hold, raw, data))) }
}

/// The hold of the buffer with this opaque and this data. The lock is released before anything looks at the hold, which
/// may call an observer.
#[inline(never)]
fn present_hold(opaque: NonNull<c_void>, data: *mut u8) -> NonNull<c_void> {
    moved_hold(&lock_moved(), opaque, data).unwrap_or(opaque)
}

/// The address at which a buffer with this data begins in the store of `hold`. `raw` is that hold as a pointer: an
/// empty buffer at the end of a store has it as its data. Not the opaque, because after a move its block may be
/// gone, and other data may have that address.
#[inline]
fn position(hold: &Hold, raw: NonNull<c_void>, data: *const u8) -> *const u8 {
    match data.addr() == raw.as_ptr().addr() {
        true => hold.data().as_ptr().wrapping_add(hold.byte_length()),
        false => data,
    }
}
