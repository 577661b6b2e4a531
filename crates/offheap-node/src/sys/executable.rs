//! What the program's own file tells: script cannot change it.

/// Whether the host is Bun: its functions of Node-API have a version of their own.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn is_bun() -> bool {
    // SAFETY: I-LAYOUT: it reads two names, and calls nothing.
    let function = unsafe { libc::dlvsym(libc::RTLD_DEFAULT, c"napi_create_function".as_ptr(), c"BUN_1.2".as_ptr()) };
    !function.is_null()
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn is_bun() -> bool {
    false
}

/// Whether the program is a single executable application: Node with a script in its file, in a note that Node looks for
/// in the same way.
#[cfg(target_os = "linux")]
pub(crate) fn is_single_executable() -> bool {
    use super::object::find_object;

    // The first object is the program.
    let found = find_object(|program| {
        Some(program.segments(libc::PT_NOTE).any(|segment| {
            let start = std::ptr::with_exposed_provenance(segment.start);
            // SAFETY: I-LAYOUT: the notes of a loaded object are in memory, and nobody writes them.
            has_application(unsafe { std::slice::from_raw_parts(start, segment.len()) })
        }))
    });
    found == Some(true)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_single_executable() -> bool {
    false
}

/// Whether these notes have one with an application. A note has the lengths of its name and of its contents, a kind, then both.
/// Both begin at multiples of 4.
#[cfg(any(target_os = "linux", test))]
fn has_application(mut notes: &[u8]) -> bool {
    fn word(notes: &[u8], index: usize) -> Option<usize> {
        let bytes = notes.get(4 * index..4 * index + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?) as usize)
    }
    while let (Some(name), Some(contents)) = (word(notes, 0), word(notes, 1)) {
        if notes.get(12..12 + name) == Some(b"NODE_SEA_BLOB\0") {
            return true;
        }
        match notes.get(12 + name.next_multiple_of(4) + contents.next_multiple_of(4)..) {
            Some(rest) => notes = rest,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_neither_bun_nor_an_application() {
        assert!(!is_bun() && !is_single_executable());
    }

    #[test]
    fn an_application_is_found_behind_another_note() {
        let note = |name: &str, contents: &[u8]| {
            let words = [name.len() as u32 + 1, contents.len() as u32, 3].map(u32::to_ne_bytes);
            let mut note = words.concat();
            note.extend_from_slice(name.as_bytes());
            note.resize(12 + (name.len() + 1).next_multiple_of(4), 0);
            note.extend_from_slice(contents);
            note.resize(note.len().next_multiple_of(4), 0);
            note
        };
        let other = note("GNU", &[7; 20]);
        let both = [other.clone(), note("NODE_SEA_BLOB", b"abc")].concat();
        assert!(has_application(&both) && !has_application(&other) && !has_application(&[]));
        for cut in 0..both.len() {
            has_application(&both[..cut]);
        }
    }
}
