//! All cases of the conformance suite, in their own process, because one of them sets the process's byte budget.
#![forbid(unsafe_code)]

use offheap_conformance::{Expectations, run};
use offheap_v8::{Engine, Error, Isolate};

#[test]
fn v8_conforms() {
    // With this flag V8 can collect only the young objects.
    offheap_v8::start("--expose-gc").expect("V8 starts");
    let make = || -> Result<Box<dyn Engine>, Error> { Ok(Box::new(Isolate::new()?)) };
    let report = run(&make, "V8");
    if let Err(surprises) = report.check(&Expectations::built_in()) {
        panic!("{surprises}\n{report}");
    }
}
