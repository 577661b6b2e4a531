//! The way in which buffers are made in this process: decided once, when the first environment is seen.

use std::ffi::OsString;
use std::fmt;

use napi::Env;

/// How buffers are made over stores, and stores of buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Through V8's own backing stores, which are counted. Nothing is copied.
    Stores,
    /// Through Node-API's external buffers. What script made is copied in.
    External,
    /// The host allocates all buffers, and bytes are copied in both directions.
    Copy,
}

impl Mode {
    pub(crate) const ALL: [Mode; 3] = [Mode::Stores, Mode::External, Mode::Copy];

    /// The name, as in `OFFHEAP_NODE=external`.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Stores => "stores",
            Mode::External => "external",
            Mode::Copy => "copy",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose Node-API this is. It is never taken from what script can change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Node, or a host that has Node in it, for example Electron.
    Node,
    /// Deno, which counts the references to external memory.
    Deno,
    /// Bun, whose engine is not V8.
    Bun,
}

impl Host {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Host::Node => "Node",
            Host::Deno => "Deno",
            Host::Bun => "Bun",
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a mode was chosen. [`Display`](fmt::Display) says it in words, [`code`](Reason::code) in one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// This version of V8 is one of those that the tests run on, and it passed the self-test.
    KnownV8 {
        /// The version, by `process.versions`.
        version: String,
    },
    /// This version of V8 is not known. It passed the self-test in a child process, and then here.
    TriedV8 {
        /// The version, by `process.versions`.
        version: String,
    },
    /// `OFFHEAP_NODE` asks for the mode.
    Asked,
    /// `OFFHEAP_NODE` asks for the mode; this V8 is not known, could not be tried in a child process, and passed the
    /// self-test here.
    AskedUntried {
        /// The version, by `process.versions`.
        version: String,
        /// Why there was no child process.
        why: NotTried,
    },
    /// The host is not Node.
    OtherHost {
        /// The host.
        host: Host,
    },
    /// `process.versions` names another host.
    SaysOther {
        /// The name in `process.versions`: `bun`, `deno`, `electron` or `nw`.
        name: &'static str,
    },
    /// `process.config` says that V8 was built with its sandbox, which allows no memory outside of it.
    Sandboxed,
    /// The host refused a small external buffer.
    ExternalRefused {
        /// The status of `napi_create_external_arraybuffer`; 22 means that the host forbids external buffers.
        status: i32,
    },
    /// Modes other than this one were not tried on this platform.
    Platform,
    /// The addon could not be kept mapped, so the host could unload functions that it is to call later.
    NotPinned,
    /// A function of V8 that is needed is missing, or is in another library than Node-API, so that it may belong to
    /// another V8.
    FunctionMissing {
        /// The function, by the name that the compiler made.
        name: &'static str,
    },
    /// This version of V8 is not known, and no child process could be started to try it.
    NotTried {
        /// The version, by `process.versions`.
        version: String,
        /// Why there was no child process.
        why: NotTried,
    },
    /// This version of V8 is not known, and the self-test failed in a child process.
    TrialFailed {
        /// The version, by `process.versions`.
        version: String,
        /// How it failed.
        how: String,
    },
    /// The self-test failed in this process. Nothing was damaged.
    SelfTestFailed {
        /// The version, by `process.versions`.
        version: String,
        /// What V8 did otherwise than expected.
        what: &'static str,
    },
    /// The environment runs no script any more, for example since its worker is being terminated. This reason is only
    /// for calls in that environment: the mode of the process is decided by the next one.
    Ending,
}

/// Why an unknown V8 was not tried in a child process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotTried {
    /// The executable is an application, which would start again.
    Application {
        /// Its file name, or what it says of itself.
        what: String,
    },
    /// Node's permission model forbids child processes.
    Forbidden,
    /// The file of this addon was not found.
    NoFile {
        /// Its path, as far as it is known.
        path: String,
    },
    /// The system started no process.
    NotStarted {
        /// The error of the system.
        error: String,
    },
}

/// The mode of this process and the reason for it. [`Display`](fmt::Display) gives both.
#[derive(Clone, Debug)]
pub struct Decision {
    pub(crate) mode: Mode,
    pub(crate) host: Host,
    pub(crate) reason: Reason,
    pub(crate) asked: Option<OsString>,
}

