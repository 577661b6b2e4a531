//! The order in which the decision is made.

use std::ffi::OsString;
use std::sync::{Mutex, OnceLock, PoisonError};

use napi::{Env, sys};

use super::host::Said;
use crate::mode::{Decision, Host, Mode, Reason};
use crate::sys::{pin, questions::Questions, selftest};

/// Asks for a mode.
const ASKED: &str = "OFFHEAP_NODE";

/// The versions of V8 in the Node versions that all tests run on: Node 20, 22, 24 and 26. Node keeps the interface of
/// V8 within each of them.
const KNOWN: [&str; 4] = ["11.3.", "12.4.", "13.6.", "14.6."];

/// Whether a version of V8 is one that the tests run on, as Node builds it.
pub(super) fn is_known(version: &str) -> bool {
    version.contains("-node.") && KNOWN.iter().any(|known| version.starts_with(known))
}

static DECISION: OnceLock<Decision> = OnceLock::new();

/// Another thread waits here for the one that decides. Nobody runs script meanwhile.
static DECIDING: Mutex<()> = Mutex::new(());

/// The decision of this process. The first call makes it.
#[inline]
pub(crate) fn decision(env: &Env) -> &'static Decision {
    match DECISION.get() {
        Some(decision) => decision,
        None => first(env),
    }
}

/// The host of this process, by the decision; Node before there is one.
pub(crate) fn known_host() -> Host {
    DECISION.get().map_or(Host::Node, Decision::host)
}

#[cold]
fn first(env: &Env) -> &'static Decision {
    // In an environment that runs no script any more, nothing can be found out. Copies are right on every host.
    static ENDING: Decision = Decision { mode: Mode::Copy, host: Host::Node, reason: Reason::Ending, asked: None };
    let Ok(questions) = Questions::new(env) else {
        return &ENDING;
    };
    // This may run script, which may call this function. So it comes before the lock.
    let said = Said::ask(&questions);
    let deciding = DECIDING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(decision) = DECISION.get() {
        return decision;
    }
    let asked = std::env::var_os(ASKED);
    let Some(decision) = decide(&questions, &said, asked) else {
        return &ENDING;
    };
    let decision = DECISION.get_or_init(|| decision);
    drop(deciding);
    if decision.refused().is_some() {
        // Whoever set the variable may not see what `mode` returns.
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("offheap: mode {decision}\n"));
    }
    decision
}

/// Decides; `None` if the environment runs no script any more.
fn decide(questions: &Questions, said: &Said, asked: Option<OsString>) -> Option<Decision> {
    let host = super::host::host(questions);
    let wanted = asked.as_ref().and_then(|asked| Mode::ALL.into_iter().find(|mode| asked == mode.name()));
    let (mode, reason) = choose(questions, said, host, wanted)?;
    Some(Decision { mode, host, reason, asked })
}

fn choose(questions: &Questions, said: &Said, host: Host, wanted: Option<Mode>) -> Option<(Mode, Reason)> {
    // Before anything of ours is given to the host.
    if !pin::pin() {
        return Some((Mode::Copy, Reason::NotPinned));
    }
    if wanted == Some(Mode::Copy) {
        return Some((Mode::Copy, Reason::Asked));
    }
    if said.sandboxed {
        return Some((Mode::Copy, Reason::Sandboxed));
    }
    // External memory of one host lives by other rules than that of another. Script's word is not enough for them.
    match (said.other, host) {
        (Some(name @ "bun"), Host::Node | Host::Deno) | (Some(name @ "deno"), Host::Node | Host::Bun) => {
            return Some((Mode::Copy, Reason::SaysOther { name }));
        }
        _ => {}
    }
    match questions.external_status() {
        sys::Status::napi_ok => {}
        status if selftest::is_ending(status) => return None,
        status => return Some((Mode::Copy, Reason::ExternalRefused { status })),
    }
    let external = |reason| Some((Mode::External, reason));
    match (host, said.other) {
        (Host::Deno | Host::Bun, _) => external(Reason::OtherHost { host }),
        _ if wanted == Some(Mode::External) => external(Reason::Asked),
        (Host::Node, Some(name)) => external(Reason::SaysOther { name }),
        (Host::Node, None) => match stores(questions, said, wanted)? {
            Ok(reason) => Some((Mode::Stores, reason)),
            Err(reason) => external(reason),
        },
    }
}

/// Whether V8's own stores can be used, and the reason; `None` if the environment runs no script any more.
#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
fn stores(questions: &Questions, said: &Said, wanted: Option<Mode>) -> Option<Result<Reason, Reason>> {
    use super::probe::{self, Trial};
    use crate::sys::symbols::NotFound;

    let version = said.v8.clone().unwrap_or_else(|| "without a version".to_owned());
    let v8 = match selftest::functions() {
        Ok(v8) => v8,
        Err(NotFound::Function(name)) => {
            return Some(Err(Reason::FunctionMissing { name: name.to_str().unwrap_or_default() }));
        }
        Err(_) => return Some(Err(Reason::Platform)),
    };
    let reason = match is_known(&version) && !cfg!(feature = "broken-tables") {
        true => Reason::KnownV8 { version: version.clone() },
        false => match said.no_child.clone().map_or_else(probe::run, Trial::None) {
            Trial::Passed => Reason::TriedV8 { version: version.clone() },
            Trial::Failed(how) => return Some(Err(Reason::TrialFailed { version, how })),
            Trial::None(why) if wanted == Some(Mode::Stores) => Reason::AskedUntried { version: version.clone(), why },
            Trial::None(why) => return Some(Err(Reason::NotTried { version, why })),
        },
    };
    match selftest::run(questions, v8, said.v8.as_deref(), &mut |_| {}) {
        Ok(v8) => {
            v8.use_from_now_on();
            Some(Ok(reason))
        }
        Err(selftest::Failure::Found(what)) => Some(Err(Reason::SelfTestFailed { version, what })),
        Err(selftest::Failure::Ending) => None,
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")))]
fn stores(_: &Questions, _: &Said, _: Option<Mode>) -> Option<Result<Reason, Reason>> {
    Some(Err(Reason::Platform))
}
