//! What the host says of itself.

use crate::mode::{Host, NotTried};
use crate::sys::questions::{Answer, Questions};

/// What script can read, and could have changed. It is used only to do less than what would be possible.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// The other host than Node that `process.versions` names.
    pub(super) other: Option<&'static str>,
    /// `process.versions.v8`
    pub(super) v8: Option<String>,
    /// `process.config.variables.v8_enable_sandbox`
    pub(super) sandboxed: bool,
    /// What forbids to start this program again.
    pub(super) no_child: Option<NotTried>,
}

impl Said {
    /// Asks. Getters of script may run here, so nothing is locked.
    pub(super) fn ask(questions: &Questions) -> Self {
        let process = questions.global().and_then(|global| questions.property(global, c"process"));
        let Some(process) = process else {
            return Said::default();
        };
        let text = |value: Option<Answer<'_>>| value.and_then(|value| questions.text(value));
        let is_set = |value: Option<Answer<'_>>| value.is_some_and(|value| questions.is_set(value));
        let versions = questions.property(process, c"versions");
        let version = |name| text(versions.and_then(|versions| questions.property(versions, name)));
        let other = [(c"bun", "bun"), (c"deno", "deno"), (c"electron", "electron"), (c"nw", "nw")]
            .into_iter()
            .find_map(|(name, shown)| version(name).map(|_| shown));
        let variables =
            questions.property(process, c"config").and_then(|config| questions.property(config, c"variables"));
        let sandbox = variables.and_then(|variables| questions.property(variables, c"v8_enable_sandbox"));
        let v8 = version(c"v8");
        let no_child = match other.is_none() && !v8.as_deref().is_some_and(super::decide::is_known) {
            true => no_child(questions, process),
            false => None,
        };
        Said { other, v8, sandboxed: is_set(sandbox), no_child }
    }
}

/// What forbids a child process, by what the host says.
fn no_child(questions: &Questions, process: Answer<'_>) -> Option<NotTried> {
    let is_set = |value: Option<Answer<'_>>| value.is_some_and(|value| questions.is_set(value));
    let sea = questions.call(process, c"getBuiltinModule", Some("node:sea"));
    if is_set(sea.and_then(|sea| questions.call(sea, c"isSea", None))) {
        return Some(NotTried::Application { what: "this single executable".to_owned() });
    }
    // Without Node's permission model there is no `permission`.
    let permission = questions.property(process, c"permission")?;
    let has = questions.call(permission, c"has", Some("child"))?;
    (!is_set(Some(has))).then_some(NotTried::Forbidden)
}

/// The host, by what no script can change.
pub(super) fn host(questions: &Questions) -> Host {
    if crate::sys::executable::is_bun() {
        return Host::Bun;
    }
    match questions.release() {
        Some(release) if release.eq_ignore_ascii_case("deno") => Host::Deno,
        _ => Host::Node,
    }
}
