//! The runner detects cases that fail, pass unexpectedly or are missing, and engines with faults.

use offheap_conformance::{
    CASES, Capabilities, Case, Expectation, Expectations, Failure, Lab, Outcome, Report, run, run_cases,
};
use offheap_engine::{Engine, Error};
use offheap_model::model;

use crate::common::{Sabotage, Sabotaged};

fn run_sabotaged(how: Sabotage) -> Report {
    let make = || -> Result<Box<dyn Engine>, Error> { Ok(Box::new(Sabotaged { engine: model(1)?, how })) };
    run(&make, "Model")
}

fn surprised(report: &Report, expectations: &Expectations) -> Vec<String> {
    let surprises = report.check(expectations).expect_err("the report must be refused");
    surprises.list().iter().map(|surprise| surprise.number.clone()).collect()
}

#[test]
fn an_engine_that_misbehaves_is_refused() {
    let expectations = Expectations::built_in();
    run_sabotaged(Sabotage::Nothing).check(&expectations).unwrap();
    for (how, case) in [
        (Sabotage::DetachDoesNothing, "A9"),
        (Sabotage::ExposesSilentCopies, "A17"),
        (Sabotage::ExternalizesCopies, "P-EXTERNALIZE-1"),
        (Sabotage::NeverCollects, "P-NO-JS-OWNER-1"),
        (Sabotage::IgnoresDetachKeys, "P-DETACH-KEY-1"),
        (Sabotage::WritesAnotherByte, "A1"),
        (Sabotage::GrowsWithoutLimit, "P-RESIZE-1"),
        (Sabotage::CountsNothing, "P-ACCOUNTED-1"),
        (Sabotage::EndsByPanic, "P-TEARDOWN-1"),
        (Sabotage::SaysItIsImmutable, "A16"),
        (Sabotage::SaysItIsUnshared, "A12"),
        (Sabotage::CopiesWhatItTransfers, "P-TRANSFER-1"),
        (Sabotage::AsksForTheKeyFirst, "P-ORDER-2"),
        (Sabotage::SaysBusyForFreed, "P-ERROR-32"),
    ] {
        let surprised = surprised(&run_sabotaged(how), &expectations);
        assert!(surprised.iter().any(|number| number == case), "{how:?} surprises in {surprised:?} and not in {case}");
    }
}

#[test]
fn a_pass_that_is_not_expected_is_refused() {
    let expected = "[Model]\nlacks = [\"script\", \"wasm\", \"generations\"]\n[Model.fail]\nA22 = \"known\"\n";
    let expectations = Expectations::parse(expected).unwrap();
    assert_eq!(surprised(&run_sabotaged(Sabotage::Nothing), &expectations), ["A22"]);
    let too_little =
        Expectations::parse("[Model]\nlacks = [\"script\", \"wasm\", \"generations\", \"resizable\"]").unwrap();
    let surprised = surprised(&run_sabotaged(Sabotage::Nothing), &too_little);
    assert!(surprised.contains(&"P-NO-MOVE-1".to_owned()), "{surprised:?}");
}

#[test]
fn a_case_that_is_unsupported_and_should_pass_is_refused() {
    let surprised = surprised(&run_sabotaged(Sabotage::Nothing), &Expectations::default());
    assert!(surprised.contains(&"A5".to_owned()), "{surprised:?}");
}

#[test]
fn an_expected_failure_is_no_surprise() {
    let expected = "[Model]\nlacks = [\"script\", \"wasm\", \"generations\"]\n[Model.fail]\nP-ACCOUNTED-1 = \"counts nothing\"\nS11 = \"too\"\n";
    let report = run_sabotaged(Sabotage::CountsNothing);
    report.check(&Expectations::parse(expected).unwrap()).unwrap();
}

#[test]
fn a_case_that_was_not_run_is_refused() {
    let make = || -> Result<Box<dyn Engine>, Error> { Ok(Box::new(model(1)?)) };
    let without_the_last = &CASES[..CASES.len() - 1];
    let missing = CASES[CASES.len() - 1].number;
    let report = run_cases(without_the_last, &make, "Model");
    assert_eq!(surprised(&report, &Expectations::built_in()), [missing]);
}

#[test]
fn an_expectation_without_a_case_is_refused() {
    let expected = "[Model]\nlacks = [\"script\", \"wasm\", \"generations\"]\n[Model.fail]\nA99 = \"no such case\"\n";
    let expectations = Expectations::parse(expected).unwrap();
    assert_eq!(surprised(&run_sabotaged(Sabotage::Nothing), &expectations), ["A99"]);
}

