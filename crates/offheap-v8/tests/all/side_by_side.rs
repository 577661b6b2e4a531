//! Random sequences on V8, QuickJS and the model, and a soak, each in a process of its own.

use std::time::Duration;

use offheap_conformance::random::{SeededFactory, side_by_side};
use offheap_conformance::{Soak, soak};
use offheap_engine::ModelEngine;
use offheap_quickjs::QuickJsEngine;
use offheap_v8::{Engine, Error, V8Engine};

use crate::common::{in_child, start};

#[test]
fn v8_quickjs_and_the_model_do_the_same() {
    let Some(output) = in_child("side_by_side::v8_quickjs_and_the_model_do_the_same") else {
        start();
        let model: &SeededFactory<'_> = &|seed| Ok(Box::new(ModelEngine::new(seed)?));
        let quickjs: &SeededFactory<'_> = &|_| Ok(Box::new(QuickJsEngine::new()?));
        let v8: &SeededFactory<'_> = &|_| Ok(Box::new(V8Engine::new()?));
        match side_by_side(&[model, quickjs, v8], Duration::from_secs(5)) {
            Ok(compared) => println!("{compared:?}"),
            Err(difference) => panic!("{difference}"),
        }
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn isolates_on_eight_threads_drop_every_owner_once() {
    let Some(output) = in_child("side_by_side::isolates_on_eight_threads_drop_every_owner_once") else {
        start();
        let make = || -> Result<Box<dyn Engine>, Error> { Ok(Box::new(V8Engine::new()?)) };
        // One isolate each at first, and what V8 keeps of heaps that ended.
        let plan = Soak { isolates_per_thread: 1, memory_allowance: 256 << 20, ..Soak::default() };
        println!("{:?}", soak(&make, plan, &|_| ()).unwrap_or_else(|failure| panic!("{failure}")));
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
