//! Buffers over stores: making them, and what QuickJS calls when it lets go of one or wants its memory elsewhere.

use std::collections::HashMap;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use offheap::{BackingStore, Exposed, StoreKind, UniqueStore};
use rquickjs::{ArrayBuffer, Ctx, Value, qjs};

use super::state::{self, with_state};
use crate::script::caught;
use crate::{ENGINE, Error};

/// The most bytes in one buffer of QuickJS: its lengths are `int`s.
pub(crate) const MAX_BYTE_LENGTH: usize = i32::MAX as usize;

/// What a buffer's address must be a multiple of: QuickJS reads elements of up to 8 bytes through aligned pointers.
const ALIGNMENT: usize = 8;

/// Whether a buffer can be over these bytes.
pub(crate) fn is_aligned(bytes: &[u8]) -> bool {
    bytes.is_empty() || bytes.as_ptr().addr().is_multiple_of(ALIGNMENT)
}

/// A buffer over the bytes of `store`, without a copy.
#[inline]
pub(crate) fn expose<'js>(ctx: &Ctx<'js>, store: &BackingStore) -> Result<ArrayBuffer<'js>, Error> {
    if store.kind() == StoreKind::Shared {
        let (what, instead) = ("expose shared memory yet", "expose a copy of it");
        return Err(Error::Unsupported { engine: ENGINE, what, instead });
    }
    let byte_length = store.byte_length();
    if byte_length > MAX_BYTE_LENGTH {
        let (store, limit) = (Some(store.id()), MAX_BYTE_LENGTH);
        return Err(Error::TooLargeForEngine { engine: ENGINE, store, byte_length, limit });
    }
    let data: *mut u8 = store.as_ptr().cast();
    if byte_length != 0 && !data.addr().is_multiple_of(ALIGNMENT) {
        let (store, byte_offset) = (store.id(), store.byte_offset());
        return Err(Error::Misaligned { engine: ENGINE, store, byte_offset, alignment: ALIGNMENT });
    }
    let max_byte_length = match store.kind() {
        // 0 stands for a buffer that is not resizable, and 1 is the least that a store has to offer then.
        StoreKind::Resizable => store.max_byte_length().max(1),
        _ => 0,
    };
    let hold = Exposed::new(store, state::isolate_id(ctx)?)?;
    let immutable = hold.is_read_only();
    let opaque = hold.into_raw();
    // SAFETY: I-FREE-ONCE, I-MAPPED: the memory is there while the hold lives, which the callback drops once.
    let value = unsafe {
        qjs::JS_NewArrayBuffer(
            ctx.as_raw().as_ptr(),
            data,
            byte_length as qjs::size_t,
            max_byte_length as qjs::size_t,
            Some(store_realloc),
            opaque.as_ptr(),
            false,
        )
    };
    // SAFETY: looks at the tag alone.
    if unsafe { qjs::JS_IsException(value) } {
        // SAFETY: I-FREE-ONCE: QuickJS does not call the callback of a buffer that it did not make.
        drop(unsafe { Exposed::from_raw(opaque) });
        return Err(caught(ctx));
    }
    if immutable {
        // SAFETY: sets a flag of the live object that was just made.
        let set = unsafe { qjs::JS_SetImmutableArrayBuffer(value, true) };
        assert_eq!(set, 0, "an ArrayBuffer can be immutable");
    }
    // SAFETY: owned by the call above, and of the runtime of `ctx`.
    let value = unsafe { Value::from_raw(ctx.clone(), value) };
    Ok(ArrayBuffer::from_value(value).expect("made just now, and not detached"))
}

