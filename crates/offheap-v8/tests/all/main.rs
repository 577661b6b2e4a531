//! The tests of this crate, in one program: linking V8 takes its time.
#![forbid(unsafe_code)]

mod conformance;

/// V8 starts once for all tests, with the flag that lets them collect young objects alone.
fn start() {
    static START: std::sync::Once = std::sync::Once::new();
    START.call_once(|| offheap_v8::start("--expose-gc").expect("V8 starts"));
}
