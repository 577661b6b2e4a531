//! Libraries that the C compiler makes, without a host.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::*;

unsafe extern "C" {
    fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
}

const RTLD_LAZY: c_int = 1;
const RTLD_NOW: c_int = 2;
const RTLD_GLOBAL: c_int = 0x100;

/// A library that has the function, and calls it too.
const PROVIDER: &str = "int offheap_test(void) { return 1; } int call_own(void) { return offheap_test(); }";
/// A library that imports it: by a call, and in a table.
const USER: &str = "
int offheap_test(void);
int call(void) { return offheap_test(); }
int (*table[])(void) = { offheap_test };
int call_table(void) { return table[0](); }";

extern "C" fn replacement() -> c_int {
    2
}

struct Library(*mut c_void);

impl Library {
    fn open(path: &Path, flags: c_int) -> Self {
        let path = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: I-PASS-ON, the library was made by this test and does nothing when it is loaded.
        let handle = unsafe { dlopen(path.as_ptr(), flags) };
        assert!(!handle.is_null());
        Library(handle)
    }

    fn function(&self, name: &CStr) -> usize {
        // SAFETY: I-PASS-ON, a call by the manual.
        let address = unsafe { dlsym(self.0, name.as_ptr()) } as usize;
        assert_ne!(address, 0);
        address
    }

    fn call(&self, name: &CStr) -> c_int {
        // SAFETY: I-PASS-ON, all functions of these libraries that are called so have this type.
        let function = unsafe { std::mem::transmute::<usize, extern "C" fn() -> c_int>(self.function(name)) };
        function()
    }
}

fn folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("offheap-imports-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn compile(name: &str, source: &str, options: &[&str]) -> PathBuf {
    let (from, to) = (folder().join(format!("{name}.c")), folder().join(format!("{name}.so")));
    std::fs::write(&from, source).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1"]).args(options).arg(&from).arg("-o").arg(&to);
    assert!(compiler.status().unwrap().success());
    to
}

fn provider() -> &'static Library {
    struct Shared(Library);
    // SAFETY: I-PASS-ON, a handle may be used by any thread.
    unsafe impl Send for Shared {}
    // SAFETY: I-PASS-ON, a handle may be used by any thread.
    unsafe impl Sync for Shared {}
    static PROVIDER_LIBRARY: OnceLock<Shared> = OnceLock::new();
    &PROVIDER_LIBRARY
        .get_or_init(|| Shared(Library::open(&compile("provider", PROVIDER, &[]), RTLD_NOW | RTLD_GLOBAL)))
        .0
}

fn replaced() -> Replaced {
    Replaced {
        name: c"offheap_test",
        real: provider().function(c"offheap_test"),
        by: replacement as *const () as usize,
    }
}

fn is_replaced_in(name: &str, options: &[&str], flags: c_int) {
    let replaced = replaced();
    let user = Library::open(&compile(name, USER, options), flags);
    replace_in_object_of(user.function(c"call"), &[replaced]);
    assert_eq!((user.call(c"call"), user.call(c"call_table")), (2, 2));
}

#[test]
fn slots_that_are_bound_late() {
    is_replaced_in("lazy", &["-Wl,-z,lazy"], RTLD_LAZY);
}

#[test]
fn slots_that_are_bound_at_once_and_are_read_only() {
    is_replaced_in("now", &["-Wl,-z,now,-z,relro"], RTLD_NOW);
    // The pages are read-only again.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let of_user = maps.lines().filter(|line| line.ends_with("/now.so"));
    assert!(of_user.filter(|line| line.contains(" r--p ")).count() >= 2, "{maps}");
}

#[test]
fn a_slot_that_was_used_before() {
    let replaced = replaced();
    let user = Library::open(&compile("used", USER, &["-Wl,-z,lazy"]), RTLD_LAZY);
    assert_eq!(user.call(c"call"), 1);
    replace_in_object_of(user.function(c"call"), &[replaced]);
    replace_in_object_of(user.function(c"call"), &[replaced]);
    assert_eq!(user.call(c"call"), 2);
}

#[test]
fn the_librarys_own_function_is_left_alone() {
    replace_in_object_of(provider().function(c"call_own"), &[replaced()]);
    assert_eq!(provider().call(c"call_own"), 1);
}

#[test]
fn another_function_of_the_name_is_left_alone() {
    let other = Replaced { real: 4096, ..replaced() };
    let user = Library::open(&compile("other", USER, &["-Wl,-z,now"]), RTLD_NOW);
    replace_in_object_of(user.function(c"call"), &[other]);
    assert_eq!(user.call(c"call"), 1);
}

#[test]
fn every_object_is_looked_at_and_the_host_left_out() {
    let replaced = replaced();
    let host = Library::open(&compile("host", USER, &["-Wl,-z,now"]), RTLD_NOW);
    let user = Library::open(&compile("new", USER, &["-Wl,-z,now"]), RTLD_NOW);
    replace_in_new_objects(&[replaced], host.function(c"call"));
    assert_eq!((host.call(c"call"), user.call(c"call")), (1, 2));
}
