//! Expectations: the cases that may fail or be unsupported, for each engine.

use std::collections::BTreeMap;
use std::fmt;

use toml::{Table, Value};

use crate::{Capabilities, Case};

/// The expected outcome of one case on one engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// It passes.
    Pass,
    /// It fails.
    Fail {
        /// The reason, as far as it is known.
        reason: String,
    },
    /// The case is unsupported because the engine lacks these capabilities.
    Unsupported(Capabilities),
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expectation::Pass => f.write_str("a pass"),
            Expectation::Fail { reason } => write!(f, "a failure ({reason})"),
            Expectation::Unsupported(missing) => write!(f, "unsupported: {missing}"),
        }
    }
}

/// The expected outcomes on all engines. A case without an entry must pass.
///
/// ```toml
/// [MyEngine]
/// lacks = ["script"]      # each case that needs script is unsupported
///
/// [MyEngine.fail]
/// A9 = "issue 17: empty buffers lose their detached bit"
///
/// [MyOlderEngine]
/// like = "MyEngine"       # all of that, and what is said here
/// ```
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    engines: BTreeMap<String, EngineExpectations>,
}

#[derive(Clone, Debug)]
struct EngineExpectations {
    lacks: Capabilities,
    // The reasons, by the case's number.
    fail: BTreeMap<String, String>,
}

/// An error in the text of expectations.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the expectations cannot be read: {problem}")]
pub struct InvalidExpectations {
    problem: String,
}

impl Expectations {
    /// Returns the expectations for the engines of this project, from `expectations.toml` in this crate.
    ///
    /// # Panics
    /// If the file is invalid. A test of this crate checks that it is not.
    pub fn built_in() -> Self {
        Self::parse(include_str!("../expectations.toml")).expect("a test parses it")
    }

    /// Reads expectations from TOML.
    ///
    /// # Errors
    /// [`InvalidExpectations`], with a description of the mistake.
    pub fn parse(text: &str) -> Result<Self, InvalidExpectations> {
        let invalid = |problem| InvalidExpectations { problem };
        let table: Table = text.parse().map_err(|error: toml::de::Error| invalid(error.to_string()))?;
        let all = table.clone();
        let engines = table.into_iter().map(|(engine, value)| match value {
            Value::Table(entries) => match EngineExpectations::read(entries, &all) {
                Ok(expectations) => Ok((engine, expectations)),
                Err(problem) => Err(invalid(format!("[{engine}] {problem}"))),
            },
            _ => Err(invalid(format!("`{engine}` stands outside of an engine's table; write `[{engine}]`"))),
        });
        Ok(Expectations { engines: engines.collect::<Result<_, _>>()? })
    }

    /// The expected outcome of a case.
    pub fn of(&self, engine: &str, case: &Case) -> Expectation {
        let Some(expected) = self.engines.get(engine) else { return Expectation::Pass };
        let missing = case.needs & expected.lacks;
        if !missing.is_empty() {
            return Expectation::Unsupported(missing);
        }
        let reason = expected.fail.get(case.number).cloned();
        reason.map_or(Expectation::Pass, |reason| Expectation::Fail { reason })
    }

    /// The numbers of the cases that are expected to fail on an engine.
    pub(crate) fn failing(&self, engine: &str) -> impl Iterator<Item = &str> {
        self.engines.get(engine).into_iter().flat_map(|expected| expected.fail.keys().map(String::as_str))
    }
}

impl EngineExpectations {
    /// Reads the entries of one engine. `all` are those of all engines.
    fn read(mut entries: Table, all: &Table) -> Result<Self, String> {
        let mut expectations = match entries.remove("like") {
            None => EngineExpectations { lacks: Capabilities::empty(), fail: BTreeMap::new() },
            Some(Value::String(other)) => match all.get(&other) {
                Some(Value::Table(entries)) if !entries.contains_key("like") => Self::read(entries.clone(), all)?,
                Some(_) => return Err(format!("is like `{other}`, which is no engine, or is like another one")),
                None => return Err(format!("is like `{other}`, which there is not")),
            },
            Some(_) => return Err("has a `like` that is no name of an engine".to_owned()),
        };
        for (key, value) in entries {
            match (key.as_str(), value) {
                ("lacks", Value::Array(names)) => {
                    let lacks: Vec<Capabilities> = names.iter().map(capability).collect::<Result<_, _>>()?;
                    lacks.into_iter().for_each(|one| expectations.lacks |= one);
                }
                ("fail", Value::Table(reasons)) => {
                    let fail: Vec<(String, String)> = reasons.into_iter().map(reason).collect::<Result<_, _>>()?;
                    expectations.fail.extend(fail);
                }
                (other, _) => {
                    return Err(format!(
                        "has `{other}`; it may have `lacks = [..]`, `like = \"..\"` and a table `fail`"
                    ));
                }
            }
        }
        Ok(expectations)
    }
}

fn capability(name: &Value) -> Result<Capabilities, String> {
    let known = name.as_str().and_then(|name| Capabilities::from_name(&name.to_ascii_uppercase()));
    known.ok_or_else(|| format!("lacks {name}, which is no capability"))
}

fn reason((number, reason): (String, Value)) -> Result<(String, String), String> {
    match reason {
        Value::String(reason) if !reason.is_empty() => Ok((number, reason)),
        _ => Err(format!("says that {number} fails and not why; write `{number} = \"why\"`")),
    }
}
