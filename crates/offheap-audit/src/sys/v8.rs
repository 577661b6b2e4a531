//! V8's own functions, on versions of Node on which they were tried: who has the memory of a buffer, and the lines of script
//! that called. Found by name, without headers. Elsewhere the audit does without them.
//!
//! Itanium C++ ABI: a handle (`Local`) is a pointer and comes in a register, and so do the two numbers of a place. A
//! `shared_ptr` comes through a hidden pointer. libstdc++ lays it out as {object, control block}, and the control block as
//! {table of functions, uses, weak references}; the mangled names say that it is libstdc++.

use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI32, Ordering, fence};

use super::c::{Pointer, RTLD_DEFAULT};
use super::napi::{self, Env, Value};
use super::preload;
use crate::stack::Frame;

/// The versions of V8 in Node 20, 22, 23, 24, 25 and 26. `tests/run.mjs` runs the audit on each.
const TRIED: [&str; 6] = ["11.3.", "12.4.", "12.9.", "13.6.", "14.1.", "14.6."];

/// As many frames are searched for one of the program's own.
const SEARCHED_FRAMES: i32 = 10;
/// Line, column, script, function, and frames of other origins.
const OPTIONS: i32 = 1 | 2 | 4 | 8 | 256;

macro_rules! functions {
    ($($field:ident: $name:literal: fn($($argument:ty),*) -> $result:ty;)*) => {
        struct V8 {
            $($field: unsafe extern "C" fn($($argument),*) -> $result,)*
        }

        fn look_up() -> Option<V8> {
            Some(V8 {
                $($field: {
                    let address = preload::look_up(RTLD_DEFAULT, $name);
                    if address == 0 {
                        return None;
                    }
                    // SAFETY: I-TRIED-V8, the mangled name says the arguments, and V8's headers the result.
                    unsafe { std::mem::transmute::<usize, unsafe extern "C" fn($($argument),*) -> $result>(address) }
                },)*
            })
        }
    };
}

functions! {
    version: c"_ZN2v82V810GetVersionEv": fn() -> *const c_char;
    current_isolate: c"_ZN2v87Isolate13TryGetCurrentEv": fn() -> Pointer;
    backing_store: c"_ZN2v811ArrayBuffer15GetBackingStoreEv": fn(Pointer) -> Returned;
    stack_trace: c"_ZN2v810StackTrace17CurrentStackTraceEPNS_7IsolateEiNS0_17StackTraceOptionsE": fn(Pointer, i32, i32) -> Pointer;
    frame_count: c"_ZNK2v810StackTrace13GetFrameCountEv": fn(Pointer) -> i32;
    frame: c"_ZNK2v810StackTrace8GetFrameEPNS_7IsolateEj": fn(Pointer, Pointer, u32) -> Pointer;
    location: c"_ZNK2v810StackFrame11GetLocationEv": fn(Pointer) -> u64;
    script_name: c"_ZNK2v810StackFrame24GetScriptNameOrSourceURLEv": fn(Pointer) -> Pointer;
    function_name: c"_ZNK2v810StackFrame15GetFunctionNameEv": fn(Pointer) -> Pointer;
}

static TRIED_V8: LazyLock<Option<V8>> = LazyLock::new(|| {
    // A name of Node itself: others have some of V8's names, with an engine of another kind behind them.
    if preload::look_up(RTLD_DEFAULT, c"_ZN4node5StartEiPPc") == 0 {
        return None;
    }
    let v8 = look_up()?;
    let version = version(&v8);
    TRIED.iter().any(|tried| version.starts_with(tried)).then_some(v8)
});

fn version(v8: &V8) -> String {
    // SAFETY: I-TRIED-V8, this function only returns a constant, in every version.
    let version = unsafe { (v8.version)() };
    // SAFETY: I-TRIED-V8, the constant is a C string.
    unsafe { CStr::from_ptr(version) }.to_string_lossy().into_owned()
}

/// Whether this is a Node whose V8 can be asked, in words for the stream.
pub(crate) fn about() -> &'static str {
    match &*TRIED_V8 {
        Some(_) => "Node, with a V8 that says who uses memory",
        None => "a host that does not say who uses memory",
    }
}

/// Three words for a hidden pointer; the callee writes the first two.
#[repr(C)]
struct Returned([MaybeUninit<Pointer>; 3]);

/// `std::_Sp_counted_base`
#[repr(C)]
struct Control {
    functions: *const Functions,
    uses: AtomicI32,
    /// The weak references, and one more for all uses together.
    weak: AtomicI32,
}

#[repr(C)]
struct Functions {
    destructors: [unsafe extern "C" fn(*mut Control); 2],
    /// Destroys the object.
    dispose: unsafe extern "C" fn(*mut Control),
    /// Frees the block itself.
    destroy: unsafe extern "C" fn(*mut Control),
}

/// `std::weak_ptr<v8::BackingStore>`: keeps no memory alive, and tells how many use it.
#[derive(Debug)]
pub(crate) struct WeakStore(*mut Control);

// SAFETY: I-TRIED-V8, the counts of a control block are atomic, so that any thread may ask and drop.
unsafe impl Send for WeakStore {}

