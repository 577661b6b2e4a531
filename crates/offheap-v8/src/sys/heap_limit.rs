//! What happens where V8's heap is full: it would end the process. An isolate of ours stops the script instead, and gives V8
//! room for that, which it takes back afterwards.
//!
//! V8 calls the same callback before it gives up on a buffer that there is no memory for, whose heap is far from full. Which
//! of both it was is seen when script is about to go on: an object that V8 gave up on is there by then.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What there is beyond the limit, so that what is going on can end: the largest object that V8 makes, of 1 GiB, and a
/// little. Script stops at its next step; what takes more in one step ends the process as ever.
const ROOM: usize = (1 << 30) + (256 << 20);

/// What script may keep beyond twice its limit, and run.
const MAY_BE_KEPT: usize = 64 << 20;

#[derive(Default)]
pub(crate) struct HeapLimit {
    isolate: OnceLock<v8::IsolateHandle>,
    /// As the isolate was made with it; known once it is raised.
    limit: AtomicUsize,
    /// What it was lowered to last: more than `limit` where more is in use.
    lowered: AtomicUsize,
    /// Whether V8 has more room now.
    is_raised: AtomicBool,
    /// Whether script was stopped.
    is_reached: AtomicBool,
}

impl HeapLimit {
    /// Watches the heap of an isolate, once.
    ///
    /// # Safety
    /// The isolate ends before this value is dropped.
    pub(super) unsafe fn watch(&self, isolate: &mut v8::Isolate) {
        assert!(self.isolate.set(isolate.thread_safe_handle()).is_ok(), "it watches one isolate");
        isolate.add_near_heap_limit_callback(reached, self.as_data());
    }

    fn as_data(&self) -> *mut c_void {
        NonNull::from(self).cast().as_ptr()
    }

    #[inline]
    pub(super) fn is_raised(&self) -> bool {
        self.is_raised.load(Ordering::Relaxed)
    }

    /// Gives the isolate its limit back, when no script of it is on the stack, and says whether script was stopped.
    pub(super) fn restore(&self, isolate: &mut v8::Isolate) -> bool {
        isolate.cancel_terminate_execution();
        isolate.low_memory_notification();
        self.lower(isolate);
        // That collection may have reached it, too.
        isolate.cancel_terminate_execution();
        self.is_reached.swap(false, Ordering::Relaxed)
    }

    fn lower(&self, isolate: &mut v8::Isolate) {
        // What is still in use, and a quarter, is the least that the limit can be.
        isolate.remove_near_heap_limit_callback(reached, self.limit.load(Ordering::Relaxed));
        isolate.add_near_heap_limit_callback(reached, self.as_data());
        self.lowered.store(isolate.get_heap_statistics().heap_size_limit(), Ordering::Relaxed);
        self.is_raised.store(false, Ordering::Relaxed);
    }

    /// Whether the limit could not be lowered to what it was, by far: script keeps what it was stopped for.
    #[inline]
    pub(super) fn is_exceeded(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        self.lowered.load(Ordering::Relaxed) > limit.saturating_mul(2).saturating_add(MAY_BE_KEPT)
    }
}

/// What V8 calls, also again and again; it gives the new limit.
unsafe extern "C" fn reached(data: *mut c_void, current: usize, initial: usize) -> usize {
    let watched = NonNull::new(data.cast::<HeapLimit>()).expect("made by `watch`");
    // SAFETY: I-FREE-ONCE: the isolate, which calls this, ends before the value is dropped.
    let watched = unsafe { watched.as_ref() };
    watched.limit.store(initial, Ordering::Relaxed);
    if !watched.is_raised.swap(true, Ordering::Relaxed) {
        watched.isolate.get().expect("set by `watch`").request_interrupt(before_script_goes_on, data);
    }
    current.max(initial.max(watched.lowered.load(Ordering::Relaxed)).saturating_add(ROOM))
}

/// What V8 calls when script is about to go on.
unsafe extern "C" fn before_script_goes_on(mut isolate: v8::UnsafeRawIsolatePtr, data: *mut c_void) {
    let watched = NonNull::new(data.cast::<HeapLimit>()).expect("made by `watch`");
    // SAFETY: I-FREE-ONCE: the isolate, which calls this, ends before the value is dropped.
    let watched = unsafe { watched.as_ref() };
    // SAFETY: I-BORROW: V8 calls this on the isolate's thread, and nothing else uses the isolate during the call.
    let isolate = unsafe { v8::Isolate::ref_from_raw_isolate_ptr_mut(&mut isolate) };
    // V8 calls it full from four fifths of the limit on.
    if isolate.get_heap_statistics().used_heap_size() < watched.limit.load(Ordering::Relaxed) / 4 * 3 {
        watched.lower(isolate);
    } else {
        watched.is_reached.store(true, Ordering::Relaxed);
        isolate.terminate_execution();
    }
}
