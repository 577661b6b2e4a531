//! The file that the library writes to, in every process that it follows.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::input::InputError;
use crate::report;

/// The file that the library writes to.
pub(super) struct Stream {
    path: PathBuf,
    // A file without a name is there as long as it is open.
    _open: File,
}

impl Stream {
    /// A file that stays.
    pub(super) fn create(name: &Path) -> Result<Self, InputError> {
        let open = report::create(name)?;
        let path = fs::canonicalize(name).map_err(InputError::Audit)?;
        Ok(Stream { path, _open: open })
    }

    /// A file that has no name any more, so nothing is left of it however this process ends. Other processes of this user
    /// open it through this one.
    pub(super) fn temporary() -> io::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let name = env::temp_dir().join(format!("offheap-audit-{}-{now}", process::id()));
        let open = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&name)?;
        fs::remove_file(&name)?;
        Ok(Stream { path: through_this_process(open.as_raw_fd()), _open: open })
    }

    /// A name by which every process can open it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// A name by which other processes open what this one has open.
pub(super) fn through_this_process(descriptor: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{}/fd/{descriptor}", process::id()))
}