impl WeakStore {
    /// A reference to the store of an ArrayBuffer that was just made on this thread. None where that cannot be asked.
    pub(super) fn of(buffer: Value) -> Option<Self> {
        let v8 = TRIED_V8.as_ref()?;
        // SAFETY: I-TRIED-V8, a `napi_value` is the address of a handle's slot, which is what V8 calls a `Local`.
        let [_, control, _] = unsafe { (v8.backing_store)(buffer) }.0;
        // SAFETY: I-TRIED-V8, `GetBackingStore` has written both words of the `shared_ptr`.
        let control = unsafe { control.assume_init() }.cast::<Control>();
        if control.is_null() {
            return None;
        }
        // SAFETY: I-TRIED-V8, the `shared_ptr` that was returned keeps the block alive.
        let counts = unsafe { &*control };
        let weak = counts.weak.fetch_add(1, Ordering::Relaxed);
        let uses = counts.uses.load(Ordering::Relaxed);
        let store = WeakStore(control);
        // The buffer has one use, and the pointer that was returned another.
        let is_as_expected = (2..=4).contains(&uses) && (1..=4).contains(&weak);
        release_use(control);
        is_as_expected.then_some(store)
    }

    /// How many have the memory now: buffers of script, and native code that holds it.
    pub(crate) fn uses(&self) -> i32 {
        // SAFETY: I-TRIED-V8, this reference keeps the block alive.
        unsafe { &*self.0 }.uses.load(Ordering::Acquire)
    }
}

impl Drop for WeakStore {
    fn drop(&mut self) {
        release_weak(self.0);
    }
}

fn release_use(control: *mut Control) {
    // SAFETY: I-TRIED-V8, the use that ends here keeps the block alive.
    let counts = unsafe { &*control };
    if counts.uses.fetch_sub(1, Ordering::Release) != 1 {
        return;
    }
    fence(Ordering::Acquire);
    // SAFETY: I-TRIED-V8, libstdc++'s control blocks begin with the address of this table.
    let functions = unsafe { &*counts.functions };
    // SAFETY: I-TRIED-V8, the last use ended, so the object is destroyed, once.
    unsafe { (functions.dispose)(control) };
    release_weak(control);
}

fn release_weak(control: *mut Control) {
    // SAFETY: I-TRIED-V8, the weak reference that ends here keeps the block alive.
    let counts = unsafe { &*control };
    if counts.weak.fetch_sub(1, Ordering::Release) != 1 {
        return;
    }
    fence(Ordering::Acquire);
    // SAFETY: I-TRIED-V8, libstdc++'s control blocks begin with the address of this table.
    let functions = unsafe { &*counts.functions };
    // SAFETY: I-TRIED-V8, the last weak reference ended, so the block is freed, once.
    unsafe { (functions.destroy)(control) };
}

/// The frames of script that called, the innermost first, at most `most`. No script runs for this. The first frame is one of
/// the program's own, if there is one among the innermost. None where V8 cannot be asked.
pub(super) fn frames(env: Env, most: usize) -> Option<Vec<Frame>> {
    let v8 = TRIED_V8.as_ref()?;
    // SAFETY: I-TRIED-V8, it returns null on a thread without an isolate.
    let isolate = unsafe { (v8.current_isolate)() };
    if isolate.is_null() {
        return None;
    }
    napi::in_handle_scope(env, || {
        let limit = SEARCHED_FRAMES.max(i32::try_from(most).unwrap_or(i32::MAX));
        // SAFETY: I-TRIED-V8, the isolate is this thread's, and a scope for handles is open.
        let trace = unsafe { (v8.stack_trace)(isolate, limit, OPTIONS) };
        if trace.is_null() {
            return Vec::new();
        }
        // SAFETY: I-TRIED-V8, `trace` is a handle of the scope.
        let count = unsafe { (v8.frame_count)(trace) };
        let mut frames = Vec::new();
        for index in 0..u32::try_from(count).unwrap_or(0) {
            // SAFETY: I-TRIED-V8, `trace` is a handle of the scope, and the index is below the count.
            let frame = unsafe { (v8.frame)(trace, isolate, index) };
            frames.extend(describe(v8, env, frame));
            // One frame is enough, if it is not one of the host's.
            if most == 1 && frames.last().is_some_and(|frame| !frame.is_of_host()) {
                break;
            }
        }
        frames
    })
}

fn describe(v8: &V8, env: Env, frame: *mut c_void) -> Option<Frame> {
    if frame.is_null() {
        return None;
    }
    // SAFETY: I-TRIED-V8, `frame` is a handle of the scope that is open.
    let location = unsafe { (v8.location)(frame) };
    // Two `int`s in one register, counted from 0.
    let (line, column) = (location as i32, (location >> 32) as i32);
    // SAFETY: I-TRIED-V8, as above.
    let script = unsafe { (v8.script_name)(frame) };
    // SAFETY: I-TRIED-V8, as above.
    let function = unsafe { (v8.function_name)(frame) };
    let text = |value: Value| if value.is_null() { None } else { napi::string(env, value) };
    Some(Frame::new(text(function), &text(script)?, line.wrapping_add(1), column.wrapping_add(1)))
}
