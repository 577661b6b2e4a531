//! What QuickJS calls when it lets go of a buffer over a store, or wants its memory elsewhere; and the hold of such a buffer.

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use offheap::adapter::Hold;
use offheap::{BackingStore, UniqueStore};
use offheap_engine::run_finalizer;
use rquickjs::qjs;

use super::growing::{growing_realloc, hold_of};
use super::layout::BufferFields;
use super::moved::{make_room_to_note, note_moved, take_hold, with_hold};
use crate::ENGINE;

/// The callback of every buffer that is over a store: `size` 0 lets go of the memory, anything else asks for that many
/// bytes, for a `resize` (which keeps the buffer) or a `transfer` (whose new buffer keeps callback and opaque).
pub(super) unsafe extern "C" fn store_realloc(
    _rt: *mut qjs::JSRuntime,
    opaque: *mut c_void,
    data: *mut c_void,
    size: qjs::size_t,
) -> *mut c_void {
    let opaque = NonNull::new(opaque).expect("made with an opaque");
    // The opaque is the one that `expose` gave with this callback, unless the memory was moved since.
    run_finalizer(ENGINE, || match size {
        0 => {
            // SAFETY: I-FREE-ONCE: the buffer's callback is called with size 0 once.
            drop(unsafe { take_hold(opaque, data.cast()) });
            ptr::null_mut()
        }
        // SAFETY: as the caller says.
        _ => unsafe { realloc(opaque, data.cast(), size as usize) },
    })
}

/// # Safety
/// `opaque` came from a hold for the buffer that `data` is of, which QuickJS has not let go of; `size` is not 0.
#[inline(never)]
unsafe fn realloc(opaque: NonNull<c_void>, data: *mut u8, size: usize) -> *mut c_void {
    // SAFETY: as the caller says.
    let room = unsafe { with_hold(opaque, data, |hold, data| keep_or_move(hold, data, size)) };
    match room {
        Room::InPlace => data.cast(),
        Room::None => ptr::null_mut(),
        Room::Moved(hold) => {
            // SAFETY: I-FREE-ONCE: `size` is not 0, so that QuickJS has not let go; from here on it has.
            let old = unsafe { take_hold(opaque, data) };
            let moved_to = hold.data().as_ptr();
            let hold = hold.into_raw();
            // QuickJS keeps the old opaque, so the new hold is found by its address; unless its block is where the
            // opaque's was, which may be gone by now: then the opaque finds it.
            if hold != opaque {
                note_moved(moved_to, hold);
            }
            drop(old);
            moved_to.cast()
        }
    }
}

enum Room {
    InPlace,
    Moved(Hold),
    None,
}

/// Room for `size` bytes: in place where the store is resizable and goes that far, otherwise in a new store, as on V8.
fn keep_or_move(hold: &Hold, data: *const u8, size: usize) -> Room {
    if hold.kind().is_resizable_by_rust() && size <= hold.max_byte_length() {
        // A `resize(0)` asks for one byte; the length is published exactly afterwards (`publish_length`), or when the store
        // is next asked for. A guard of cells keeps a longer length until then, too; the memory stays.
        return if hold.resize(size).is_ok() || size < hold.byte_length() { Room::InPlace } else { Room::None };
    }
    // The buffer may be over a part of the store. More than its length may be copied then; QuickJS zeroes that.
    let end = hold.data().as_ptr().addr() + hold.byte_length();
    let count = size.min(end - data.addr());
    let from = hold.store(data, count);
    let Some((isolate, _)) = from.exposure() else { return Room::None };
    let Ok(mut unique) = UniqueStore::zeroed(size) else { return Room::None };
    // Room for the new hold, so that nothing fails once there is one.
    if !make_room_to_note() {
        return Room::None;
    }
    // SAFETY: I-BORROW: script is the writer of exposed memory, and it is script that asks for this; the range ends
    // with the store at the latest, and the new store is apart from it. Shared memory and maps count no buffers, and were
    // refused above.
    unsafe { unique.as_mut_ptr().copy_from_nonoverlapping(data, count) };
    let store = BackingStore::from(unique);
    match Hold::new(&store, isolate) {
        Ok(hold) => Room::Moved(hold),
        Err(_) => Room::None,
    }
}

/// The hold that a buffer with these fields has on a store, as a pointer; `None` where it is over other memory.
pub(super) fn hold_of_buffer(fields: &BufferFields) -> Option<NonNull<c_void>> {
    let realloc = fields.realloc? as usize;
    let opaque = NonNull::new(fields.opaque)?;
    if realloc == store_realloc as unsafe extern "C" fn(_, _, _, _) -> _ as usize {
        return Some(opaque);
    }
    if realloc == growing_realloc as unsafe extern "C" fn(_, _, _, _) -> _ as usize {
        // SAFETY: I-FREE-ONCE: a buffer with this callback that has not let go of its memory, or it would have none.
        return Some(unsafe { hold_of(opaque) });
    }
    None
}
