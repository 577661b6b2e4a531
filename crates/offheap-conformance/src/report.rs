//! Outcomes of cases, and their comparison with expectations.

use std::fmt;

use crate::{CASES, Capabilities, Case, Expectation, Expectations};

/// The outcome of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The engine behaves as required.
    Pass,
    /// The engine does not behave as required. Has the expected and the actual result.
    Fail(String),
    /// The case is unsupported because the engine lacks these capabilities.
    Unsupported(Capabilities),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Pass => f.write_str("pass"),
            Outcome::Fail(reason) => write!(f, "FAIL: {reason}"),
            Outcome::Unsupported(missing) => write!(f, "unsupported: {missing}"),
        }
    }
}

/// A case with its outcome.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The case.
    pub case: Case,
    /// The outcome.
    pub outcome: Outcome,
}

/// The outcomes of all cases on one engine. `Display` prints one line per case, then the counts.
#[derive(Clone, Debug)]
#[must_use = "an unchecked report hides failures"]
pub struct Report {
    engine: String,
    verdicts: Vec<Verdict>,
}

/// One deviation of a report from the expectations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surprise {
    /// The case's number.
    pub number: String,
    /// The expected and the actual outcome.
    pub message: String,
}

/// All deviations of a report from the expectations.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "{} on {engine} did not come out as expected:{}",
    match surprises.len() { 1 => "1 case".to_owned(), count => format!("{count} cases") },
    surprises.iter().map(|surprise| format!("\n  {}: {}", surprise.number, surprise.message)).collect::<String>()
)]
pub struct Surprises {
    engine: String,
    surprises: Vec<Surprise>,
}

impl Surprises {
    /// The deviations.
    pub fn list(&self) -> &[Surprise] {
        &self.surprises
    }
}

impl Report {
    pub(crate) fn new(engine: String, verdicts: Vec<Verdict>) -> Self {
        Report { engine, verdicts }
    }

    /// The name of the engine in the expectations.
    pub fn engine(&self) -> &str {
        &self.engine
    }

    /// Each case that ran, with its outcome.
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Compares with the expectations: each case of [`CASES`] must have run, and passed unless the expectations say
    /// otherwise.
    ///
    /// # Errors
    /// All deviations: a case that failed, passed or was unsupported unexpectedly, or for other reasons than expected;
    /// a case that did not run; an expectation for a case that does not exist.
    pub fn check(&self, expectations: &Expectations) -> Result<(), Surprises> {
        let ran = |number: &str| self.verdicts.iter().any(|verdict| verdict.case.number == number);
        let contradicted = self.verdicts.iter().filter_map(|verdict| {
            let message = contradiction(&verdict.outcome, &expectations.of(&self.engine, &verdict.case))?;
            Some(Surprise { number: verdict.case.number.to_owned(), message })
        });
        let missing = CASES.iter().filter(|case| !ran(case.number)).map(|case| Surprise {
            number: case.number.to_owned(),
            message: "expected that it runs, and it was not run".to_owned(),
        });
        let known = |number: &str| ran(number) || CASES.iter().any(|case| case.number == number);
        let unknown = expectations.failing(&self.engine).filter(|number| !known(number)).map(|number| Surprise {
            number: number.to_owned(),
            message: "expected to fail, and there is no such case; correct the expectations".to_owned(),
        });
        let surprises: Vec<_> = contradicted.chain(missing).chain(unknown).collect();
        if surprises.is_empty() { Ok(()) } else { Err(Surprises { engine: self.engine.clone(), surprises }) }
    }
}

fn contradiction(seen: &Outcome, expected: &Expectation) -> Option<String> {
    let agree = match (seen, expected) {
        (Outcome::Pass, Expectation::Pass) | (Outcome::Fail(_), Expectation::Fail { .. }) => true,
        (Outcome::Unsupported(seen), Expectation::Unsupported(expected)) => seen == expected,
        _ => false,
    };
    (!agree).then(|| format!("expected {expected}, saw {seen}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [mut pass, mut fail, mut unsupported] = [0, 0, 0];
        for verdict in &self.verdicts {
            match verdict.outcome {
                Outcome::Pass => pass += 1,
                Outcome::Fail(_) => fail += 1,
                Outcome::Unsupported(_) => unsupported += 1,
            }
            writeln!(f, "{:<16} {} ... {}", verdict.case.number, verdict.case.name, verdict.outcome)?;
        }
        write!(f, "{}: {pass} passed, {fail} failed, {unsupported} unsupported", self.engine)
    }
}
