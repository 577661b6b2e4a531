//! The callback that QuickJS calls to free or reallocate the memory of a buffer over a store, and the hold of such
//! a buffer.

use std::ffi::c_void;
use std::ptr::{self, NonNull};

use offheap::adapter::Hold;
use offheap::{BackingStore, UniqueStore};
use offheap_engine::run_finalizer;
use rquickjs::qjs;

use super::growing::{growing_realloc, hold_of};
use super::layout::BufferFields;
use super::moved::{has_moved, make_room_to_note, note_moved, take_hold, with_hold};
use super::name::isolate_of;
use crate::ENGINE;

/// The callback of every buffer over a store. With `size` 0 it frees the memory. With another `size` it returns
/// that many bytes, for a `resize` (which keeps the buffer) or a `transfer` (whose new buffer keeps the callback
/// and the opaque).
pub(super) unsafe extern "C" fn store_realloc(
    rt: *mut qjs::JSRuntime,
    opaque: *mut c_void,
    data: *mut c_void,
    size: qjs::size_t,
) -> *mut c_void {
    let opaque = NonNull::new(opaque).expect("made with an opaque");
    // Mostly the buffer's memory did not move and others keep the store. Then no code of the program's runs.
    if size == 0 && !has_moved() {
        // SAFETY: I-FREE-ONCE: QuickJS calls the callback of a buffer with size 0 only once. The opaque is the one that
        // `expose` gave together with this callback, since no memory has moved.
        match unsafe { Hold::from_raw(opaque) }.release_if_kept() {
            Ok(()) => return ptr::null_mut(),
            Err(hold) => return release(rt, hold),
        }
    }
    // SAFETY: the arguments are QuickJS's.
    unsafe { release_or_realloc(rt, opaque, data.cast(), size as usize) }
}

/// Drops the hold of a buffer, which may run code of the program's.
#[inline(never)]
fn release(rt: *mut qjs::JSRuntime, hold: Hold) -> *mut c_void {
    run_finalizer(ENGINE, || hold.release(|| isolate_of(rt)));
    ptr::null_mut()
}

/// # Safety
/// QuickJS called the callback of a buffer with these arguments, and with `size` 0 only once.
#[inline(never)]
unsafe fn release_or_realloc(
    rt: *mut qjs::JSRuntime,
    opaque: NonNull<c_void>,
    data: *mut u8,
    size: usize,
) -> *mut c_void {
    if size == 0 {
        // SAFETY: I-FREE-ONCE: the caller's promise.
        return release(rt, unsafe { take_hold(opaque, data) });
    }
    // SAFETY: QuickJS calls the callback of a live buffer, and `size` is not 0.
    run_finalizer(ENGINE, || unsafe { realloc(opaque, data, size) })
}

/// # Safety
/// `opaque` came from a hold for the buffer with the memory `data`, which QuickJS has not freed; `size` is not 0.
unsafe fn realloc(opaque: NonNull<c_void>, data: *mut u8, size: usize) -> *mut c_void {
    // SAFETY: the caller promises that `opaque` is of a live buffer over `data`.
    let room = unsafe { with_hold(opaque, data, |hold, data| keep_or_move(hold, data, size)) };
    match room {
        Room::InPlace => data.cast(),
        Room::None => ptr::null_mut(),
        Room::Moved(hold) => {
            // SAFETY: I-FREE-ONCE: `size` is not 0, so QuickJS has not freed the memory before; it counts as freed
            // from here on.
            let old = unsafe { take_hold(opaque, data) };
            let moved_to = hold.data().as_ptr();
            let hold = hold.into_raw();
            // QuickJS keeps the old opaque, so the new hold is found by its address. Only if the new hold's block
            // has the address of the old opaque, whose block may be gone by now, the opaque itself finds the hold.
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

/// Finds room for `size` bytes: in place if the store is resizable and its maximum allows it, otherwise in a new
/// store, as on V8.
fn keep_or_move(hold: &Hold, data: *const u8, size: usize) -> Room {
    if hold.kind().is_resizable_by_rust() && size <= hold.max_byte_length() {
        // A `resize(0)` asks for one byte. The exact length is published afterwards (`publish_length`), or at the
        // next access to the store. While a guard of cells lives, a longer length is kept; the memory stays in
        // place.
        return if hold.resize(size).is_ok() || size < hold.byte_length() { Room::InPlace } else { Room::None };
    }
    // The buffer may be over a part of the store. The copy may then contain more than the buffer's length; QuickJS
    // zeroes the rest.
    let end = hold.data().as_ptr().addr() + hold.byte_length();
    let count = size.min(end - data.addr());
    let from = hold.store(data, count);
    let Some((isolate, _)) = from.exposure() else { return Room::None };
    let Ok(mut unique) = UniqueStore::zeroed(size) else { return Room::None };
    // Reserve memory to note the new hold, so nothing fails once the hold exists.
    if !make_room_to_note() {
        return Room::None;
    }
    // SAFETY: I-BORROW: only script writes exposed memory, and script is the caller here. The range ends at the end
    // of the store at the latest, and the new store does not overlap it. Shared memory and mapped files count no
    // buffers, so they were refused above.
    unsafe { unique.as_mut_ptr().copy_from_nonoverlapping(data, count) };
    let store = BackingStore::from(unique);
    match Hold::new(&store, isolate) {
        Ok(hold) => Room::Moved(hold),
        Err(_) => Room::None,
    }
}

/// The hold on a store of a buffer with these fields, as a pointer; `None` if the buffer is over other memory.
#[inline]
pub(super) fn hold_of_buffer(fields: &BufferFields) -> Option<NonNull<c_void>> {
    let realloc = fields.realloc? as usize;
    let opaque = NonNull::new(fields.opaque)?;
    if realloc == store_realloc as unsafe extern "C" fn(_, _, _, _) -> _ as usize {
        return Some(opaque);
    }
    if realloc == growing_realloc as unsafe extern "C" fn(_, _, _, _) -> _ as usize {
        // SAFETY: I-FREE-ONCE: a buffer with this callback whose memory is not freed yet; otherwise it would have
        // no callback.
        return Some(unsafe { hold_of(opaque) });
    }
    None
}
