//! Frees of memory while a finalizer runs, of addons that gave one pointer to two buffers.
//!
//! Two buffers over one piece of memory are right if it is static, or counted by the addon. They are wrong if the finalizer of
//! each frees it. So the addon's frees are watched from the moment at which a second buffer over the memory is made.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::c::RTLD_DEFAULT;
use super::imports::{self, Replaced};
use super::preload;
use crate::table;

thread_local! {
    /// The memory whose finalizer runs on this thread, and the number of its buffer. The address is 0 if there is none.
    static RUNNING: Cell<(usize, u64)> = const { Cell::new((0, 0)) };
}

macro_rules! frees {
    ($($wrapper:ident($($further:ident: $type:ty),*), $real:ident, $name:literal;)*) => {
        $(
            static $real: AtomicUsize = AtomicUsize::new(0);
            unsafe extern "C" fn $wrapper(data: *mut c_void, $($further: $type),*) {
                type Real = unsafe extern "C" fn(*mut c_void, $($type),*);
                saw(data as usize);
                // SAFETY: I-PASS-ON, the word is the address of the program's function of this name.
                let real = unsafe { std::mem::transmute::<usize, Real>($real.load(Ordering::Acquire)) };
                // SAFETY: I-PASS-ON, the arguments are the caller's.
                unsafe { real(data, $($further),*) }
            }
        )*

        pub(super) fn find_real() {
            ALL.get_or_init(|| {
                let mut all = Vec::new();
                $(
                    let real = preload::look_up(RTLD_DEFAULT, $name);
                    $real.store(real, Ordering::Release);
                    if real != 0 {
                        all.push(Replaced { name: $name, real, by: $wrapper as *const () as usize });
                    }
                )*
                all
            });
        }
    };
}

static ALL: OnceLock<Vec<Replaced>> = OnceLock::new();

frees! {
    free(), FREE, c"free";
    delete(), DELETE, c"_ZdlPv";
    delete_sized(byte_length: usize), DELETE_SIZED, c"_ZdlPvm";
    delete_array(), DELETE_ARRAY, c"_ZdaPv";
    delete_array_sized(byte_length: usize), DELETE_ARRAY_SIZED, c"_ZdaPvm";
}

/// Watches the frees of the addon that has this address, from now on.
pub(super) fn watch(address: usize) {
    imports::replace_in_object_of(address, ALL.get().map_or(&[], Vec::as_slice));
}

/// Calls the finalizer of this memory, which is that of buffer `number`. The table is told if the addon frees the memory
/// meanwhile, before it is freed: a second free may end the process.
pub(super) fn during(address: usize, number: u64, finalizer: impl FnOnce()) {
    let outer = RUNNING.replace((address, number));
    finalizer();
    RUNNING.set(outer);
}

fn saw(address: usize) {
    // A thread that ends frees memory when its variables are gone.
    let _ = RUNNING.try_with(|running| {
        let (of, number) = running.get();
        if address != 0 && of == address {
            running.set((0, 0));
            table::freed_by_finalizer(number);
        }
    });
}
