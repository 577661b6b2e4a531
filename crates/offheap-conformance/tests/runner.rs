//! That the runner notices: cases that fail, that pass unexpectedly, that are missing, and engines that misbehave.
#![forbid(unsafe_code)]

use offheap_conformance::{
    CASES, Capability, Case, Expectation, Expectations, Failure, Lab, Outcome, Report, run, run_cases,
};
use offheap_engine::offheap::{BackingStore, IsolateId, UniqueStore};
use offheap_engine::{
    BufferState, Capabilities, Engine, Error, Exposure, Handle, JsArrayBuffer, ModelEngine, ScriptValue, ViewState,
};

/// What is wrong with an engine.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sabotage {
    Nothing,
    DetachDoesNothing,
    ExposesSilentCopies,
    ExternalizesCopies,
    NeverCollects,
    IgnoresDetachKeys,
    WritesAnotherByte,
    GrowsWithoutLimit,
    CountsNothing,
    EndsByPanic,
    SaysItIsImmutable,
}

struct Sabotaged {
    engine: ModelEngine,
    how: Sabotage,
}

impl Engine for Sabotaged {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn version(&self) -> String {
        self.engine.version()
    }

    fn capabilities(&self) -> Capabilities {
        self.engine.capabilities()
    }

    fn isolate(&self) -> IsolateId {
        self.engine.isolate()
    }

    fn evaluate(&mut self, source: &str) -> Result<ScriptValue, Error> {
        self.engine.evaluate(source)
    }

    fn evaluate_buffer(&mut self, source: &str) -> Result<Handle<JsArrayBuffer>, Error> {
        self.engine.evaluate_buffer(source)
    }

    fn set_global(&mut self, name: &str, buffer: &Handle<JsArrayBuffer>) -> Result<(), Error> {
        self.engine.set_global(name, buffer)
    }

    fn allocate(&mut self, byte_length: usize, max_byte_length: Option<usize>) -> Result<Handle<JsArrayBuffer>, Error> {
        self.engine.allocate(byte_length, max_byte_length)
    }

