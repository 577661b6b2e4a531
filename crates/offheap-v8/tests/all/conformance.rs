//! All cases of the conformance suite.

use offheap_conformance::{Expectations, run};
use offheap_v8::{Engine, Error, V8Engine};

#[test]
fn v8_conforms() {
    crate::common::start();
    let make = || -> Result<Box<dyn Engine>, Error> { Ok(Box::new(V8Engine::new()?)) };
    let report = run(&make, "V8");
    if let Err(surprises) = report.check(&Expectations::built_in()) {
        panic!("{surprises}\n{report}");
    }
}
