//! The modules of this process, with what `framehop` needs to find a caller's frame in them.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use std::sync::atomic::{AtomicU64, Ordering};

/// An unwinder for the modules of this process.
pub(crate) type Unwinder = framehop::UnwinderNative<Section, framehop::MayAllocateDuringUnwind>;

/// Bytes of a section of a module.
#[derive(Clone)]
pub(crate) enum Section {
    /// Of the program itself, which is never unloaded.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "frames are found by frame pointers"))]
    Program(&'static [u8]),
    /// A copy, because a library may be unloaded at any time.
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "frames are found by frame pointers"))]
    Copied(Arc<[u8]>),
}

impl Deref for Section {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Section::Program(bytes) => bytes,
            Section::Copied(bytes) => bytes,
        }
    }
}

impl Default for Section {
    fn default() -> Self {
        Section::Program(&[])
    }
}

struct Modules {
    /// How many modules were loaded and unloaded when the list was made.
    changes: u64,
    unwinder: Arc<Unwinder>,
}

static MODULES: Mutex<Option<Modules>> = Mutex::new(None);
/// Counts the lists that were made, so that a thread sees with one load whether its own is the newest.
static LISTS: AtomicU64 = AtomicU64::new(0);

/// The number of the newest list.
pub(crate) fn newest() -> u64 {
    LISTS.load(Ordering::Acquire)
}

/// The newest list with its number.
pub(crate) fn current() -> (u64, Arc<Unwinder>) {
    refresh();
    let modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    (newest(), Arc::clone(&modules.as_ref().expect("a list was made").unwinder))
}

/// Makes a new list if modules were loaded or unloaded since the last. Returns whether it did.
pub(crate) fn refresh() -> bool {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    let changes = list::changes();
    if modules.as_ref().is_some_and(|modules| modules.changes == changes) {
        return false;
    }
    *modules = Some(Modules { changes, unwinder: Arc::new(list::unwinder()) });
    LISTS.fetch_add(1, Ordering::Release);
    true
}

/// Frames are found by frame pointers, which the system's ABI asks of all code.
#[cfg(not(target_os = "linux"))]
mod list {
    pub(super) fn changes() -> u64 {
        0
    }

    pub(super) fn unwinder() -> super::Unwinder {
        super::Unwinder::new()
    }
}

#[cfg(target_os = "linux")]
mod list {
    use std::ffi::{c_int, c_void};
    use std::ops::Range;
    use std::sync::Arc;

    use framehop::{ExplicitModuleSectionInfo, Module, Unwinder as _};

    use super::{Section, Unwinder};

