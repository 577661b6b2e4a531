//! The way in which this host's buffers are made: decided once, when the first environment is seen.

use std::fmt;
use std::sync::OnceLock;

use napi::Env;

/// How buffers are made over stores, and stores over buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Through V8's own backing stores, which are counted.
    Stores,
    /// Through Node-API's external buffers; what script made is copied in.
    External,
    /// The host forbids external memory: bytes are copied in both directions.
    Copy,
}

/// The mode of this process, and the reason for it. [`Display`](fmt::Display) gives both.
#[derive(Debug)]
pub struct Decision {
    mode: Mode,
    reason: String,
}

impl Decision {
    /// The mode.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The reason for the mode, in words.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            Mode::Stores => "stores",
            Mode::External => "external",
            Mode::Copy => "copy",
        };
        write!(f, "{mode}: {}", self.reason)
    }
}

static DECISION: OnceLock<Decision> = OnceLock::new();

/// The mode of this process. The first call decides, by what the host of this environment says of itself.
pub fn mode(env: &Env) -> &'static Decision {
    DECISION.get_or_init(|| crate::load::decide(env))
}
impl Decision {
    pub(crate) fn new(mode: Mode, reason: String) -> Self {
        Decision { mode, reason }
    }
}
