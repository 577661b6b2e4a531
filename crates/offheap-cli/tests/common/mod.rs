//! Runs of the real binary, each in a folder of its own.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder for one test, removed with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("offheap-cli-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for the test");
        Folder(folder)
    }

    /// A file in it.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the file's folder");
        fs::write(&path, bytes).expect("a file for the test");
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// `offheap ARGUMENTS`, run in this folder.
    pub(crate) fn offheap(&self, arguments: &[&str]) -> Ran {
        Ran::of(offheap().args(arguments).current_dir(&self.0))
    }

    /// `offheap run a.js`, with this script.
    pub(crate) fn script(&self, text: impl AsRef<[u8]>) -> Ran {
        self.write("a.js", text);
        self.offheap(&["run", "a.js"])
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a run left behind, addresses masked.
#[derive(Debug, PartialEq)]
pub(crate) struct Ran {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the binary runs");
        let text = |bytes| mask_addresses(&String::from_utf8(bytes).expect("output is UTF-8"));
        Ran { status: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Compares all of it.
    #[track_caller]
    pub(crate) fn expect(&self, status: i32, stdout: &str, stderr: &str) {
        let expected = Ran { status: Some(status), stdout: stdout.to_owned(), stderr: stderr.to_owned() };
        assert!(*self == expected, "expected {expected:#?}\nfound {self:#?}");
    }
}

pub(crate) fn offheap() -> Command {
    Command::new(env!("CARGO_BIN_EXE_offheap"))
}

/// The workspace's root, where the examples are.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `offheap run`, in the workspace's root.
pub(crate) fn run_in_root(arguments: &[&str]) -> Ran {
    Ran::of(offheap().arg("run").args(arguments).current_dir(root()))
}

fn mask_addresses(text: &str) -> String {
    let mut parts = text.split("0x");
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str("0x…");
        masked.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    }
    masked
}
