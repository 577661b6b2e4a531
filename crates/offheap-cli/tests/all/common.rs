//! Runs of the real binary, each in a folder of its own.
#![allow(dead_code, reason = "each test file uses a part of this")]

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// An engine that the command runs scripts on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Engine {
    /// As `--engine` has it.
    pub(crate) option: &'static str,
    /// As messages have it.
    pub(crate) name: &'static str,
    // Which of `⟦a|b⟧` is said of it.
    alternative: usize,
}

pub(crate) const QUICKJS: Engine = Engine { option: "quickjs", name: "QuickJS", alternative: 0 };
#[cfg(feature = "v8")]
pub(crate) const V8: Engine = Engine { option: "v8", name: "V8", alternative: 1 };

/// Makes tests of functions that take an engine.
#[allow(unused_macros, reason = "each test file uses a part of this")]
macro_rules! on_each_engine {
    ($($test:ident),* $(,)?) => {
        mod quickjs {
            $(#[test] fn $test() { super::$test(crate::common::QUICKJS) })*
        }
        #[cfg(feature = "v8")]
        mod v8 {
            $(#[test] fn $test() { super::$test(crate::common::V8) })*
        }
    };
}

impl Engine {
    /// An expected text: where the engines differ it has `⟦what QuickJS says|what V8 says⟧`, and `⟦engine⟧` for the name.
    pub(crate) fn text(self, expected: &str) -> String {
        let mut parts = expected.split('⟦');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (alternatives, rest) = part.split_once('⟧').expect("an alternative ends");
            let said =
                if alternatives == "engine" { Some(self.name) } else { alternatives.split('|').nth(self.alternative) };
            text.push_str(said.expect("there is one for each engine"));
            text.push_str(rest);
        }
        text
    }
}

/// A folder for one test, removed with it.
pub(crate) struct Folder {
    path: PathBuf,
    engine: Engine,
}

impl Folder {
    pub(crate) fn new(engine: Engine) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("offheap-cli-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for the test");
        Folder { path, engine }
    }

    /// A file in it.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the file's folder");
        fs::write(&path, bytes).expect("a file for the test");
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// `offheap run --engine ENGINE ARGUMENTS`, run in this folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.engine, self.command(arguments).current_dir(&self.path))
    }

    /// `offheap ARGUMENTS`, run in this folder.
    pub(crate) fn offheap(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.engine, offheap().args(arguments).current_dir(&self.path))
    }

    /// The command of [`run`](Self::run), before it is told a folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = offheap();
        command.args(["run", "--engine", self.engine.option]).args(arguments);
        command
    }

    /// `offheap run a.js`, with this script.
    pub(crate) fn script(&self, text: impl AsRef<[u8]>) -> Ran {
        self.write("a.js", text);
        self.run(&["a.js"])
    }

    /// The most memory that a run of this script had, in KiB.
    pub(crate) fn peak_kib(&self, text: &str) -> usize {
        // More than fits into the pipe, so that the process waits at the end of the script.
        self.write("a.js", format!("{text}\nconsole.log('x'.repeat(1 << 20));"));
        let mut command = self.command(&["a.js"]);
        let command = command.current_dir(&self.path).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the binary runs");
        let mut stdout = child.stdout.take().expect("a pipe");
        stdout.read_exact(&mut [0]).expect("the script comes to its end");
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("the process waits");
        io::copy(&mut stdout, &mut io::sink()).expect("the rest is read");
        assert_eq!(child.wait().expect("the process ends").code(), Some(0));
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the kernel says so");
        peak.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// What a run left behind, addresses masked.
#[derive(Debug, PartialEq)]
pub(crate) struct Ran {
    pub(crate) engine: Engine,
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(engine: Engine, command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().expect("the binary runs");
        let text = |bytes| mask_addresses(&String::from_utf8(bytes).expect("output is UTF-8"));
        Ran { engine, status: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Compares all of it; see [`Engine::text`] for what differs between engines.
    #[track_caller]
    pub(crate) fn expect(&self, status: i32, stdout: &str, stderr: &str) {
        let engine = self.engine;
        let expected = Ran { engine, status: Some(status), stdout: engine.text(stdout), stderr: engine.text(stderr) };
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

/// `offheap run --engine ENGINE`, in the workspace's root.
pub(crate) fn run_in_root(engine: Engine, arguments: &[&str]) -> Ran {
    Ran::of(engine, offheap().args(["run", "--engine", engine.option]).args(arguments).current_dir(root()))
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
