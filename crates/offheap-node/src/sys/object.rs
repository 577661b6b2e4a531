//! The loaded objects of this process: the program and its libraries, as the system's loader describes them.

use std::ops::Range;

/// An object, while the loader describes it.
#[cfg(target_os = "linux")]
pub(super) struct Object<'a>(&'a libc::dl_phdr_info);

#[cfg(target_os = "linux")]
impl Object<'_> {
    /// Its segments of a kind, as ranges of addresses.
    pub(super) fn segments(&self, kind: u32) -> impl Iterator<Item = Range<usize>> {
        let (headers, base) = (self.0.dlpi_phdr, self.0.dlpi_addr);
        let count = if headers.is_null() { 0 } else { self.0.dlpi_phnum };
        (0..count).filter_map(move |index| {
            // The table is where the maker of the file put it: in single executable applications of Node 25 at an odd
            // multiple of 4.
            let header = headers.wrapping_add(index.into());
            // SAFETY: I-LAYOUT: the headers of a loaded object are in memory.
            let header = unsafe { header.read_unaligned() };
            let begin = base.wrapping_add(header.p_vaddr) as usize;
            (header.p_type == kind).then(|| begin..begin.saturating_add(header.p_memsz as usize))
        })
    }
}

/// Goes through the loaded objects, the program first, until `look` returns something.
#[cfg(target_os = "linux")]
pub(super) fn find_object<T>(look: impl FnMut(&Object<'_>) -> Option<T>) -> Option<T> {
    use std::ffi::c_void;

    struct Search<T, F> {
        look: F,
        found: Option<T>,
    }

    unsafe extern "C" fn each<T, F: FnMut(&Object<'_>) -> Option<T>>(
        object: *mut libc::dl_phdr_info,
        _size: usize,
        search: *mut c_void,
    ) -> libc::c_int {
        // SAFETY: I-LAYOUT: the system passes a live description of one object.
        let object = Object(unsafe { &*object });
        // SAFETY: I-LAYOUT: the system passes the argument of the call below, which no other code uses meanwhile.
        let search = unsafe { &mut *search.cast::<Search<T, F>>() };
        search.found = (search.look)(&object);
        libc::c_int::from(search.found.is_some())
    }

    fn of<T, F: FnMut(&Object<'_>) -> Option<T>>(_: &Search<T, F>) -> Callback {
        each::<T, F>
    }
    type Callback = unsafe extern "C" fn(*mut libc::dl_phdr_info, usize, *mut c_void) -> libc::c_int;

    let mut search = Search { look, found: None };
    let callback = of(&search);
    // SAFETY: I-LAYOUT: the callback gets the address of `search`, of its type, which lives during the call.
    unsafe { libc::dl_iterate_phdr(Some(callback), (&raw mut search).cast()) };
    search.found
}

/// The addresses of the loaded object that has this one. `dladdr` would tell too, but compares the address with all
/// 100,000 names of Node: a millisecond.
#[cfg(target_os = "linux")]
pub(super) fn object_of(address: usize) -> Option<Range<usize>> {
    find_object(|object| {
        let first = object.segments(libc::PT_LOAD).map(|segment| segment.start).min()?;
        let last = object.segments(libc::PT_LOAD).map(|segment| segment.end).max()?;
        Some(first..last).filter(|addresses| addresses.contains(&address))
    })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn object_of(_address: usize) -> Option<Range<usize>> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_object_of_an_address_is_found() {
        let of_this = object_of(the_object_of_an_address_is_found as *const () as usize).unwrap();
        let of_libc = object_of(libc::malloc as *const () as usize).unwrap();
        assert!(!of_this.contains(&of_libc.start) && !of_libc.contains(&of_this.start));
        assert_eq!(object_of(8), None);
    }

    #[test]
    fn headers_at_an_odd_multiple_of_4_are_read() {
        // SAFETY: I-LAYOUT: all of it are numbers and addresses.
        let mut header: libc::Elf64_Phdr = unsafe { std::mem::zeroed() };
        (header.p_type, header.p_vaddr, header.p_memsz) = (libc::PT_LOAD, 16, 8);
        let mut place = [0_u64; 9];
        let at = place.as_mut_ptr().cast::<u8>().wrapping_add(4).cast::<libc::Elf64_Phdr>();
        // SAFETY: I-LAYOUT: 56 bytes from the 4th on, of 72.
        unsafe { at.write_unaligned(header) };
        // SAFETY: I-LAYOUT: all of it are numbers and addresses.
        let mut info: libc::dl_phdr_info = unsafe { std::mem::zeroed() };
        (info.dlpi_addr, info.dlpi_phdr, info.dlpi_phnum) = (1000, at, 1);
        let segments: Vec<_> =
            Object(&info).segments(libc::PT_LOAD).map(|segment| (segment.start, segment.end)).collect();
        assert_eq!(segments, [(1016, 1024)]);
    }
}