#[test]
fn an_engine_that_cannot_start_fails_every_case() {
    let make = || -> Result<Box<dyn Engine>, Error> { Err(Error::IsolateGone) };
    let report = run(&make, "Model");
    assert!(report.verdicts().iter().all(|verdict| matches!(verdict.outcome, Outcome::Fail(_))));
}

fn panics(_: &Lab<'_>) -> Result<(), Failure> {
    panic!("on purpose");
}

fn fails(_: &Lab<'_>) -> Result<(), Failure> {
    Err(Failure::new("saw an unexpected value"))
}

#[test]
fn a_panic_and_a_failure_say_what_they_saw() {
    let case = |number, run| Case { number, name: "own", needs: Capabilities::empty(), summary: "", run };
    let cases = [case("O1", panics as fn(&Lab<'_>) -> _), case("O2", fails)];
    let make = || -> Result<Box<dyn Engine>, Error> { Ok(Box::new(model(1)?)) };
    let report = run_cases(&cases, &make, "Model");
    let text = report.to_string();
    assert!(text.contains("FAIL: expected no panic, saw: on purpose"), "{text}");
    assert!(text.contains("FAIL: saw an unexpected value (") && text.contains("runner.rs:"), "{text}");
    assert!(text.ends_with("Model: 0 passed, 2 failed, 0 unsupported"), "{text}");
}

#[test]
fn numbers_and_names_are_unique_and_say_the_same() {
    let mut seen = std::collections::BTreeSet::new();
    for case in CASES {
        assert!(seen.insert(case.number), "{} twice", case.number);
        assert!(seen.insert(case.name), "{} twice", case.name);
        let prefix = case.number.split('-').take_while(|part| part.parse::<u32>().is_err()).collect::<Vec<_>>();
        let prefix = prefix.join("_").to_lowercase() + "_";
        assert!(case.name.starts_with(&prefix), "{} is called {}", case.number, case.name);
        assert!(!case.summary.is_empty());
    }
    let letters = [
        ("M", 1..=6),
        ("A", 1..=49),
        ("B", 1..=5),
        ("S", 1..=3),
        ("S", 5..=5),
        ("S", 11..=12),
        ("V", 1..=34),
        ("U", 1..=1),
    ];
    for (letter, numbers) in letters {
        for number in numbers {
            assert!(seen.contains(&*format!("{letter}{number}")), "V8's {letter}{number} is missing");
        }
    }
}

#[test]
fn expectations_that_say_nothing_are_refused() {
    for (text, problem) in [
        ("[Model", "cannot be read"),
        ("Model = 1", "stands outside of an engine's table"),
        ("[Model]\nlacks = [\"wings\"]", "which is no capability"),
        ("[Model.fail]\nA1 = \"\"", "says that A1 fails and not why"),
        ("[Model]\nignore = true", "has `ignore`"),
        ("[Model]\nlike = \"Moedl\"", "is like `Moedl`, which there is not"),
        ("[Model]\nlike = \"Model\"", "is like `Model`, which is no engine, or is like another one"),
        ("[Model]\nlike = 1", "has a `like` that is no name"),
    ] {
        let error = Expectations::parse(text).expect_err(text).to_string();
        assert!(error.contains(problem), "{error}");
    }
    let expectations =
        Expectations::parse("[E]\nlacks = [\"script\", \"wasm\", \"generations\"]\n[E.fail]\nA1 = \"why\"").unwrap();
    let case = |number: &str| CASES.iter().find(|case| case.number == number).unwrap();
    assert_eq!(expectations.of("E", case("A5")), Expectation::Unsupported(Capabilities::SCRIPT));
    assert_eq!(expectations.of("E", case("A1")), Expectation::Fail { reason: "why".to_owned() });
    assert_eq!(expectations.of("Other", case("A1")), Expectation::Pass);
}

#[test]
fn an_engine_that_is_like_another_has_its_expectations_and_more() {
    let text = "[E]\nlacks = [\"wasm\"]\n[E.fail]\nA1 = \"why\"\n[F]\nlike = \"E\"\nlacks = [\"script\"]\n[F.fail]\nA2 = \"also\"";
    let expectations = Expectations::parse(text).unwrap();
    let of = |engine, number: &str| expectations.of(engine, CASES.iter().find(|case| case.number == number).unwrap());
    assert_eq!(of("F", "A1"), Expectation::Fail { reason: "why".to_owned() });
    assert_eq!(of("F", "A2"), Expectation::Fail { reason: "also".to_owned() });
    assert_eq!(of("F", "A5"), Expectation::Unsupported(Capabilities::SCRIPT));
    assert_eq!((of("E", "A2"), of("E", "A5")), (Expectation::Pass, Expectation::Pass));
}
