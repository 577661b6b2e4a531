//! All cases on QuickJS.

use offheap_conformance::{Expectations, check_functions, run};
use offheap_engine::{Engine, Error};
use offheap_quickjs::Isolate as QuickJs;

#[test]
fn quickjs_conforms() {
    let make = || -> Result<Box<dyn Engine>, Error> { Ok(Box::new(QuickJs::new()?)) };
    let report = run(&make, "QuickJS");
    if let Err(surprises) = report.check(&Expectations::built_in()) {
        panic!("{surprises}\n{report}");
    }
}

#[test]
fn values_and_functions_of_quickjs() {
    check_functions(&|| QuickJs::new().expect("an isolate"));
}
