//! Script that calls a native function with a buffer of 4 KiB, which the function sums: by a guard, and by rquickjs's
//! function that is `unsafe`.
#![allow(unsafe_code, reason = "the peer reads the bytes of a buffer by an unsafe function")]

use std::hint::black_box;

use benches::{Row, row};
use offheap_quickjs::rquickjs::{ArrayBuffer, Context, Function, Runtime};
use offheap_quickjs::{Isolate, JsArrayBuffer, JsFunction, Local};

const GOAL: f64 = 1.3;
const CALL_A_HUNDRED_TIMES: &str = "(() => {
    const buffer = new ArrayBuffer(4096);
    return () => { let total = 0; for (let i = 0; i < 100; i++) total += sum(buffer); return total };
})()";

/// The sum of the bytes.
fn sum(bytes: &[u8]) -> u32 {
    black_box(bytes).iter().map(|&byte| u32::from(byte)).sum()
}

/// A hundred calls.
pub(crate) fn call_bytes(name: &'static str) -> Row {
    let runtime = Runtime::new().expect("room for a runtime");
    let context = Context::full(&runtime).expect("room for a context");
    let mut isolate = Isolate::new().expect("room for an isolate");
    context.with(|ctx| {
        let function = Function::new(ctx.clone(), |buffer: ArrayBuffer<'_>| {
            // SAFETY: no script runs until the sum is known, so the buffer stays as it is.
            sum(unsafe { buffer.as_bytes() }.expect("it is not detached"))
        });
        ctx.globals().set("sum", function).expect("room for a global");
        let theirs: Function<'_> = ctx.eval(CALL_A_HUNDRED_TIMES).expect("it parses");
        isolate.enter(|scope| {
            let function = scope.function("sum", |scope, arguments| {
                let buffer: Local<'_, JsArrayBuffer> = arguments.get(scope, 0)?;
                Ok(sum(&scope.bytes(&buffer)?).into())
            });
            scope.set_global("sum", function.expect("room for a function")).expect("no setter");
            let ours: Local<'_, JsFunction> = scope.eval(CALL_A_HUNDRED_TIMES).expect("it parses");
            let ours = || scope.call::<u32>(&ours, ()).expect("it does not throw");
            row(name, GOAL, ours, || theirs.call::<_, u32>(()).expect("it does not throw"))
        })
    })
}
