//! What came out, and whether it is what was expected.

use std::fmt;

use crate::{CASES, Capabilities, Case, Expectation, Expectations};

/// What came out of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The engine behaves as it must.
    Pass,
    /// It does not: what was expected and what was seen.
    Fail(String),
    /// The case has no meaning for the engine, which lacks these abilities.
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

/// One case and what came out of it.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The case.
    pub case: Case,
    /// What came out.
    pub outcome: Outcome,
}

/// What came out of all cases on one engine. Displayed, it has a line for each case and one with the counts.
#[derive(Clone, Debug)]
#[must_use = "a report that nobody checks hides failures"]
pub struct Report {
    engine: String,
    verdicts: Vec<Verdict>,
}

/// One way in which a report is not what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surprise {
    /// The case's number.
    pub number: String,
    /// What was expected and what was seen.
    pub message: String,
}

/// All ways in which a report is not what was expected.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "{} case(s) on {engine} did not come out as expected:{}",
    surprises.len(),
    surprises.iter().map(|surprise| format!("\n  {}: {}", surprise.number, surprise.message)).collect::<String>()
)]
pub struct Surprises {
    engine: String,
    surprises: Vec<Surprise>,
}

impl Surprises {
    /// Each of them.
    pub fn list(&self) -> &[Surprise] {
        &self.surprises
    }
}

impl Report {
    pub(crate) fn new(engine: String, verdicts: Vec<Verdict>) -> Self {
        Report { engine, verdicts }
    }

    /// The engine, as the expectations call it.
    pub fn engine(&self) -> &str {
        &self.engine
    }

    /// Each case that was run, with what came out.
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Compares with what was expected: each case of [`CASES`] ran, and passed unless something else is written down.
    ///
    /// # Errors
    /// All that differs: a case that failed or was unsupported unexpectedly, or passed unexpectedly, or failed or was
    /// unsupported otherwise than expected; a case that was not run; an expectation for a case that does not exist.
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
