//! When V8's heap is full, V8 would end the process. An isolate of ours stops the script instead. It gives V8 room to
//! stop, and takes that room back afterwards.
//!
//! V8 calls the same callback before it gives up on a buffer without memory, although its heap is far from full. The
//! bytes in use tell the two apart when script is about to continue: an object that filled the heap exists by then.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::{ENGINE, Error};

/// The room beyond the limit in which the current step of script can finish: twice the largest object that V8 makes, of 1
/// GiB, because an array is copied when it grows, and a little more. Script stops at its next step. If a single step takes
/// more than this room, V8 ends the process.
const ROOM: usize = (2 << 30) + (256 << 20);

/// Script may keep this much beyond twice its limit and still run.
const MAY_BE_KEPT: usize = 64 << 20;

#[derive(Default)]
pub(crate) struct HeapLimit {
    isolate: OnceLock<v8::IsolateHandle>,
    /// The limit that the program set, or else V8's own, in bytes, for errors.
    size: AtomicUsize,
    /// The limit of old objects that the isolate was made with: most of `size`. It is known once V8 has raised it.
    limit: AtomicUsize,
    /// The limit that was last restored. It is more than `limit` if the heap uses more.
    lowered: AtomicUsize,
    /// Whether V8 has additional room now.
    is_raised: AtomicBool,
    /// Whether script was stopped.
    is_reached: AtomicBool,
    /// Whether V8 was told to call `before_script_goes_on`, and has not done it yet.
    is_asked: AtomicBool,
}

impl HeapLimit {
    /// Watches the heap of an isolate, whose limit is `size` bytes if the program set one. Call it once.
    ///
    /// # Safety
    /// The isolate ends before this value is dropped.
    pub(super) unsafe fn watch(&self, isolate: &mut v8::Isolate, size: Option<usize>) {
        let size = size.unwrap_or_else(|| isolate.get_heap_statistics().heap_size_limit());
        self.size.store(size, Ordering::Relaxed);
        assert!(self.isolate.set(isolate.thread_safe_handle()).is_ok(), "it watches one isolate");
        isolate.add_near_heap_limit_callback(reached, self.as_data());
        isolate.add_gc_epilogue_callback(collected, self.as_data(), v8::GCType::kGCTypeMarkSweepCompact);
    }

    fn as_data(&self) -> *mut c_void {
        NonNull::from(self).cast().as_ptr()
    }

    #[inline]
    pub(super) fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::Relaxed)
    }

    /// Whether script was stopped, and the limit is not restored yet.
    #[inline]
    pub(crate) fn is_reached(&self) -> bool {
        self.is_reached.load(Ordering::Relaxed)
    }

    /// The error for a full heap.
    #[cold]
    pub(crate) fn error(&self, keeps_too_much: bool) -> Error {
        Error::HeapLimit { engine: ENGINE, limit: self.size.load(Ordering::Relaxed), keeps_too_much }
    }

    /// Restores the isolate's limit while none of its script is on the stack.
    pub(super) fn restore(&self, isolate: &mut v8::Isolate) {
        isolate.cancel_terminate_execution();
        isolate.low_memory_notification();
        self.lower(isolate);
        // The collection itself may have reached the limit, too.
        isolate.cancel_terminate_execution();
        self.is_reached.store(false, Ordering::Relaxed);
    }

    /// Has V8 call `before_script_goes_on`.
    fn ask(&self) {
        if !self.is_asked.swap(true, Ordering::Relaxed) {
            let isolate = self.isolate.get().expect("set by `watch`");
            isolate.request_interrupt(before_script_goes_on, self.as_data());
        }
    }

    /// Whether the heap has room again. V8 treats it as full from four fifths of the limit on.
    fn has_room(&self, isolate: &mut v8::Isolate) -> bool {
        isolate.get_heap_statistics().used_heap_size() < self.limit.load(Ordering::Relaxed) / 4 * 3
    }

    fn lower(&self, isolate: &mut v8::Isolate) {
        // V8 does not lower the limit below the bytes in use plus a quarter.
        isolate.remove_near_heap_limit_callback(reached, self.limit.load(Ordering::Relaxed));
        isolate.add_near_heap_limit_callback(reached, self.as_data());
        self.lowered.store(isolate.get_heap_statistics().heap_size_limit(), Ordering::Relaxed);
        self.is_raised.store(false, Ordering::Relaxed);
    }

    /// Whether the restored limit is still far above the original one, because script keeps the memory that it was
    /// stopped for.
    #[inline]
    pub(super) fn is_exceeded(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        self.lowered.load(Ordering::Relaxed) > limit.saturating_mul(2).saturating_add(MAY_BE_KEPT)
    }
}

/// V8 calls this, possibly several times, when its heap is nearly full. It returns the new limit.
unsafe extern "C" fn reached(data: *mut c_void, current: usize, initial: usize) -> usize {
    let watched = NonNull::new(data.cast::<HeapLimit>()).expect("made by `watch`");
    // SAFETY: I-FREE-ONCE: the isolate calls this, and it ends before the value is dropped.
    let watched = unsafe { watched.as_ref() };
    watched.limit.store(initial, Ordering::Relaxed);
    if !watched.is_raised.swap(true, Ordering::Relaxed) {
        watched.ask();
    }
    current.max(initial.max(watched.lowered.load(Ordering::Relaxed)).saturating_add(ROOM))
}

/// V8 calls this when script is about to continue.
unsafe extern "C" fn before_script_goes_on(mut isolate: v8::UnsafeRawIsolatePtr, data: *mut c_void) {
    let watched = NonNull::new(data.cast::<HeapLimit>()).expect("made by `watch`");
    // SAFETY: I-FREE-ONCE: the isolate calls this, and it ends before the value is dropped.
    let watched = unsafe { watched.as_ref() };
    // SAFETY: I-BORROW: V8 calls this on the isolate's thread, and nothing else uses the isolate during the call.
    let isolate = unsafe { v8::Isolate::ref_from_raw_isolate_ptr_mut(&mut isolate) };
    if watched.is_reached() && watched.is_raised() {
        // This may be other script than the one that was stopped, whose objects are not collected yet.
        isolate.low_memory_notification();
    }
    // What was asked is out of date if the limit was restored since.
    if watched.is_raised() {
        if watched.has_room(isolate) {
            watched.lower(isolate);
        } else {
            watched.is_reached.store(true, Ordering::Relaxed);
            isolate.terminate_execution();
        }
    }
    // Last, because a collection asks, too.
    watched.is_asked.store(false, Ordering::Relaxed);
}

/// V8 calls this after a collection of all objects. After script was stopped, other script may run before anybody restores the
/// limit, in the same scope of the crate `v8`. It shall be stopped near the limit too, and not where V8 has no more room.
unsafe extern "C" fn collected(
    mut isolate: v8::UnsafeRawIsolatePtr,
    _: v8::GCType,
    _: v8::GCCallbackFlags,
    data: *mut c_void,
) {
    let watched = NonNull::new(data.cast::<HeapLimit>()).expect("made by `watch`");
    // SAFETY: I-FREE-ONCE: the isolate calls this, and it ends before the value is dropped.
    let watched = unsafe { watched.as_ref() };
    if watched.is_reached() && watched.is_raised() {
        // SAFETY: I-BORROW: V8 calls this on the isolate's thread, and nothing else uses the isolate during the call.
        let isolate = unsafe { v8::Isolate::ref_from_raw_isolate_ptr_mut(&mut isolate) };
        match watched.has_room(isolate) {
            true => watched.lower(isolate),
            false => watched.ask(),
        }
    }
}
