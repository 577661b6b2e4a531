//! The child process in which an unknown V8 is tried: what this addon does when it is loaded there.
//!
//! Before the addon's own registration is looked up, a function that runs at every load finds the environment variable
//! [`TRIAL`] and registers another one in its place. So nothing of the addon's runs in the child but what its libraries do when they
//! are loaded.

/// Names the parent's process. In any other process the variable is without effect.
pub(crate) const TRIAL: &str = "OFFHEAP_NODE_TRIAL";

/// After so many seconds the child process ends itself, if nobody ends it before.
pub(crate) const SECONDS: u32 = 10;

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod linux {
    use std::ffi::{c_char, c_uint, c_void};
    use std::ptr::null_mut;

    use napi::{Env, sys};

    use super::{SECONDS, TRIAL};

    /// Runs when the system has loaded this addon, in every process.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static AT_LOAD: extern "C" fn() = at_load;

    /// Node's `napi_module`, which Node 12 and later take from functions that run at load.
    #[repr(C)]
    struct Module {
        version: i32,
        flags: c_uint,
        file: *const c_char,
        register: unsafe extern "C" fn(sys::napi_env, sys::napi_value) -> sys::napi_value,
        name: *const c_char,
        private: *mut c_void,
        reserved: [*mut c_void; 4],
    }

    extern "C" fn at_load() {
        // Nothing may unwind into the loader; this allocates only if the variable is there.
        let Some(parent) = std::env::var_os(TRIAL) else {
            return;
        };
        if parent.to_str() != Some(&std::os::unix::process::parent_id().to_string()) {
            return;
        }
        // SAFETY: I-LAYOUT: it reads the name, and calls nothing.
        let register = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"napi_module_register".as_ptr()) };
        if register.is_null() {
            return;
        }
        // SAFETY: I-LAYOUT: Node-API's function of this name.
        let register = unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut Module)>(register) };
        let module = Box::leak(Box::new(Module {
            version: 1,
            flags: 0,
            file: c"".as_ptr(),
            register: try_v8,
            name: c"offheap".as_ptr(),
            private: null_mut(),
            reserved: [null_mut(); 4],
        }));
        // SAFETY: I-LAYOUT: the module is never freed; this is called while Node loads this addon.
        unsafe { register(module) };
    }

    /// Node's registration of this addon, in the child.
    unsafe extern "C" fn try_v8(env: sys::napi_env, exports: sys::napi_value) -> sys::napi_value {
        // SAFETY: I-TRIED: this process is for the trial only. No dump of its memory is written when it crashes.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
        // SAFETY: I-TRIED: this process is for the trial only. The signal ends it, should it hang and its parent be gone.
        unsafe { libc::alarm(SECONDS) };
        // SAFETY: I-ENV: Node-API's functions are looked up once, as `napi` does when it registers an addon.
        std::mem::forget(unsafe { sys::setup() });
        crate::load::in_the_child(&Env::from_raw(env));
        exports
    }
}
