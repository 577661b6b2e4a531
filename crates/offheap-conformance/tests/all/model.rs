//! All cases on the model engine, with several seeds.

use offheap_conformance::{Expectations, Outcome, run};
use offheap_engine::{Capabilities, Engine, Error};
use offheap_model::{ModelOptions, model};

#[test]
fn the_model_conforms_for_every_seed() {
    let expectations = Expectations::built_in();
    for seed in 0..24 {
        let make = || -> Result<Box<dyn Engine>, Error> { Ok(Box::new(model(seed)?)) };
        let report = run(&make, "Model");
        if let Err(surprises) = report.check(&expectations) {
            panic!("seed {seed}: {surprises}\n{report}");
        }
    }
}

#[test]
fn what_an_engine_lacks_is_unsupported_and_the_rest_passes() {
    let options =
        ModelOptions { capabilities: Capabilities::empty(), max_byte_length: 1 << 20, ..ModelOptions::default() };
    for seed in 0..10 {
        let make = || -> Result<Box<dyn Engine>, Error> { Ok(Box::new(ModelOptions { seed, ..options }.build()?)) };
        let report = run(&make, "ModelWithoutExtras");
        if let Err(surprises) = report.check(&Expectations::built_in()) {
            panic!("seed {seed}: {surprises}\n{report}");
        }
        assert!(report.verdicts().iter().any(|verdict| verdict.outcome == Outcome::Pass));
    }
}
