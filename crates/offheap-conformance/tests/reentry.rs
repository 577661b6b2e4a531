//! Random sequences while an observer calls engines at each event. A process has only one observer, so this is a
//! separate file.
#![forbid(unsafe_code)]

use std::time::Duration;

use offheap_conformance::random::{Reentrant, SeededFactory, calls_of_engines, side_by_side};
use offheap_engine::offheap::observe::set_observer;
use offheap_model::model;
use offheap_quickjs::Isolate as QuickJs;

#[test]
fn no_engine_answers_an_observer() {
    set_observer(&Reentrant).expect("the only observer");
    let model: &SeededFactory<'_> = &|seed| Ok(Box::new(model(seed)?));
    let quickjs: &SeededFactory<'_> = &|_| Ok(Box::new(QuickJs::new()?));
    match side_by_side(&[model, quickjs], Duration::from_secs(3)) {
        Ok(compared) => println!("{compared:?}"),
        Err(difference) => panic!("{difference}"),
    }
    assert!(calls_of_engines().0 > 0, "the observer called engines");
}