/// A buffer with a copy of `bytes`, made by QuickJS; immutable where that is asked for.
pub(crate) fn copy_into_engine<'js>(ctx: &Ctx<'js>, bytes: &[u8], immutable: bool) -> Result<ArrayBuffer<'js>, Error> {
    let (byte_length, limit) = (bytes.len(), MAX_BYTE_LENGTH);
    if byte_length > limit {
        return Err(Error::TooLargeForEngine { engine: ENGINE, store: None, byte_length, limit });
    }
    let buffer = ArrayBuffer::new_copy(ctx.clone(), bytes).map_err(|_| caught(ctx))?;
    if immutable {
        // SAFETY: sets a flag of a live object.
        let set = unsafe { qjs::JS_SetImmutableArrayBuffer(buffer.as_value().as_raw(), true) };
        assert_eq!(set, 0, "an ArrayBuffer can be immutable");
    }
    Ok(buffer)
}

/// The ArrayBuffer that `value` is, or is a view of.
pub(crate) fn view_buffer<'js>(ctx: &Ctx<'js>, value: &Value<'js>) -> Result<Value<'js>, Error> {
    // SAFETY: looks at the class of a live value.
    if unsafe { qjs::JS_IsArrayBuffer(value.as_raw()) } {
        return Ok(value.clone());
    }
    with_state(ctx, |state| {
        let realm = state.realm(ctx)?;
        let found = if realm.is_shared(value.as_raw()) {
            Some(value.clone())
        } else if value.is_object() {
            realm.buffer_of_view(value.as_raw()).map(|buffer| {
                // SAFETY: owned by the call, and of the runtime of `ctx`.
                unsafe { Value::from_raw(ctx.clone(), buffer) }
            })
        } else {
            None
        };
        match found {
            Some(buffer) if realm.is_shared(buffer.as_raw()) => Err(Error::Unsupported {
                engine: ENGINE,
                what: "externalize a SharedArrayBuffer yet",
                instead: "use an ArrayBuffer",
            }),
            Some(buffer) => Ok(buffer),
            None => Err(Error::NotAnArrayBuffer { engine: ENGINE, found: value.type_name().to_owned() }),
        }
    })
}

/// Whether the ArrayBuffer `value` is immutable.
pub(crate) fn is_immutable(value: &Value<'_>) -> bool {
    // SAFETY: reads a flag of a live object; -1 for another class.
    unsafe { qjs::JS_IsImmutableArrayBuffer(value.as_raw()) == 1 }
}

/// Detaches the ArrayBuffer `value`, which is not immutable. A detached one stays so.
pub(crate) fn detach(ctx: &Ctx<'_>, value: &Value<'_>) {
    // SAFETY: a live ArrayBuffer. QuickJS may call `store_realloc`, and through it an owner's drop, but runs no script.
    unsafe { qjs::JS_DetachArrayBuffer(ctx.as_raw().as_ptr(), value.as_raw()) };
}

/// The callback of every buffer that is over a store: `size` 0 lets go of the memory, anything else asks for that many
/// bytes, for a `resize` (which keeps the buffer) or a `transfer` (whose new buffer keeps callback and opaque).
pub(super) unsafe extern "C" fn store_realloc(
    _rt: *mut qjs::JSRuntime,
    opaque: *mut c_void,
    data: *mut c_void,
    size: qjs::size_t,
) -> *mut c_void {
    let opaque = NonNull::new(opaque).expect("made with an opaque");
    // SAFETY: I-FREE-ONCE: the opaque that `expose` gave with this callback, unless the memory was moved since.
    never_unwind(|| unsafe { realloc(opaque, data.cast(), size as usize) })
}

/// # Safety
/// `opaque` came from a hold on a store with `data` in it, which QuickJS has not let go of, or `data` is in `MOVED`.
unsafe fn realloc(opaque: NonNull<c_void>, data: *mut u8, size: usize) -> *mut c_void {
    if size == 0 {
        // SAFETY: I-FREE-ONCE: the buffer's callback is called with size 0 once.
        drop(unsafe { take_hold(opaque, data) });
        return ptr::null_mut();
    }
    // SAFETY: as the caller says.
    let moved = unsafe { with_hold(opaque, data, |hold| keep_or_move(hold, data, size)) };
    match moved {
        Room::InPlace => data.cast(),
        Room::None => ptr::null_mut(),
        Room::Moved(hold) => {
            let moved_to = hold.data().as_ptr();
            // The new hold is found by its address, since QuickJS keeps the old opaque.
            let mut moved = lock_moved();
            // SAFETY: I-FREE-ONCE: the buffer's memory is the new store from here on.
            let old = match moved.get_or_insert_default().insert(moved_to.addr(), hold) {
                None => MOVED_COUNT.fetch_add(1, Ordering::Release),
                Some(_) => unreachable!("two living stores have two addresses"),
            };
            debug_assert!(old < usize::MAX);
            drop(moved);
            // SAFETY: I-FREE-ONCE: as above.
            drop(unsafe { take_hold(opaque, data) });
            moved_to.cast()
        }
    }
}