    /// How many modules this process has loaded and unloaded so far.
    pub(super) fn changes() -> u64 {
        extern "C" fn first(info: *mut libc::dl_phdr_info, byte_length: usize, data: *mut c_void) -> c_int {
            if byte_length >= size_of::<libc::dl_phdr_info>() {
                // SAFETY: I-LAYOUT: the system passes a description of at least this size.
                let info = unsafe { &*info };
                // SAFETY: I-LAYOUT: `data` is the number below.
                unsafe { data.cast::<u64>().write(info.dlpi_adds.wrapping_add(info.dlpi_subs)) };
            }
            1
        }
        let mut changes = 0_u64;
        // SAFETY: I-LAYOUT: `first` takes a `u64`, which lives until the call has returned.
        unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut changes).cast()) };
        changes
    }

    pub(super) fn unwinder() -> Unwinder {
        extern "C" fn each(info: *mut libc::dl_phdr_info, _: usize, data: *mut c_void) -> c_int {
            // SAFETY: I-LAYOUT: the system passes a description that lives until this function has returned.
            let info = unsafe { &*info };
            // SAFETY: I-LAYOUT: `data` is the list below, which only this function uses until the iteration ends.
            let found = unsafe { &mut *data.cast::<Found>() };
            // SAFETY: I-LAYOUT: the headers of a loaded module, which stays loaded until this function has returned.
            let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
            // The first module need not be the program: a library may have a list of modules of its own.
            let is_program = info.dlpi_phdr.addr() == found.program;
            if let Some(module) = module(info.dlpi_addr as usize, headers, is_program) {
                found.unwinder.add_module(module);
            }
            0
        }
        // SAFETY: I-LAYOUT: reads a number that the system gave the process at its start.
        let program = unsafe { libc::getauxval(libc::AT_PHDR) } as usize;
        let mut found = Found { program, unwinder: Unwinder::new() };
        // SAFETY: I-LAYOUT: `each` takes a `Found`, which lives until the call has returned.
        unsafe { libc::dl_iterate_phdr(Some(each), (&raw mut found).cast()) };
        found.unwinder
    }

    struct Found {
        /// The address of the program's own headers.
        program: usize,
        unwinder: Unwinder,
    }

    /// The module, for the unwinder. `None` if the module does not say how to find its frames.
    fn module(base: usize, headers: &[libc::Elf64_Phdr], is_program: bool) -> Option<Module<Section>> {
        let range = |header: &libc::Elf64_Phdr| -> Option<Range<usize>> {
            let start = base.checked_add(header.p_vaddr as usize)?;
            Some(start..start.checked_add(header.p_memsz as usize)?)
        };
        let loaded = || headers.iter().filter(|header| header.p_type == libc::PT_LOAD).filter_map(range);
        let all = loaded().map(|range| range.start).min()?..loaded().map(|range| range.end).max()?;

        let header = headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME).and_then(range)?;
        // What can be written may change while it is read, and some segments cannot be read at all.
        let constant = || {
            let is_constant = |header: &&libc::Elf64_Phdr| header.p_flags & (libc::PF_R | libc::PF_W) == libc::PF_R;
            headers.iter().filter(|header| header.p_type == libc::PT_LOAD).filter(is_constant).filter_map(range)
        };
        let segment = constant().find(|segment| segment.start <= header.start && header.end <= segment.end)?;
        // SAFETY: I-LAYOUT: a part of a loaded segment, which holds what never changes.
        let header_bytes = unsafe { bytes(header.clone()) };
        // Version 1, and the distance from the second word to the frames in 4 bytes with a sign: what all linkers write.
        let &[1, 0x1b, _, _, a, b, c, d, ..] = header_bytes else { return None };
        let distance = i32::from_le_bytes([a, b, c, d]) as isize;
        let start = header.start.checked_add(4)?.checked_add_signed(distance)?;
        let segment = constant().find(|segment| segment.contains(&start)).unwrap_or(segment);
        if !segment.contains(&start) {
            return None;
        }
        // SAFETY: I-LAYOUT: a part of a loaded segment, which holds what never changes.
        let rest = unsafe { bytes(start..segment.end) };
        let frames = &rest[..frames_end(rest)];
        let keep = |bytes: &'static [u8]| match is_program {
            true => Section::Program(bytes),
            false => Section::Copied(Arc::from(bytes)),
        };
        let relative = |range: Range<usize>| (range.start - base) as u64..(range.end - base) as u64;
        let sections = ExplicitModuleSectionInfo {
            eh_frame_svma: Some(relative(start..start + frames.len())),
            eh_frame: Some(keep(frames)),
            eh_frame_hdr_svma: Some(relative(header)),
            eh_frame_hdr: Some(keep(header_bytes)),
            ..ExplicitModuleSectionInfo::default()
        };
        Some(Module::new(String::new(), all.start as u64..all.end as u64, base as u64, sections))
    }

    /// Where the entries end: with one of length 0, or with the bytes.
    fn frames_end(bytes: &[u8]) -> usize {
        let mut end = 0;
        while let Some(&[a, b, c, d]) = bytes.get(end..end + 4) {
            match u32::from_le_bytes([a, b, c, d]) {
                0 => return end + 4,
                u32::MAX => return bytes.len(),
                byte_length => end += 4 + byte_length as usize,
            }
        }
        end.min(bytes.len())
    }

    /// Bytes of a loaded module.
    ///
    /// # Safety
    /// They are mapped and do not change while the result is used. `'static` is only for those of the program itself; the
    /// others are copied before the module can be unloaded.
    unsafe fn bytes(range: Range<usize>) -> &'static [u8] {
        // SAFETY: I-LAYOUT: as the caller promises.
        unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(range.start), range.len()) }
    }
}
