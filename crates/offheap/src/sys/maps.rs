//! How many maps the system gives this process. Linux counts them (`vm.max_map_count`, 65,530 by default), and gives no part of a
//! program any more beyond that: an allocator, a garbage collector or the start of a thread ends the process then.

use crate::MapProblem;

/// A map may be made. The program itself is left some, so files are refused before the system has no more.
#[cfg(target_os = "linux")]
pub(super) fn check_room() -> Result<(), MapProblem> {
    use std::sync::atomic::Ordering::Relaxed;
    match linux::BEFORE_COUNT.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
        Ok(_) => Ok(()),
        Err(_) => linux::count(),
    }
}

/// Whether the system has no more map for this process.
#[cfg(target_os = "linux")]
pub(super) fn problem_without_room() -> Option<MapProblem> {
    linux::counted().and_then(|(maps, limit)| (maps >= limit).then_some(MapProblem::TooManyMaps { maps, limit }))
}

/// Other systems have no such limit.
#[cfg(not(target_os = "linux"))]
pub(super) fn check_room() -> Result<(), MapProblem> {
    Ok(())
}

/// Other systems have no such limit.
#[cfg(not(target_os = "linux"))]
pub(super) fn problem_without_room() -> Option<MapProblem> {
    None
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::CStr;
    // Not through `crate::sync`: a static cannot be a loom atomic. It orders no other memory.
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rustix::fs::{Mode, OFlags};

    use crate::MapProblem;

    /// This many maps are left to the program, or an eighth of all if that is less.
    const LEFT_TO_THE_PROGRAM: usize = 4096;

    /// How many maps may be made before they are counted again. At first a program has far fewer than the limit.
    pub(super) static BEFORE_COUNT: AtomicUsize = AtomicUsize::new(1024);

    /// Counts the maps of the process, which takes a microsecond for each. Half of what is left may be made uncounted, so that it
    /// is rare until few are left.
    #[cold]
    pub(super) fn count() -> Result<(), MapProblem> {
        // Without these files nobody knows, and the system itself refuses.
        let Some((maps, limit)) = counted() else { return Ok(()) };
        let room = limit.saturating_sub(LEFT_TO_THE_PROGRAM.min(limit / 8)).saturating_sub(maps);
        if room == 0 {
            return Err(MapProblem::TooManyMaps { maps, limit });
        }
        BEFORE_COUNT.store(room / 2, Ordering::Relaxed);
        Ok(())
    }

    /// How many maps the process has, and may have.
    pub(super) fn counted() -> Option<(usize, usize)> {
        let mut maps = 0;
        read(c"/proc/self/maps", |bytes| maps += bytes.iter().filter(|&&byte| byte == b'\n').count())?;
        let mut limit = 0_usize;
        read(c"/proc/sys/vm/max_map_count", |bytes| {
            for digit in bytes.iter().filter(|byte| byte.is_ascii_digit()) {
                limit = limit.saturating_mul(10).saturating_add(usize::from(digit - b'0'));
            }
        })?;
        (maps != 0 && limit != 0).then_some((maps, limit))
    }

    /// Reads a file in pieces. It allocates nothing, as everything that maps a file.
    fn read(path: &CStr, mut look: impl FnMut(&[u8])) -> Option<()> {
        let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut piece = [0; 4096];
        loop {
            match rustix::io::read(&file, &mut piece) {
                Ok(0) => return Some(()),
                Ok(count) => look(&piece[..count]),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }
}
