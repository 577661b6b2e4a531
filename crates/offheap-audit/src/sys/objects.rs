//! The objects that are loaded: the program and its libraries.

use std::ffi::{CStr, OsStr, c_int};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::c::{self, ObjectInfo, PT_LOAD, Pointer, ProgramHeader};

/// An object, while the loader keeps it where it is.
pub(super) struct Object<'a> {
    pub(super) base: usize,
    pub(super) name: &'a CStr,
    pub(super) headers: &'a [ProgramHeader],
    /// How many objects were unloaded so far. Where this did not change, an address means the same object as before.
    pub(super) unloads: u64,
}

impl Object<'_> {
    /// The addresses from its first segment to its last.
    pub(super) fn range(&self) -> Range<usize> {
        let loads = || self.headers.iter().filter(|header| header.kind == PT_LOAD);
        let start = loads().map(|header| header.address).min().unwrap_or(0);
        let end = loads().map(|header| header.address + header.byte_length).max().unwrap_or(0);
        self.base + start..self.base + end
    }

    /// The addresses of the first header of this kind.
    pub(super) fn segment(&self, kind: u32) -> Option<Range<usize>> {
        let header = self.headers.iter().find(|header| header.kind == kind)?;
        let start = self.base + header.address;
        Some(start..start + header.byte_length)
    }
}

/// Calls `each` for every object that is loaded, until one returns `false`. The loader's lock is held meanwhile, so `each`
/// must not load, unload or look up anything.
pub(super) fn each_object(each: &mut dyn FnMut(&Object<'_>) -> bool) {
    struct Each<'a>(&'a mut dyn FnMut(&Object<'_>) -> bool);
    unsafe extern "C" fn call(info: *const ObjectInfo, _: usize, data: Pointer) -> c_int {
        // SAFETY: I-SLOTS, the loader passes a struct of its own, which is valid for this call.
        let info = unsafe { &*info };
        // SAFETY: I-SLOTS, `data` is what `each_object` passed, which waits for this call and uses it for nothing else.
        let each = unsafe { &mut *data.cast::<Each<'_>>() };
        // SAFETY: I-SLOTS, the loader's names are C strings, which stay while its lock is held. None is null.
        let name = unsafe { CStr::from_ptr(info.name) };
        // SAFETY: I-SLOTS, the loader tells where the headers of the object are, and how many.
        let headers = unsafe { std::slice::from_raw_parts(info.headers, info.header_count.into()) };
        let object = Object { base: info.base, name, headers, unloads: info.unloads };
        c_int::from(!(each.0)(&object))
    }
    let mut each = Each(each);
    // SAFETY: I-SLOTS, `call` is a function of this type, and `each` lives until the loader has called it for all objects.
    unsafe { c::dl_iterate_phdr(call, (&raw mut each).cast()) };
}

/// The addons that were asked for, by their addresses.
static KNOWN: Mutex<Vec<(Range<usize>, Arc<str>)>> = Mutex::new(Vec::new());

/// Another object may be at an address from now on.
pub(super) fn forget_names() {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// The name of the object that has this address.
pub(super) fn name_of(address: usize) -> Arc<str> {
    let find = |known: &[(Range<usize>, Arc<str>)]| {
        known.iter().find(|(range, _)| range.contains(&address)).map(|(_, name)| name.clone())
    };
    if let Some(name) = find(&KNOWN.lock().unwrap_or_else(PoisonError::into_inner)) {
        return name;
    }
    let mut found = None;
    each_object(&mut |object| {
        let range = object.range();
        let is_it = range.contains(&address);
        if is_it {
            found = Some((range, short_name(Path::new(OsStr::from_bytes(object.name.to_bytes())))));
        }
        !is_it
    });
    let Some((range, name)) = found else { return "code outside of every library".into() };
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).push((range, name.clone()));
    name
}

/// The file's name, and the package that it is of: several packages have an `index.node`.
fn short_name(path: &Path) -> Arc<str> {
    let text = path.to_string_lossy();
    let name = match text.rsplit_once("/node_modules/") {
        Some((_, of_package)) => of_package,
        None => text.rsplit('/').next().unwrap_or_default(),
    };
    match name {
        "" => "the program itself".into(),
        name => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_package_in_it() {
        let name = |path| short_name(Path::new(path));
        assert_eq!(&*name("/app/node_modules/@a/b/node_modules/c/build/index.node"), "c/build/index.node");
        assert_eq!(&*name("/app/build/Release/mine.node"), "mine.node");
        assert_eq!(&*name(""), "the program itself");
    }

    #[test]
    fn an_address_is_found_in_its_object() {
        let here = an_address_is_found_in_its_object as fn() as usize;
        assert_eq!(&*name_of(here), "the program itself");
        assert_eq!(&*name_of(16), "code outside of every library");
    }
}
