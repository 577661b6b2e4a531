//! Random sequences on the model and QuickJS, side by side. A fault of an engine must be found, and the sequence
//! shrunk.
#![forbid(unsafe_code)]

use std::time::Duration;

use offheap_conformance::random::{
    ALLOWED, Compared, Difference, Outcome, Scoped, SeededFactory, Step, calls_of_engines, compare_seed, side_by_side,
};
use offheap_engine::Error;
use offheap_model::model;
use offheap_quickjs::Isolate as QuickJs;

#[path = "all/common.rs"]
mod common;
use common::{Sabotage, Sabotaged};

#[test]
fn quickjs_and_the_model_do_the_same() {
    let model: &SeededFactory<'_> = &|seed| Ok(Box::new(model(seed)?));
    let quickjs: &SeededFactory<'_> = &|_| Ok(Box::new(QuickJs::new()?));
    match side_by_side(&[model, quickjs], Duration::from_secs(3)) {
        Ok(compared) => println!("{compared:?}"),
        Err(difference) => panic!("{difference}"),
    }
}

/// No second engine runs here, so this only detects crashes, and errors that a memory checker sees.
#[test]
fn quickjs_stands_script_that_is_called_back_and_takes_memory_away() {
    let quickjs: &SeededFactory<'_> = &|_| Ok(Box::new(QuickJs::new()?));
    let compared = side_by_side(&[quickjs], Duration::from_secs(3)).unwrap_or_else(|difference| panic!("{difference}"));
    println!("{compared:?}");
    let (refused, answered) = calls_of_engines();
    // Under valgrind and on a busy machine there may be few sequences, and in 35 of them nothing was refused.
    let is_short = compared.sequences < 100;
    assert!(
        is_short || refused > 0 && answered > 0,
        "owners called engines: {refused} calls were refused, {answered} answered"
    );
}

/// The first difference between the model and a model with a fault, and the number of sequences that it took.
fn found(how: Sabotage) -> (Difference, Compared) {
    let sound: &SeededFactory<'_> = &|seed| Ok(Box::new(model(seed)?));
    let sabotaged =
        move |seed| -> Result<Box<dyn Scoped>, Error> { Ok(Box::new(Sabotaged { engine: model(seed)?, how })) };
    let mut compared = Compared::default();
    for seed in 1..200 {
        if let Err(difference) = compare_seed(&[sound, &sabotaged], seed, &mut compared) {
            return (*difference, compared);
        }
    }
    panic!("{how:?} is not found in {compared:?}");
}

#[test]
fn an_engine_that_misbehaves_is_found_and_the_sequence_made_short() {
    for how in [
        Sabotage::DetachDoesNothing,
        Sabotage::ExposesSilentCopies,
        Sabotage::ExternalizesCopies,
        Sabotage::NeverCollects,
        Sabotage::IgnoresDetachKeys,
        Sabotage::WritesAnotherByte,
        Sabotage::GrowsWithoutLimit,
        Sabotage::CountsNothing,
        Sabotage::EndsByPanic,
        Sabotage::SaysItIsUnshared,
        Sabotage::CopiesWhatItTransfers,
        Sabotage::SeesNothingInDetachedViews,
    ] {
        let (difference, compared) = found(how);
        println!("{how:?}, found in {compared:?}: {difference}");
        // The sequence had 122 steps. Leaving out any of these would show no difference, though a shorter sequence may
        // exist.
        assert!(difference.steps.len() <= 7, "{how:?} takes {} steps: {difference}", difference.steps.len());
    }
}

#[test]
fn a_difference_is_a_script_that_a_person_can_read() {
    let difference = Difference {
        seed: 7,
        steps: vec![
            Step::Allocate { isolate: 0, buffer: 1, byte_length: 8, max_byte_length: Some(16), shared: false },
            Step::Write { buffer: 1, index: 3, value: 9 },
            Step::Detach { buffer: 1, key: Some("one") },
        ],
        outcomes: vec![("Model", Outcome::Done), ("QuickJS", Outcome::Refused("WrongDetachKey".to_owned()))],
    };
    let text = difference.to_string();
    for line in [
        "(OFFHEAP_SEED=7 repeats it)",
        "b1 = new ArrayBuffer(8, { maxByteLength: 16 }); // in isolate 0\n",
        "new Uint8Array(b1)[3] = 9;\n",
        "nativeModule.detach(b1, \"one\");\n",
        "QuickJS: Refused(\"WrongDetachKey\")\n",
    ] {
        assert!(text.contains(line), "`{line}` is not in: {text}");
    }
}

#[test]
fn each_allowed_difference_says_whose_it_is_and_why() {
    for allowed in ALLOWED {
        assert!(["QuickJS", "V8"].contains(&allowed.engine) && allowed.reason.len() > 20);
    }
}
