//! Script that calls a native function with a buffer of 4 KiB, which the function sums: by a guard, and by the buffer's
//! address.
#![allow(unsafe_code, reason = "the peer reads the bytes of a buffer by its address")]

use std::hint::black_box;

use benches::{Row, row};
use offheap_v8::{Isolate, JsArrayBuffer, JsFunction, v8};

use crate::isolate::{function, in_isolate};

const GOAL: f64 = 1.3;
const CALL_A_HUNDRED_TIMES: &str = "(() => {
    const buffer = new ArrayBuffer(4096);
    return () => { let total = 0; for (let i = 0; i < 100; i++) total += sum(buffer); return total };
})()";

/// The sum of the bytes.
fn sum(bytes: &[u8]) -> u32 {
    black_box(bytes).iter().map(|&byte| u32::from(byte)).sum()
}

fn sum_of(
    _: &mut v8::PinScope<'_, '_>,
    arguments: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let buffer: v8::Local<'_, v8::ArrayBuffer> = arguments.get(0).try_into().expect("a buffer");
    let data = buffer.data().expect("it is not detached").cast::<u8>();
    // SAFETY: no script runs until the sum is known, so the buffer stays as it is.
    result.set_uint32(sum(unsafe { std::slice::from_raw_parts(data.as_ptr(), buffer.byte_length()) }));
}

/// A hundred calls.
pub(crate) fn call_bytes(name: &'static str) -> Row {
    let mut isolate = Isolate::new().expect("an isolate");
    in_isolate(|scope| {
        let context = scope.get_current_context();
        let native = v8::Function::new(scope, sum_of).expect("a function");
        let key = v8::String::new(scope, "sum").expect("a short string");
        context.global(scope).set(scope, key.into(), native.into());
        let theirs = function(scope, CALL_A_HUNDRED_TIMES);
        isolate.enter(|own| {
            let native = own.function("sum", |scope, arguments| {
                let buffer: offheap_v8::Local<'_, JsArrayBuffer> = arguments.get(scope, 0)?;
                Ok(sum(&scope.bytes(&buffer)?).into())
            });
            own.set_global("sum", native.expect("a function")).expect("no setter");
            let ours: offheap_v8::Local<'_, JsFunction> = own.eval(CALL_A_HUNDRED_TIMES).expect("it parses");
            let ours = || own.call::<u32>(&ours, ()).expect("it does not throw");
            let nothing = v8::undefined(scope).into();
            row(name, GOAL, ours, || {
                v8::scope!(let scope, scope);
                theirs.call(scope, nothing, &[]).expect("it does not throw").uint32_value(scope)
            })
        })
    })
}