impl Decision {
    /// The mode.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The host.
    pub fn host(&self) -> Host {
        self.host
    }

    /// The reason for the mode.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The value of the environment variable `OFFHEAP_NODE`, if it asks for another mode than this one, or for none
    /// that there is.
    pub fn refused(&self) -> Option<&OsString> {
        self.asked.as_ref().filter(|asked| *asked != self.mode.name())
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.mode, self.reason)?;
        match self.refused() {
            None => Ok(()),
            Some(asked) if Mode::ALL.iter().any(|mode| asked == mode.name()) => {
                write!(f, " (OFFHEAP_NODE asks for {}, which is not possible)", asked.display())
            }
            Some(asked) => write!(f, " (OFFHEAP_NODE={} is not stores, external or copy)", asked.display()),
        }
    }
}

impl Reason {
    /// A word for each kind of reason, for programs: `known-v8`, `function-missing` and so on.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::KnownV8 { .. } => "known-v8",
            Reason::TriedV8 { .. } => "tried-v8",
            Reason::Asked => "asked",
            Reason::AskedUntried { .. } => "asked-untried",
            Reason::OtherHost { .. } => "other-host",
            Reason::SaysOther { .. } => "says-other",
            Reason::Sandboxed => "sandboxed",
            Reason::ExternalRefused { .. } => "external-refused",
            Reason::Platform => "platform",
            Reason::NotPinned => "not-pinned",
            Reason::FunctionMissing { .. } => "function-missing",
            Reason::NotTried { .. } => "not-tried",
            Reason::TrialFailed { .. } => "trial-failed",
            Reason::SelfTestFailed { .. } => "self-test-failed",
            Reason::Ending => "ending",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::KnownV8 { version } => write!(f, "V8 {version} is known"),
            Reason::TriedV8 { version } => write!(f, "V8 {version} is not known, and passed the self-test"),
            Reason::Asked => f.write_str("OFFHEAP_NODE asks for it"),
            Reason::AskedUntried { version, why } => {
                write!(
                    f,
                    "OFFHEAP_NODE asks for it; V8 {version} is not known and was not tried in a child process: {why}"
                )
            }
            Reason::OtherHost { host } => write!(f, "the host is {host}"),
            Reason::SaysOther { name } => write!(f, "process.versions has {name}"),
            Reason::Sandboxed => f.write_str("V8 is sandboxed, by process.config"),
            Reason::ExternalRefused { status } => write!(f, "the host refuses external buffers, with status {status}"),
            Reason::Platform => f.write_str("other modes were not tried on this platform"),
            Reason::NotPinned => f.write_str("the addon cannot be kept mapped"),
            Reason::FunctionMissing { name } => {
                write!(f, "the host has no function {name}, or has it in another library")
            }
            Reason::NotTried { version, why } => {
                write!(f, "V8 {version} is not known, and was not tried in a child process: {why}")
            }
            Reason::TrialFailed { version, how } => {
                write!(f, "V8 {version} is not known, and was tried in a child process, which {how}")
            }
            Reason::SelfTestFailed { version, what } => write!(f, "V8 {version} failed the self-test: {what}"),
            Reason::Ending => f.write_str("this environment is ending; the next one decides"),
        }
    }
}

impl fmt::Display for NotTried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotTried::Application { what } => write!(f, "{what} is an application, and is not started again"),
            NotTried::Forbidden => f.write_str("Node's permission model forbids it (--allow-child-process)"),
            NotTried::NoFile { path } => write!(f, "the addon's file {path} is not found"),
            NotTried::NotStarted { error } => write!(f, "none could be started: {error}"),
        }
    }
}

/// The mode of this process, and why.
///
/// The first call decides, in whatever environment it is made; later calls only read. On a version of V8 that is known
/// the decision takes less than a millisecond. On another one it starts a child process, and takes as long as a start
/// of Node; at most five seconds. `docs/node.md` tells how the mode is decided.
///
/// The environment variable `OFFHEAP_NODE=stores`, `external` or `copy` asks for a mode. If that mode is not possible
/// here, a line on standard error says so, and which one is used instead.
pub fn mode(env: &Env) -> &'static Decision {
    crate::load::decision(env)
}