    fn allocate_shared(
        &mut self,
        byte_length: usize,
        max_byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error> {
        self.engine.allocate_shared(byte_length, max_byte_length)
    }

    fn expose(&mut self, store: &BackingStore) -> Result<(Handle<JsArrayBuffer>, Exposure), Error> {
        if self.how == Sabotage::ExposesSilentCopies {
            let copy = UniqueStore::from_owner(store.to_vec()?).map_err(|rejected| rejected.into_parts().0)?;
            return self.engine.expose(&copy.into());
        }
        self.engine.expose(store)
    }

    fn externalize(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BackingStore, Error> {
        let store = self.engine.externalize(buffer)?;
        if self.how == Sabotage::ExternalizesCopies {
            let copy = UniqueStore::from_owner(store.to_vec()?).map_err(|rejected| rejected.into_parts().0)?;
            return Ok(copy.into());
        }
        Ok(store)
    }

    fn detach(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        match self.how {
            Sabotage::DetachDoesNothing => Ok(()),
            Sabotage::IgnoresDetachKeys => {
                self.engine.set_detach_key(buffer, None)?;
                self.engine.detach(buffer, None)
            }
            _ => self.engine.detach(buffer, key),
        }
    }

    fn set_detach_key(&mut self, buffer: &Handle<JsArrayBuffer>, key: Option<&str>) -> Result<(), Error> {
        self.engine.set_detach_key(buffer, key)
    }

    fn transfer(
        &mut self,
        buffer: &Handle<JsArrayBuffer>,
        byte_length: Option<usize>,
    ) -> Result<Handle<JsArrayBuffer>, Error> {
        self.engine.transfer(buffer, byte_length)
    }

    fn resize(&mut self, buffer: &Handle<JsArrayBuffer>, byte_length: usize) -> Result<(), Error> {
        match self.engine.resize(buffer, byte_length) {
            Err(Error::InvalidLength { .. }) if self.how == Sabotage::GrowsWithoutLimit => Ok(()),
            result => result,
        }
    }

    fn state(&mut self, buffer: &Handle<JsArrayBuffer>) -> Result<BufferState, Error> {
        let mut state = self.engine.state(buffer)?;
        state.immutable |= self.how == Sabotage::SaysItIsImmutable;
        Ok(state)
    }

    fn read(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize) -> Result<Option<u8>, Error> {
        self.engine.read(buffer, index)
    }

    fn write(&mut self, buffer: &Handle<JsArrayBuffer>, index: usize, value: u8) -> Result<(), Error> {
        let shift = usize::from(self.how == Sabotage::WritesAnotherByte);
        self.engine.write(buffer, index + shift, value)
    }

    fn evaluate_view(&mut self, source: &str) -> Result<ViewState, Error> {
        self.engine.evaluate_view(source)
    }

    fn collect_young(&mut self) {
        self.engine.collect_young();
    }

    fn collect(&mut self) {
        if self.how != Sabotage::NeverCollects {
            self.engine.collect();
        }
    }

    fn drain_finalizers(&mut self) {
        if self.how != Sabotage::NeverCollects {
            self.engine.drain_finalizers();
        }
    }

    fn external_bytes(&self) -> usize {
        if self.how == Sabotage::CountsNothing { 0 } else { self.engine.external_bytes() }
    }

    fn shut_down(self: Box<Self>) {
        assert_ne!(self.how, Sabotage::EndsByPanic, "an engine that cannot end");
    }
}

fn run_sabotaged(how: Sabotage) -> Report {
    let make = || -> Result<Box<dyn Engine>, Error> { Ok(Box::new(Sabotaged { engine: ModelEngine::new(1)?, how })) };
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
    ] {
        let surprised = surprised(&run_sabotaged(how), &expectations);
        assert!(surprised.iter().any(|number| number == case), "{how:?} surprises in {surprised:?} and not in {case}");
    }
}

#[test]
fn a_pass_that_is_not_expected_is_refused() {
    let expected = "[Model]\nlacks = [\"script\"]\n[Model.fail]\nA22 = \"known\"\n";
    let expectations = Expectations::parse(expected).unwrap();
    assert_eq!(surprised(&run_sabotaged(Sabotage::Nothing), &expectations), ["A22"]);
    let too_little = Expectations::parse("[Model]\nlacks = [\"script\", \"resizable\"]").unwrap();
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
    let expected = "[Model]\nlacks = [\"script\"]\n[Model.fail]\nP-ACCOUNTED-1 = \"counts nothing\"\n";
    let report = run_sabotaged(Sabotage::CountsNothing);
    report.check(&Expectations::parse(expected).unwrap()).unwrap();
}

#[test]
fn a_case_that_was_not_run_is_refused() {
    let make = || -> Result<Box<dyn Engine>, Error> { Ok(Box::new(ModelEngine::new(1)?)) };
    let without_the_last = &CASES[..CASES.len() - 1];
    let missing = CASES[CASES.len() - 1].number;
    let report = run_cases(without_the_last, &make, "Model");
    assert_eq!(surprised(&report, &Expectations::built_in()), [missing]);
}

#[test]
fn an_expectation_without_a_case_is_refused() {
    let expected = "[Model]\nlacks = [\"script\"]\n[Model.fail]\nA99 = \"no such case\"\n";
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
    Err(Failure::new("saw what it did not expect"))
}

#[test]
fn a_panic_and_a_failure_say_what_they_saw() {
    let case = |number, run| Case { number, name: "own", needs: &[], summary: "", run };
    let cases = [case("O1", panics as fn(&Lab<'_>) -> _), case("O2", fails)];
    let make = || -> Result<Box<dyn Engine>, Error> { Ok(Box::new(ModelEngine::new(1)?)) };
    let report = run_cases(&cases, &make, "Model");
    let text = report.to_string();
    assert!(text.contains("FAIL: expected no panic, saw: on purpose"), "{text}");
    assert!(text.contains("FAIL: saw what it did not expect (") && text.contains("runner.rs:"), "{text}");
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
    for number in ["M1", "A1", "A5", "A6", "A7", "A8", "A9", "A11", "A16", "A17", "A22", "A24", "A28", "A34"] {
        assert!(seen.contains(number), "V8's {number} is missing");
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
    ] {
        let error = Expectations::parse(text).expect_err(text).to_string();
        assert!(error.contains(problem), "{error}");
    }
    let expectations = Expectations::parse("[E]\nlacks = [\"script\"]\n[E.fail]\nA1 = \"why\"").unwrap();
    let case = |number: &str| CASES.iter().find(|case| case.number == number).unwrap();
    assert_eq!(expectations.of("E", case("A5")), Expectation::Unsupported(Capability::Script));
    assert_eq!(expectations.of("E", case("A1")), Expectation::Fail { reason: "why".to_owned() });
    assert_eq!(expectations.of("Other", case("A1")), Expectation::Pass);
}