enum Room {
    InPlace,
    Moved(Exposed),
    None,
}

/// Room for `size` bytes: in place where the store is resizable and goes that far, otherwise in a new store, as on V8.
fn keep_or_move(hold: &Exposed, data: *mut u8, size: usize) -> Room {
    if hold.kind() == StoreKind::Resizable && size <= hold.max_byte_length() {
        // A `resize(0)` asks for one byte; the length is published exactly when the store is next asked for.
        return if hold.resize(size).is_ok() { Room::InPlace } else { Room::None };
    }
    let Some((isolate, _)) = hold.store(data, 0).exposure() else { return Room::None };
    let Ok(mut unique) = UniqueStore::zeroed(size) else { return Room::None };
    // The buffer may be over a part of the store. More than its length may be copied then; QuickJS zeroes that.
    let end = hold.data().as_ptr().addr() + hold.byte_length();
    let count = size.min(end - data.addr());
    // SAFETY: I-BORROW: script is the writer of exposed memory, and it is script that asks for this; the range ends with
    // the store at the latest, and the new store is apart from it.
    unsafe { unique.as_mut_ptr().copy_from_nonoverlapping(data, count) };
    let store = BackingStore::from(unique);
    match Exposed::new(&store, isolate) {
        Ok(hold) => Room::Moved(hold),
        Err(_) => Room::None,
    }
}

/// Holds whose memory is not that of their buffer's opaque, by the address of the memory.
static MOVED: Mutex<Option<HashMap<usize, Exposed>>> = Mutex::new(None);
/// How many there are: mostly none, and then nobody takes the lock.
static MOVED_COUNT: AtomicUsize = AtomicUsize::new(0);

fn lock_moved() -> std::sync::MutexGuard<'static, Option<HashMap<usize, Exposed>>> {
    MOVED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// # Safety
/// As for [`realloc`], and the buffer lets go of its memory.
unsafe fn take_hold(opaque: NonNull<c_void>, data: *mut u8) -> Exposed {
    // Moved memory first: the opaque may be gone, and another store may be where its memory was.
    if MOVED_COUNT.load(Ordering::Acquire) != 0 {
        let moved = lock_moved().as_mut().and_then(|moved| moved.remove(&data.addr()));
        if let Some(hold) = moved {
            MOVED_COUNT.fetch_sub(1, Ordering::Release);
            return hold;
        }
    }
    // SAFETY: I-FREE-ONCE: the caller's promise.
    unsafe { Exposed::from_raw(opaque) }
}

/// # Safety
/// As for [`realloc`].
pub(super) unsafe fn with_hold<R>(opaque: NonNull<c_void>, data: *mut u8, look: impl FnOnce(&Exposed) -> R) -> R {
    if MOVED_COUNT.load(Ordering::Acquire) != 0 {
        let moved = lock_moved();
        if let Some(hold) = moved.as_ref().and_then(|moved| moved.get(&data.addr())) {
            return look(hold);
        }
    }
    // SAFETY: I-FREE-ONCE: the caller's promise.
    unsafe { Exposed::with_raw(opaque, look) }
}

/// Runs what an engine called. Nothing may unwind into C, so a panic ends the process here (I-NO-UNWIND).
fn never_unwind<R>(body: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|_| {
        eprintln!("offheap: an owner's drop or an observer panicked while QuickJS was letting go of a buffer");
        std::process::abort()
    })
}
