//! Holds of buffers whose memory moved.

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use offheap::adapter::Hold;
use rustc_hash::FxBuildHasher;

/// Holds, as pointers, of buffers whose opaque is another one, by the address of their memory.
///
/// Such memory was made for one buffer, whose `resize` or `transfer` wanted more than there was (`buffer`). Other buffers
/// may have been made over it since; their opaque is the same pointer as what is here, since all holds on one store are
/// the same as pointers.
static MOVED: Mutex<Moved> = Mutex::new(HashMap::with_hasher(FxBuildHasher));
type Moved = HashMap<usize, HoldPointer, FxBuildHasher>;

struct HoldPointer(NonNull<c_void>);
// SAFETY: I-OWNER-SEND: a hold is a reference to a store, which may be sent.
unsafe impl Send for HoldPointer {}
/// How many there are: mostly none, and then nobody takes the lock.
static MOVED_COUNT: AtomicUsize = AtomicUsize::new(0);

fn lock_moved() -> MutexGuard<'static, Moved> {
    MOVED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes room for one more, so that noting it does not fail; false where there is no memory.
pub(super) fn make_room_to_note() -> bool {
    lock_moved().try_reserve(1).is_ok()
}

/// Notes the hold of a buffer whose memory is at `data` from now on.
pub(super) fn note_moved(data: *mut u8, hold: NonNull<c_void>) {
    let before = lock_moved().insert(data.addr(), HoldPointer(hold));
    assert!(before.is_none(), "two living stores have two addresses");
    MOVED_COUNT.fetch_add(1, Ordering::Release);
}

/// The hold of the buffer with this opaque over moved memory at `data`, where it is one.
fn moved_hold(moved: &Moved, opaque: NonNull<c_void>, data: *mut u8) -> Option<NonNull<c_void>> {
    let hold = moved.get(&data.addr())?.0;
    Some(hold).filter(|&hold| hold != opaque)
}

/// Takes the hold of a buffer back.
///
/// # Safety
/// As for [`with_hold`], and the buffer lets go of its memory.
pub(super) unsafe fn take_hold(opaque: NonNull<c_void>, data: *mut u8) -> Hold {
    let moved = match MOVED_COUNT.load(Ordering::Acquire) {
        0 => None,
        _ => take_moved_hold(opaque, data),
    };
    // SAFETY: I-FREE-ONCE: the buffer's hold, by the caller's promise; out of `MOVED` if it was there.
    unsafe { Hold::from_raw(moved.unwrap_or(opaque)) }
}

/// As [`moved_hold`], and takes it out.
#[inline(never)]
fn take_moved_hold(opaque: NonNull<c_void>, data: *mut u8) -> Option<NonNull<c_void>> {
    let mut moved = lock_moved();
    let hold = moved_hold(&moved, opaque, data)?;
    moved.remove(&data.addr());
    MOVED_COUNT.fetch_sub(1, Ordering::Release);
    Some(hold)
}

/// Looks at the hold of a buffer, and at where in its store the buffer begins.
///
/// # Safety
/// `opaque` came from a hold for the buffer that `data` is of, which QuickJS has not let go of.
pub(super) unsafe fn with_hold<R>(
    opaque: NonNull<c_void>,
    data: *mut u8,
    look: impl FnOnce(&Hold, *const u8) -> R,
) -> R {
    let moved = match MOVED_COUNT.load(Ordering::Acquire) {
        0 => None,
        // The lock is released before `look`, which may call an observer.
        _ => moved_hold(&lock_moved(), opaque, data),
    };
    let raw = moved.unwrap_or(opaque);
    // SAFETY: I-FREE-ONCE: the buffer's hold, which is taken back only on this thread, and not by `look`.
    unsafe { Hold::with_raw(raw, |hold| look(hold, position(hold, raw, data))) }
}

/// Where in the store of `hold`, which is `raw`, a buffer with this data begins: empty ones at the end of a store have the
/// hold as their data. Not the opaque, which may be gone where the memory moved, so that other data may be there.
fn position(hold: &Hold, raw: NonNull<c_void>, data: *const u8) -> *const u8 {
    match data.addr() == raw.as_ptr().addr() {
        true => hold.data().as_ptr().wrapping_add(hold.byte_length()),
        false => data,
    }
}
